//! `InvokeEndpointAsync`: the request lies in S3, the answer will too.
//!
//! Invocations wait in a queue of the endpoint's: each instance gets as many at a time as the configuration says. What waits when the server
//! ends is lost, as it is when SageMaker deletes an endpoint.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;

use super::invoke::{self, Failure};
use super::record::{AsyncConfig, EndpointStatus};
use super::routes::NoRoute;
use crate::error::{ApiError, REQUEST_ID};
use crate::names::ACCOUNT;
use crate::platform::Platform;
use crate::storage::{S3Uri, S3UriError};

/// SageMaker's limit for a request in S3.
const MAX_INPUT_BYTES: u64 = 1024 * 1024 * 1024;
/// SageMaker's default and longest time of an invocation.
const TIME_LIMIT: Duration = Duration::from_secs(900);
const MAX_TIME_LIMIT_SECS: u64 = 3600;
/// The pause before an invocation that found no instance asks again.
const PAUSE: Duration = Duration::from_millis(500);
/// Where the configuration says nothing, SageMaker chooses; here an instance gets so many at a time.
const CONCURRENCY: u32 = 4;

const INPUT_LOCATION: HeaderName = HeaderName::from_static("x-amzn-sagemaker-inputlocation");
const OUTPUT_LOCATION: HeaderName = HeaderName::from_static("x-amzn-sagemaker-outputlocation");
const FAILURE_LOCATION: HeaderName = HeaderName::from_static("x-amzn-sagemaker-failurelocation");
const INFERENCE_ID: HeaderName = HeaderName::from_static("x-amzn-sagemaker-inference-id");
const REQUEST_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-content-type");
const REQUEST_ACCEPT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-accept");
const TIMEOUT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-invocationtimeoutseconds");

/// The queues of endpoints.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Queue>>);

/// The queue of an endpoint: as many permits as invocations may be under way.
#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    permits: usize,
    /// Stands for each invocation that waits or is under way.
    backlog: Arc<()>,
}

impl Queues {
    /// The queue of the endpoint, which from now on has so many permits, and what counts an invocation for as long as it lives.
    fn of(&self, endpoint: &str, permits: usize) -> (Arc<Semaphore>, Arc<()>) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Queue { turns: Arc::new(Semaphore::new(permits)), permits, backlog: Arc::new(()) };
        let queue = queues.entry(endpoint.to_owned()).or_insert_with(new);
        if permits >= queue.permits {
            queue.turns.add_permits(permits - queue.permits);
            queue.permits = permits;
        } else {
            // Those that are taken at the moment come back, and are taken out by the next invocation.
            queue.permits -= queue.turns.forget_permits(queue.permits - permits);
        }
        (Arc::clone(&queue.turns), Arc::clone(&queue.backlog))
    }

    /// Invocations of the endpoint that wait or are under way.
    pub(crate) fn backlog(&self, endpoint: &str) -> usize {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The queue's own does not count.
        queues.get(endpoint).map_or(0, |queue| Arc::strong_count(&queue.backlog) - 1)
    }

    /// Forgets the endpoint; what waits goes on and finds nobody.
    pub(crate) fn forget(&self, endpoint: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
    }
}

/// An invocation that was taken on.
struct Order {
    endpoint: String,
    headers: HeaderMap,
    /// The file of the request's object; it is read when it is the invocation's turn.
    input: PathBuf,
    output: S3Uri,
    failure: Option<S3Uri>,
    limit: Duration,
}

/// Takes the invocation on, and answers where its answer will be.
pub(crate) fn invoke(platform: &Arc<Platform>, endpoint: &str, headers: &HeaderMap) -> Response {
    match accept(platform, endpoint, headers) {
        Ok((order, permits)) => {
            let id = given(headers, &INFERENCE_ID).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
            let response = accepted(&id, &order);
            let (turns, counted) = platform.queues.of(endpoint, permits);
            let platform = Arc::clone(platform);
            tokio::spawn(async move {
                let _counted = counted;
                // Nobody closes a queue.
                let Ok(_permit) = turns.acquire().await else { return };
                if let Err(error) = carry_out(&platform, order).await {
                    tracing::error!(%error, "an asynchronous invocation left no answer");
                }
            });
            response
        }
        Err(error) => error.into_response(),
    }
}

fn accept(platform: &Platform, endpoint: &str, headers: &HeaderMap) -> Result<(Order, usize), ApiError> {
    let invalid = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "ValidationError", message);
    let (config, instances) = platform.store.read(|state| {
        let found = state.endpoints.get(endpoint).filter(|found| {
            !matches!(
                found.endpoint_status,
                EndpointStatus::Creating | EndpointStatus::Failed | EndpointStatus::Deleting
            )
        });
        let found = found.ok_or_else(|| invalid(format!("Endpoint {endpoint} of account {ACCOUNT} not found.")))?;
        let config = found.async_inference_config.clone();
        let instances: u32 = found.production_variants.iter().map(|variant| variant.current_instance_count).sum();
        let config = config.ok_or_else(|| invalid(format!("Endpoint {endpoint} is not an asynchronous endpoint.")))?;
        Ok::<_, ApiError>((config, instances))
    })?;
    let location = given(headers, &INPUT_LOCATION).ok_or_else(|| invalid("InputLocation is required.".to_owned()))?;
    let uri: S3Uri = location.parse().map_err(|error: S3UriError| invalid(error.to_string()))?;
    let gone = || invalid(format!("Could not find the input at {uri}."));
    let file = platform.storage.object(&uri).ok_or_else(gone)?;
    if std::fs::metadata(&file).map_or(0, |file| file.len()) > MAX_INPUT_BYTES {
        return Err(invalid(format!("The input at {uri} is larger than {MAX_INPUT_BYTES} bytes.")));
    }
    let limit = match given(headers, &TIMEOUT) {
        None => TIME_LIMIT,
        Some(text) => {
            let seconds = text.parse().ok().filter(|seconds| (1..=MAX_TIME_LIMIT_SECS).contains(seconds));
            let broken = || invalid(format!("InvocationTimeoutSeconds must be 1 to {MAX_TIME_LIMIT_SECS}."));
            Duration::from_secs(seconds.ok_or_else(broken)?)
        }
    };
    let AsyncConfig { output_config, client_config } = config;
    let address = |path: &str| path.parse::<S3Uri>().map_err(|error| invalid(error.to_string()));
    let name = format!("{}.out", uuid::Uuid::new_v4());
    let failure = output_config.s3_failure_path.as_deref().map(address).transpose()?;
    let failure = failure.map(|place| place.join(&name.replace(".out", "-error.out")));
    let order = Order {
        endpoint: endpoint.to_owned(),
        headers: for_the_container(headers),
        input: file,
        output: address(&output_config.s3_output_path)?.join(&name),
        failure,
        limit,
    };
    let each = client_config.and_then(|client| client.max_concurrent_invocations_per_instance).unwrap_or(CONCURRENCY);
    Ok((order, each.saturating_mul(instances.max(1)) as usize))
}

fn accepted(id: &str, order: &Order) -> Response {
    let mut response =
        (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], json!({ "InferenceId": id }).to_string())
            .into_response();
    let locations = [(OUTPUT_LOCATION, Some(&order.output)), (FAILURE_LOCATION, order.failure.as_ref())];
    let texts = locations.into_iter().filter_map(|(name, uri)| Some((name, uri?.to_string())));
    for (name, text) in texts.chain([(REQUEST_ID, uuid::Uuid::new_v4().to_string())]) {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Asks an instance, and puts its answer, or why there is none, into S3.
async fn carry_out(platform: &Platform, order: Order) -> Result<(), String> {
    let answered = async {
        let input = tokio::fs::read(&order.input).await.map_err(|error| format!("cannot read the input: {error}"))?;
        let input = Bytes::from(input);
        loop {
            let Order { endpoint, headers, limit, .. } = &order;
            match invoke::deliver(platform, endpoint, headers, input.clone(), *limit).await {
                // It waits until an instance is up again, for as long as the endpoint is there.
                Err(Failure::NoRoute(NoRoute::Instance)) => tokio::time::sleep(PAUSE).await,
                Err(failure) => break Err(failure.message(endpoint)),
                Ok(answer) => break Ok(answer),
            }
        }
    };
    let (bytes, place) = match answered.await {
        Ok((_, answer)) => (answer.body, Some(order.output)),
        Err(reason) => (Bytes::from(reason), order.failure),
    };
    // Without a place for failures they are lost, as at SageMaker.
    let Some(place) = place else { return Ok(()) };
    let file = platform.folder.passing().map_err(|error| error.to_string())?;
    let put = async {
        tokio::fs::write(&file, &bytes).await.map_err(|error| error.to_string())?;
        platform.storage.put(&file, &place).await.map_err(|error| error.to_string())
    };
    let outcome = put.await;
    let _ = tokio::fs::remove_file(&file).await;
    outcome
}

/// The caller's headers as an instance is to get them: what a request says of itself in S3 stands in headers of other names.
fn for_the_container(headers: &HeaderMap) -> HeaderMap {
    let mut own = headers.clone();
    for (name, of_request) in [(CONTENT_TYPE, &REQUEST_CONTENT_TYPE), (ACCEPT, &REQUEST_ACCEPT)] {
        own.remove(&name);
        own.extend(headers.get(of_request).map(|value| (name, value.clone())));
    }
    own
}

fn given<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
