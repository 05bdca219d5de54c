//! Models, endpoint configurations and endpoints: the operations, the processes behind them, and invocations.

mod configs;
mod deploy;
mod endpoints;
pub(crate) mod invoke;
mod models;
mod ports;
mod record;
mod routes;

pub(crate) use configs::{create_config, delete_config, describe_config, list_configs};
pub(crate) use endpoints::{create_endpoint, delete_endpoint, describe_endpoint, list_endpoints};
pub(crate) use models::{create_model, delete_model, describe_model, list_models, model_not_found};
pub(crate) use ports::{Port, Ports};
pub(crate) use record::{Container, Endpoint, EndpointConfig, EndpointStatus, Model};
pub(crate) use routes::Routes;
