//! One thing that is taken down, and how.

use std::fmt;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_sdk_sagemaker::types::EndpointStatus;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::storage::S3Uri;
use crate::{deploy, poll, upload};

use super::jobs::Job;

/// One thing that is taken down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A job that runs.
    Job(Job),
    /// A scaling policy of a variant.
    Policy { resource: String, name: String },
    /// A variant that is registered for scaling.
    Target { resource: String },
    /// An endpoint.
    Endpoint(String),
    /// An endpoint configuration.
    Config(String),
    /// A model.
    Model(String),
    /// An upload in parts that nobody will complete.
    Upload { place: S3Uri, id: String },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "{job}"),
            Self::Policy { resource, name } => write!(f, "scaling policy {name} of {resource}"),
            Self::Target { resource } => write!(f, "scalable target {resource}"),
            Self::Endpoint(name) => write!(f, "endpoint {name}"),
            Self::Config(name) => write!(f, "endpoint configuration {name}"),
            Self::Model(name) => write!(f, "model {name}"),
            Self::Upload { place, .. } => write!(f, "incomplete upload to {place}"),
        }
    }
}

impl Part {
    /// The job, if it is one.
    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Self::Job(job) => Some(job),
            _ => None,
        }
    }

    /// Takes it down; it is no error if it is gone.
    pub(super) async fn take_down(&self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Job(job) => job.ended(session).await?,
            Self::Policy { resource, name } => policy(session, resource, name).await?,
            Self::Target { resource } => target(session, resource).await?,
            Self::Endpoint(name) => endpoint(session, name).await?,
            Self::Config(name) => config(session, name).await?,
            Self::Model(name) => model(session, name).await?,
            Self::Upload { place, id } => upload::abort(session, place, id).await?,
        }
        Ok(())
    }
}

/// Deletes a scaling policy.
pub(crate) async fn policy(session: &Session, resource: &str, name: &str) -> Result<(), ServiceError> {
    let policy = session.clients.scaling.delete_scaling_policy().service_namespace(ServiceNamespace::Sagemaker);
    let policy = policy.policy_name(name).resource_id(resource);
    let policy = policy.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    unless_missing(policy.send().await.map_err(failed("DeleteScalingPolicy")))
}

/// Deregisters a variant from scaling.
pub(crate) async fn target(session: &Session, resource: &str) -> Result<(), ServiceError> {
    let target = session.clients.scaling.deregister_scalable_target().service_namespace(ServiceNamespace::Sagemaker);
    let target = target.resource_id(resource);
    let target = target.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    unless_missing(target.send().await.map_err(failed("DeregisterScalableTarget")))
}

/// Deletes an endpoint and waits until it is gone.
pub(crate) async fn endpoint(session: &Session, name: &str) -> Result<(), ServiceError> {
    if session.is_plan() {
        return delete_endpoint(session, name).await;
    }
    let mut is_said = false;
    poll::until(session.pace, async || {
        let status = match deploy::status(session, name).await {
            Err(error) if error.is_missing() => return Ok(Some(())),
            outcome => outcome?.0,
        };
        if status == EndpointStatus::Deleting {
            return Ok(None);
        }
        if !deploy::is_settled(&status) && !is_said {
            is_said = true;
            session.progress.say(&format!("endpoint {name} is {status}: it can be deleted when that is over"));
        }
        match delete_endpoint(session, name).await {
            // SageMaker deletes none that is being created or changed.
            Err(error) if error.is_missing() || !deploy::is_settled(&status) => Ok(None),
            outcome => outcome.map(|()| None),
        }
    })
    .await
}

async fn delete_endpoint(session: &Session, name: &str) -> Result<(), ServiceError> {
    let deleted = session.clients.sagemaker.delete_endpoint().endpoint_name(name).send().await;
    deleted.map(drop).map_err(failed("DeleteEndpoint"))
}

/// Deletes an endpoint configuration.
pub(crate) async fn config(session: &Session, name: &str) -> Result<(), ServiceError> {
    let config = session.clients.sagemaker.delete_endpoint_config().endpoint_config_name(name).send().await;
    unless_missing(config.map_err(failed("DeleteEndpointConfig")))
}

/// Deletes a model.
pub(crate) async fn model(session: &Session, name: &str) -> Result<(), ServiceError> {
    let model = session.clients.sagemaker.delete_model().model_name(name).send().await;
    unless_missing(model.map_err(failed("DeleteModel")))
}

fn unless_missing<T>(outcome: Result<T, ServiceError>) -> Result<(), ServiceError> {
    match outcome {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}
