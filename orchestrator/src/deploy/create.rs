//! Model, endpoint configuration and endpoint: what is there already is left as it is.

use anyhow::bail;
use aws_sdk_sagemaker::types::{ContainerDefinition, EndpointStatus, Tag};

use crate::aws::{ServiceError, failed, is_refused};
use crate::content::{self, ENDPOINT};
use crate::session::Session;
use crate::storage;
use crate::undo::Started;

use super::there::{self, reason_of, status_of};
use super::wanted::{Piece, Pieces, Wanted};
use super::{clear, smoke};

/// Makes a new endpoint and waits until it answers; from here on it is noted to be undone.
pub(super) async fn endpoint(session: &Session, name: &str, wanted: &Wanted, pieces: &Pieces) -> anyhow::Result<()> {
    let started = Started::Endpoint(name.to_owned());
    let is_noted = session.undo.has(&started);
    session.undo.note_once(started.clone());
    let step = session.changing(&format!("deploying {} as endpoint {name}", wanted.artifact));
    model(session, name, wanted, &pieces.model).await.inspect_err(|error| {
        // The first request: where it was refused there is nothing to take down.
        if !is_noted && is_refused(error) {
            session.undo.settle(&started);
        }
    })?;
    config(session, name, wanted, pieces).await?;
    let sagemaker = &session.clients.sagemaker;
    let create = async || {
        let endpoint = sagemaker.create_endpoint().endpoint_name(name).endpoint_config_name(&pieces.config.name);
        let created = endpoint.set_tags(Some(tags(name, &pieces.config))).send().await;
        created.map(drop).map_err(failed("CreateEndpoint"))
    };
    if session.is_plan() {
        // What a plan deletes first is there as long as it looks.
        return Ok(create().await?);
    }
    unless_there(async || is_there_and_ours(session, name).await, create).await?;
    let Some(described) = there::settled(session, name, &step).await? else {
        bail!("endpoint {name} was deleted by somebody else while it was being created");
    };
    drop(step);
    let status = status_of(&described);
    let outcome = if status == EndpointStatus::InService {
        smoke::test(session, name, wanted).await
    } else {
        Err(anyhow::anyhow!("endpoint {name} is {status}: {}", reason_of(&described)))
    };
    outcome.inspect_err(|_| {
        let logs = session.command(&format!("logs {name}"));
        session.progress.say(&format!("whatever its containers have logged stays: `{logs}` shows it"));
    })
}

/// Makes the model.
pub(super) async fn model(session: &Session, endpoint: &str, wanted: &Wanted, piece: &Piece) -> anyhow::Result<()> {
    let sagemaker = &session.clients.sagemaker;
    let look = async || {
        let found = sagemaker.describe_model().model_name(&piece.name).send().await;
        Ok(is_there(found.map_err(failed("DescribeModel")))?)
    };
    let create = async || {
        let container = ContainerDefinition::builder().image(&wanted.image).model_data_url(wanted.artifact.to_string());
        let model = sagemaker.create_model().model_name(&piece.name).primary_container(container.build());
        let model = model.execution_role_arn(&wanted.role).set_tags(Some(tags(endpoint, piece)));
        model.send().await.map(drop).map_err(failed("CreateModel"))
    };
    unless_there(look, create).await
}

/// Makes the configuration.
pub(super) async fn config(session: &Session, endpoint: &str, wanted: &Wanted, pieces: &Pieces) -> anyhow::Result<()> {
    let (sagemaker, piece) = (&session.clients.sagemaker, &pieces.config);
    if wanted.is_asynchronous() {
        storage::ensure_bucket(session).await?;
    }
    let variant = wanted.variant(&pieces.model.name);
    let look = async || {
        let found = sagemaker.describe_endpoint_config().endpoint_config_name(&piece.name).send().await;
        Ok(is_there(found.map_err(failed("DescribeEndpointConfig")))?)
    };
    let create = async || {
        let config = sagemaker.create_endpoint_config().endpoint_config_name(&piece.name);
        let config = config.production_variants(variant.clone()).set_tags(Some(tags(endpoint, piece)));
        let created = config.set_async_inference_config(wanted.asynchronous(endpoint)).send().await;
        created.map(drop).map_err(failed("CreateEndpointConfig"))
    };
    unless_there(look, create).await
}

fn tags(endpoint: &str, piece: &Piece) -> Vec<Tag> {
    content::tags(&piece.content, &[(ENDPOINT, endpoint)])
}

/// Creates what is not there; an answer that got lost is no error where it is there afterwards.
async fn unless_there(
    look: impl AsyncFn() -> anyhow::Result<bool>,
    create: impl AsyncFnOnce() -> Result<(), ServiceError>,
) -> anyhow::Result<()> {
    if look().await? {
        return Ok(());
    }
    let Err(error) = create().await else { return Ok(()) };
    if (error.is_taken() || error.is_transient()) && look().await? {
        return Ok(());
    }
    Err(error.into())
}

/// Whether the endpoint is there; one that somebody else has made meanwhile is not to be undone.
async fn is_there_and_ours(session: &Session, name: &str) -> anyhow::Result<bool> {
    let described = match there::describe(session, name).await {
        Err(error) if error.is_missing() => return Ok(false),
        outcome => outcome?,
    };
    let Some(arn) = described.endpoint_arn() else { bail!("endpoint {name} has no ARN") };
    if !content::is_ours(&content::tags_of(&session.clients.sagemaker, arn).await?) {
        session.undo.settle(&Started::Endpoint(name.to_owned()));
        // It may serve from what is ours.
        clear::all_but(session, name, &clear::configs_used(&described)).await?;
        bail!("endpoint {name} was not made by this program, and is left alone: choose another --endpoint");
    }
    Ok(true)
}

fn is_there<T>(found: Result<T, ServiceError>) -> Result<bool, ServiceError> {
    match found {
        Err(error) if error.is_missing() => Ok(false),
        outcome => outcome.map(|_| true),
    }
}
