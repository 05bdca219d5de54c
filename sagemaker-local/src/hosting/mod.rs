//! Models, endpoint configurations and endpoints: the operations, the processes behind them, and invocations.

pub(crate) mod asynchronous;
mod configs;
mod endpoints;
mod fleet;
mod instance;
pub(crate) mod invoke;
mod models;
mod ports;
mod record;
mod routes;
mod shift;
mod supervisor;
mod traffic;
mod update;

pub(crate) use configs::{MAX_INSTANCES, create_config, delete_config, describe_config, list_configs};
pub(crate) use endpoints::{create_endpoint, delete_endpoint, describe_endpoint, list_endpoints};
pub(crate) use models::{create_model, delete_model, describe_model, list_models};
pub(crate) use ports::Ports;
#[cfg(test)]
pub(crate) use record::example;
pub(crate) use record::{Endpoint, EndpointConfig, EndpointStatus, Model};
pub(crate) use routes::Routes;
pub(crate) use traffic::Traffic;
pub(crate) use update::{set_capacity, update_capacities, update_endpoint};
