//! The routes.

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tracing::Instrument as _;
use unspsc_contract::invocation::ExecutionParameters;
use uuid::Uuid;

use crate::api_error::ApiError;
use crate::invocations::invoke;
use crate::metrics;
use crate::page;
use crate::request::RequestLimits;
use crate::service::Service;
use crate::traces;

/// A caller's own notes, which the platform passes on and which go back with the answer.
const NOTES: [HeaderName; 2] = [
    HeaderName::from_static("x-amzn-sagemaker-custom-attributes"),
    HeaderName::from_static("x-amzn-sagemaker-inference-id"),
];

/// Whether all is well.
const PING: &str = "/ping";

/// What batch transform is told.
const EXECUTION_PARAMETERS: &str = "/execution-parameters";

/// Where texts are classified.
const INVOCATIONS: &str = "/invocations";

/// What is counted.
const METRICS: &str = "/metrics";

/// What all of this takes and gives.
const OPENAPI: &str = "/openapi.json";

/// A page to try it in.
const PAGE: &str = "/";

/// All that are counted and logged by name.
const ROUTES: [&str; 6] = [PAGE, PING, EXECUTION_PARAMETERS, METRICS, OPENAPI, INVOCATIONS];

/// SageMaker's limit for the first of the notes, and more than the 64 characters of the second.
const MAX_NOTE_BYTES: usize = 1024;

#[derive(Clone)]
struct AppState {
    service: Service,
    limits: RequestLimits,
}

/// All routes over `service`. Those for people and their tools are there only if they are `reachable`.
pub(crate) fn app(service: Service, limits: RequestLimits, reachable: bool) -> Router {
    let state = AppState { service, limits };
    let contract = Router::new()
        .route(PING, get(ping))
        .route(EXECUTION_PARAMETERS, get(execution_parameters))
        .route(INVOCATIONS, post(invocations));
    let open =
        Router::new().route(METRICS, get(show_metrics)).route(OPENAPI, get(show_openapi)).route(PAGE, get(page::show));
    let routes = if reachable { contract.merge(open) } else { contract };
    routes
        .fallback(async |uri: Uri| ApiError::NotFound(uri.path().to_owned()))
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method.to_string()))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(middleware::from_fn_with_state(state.clone(), finish))
        .layer(CompressionLayer::new())
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

/// `GET /openapi.json`.
async fn show_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}

/// `GET /execution-parameters`: what batch transform is told of us.
async fn execution_parameters(State(state): State<AppState>) -> Json<ExecutionParameters> {
    Json(state.limits.execution)
}

/// `POST /invocations`.
async fn invocations(
    State(AppState { service, limits }): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    invoke(service, limits, request).await
}

/// Around every request: gives it an id, counts and logs it, gives errors their body, returns the caller's notes.
async fn finish(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let note = |name: HeaderName| {
        let value = request.headers().get(&name).filter(|value| may_be_echoed(value)).cloned();
        value.map(|value| (name, value))
    };
    let notes: Vec<(HeaderName, HeaderValue)> = NOTES.into_iter().filter_map(note).collect();
    // Of a path that is none of ours, neither metrics nor log take anything.
    let path = request.uri().path();
    let route = ROUTES.into_iter().find(|route| *route == path).unwrap_or("other");
    let (request_id, started) = (Uuid::new_v4().to_string(), Instant::now());
    let span = tracing::error_span!("request", request_id);
    let begin = |request: &Request| traces::begin(request.method(), route, &request_id, request.headers());
    let trace = if route == INVOCATIONS { begin(&request) } else { Context::new() };
    let mut response = next.run(request).instrument(span.clone()).with_context(trace.clone()).await;
    let error = response.extensions_mut().remove::<ApiError>();
    let (status, code) = (response.status().as_u16(), error.as_ref().map_or("ok", ApiError::code));
    state.service.metrics().answered(route, status, code);
    if route == INVOCATIONS {
        state.service.metrics().invocation_took(started.elapsed());
        traces::end(&trace, response.status(), code);
    }
    span.in_scope(|| tracing::debug!(route, status, code, micros = started.elapsed().as_micros(), "answered"));
    if let Some(error) = error {
        if let ApiError::Internal(detail) = &error {
            span.in_scope(|| tracing::error!("{detail}"));
        }
        response = (response.status(), Json(error.body(Some(request_id)))).into_response();
    }
    response.headers_mut().extend(notes);
    response
}

fn may_be_echoed(value: &HeaderValue) -> bool {
    value.len() <= MAX_NOTE_BYTES && value.to_str().is_ok()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod format_tests;

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "open_tests.rs"]
mod open_tests;

#[cfg(test)]
#[path = "overload_tests.rs"]
mod overload_tests;
