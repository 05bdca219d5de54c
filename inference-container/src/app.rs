//! The routes.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use unspsc_artifact::TokenIds;
use unspsc_contract::invocation::{BatchResponse, Outcome};
use uuid::Uuid;

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::request::{Input, Invocation, RequestLimits};
use crate::worker::Service;

/// A caller's own note, which the platform passes on and which goes back with the answer.
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// SageMaker's limit for that note.
const MAX_CUSTOM_ATTRIBUTES_BYTES: usize = 1024;

#[derive(Clone)]
struct AppState {
    service: Service,
    limits: RequestLimits,
}

/// All routes over `service`.
pub(crate) fn app(service: Service, limits: RequestLimits) -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/invocations", post(invocations))
        .fallback(async |uri: Uri| ApiError::NotFound(uri.path().to_owned()))
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method.to_string()))
        .layer(DefaultBodyLimit::max(limits.max_body_bytes))
        .layer(middleware::from_fn(finish))
        .with_state(AppState { service, limits })
}

/// `GET /ping`: 200 while requests can be answered, 503 otherwise, with an empty body.
async fn ping(State(state): State<AppState>) -> StatusCode {
    if state.service.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
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
    // Tokenising a large body takes long enough to keep other connections waiting.
    let tokenising = service.clone();
    let prepare = move || Prepared::new(&Invocation::parse(&body, &limits)?, tokenising.classifier()?);
    let prepared = tokio::task::spawn_blocking(prepare).await;
    let prepared = prepared.map_err(|error| ApiError::Internal(format!("reading the request failed: {error}")))??;
    let logits = service.classify(prepared.texts).await?;
    let classifier = service.classifier()?;
    let mut answers = logits.iter().zip(&prepared.truncated);
    let mut next = || {
        let (logits, truncated) = answers.next().ok_or_else(|| ApiError::Internal("an answer is missing".into()))?;
        classifier.prediction(logits, *truncated, prepared.top_k)
    };
    let Some(failures) = prepared.batch else { return Ok(Json(next()?).into_response()) };
    let outcome = |failure: Option<ApiError>| match failure {
        Some(error) => Ok(Outcome::Error(error.body(None))),
        None => next().map(Outcome::Prediction),
    };
    let predictions = failures.into_iter().map(outcome).collect::<Result<_, ApiError>>()?;
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

/// Around every request: gives errors their body, logs faults once, returns the caller's note.
async fn finish(request: Request, next: Next) -> Response {
    let attributes = request.headers().get(CUSTOM_ATTRIBUTES).filter(|value| may_be_echoed(value)).cloned();
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let request_id = Uuid::new_v4().to_string();
        if let ApiError::Internal(detail) = &error {
            tracing::error!(request_id, "{detail}");
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
