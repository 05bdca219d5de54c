//! A request to an endpoint, and patience with one that is busy.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unspsc_contract::invocation::{BatchRequest, BatchResponse, Depth, ErrorBody, ErrorDetail};

use crate::aws::{ServiceError, failed};
use crate::progress::Progress;
use crate::session::Session;

/// A container that asks for more patience than this is asked again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// For how long a container may be busy: as long as it takes to add an instance.
const BUSY: Duration = Duration::from_secs(600);
/// The code of an endpoint that has to load its model first.
const NOT_READY: &str = "ModelNotReadyException";

/// A request about `texts` that leaves all options but the `depth` to the server.
pub(crate) fn at_depth(texts: &[String], depth: Depth) -> BatchRequest {
    BatchRequest { instances: texts.to_vec(), top_k: None, depth: Some(depth), by_level: false }
}

/// Asks the endpoint about all descriptions of `request`; the answer has one outcome for each. A container that refuses
/// is a [`Refusal`].
pub(crate) async fn ask(session: &Session, endpoint: &str, request: &BatchRequest) -> anyhow::Result<BatchResponse> {
    answers(&session.clients.runtime, endpoint, request).await
}

/// The same with the service's client alone, which tasks can have.
pub(super) async fn answers(client: &Client, endpoint: &str, request: &BatchRequest) -> anyhow::Result<BatchResponse> {
    let (answer, texts): (BatchResponse, _) = (send(client, endpoint, request).await?, request.instances.len());
    if answer.predictions.len() != texts {
        bail!("endpoint {endpoint} answered {} of {texts} descriptions", answer.predictions.len());
    }
    Ok(answer)
}

/// Sends `request` as JSON and reads the answer.
pub(super) async fn send<T: DeserializeOwned>(
    client: &Client,
    endpoint: &str,
    request: &impl Serialize,
) -> anyhow::Result<T> {
    let body = serde_json::to_vec(request)?;
    let request = client.invoke_endpoint().endpoint_name(endpoint);
    let request = request.content_type("application/json").accept("application/json").body(Blob::new(body));
    let answer = request.send().await.map_err(|error| {
        let model_error = error.as_service_error().and_then(|error| match error {
            InvokeEndpointError::ModelError(error) => error.original_message(),
            _ => None,
        });
        model_error.map(refusal).unwrap_or_else(|| failed("InvokeEndpoint")(error).into())
    })?;
    let body = answer.body().map(Blob::as_ref).unwrap_or_default();
    serde_json::from_slice(body)
        .with_context(|| format!("endpoint {endpoint} answered something else than predictions"))
}

/// A container's own words on a request that it does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the request was refused: {} ({})", .0.message, .0.code)]
pub(crate) struct Refusal(pub(crate) ErrorDetail);

/// A container that failed in words of another form, or in none.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the container failed: {0}")]
pub(crate) struct ContainerFailure(pub(crate) String);

/// The container's own words, which SageMaker passes on within its error.
pub(crate) fn refusal(message: &str) -> anyhow::Error {
    match serde_json::from_str::<ErrorBody>(message) {
        Ok(ErrorBody { error }) => Refusal(error).into(),
        Err(_) => ContainerFailure(message.to_owned()).into(),
    }
}

/// Asks until the container is not busy and the service not troubled; silence of the service is borne for `silence`.
pub(crate) async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(
    progress: &Progress,
    silence: Duration,
    ask: impl Fn() -> F,
) -> anyhow::Result<T> {
    let (begun, mut pause) = (Instant::now(), Duration::from_secs(1));
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some((wait, patience)) = wait(&error, pause, silence) else { return Err(error) };
        if begun.elapsed() + wait > patience {
            return Err(error);
        }
        progress.say(&format!("{error}: trying again in {} s", wait.as_secs()));
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_WAIT);
    }
}

/// How long to wait after `error`, and for how long altogether; nothing where it will not pass.
fn wait(error: &anyhow::Error, pause: Duration, silence: Duration) -> Option<(Duration, Duration)> {
    if let Some(Refusal(detail)) = error.downcast_ref() {
        return detail.retry_after.map(|wait| (Duration::from_secs(wait).min(LONGEST_WAIT), BUSY));
    }
    match error.downcast_ref() {
        Some(ServiceError::Refused { code, .. }) if code == NOT_READY => Some((pause, BUSY)),
        Some(error) if error.is_transient() => Some((pause, silence)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_own_words_are_shown() {
        let body = r#"{"error":{"code":"invalid_request","message":"field `description` is missing"}}"#;
        let shown = refusal(body).to_string();
        assert_eq!(shown, "the request was refused: field `description` is missing (invalid_request)");
        assert!(refusal("oops").to_string().ends_with("failed: oops"));
    }

    #[test]
    fn what_passes_is_waited_for() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let wait = |error: anyhow::Error| wait(&error, second, minute);
        let refused = |code: &str| {
            let code = code.to_owned();
            anyhow::Error::from(ServiceError::Refused { operation: "InvokeEndpoint", code, message: "M".to_owned() })
        };
        let busy = r#"{"error":{"code":"overloaded","message":"busy","retry_after":90}}"#;
        assert_eq!(wait(refusal(busy)), Some((minute, BUSY)));
        assert_eq!(wait(refused(NOT_READY)), Some((second, BUSY)));
        assert_eq!(wait(refused("ThrottlingException")), Some((second, minute)));
        assert_eq!(wait(refused("ValidationError")), None);
        assert_eq!(wait(refusal("oops")), None);
    }
}
