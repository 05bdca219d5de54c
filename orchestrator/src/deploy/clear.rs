//! Configurations and models of an endpoint that nothing uses any more.

use anyhow::Context as _;
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::{EndpointStatus, ProductionVariant};

use crate::aws::{ServiceError, failed};
use crate::content::{self, FORMER};
use crate::destroy;
use crate::session::Session;

use super::{former, there};

/// Deletes the configurations of the endpoint but those named, and the models that these do not use.
pub(super) async fn all_but(session: &Session, endpoint: &str, configs: &[String]) -> anyhow::Result<()> {
    let models = models_used(session, configs).await?;
    unused(session, endpoint, configs, &models).await
}

/// The configurations that an endpoint has, or is getting.
pub(crate) fn configs_used(described: &DescribeEndpointOutput) -> Vec<String> {
    let pending = described.pending_deployment_summary().and_then(|pending| pending.endpoint_config_name());
    [described.endpoint_config_name(), pending].into_iter().flatten().map(str::to_owned).collect()
}

/// The models that configurations use.
pub(crate) async fn models_used(session: &Session, configs: &[String]) -> Result<Vec<String>, ServiceError> {
    let mut models = Vec::new();
    for config in configs {
        models.extend(variants(session, config).await?.into_iter().filter_map(|variant| variant.model_name));
    }
    Ok(models)
}

/// Deletes the configurations and models of the endpoint but those named.
pub(super) async fn unused(
    session: &Session,
    endpoint: &str,
    configs: &[String],
    models: &[String],
) -> anyhow::Result<()> {
    for name in destroy::configs_of(session, endpoint).await?.iter().filter(|name| !configs.contains(name)) {
        destroy::config(session, name).await?;
    }
    for name in destroy::models_of(session, endpoint).await?.iter().filter(|name| !models.contains(name)) {
        destroy::model(session, name).await?;
    }
    Ok(())
}

/// Leaves an update that was begun: one that is under way goes on by itself, and what nothing uses is deleted.
pub(crate) async fn leave_update(session: &Session, endpoint: &str) -> anyhow::Result<()> {
    let described = match there::describe(session, endpoint).await {
        Err(error) if error.is_missing() => return all_but(session, endpoint, &[]).await,
        outcome => outcome.inspect_err(|_| former::tell_left(session))?,
    };
    let status = there::status_of(&described);
    let is_settled = there::is_settled(&status);
    session.progress.say(&if is_settled {
        format!("endpoint {endpoint} serves; the same command goes on with its update")
    } else {
        format!("the update of endpoint {endpoint} goes on without this command; the same command comes back to it")
    });
    // SageMaker scales no endpoint that is being updated.
    let scaled = if status == EndpointStatus::InService {
        let serves = described.endpoint_config_name().unwrap_or_default();
        former::put_back(session, serves).await.context("its scaling is still off")
    } else {
        former::tell_left(session);
        Ok(())
    };
    let cleared = async {
        let mut used = configs_used(&described);
        if let Some(arn) = described.endpoint_arn() {
            let tags = content::tags_of(&session.clients.sagemaker, arn).await?;
            used.extend(content::value(&tags, FORMER).map(str::to_owned));
        }
        all_but(session, endpoint, &used).await
    };
    let cleared = cleared.await;
    if let (Err(_), Err(error)) = (&scaled, &cleared) {
        session.progress.say(&format!("{error:#}"));
    }
    scaled.and(cleared)
}

/// The variants of a configuration; none if it is gone.
pub(super) async fn variants(session: &Session, config: &str) -> Result<Vec<ProductionVariant>, ServiceError> {
    let found = session.clients.sagemaker.describe_endpoint_config().endpoint_config_name(config).send().await;
    match found.map_err(failed("DescribeEndpointConfig")) {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        outcome => Ok(outcome?.production_variants.unwrap_or_default()),
    }
}
