//! The routes.

use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use tracing::Instrument as _;
use unspsc_artifact::TokenIds;
use unspsc_contract::invocation::{BatchResponse, Outcome};
use uuid::Uuid;

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::metrics::{self, Stage};
use crate::request::{Input, Invocation, RequestLimits};
use crate::service::Service;

/// A caller's own note, which the platform passes on and which goes back with the answer.
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// Whether all is well.
const PING: &str = "/ping";

/// Where texts are classified.
const INVOCATIONS: &str = "/invocations";

/// What is counted.
const METRICS: &str = "/metrics";

/// SageMaker's limit for that note.
const MAX_CUSTOM_ATTRIBUTES_BYTES: usize = 1024;

#[derive(Clone)]
struct AppState {
    service: Service,
    limits: RequestLimits,
}

/// All routes over `service`. Those for people and their tools are there only if they are `reachable`.
pub(crate) fn app(service: Service, limits: RequestLimits, reachable: bool) -> Router {
    let state = AppState { service, limits };
    let contract = Router::new().route(PING, get(ping)).route(INVOCATIONS, post(invocations));
    let routes = if reachable { contract.route(METRICS, get(show_metrics)) } else { contract };
    routes
        .fallback(async |uri: Uri| ApiError::NotFound(uri.path().to_owned()))
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method.to_string()))
        .layer(DefaultBodyLimit::max(limits.max_body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), finish))
        .with_state(state)
}

/// `GET /ping`: 200 while requests can be answered, 503 otherwise, with an empty body.
async fn ping(State(state): State<AppState>) -> StatusCode {
    if state.service.is_healthy().await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /metrics`, for Prometheus.
async fn show_metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let text = state.service.metrics().text();
    let text = text.map_err(|error| ApiError::Internal(format!("the metrics cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// `POST /invocations`.
async fn invocations(
    State(AppState { service, limits }): State<AppState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    check_content_type(&headers)?;
    let body = body.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            ApiError::TooLarge(limits.max_body_bytes)
        }
        _ => ApiError::UnreadableBody,
    })?;
    // A full queue answers before the work of reading; where it fills up meanwhile, `classify` refuses.
    service.check_room()?;
    // Tokenising a large body takes long enough to keep other connections waiting.
    let (tokenising, started) = (service.clone(), Instant::now());
    let prepare = move || Prepared::new(&Invocation::parse(&body, &limits)?, tokenising.classifier()?);
    let prepared = tokio::task::spawn_blocking(prepare).await;
    // The message of a panic may quote the text.
    let prepared = prepared.map_err(|_| ApiError::Internal("reading the request panicked".into()))??;
    service.metrics().stage_took(Stage::Prepare, started.elapsed());
    let answers = service.classify(prepared.texts).await?;
    let classifier = service.classifier()?;
    let mut answers = answers.into_iter().zip(prepared.truncated);
    let mut next = || {
        let (logits, truncated) = answers.next().ok_or_else(|| ApiError::Internal("an answer is missing".into()))?;
        classifier.prediction(&logits?, truncated, prepared.top_k)
    };
    let Some(failures) = prepared.batch else { return Ok(Json(next()?).into_response()) };
    let outcome = |failure: Option<ApiError>| match failure.map_or_else(&mut next, Err) {
        Ok(prediction) => Outcome::Prediction(prediction),
        Err(error) => Outcome::Error(error.body(None)),
    };
    let predictions = failures.into_iter().map(outcome).collect();
    Ok(Json(BatchResponse { predictions }).into_response())
}

/// A request as the model takes it.
struct Prepared {
    /// The texts that can be classified, in order.
    texts: Vec<TokenIds>,
    /// Whether each of them lost its end.
    truncated: Vec<bool>,
    /// For a batch, what is wrong with each instance, if anything is; absent for a single description.
    batch: Option<Vec<Option<ApiError>>>,
    top_k: usize,
}

impl Prepared {
    fn new(invocation: &Invocation, classifier: &Classifier) -> Result<Self, ApiError> {
        let (texts, batch) = match &invocation.input {
            Input::Single(description) => (vec![classifier.tokens(description)?], None),
            Input::Batch(instances) => {
                let (mut texts, mut failures) = (Vec::with_capacity(instances.len()), Vec::new());
                for instance in instances {
                    match instance.clone().and_then(|description| classifier.tokens(&description)) {
                        Ok(tokens) => {
                            texts.push(tokens);
                            failures.push(None);
                        }
                        Err(error) => failures.push(Some(error)),
                    }
                }
                (texts, Some(failures))
            }
        };
        let truncated = texts.iter().map(|text| text.truncated).collect();
        Ok(Self { texts, truncated, batch, top_k: invocation.top_k })
    }
}

/// JSON, or nothing said.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.is_empty() || kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType(kind.to_owned()))
}

/// Around every request: gives it an id, counts and logs it, gives errors their body, returns the caller's note.
async fn finish(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let attributes = request.headers().get(CUSTOM_ATTRIBUTES).filter(|value| may_be_echoed(value)).cloned();
    // Of a path that is none of ours, neither metrics nor log take anything.
    let path = request.uri().path();
    let route = [PING, INVOCATIONS, METRICS].into_iter().find(|route| *route == path).unwrap_or("other");
    let (request_id, started) = (Uuid::new_v4().to_string(), Instant::now());
    let span = tracing::error_span!("request", request_id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let error = response.extensions_mut().remove::<ApiError>();
    let (status, code) = (response.status().as_u16(), error.as_ref().map_or("ok", ApiError::code));
    state.service.metrics().answered(route, status, code);
    if route == INVOCATIONS {
        state.service.metrics().invocation_took(started.elapsed());
    }
    span.in_scope(|| tracing::debug!(route, status, code, micros = started.elapsed().as_micros(), "answered"));
    if let Some(error) = error {
        if let ApiError::Internal(detail) = &error {
            span.in_scope(|| tracing::error!("{detail}"));
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = (response.status(), Json(error.body(Some(request_id)))).into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Some(attributes) = attributes {
        response.headers_mut().insert(CUSTOM_ATTRIBUTES, attributes);
    }
    response
}

fn may_be_echoed(value: &HeaderValue) -> bool {
    value.len() <= MAX_CUSTOM_ATTRIBUTES_BYTES && value.to_str().is_ok()
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "overload_tests.rs"]
mod overload_tests;
