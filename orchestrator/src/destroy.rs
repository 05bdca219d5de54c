//! `unspsc destroy`: an endpoint and all that `deploy` made for it, in the order that works.

use anyhow::bail;
use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_sdk_sagemaker::types::EndpointStatus;

use crate::aws::{ServiceError, failed};
use crate::options::DestroyArgs;
use crate::session::Session;
use crate::undo::Started;
use crate::{deploy, poll};

/// Takes an endpoint down, if that was confirmed.
pub(crate) async fn run(session: &Session, args: &DestroyArgs) -> anyhow::Result<()> {
    if !args.yes && !session.is_plan() {
        bail!(
            "this deletes endpoint {} with its scaling policy, configuration and model; confirm with --yes",
            args.endpoint
        );
    }
    let name = &args.endpoint;
    let was_there = match deploy::status(session, name).await {
        Err(error) if error.is_missing() => false,
        outcome => outcome.map(|_| true)?,
    };
    destroy(session, name).await?;
    if session.is_plan() {
        return Ok(());
    }
    session.progress.say(&if was_there {
        format!("endpoint {name} and what belongs to it are gone")
    } else {
        format!("there was no endpoint {name}; whatever else bore its name is gone")
    });
    Ok(())
}

/// Deletes policy, target, endpoint, configuration and model named `name`; what is gone already is passed over.
pub(crate) async fn destroy(session: &Session, name: &str) -> anyhow::Result<()> {
    let step = session.progress.step(&format!("taking down endpoint {name}"));
    // The instances are what costs money: they go even where scaling cannot be touched.
    let unscaled = unscale(session, name).await;
    poll::until(session.pace, async || delete_endpoint(session, name).await).await?;
    let sagemaker = &session.clients.sagemaker;
    let config = sagemaker.delete_endpoint_config().endpoint_config_name(name).send().await;
    unless_missing(config.map_err(failed("DeleteEndpointConfig")))?;
    let model = sagemaker.delete_model().model_name(name).send().await;
    unless_missing(model.map_err(failed("DeleteModel")))?;
    drop(step);
    Ok(unscaled?)
}

async fn unscale(session: &Session, name: &str) -> Result<(), ServiceError> {
    let policy = session
        .clients
        .scaling
        .delete_scaling_policy()
        .policy_name(deploy::policy_name(name))
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(deploy::resource_id(name))
        .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    unless_missing(policy.send().await.map_err(failed("DeleteScalingPolicy")))?;
    let target = session
        .clients
        .scaling
        .deregister_scalable_target()
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(deploy::resource_id(name))
        .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    unless_missing(target.send().await.map_err(failed("DeregisterScalableTarget")))
}

/// One attempt: an answer once the endpoint is gone. SageMaker deletes none that is being created or changed.
async fn delete_endpoint(session: &Session, name: &str) -> Result<Option<()>, ServiceError> {
    let status = deploy::status(session, name).await;
    if session.is_plan() {
        // What the plan would have made is there as far as it goes on.
        if status.is_ok() || session.undo.has(&Started::Endpoint(name.to_owned())) {
            let deleted = session.clients.sagemaker.delete_endpoint().endpoint_name(name).send().await;
            deleted.map_err(failed("DeleteEndpoint"))?;
        }
        return Ok(Some(()));
    }
    match status {
        Err(error) if error.is_missing() => return Ok(Some(())),
        Ok((EndpointStatus::Deleting, _)) => return Ok(None),
        Ok((status, _)) => {
            let deleted = session.clients.sagemaker.delete_endpoint().endpoint_name(name).send().await;
            match deleted.map_err(failed("DeleteEndpoint")) {
                Err(error) if error.is_missing() || !deploy::is_settled(&status) => {}
                outcome => drop(outcome?),
            }
        }
        Err(error) => return Err(error),
    }
    Ok(None)
}

fn unless_missing<T>(outcome: Result<T, ServiceError>) -> Result<(), ServiceError> {
    match outcome {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}
