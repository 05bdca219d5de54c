//! The HTTP server: one address for every service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api;
use crate::error::{ApiError, JSON_1_1, REQUEST_ID};
use crate::faults::FaultKind;
use crate::host::check_host;
use crate::hosting::{asynchronous, invoke};
use crate::identity;
use crate::platform::Platform;
use crate::status;
use crate::storage::ACCESS_KEY;

/// Names the operation of an AWS JSON request; no S3 request has it.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// Far above any request of the JSON protocols; objects go to S3, which streams them.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// Answers requests until `stopped`, then finishes those under way.
pub(crate) async fn serve(
    listener: TcpListener,
    platform: Arc<Platform>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let router = router(platform);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the server broke off");
    }
}

fn router(platform: Arc<Platform>) -> Router {
    // A bucket may be called `endpoints`: what is no POST there is for S3.
    let invocations = post(invocation).fallback(dispatch);
    Router::new()
        .route("/endpoints/{name}/invocations", invocations)
        .route("/endpoints/{name}/async-invocations", post(async_invocation).fallback(dispatch))
        // No bucket has such a name.
        .route("/_local/clock", post(advance_clock))
        .merge(status::routes())
        .fallback(dispatch)
        .with_state(platform)
}

async fn dispatch(State(platform): State<Arc<Platform>>, request: Request) -> Response {
    let target = request.headers().get(TARGET).map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
    match target {
        Some(target) => {
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            with_faults(&platform, &operation, json_operation(&platform, target, request)).await
        }
        None if is_form(&request) => form(request).await,
        None if is_for_a_person(&request) => status::page(request.headers()),
        None => {
            let operation = s3_operation(&request);
            with_faults(&platform, operation, s3(&platform, request)).await
        }
    }
}

/// Carries out an operation, unless a fault strikes it.
async fn with_faults(platform: &Platform, operation: &str, work: impl Future<Output = Response>) -> Response {
    if platform.faults.strike(FaultKind::Throttle, operation).is_some() {
        return ApiError::throttled().into_response();
    }
    if platform.faults.strike(FaultKind::Error, operation).is_some() {
        return ApiError::internal("a fault was asked for").into_response();
    }
    let response = work.await;
    if platform.faults.strike(FaultKind::LostResponse, operation).is_none() {
        return response;
    }
    // The connection breaks off where the body should begin.
    let (body, broken) = Channel::<bytes::Bytes, io::Error>::new(1);
    body.abort(io::ErrorKind::ConnectionReset.into());
    Response::new(Body::new(broken))
}

/// What S3 calls the request, as far as a fault can be asked for.
fn s3_operation(request: &Request) -> &'static str {
    match *request.method() {
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::PUT if request.uri().query().is_some_and(|query| query.contains("uploadId=")) => "UploadPart",
        Method::PUT => "PutObject",
        Method::POST => "CreateMultipartUpload",
        _ => "DeleteObject",
    }
}

/// Whether the request is of the AWS Query protocol; an object is posted as `multipart/form-data`.
fn is_form(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    request.method() == Method::POST
        && content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Whether a browser asks for the page: at this address S3 lists buckets, to who signs.
fn is_for_a_person(request: &Request) -> bool {
    let unsigned = request.uri().query().is_none() && !request.headers().contains_key(AUTHORIZATION);
    request.method() == Method::GET && request.uri().path() == "/" && unsigned
}

async fn form(request: Request) -> Response {
    match accept(request, MAX_JSON_BYTES).await {
        Ok((_, body)) => identity::call(&body),
        Err(error) => error.into_response(),
    }
}

/// `POST /_local/clock`: puts the platform's clock ahead.
async fn advance_clock(State(platform): State<Arc<Platform>>, request: Request) -> Response {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Advance {
        advance_in_seconds: f64,
    }
    let advanced = async {
        let (_, body) = accept(request, MAX_JSON_BYTES).await?;
        let Advance { advance_in_seconds } = serde_json::from_slice(&body)?;
        let by = Duration::try_from_secs_f64(advance_in_seconds)
            .map_err(|_| ApiError::validation("AdvanceInSeconds must be a number of seconds, 0 or more"))?;
        platform.clock.advance(by);
        Ok::<_, ApiError>(json!({ "Now": platform.clock.now() }))
    };
    advanced.await.map_or_else(IntoResponse::into_response, |answer| json_answer(&answer))
}

async fn json_operation(platform: &Arc<Platform>, target: String, request: Request) -> Response {
    let outcome = match accept(request, MAX_JSON_BYTES).await {
        Ok((_, body)) => {
            let (operation, platform) = (target.clone(), Arc::clone(platform));
            let called = tokio::task::spawn_blocking(move || api::call(&platform, &operation, &body));
            called.await.unwrap_or_else(|error| Err(ApiError::internal(error.to_string())))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(answer) => {
            tracing::debug!(%target, "answered");
            json_answer(&answer)
        }
        Err(error) => {
            tracing::debug!(%target, %error, "refused");
            error.into_response()
        }
    }
}

fn json_answer(answer: &Value) -> Response {
    let headers = [(CONTENT_TYPE, JSON_1_1.to_owned()), (REQUEST_ID, uuid::Uuid::new_v4().to_string())];
    (StatusCode::OK, headers, answer.to_string()).into_response()
}

async fn invocation(State(platform): State<Arc<Platform>>, Path(name): Path<String>, request: Request) -> Response {
    let invoked = async {
        match accept(request, invoke::MAX_BODY_BYTES).await {
            Ok((headers, body)) => invoke::invoke(&platform, &name, &headers, body).await,
            Err(error) => error.into_response(),
        }
    };
    with_faults(&platform, "InvokeEndpoint", invoked).await
}

async fn async_invocation(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let invoked = async {
        match accept(request, MAX_JSON_BYTES).await {
            Ok((headers, _)) => asynchronous::invoke(&platform, &name, &headers),
            Err(error) => error.into_response(),
        }
    };
    with_faults(&platform, "InvokeEndpointAsync", invoked).await
}

async fn s3(platform: &Platform, request: Request) -> Response {
    if let Err(error) = check_host(request.headers()) {
        return error.into_response();
    }
    let (service, under_way) = (platform.storage.service().clone(), Arc::clone(&platform.calls).read_owned().await);
    // On a task of its own: what a client has asked for is done also where the client goes away meanwhile. What is half put together
    // would stay for ever.
    let call = async move {
        let answer = service.call(request.map(s3s::Body::http_body_unsync)).await;
        drop(under_way);
        answer
    };
    match tokio::spawn(call).await {
        Ok(Ok(response)) => response.map(Body::new),
        Ok(Err(error)) => ApiError::internal(format!("S3: {error:?}")).into_response(),
        Err(error) => ApiError::internal(format!("S3: {error}")).into_response(),
    }
}

/// Reads a request to the end, if its caller may make one.
async fn accept(request: Request, limit: usize) -> Result<(HeaderMap, bytes::Bytes), ApiError> {
    check_host(request.headers())?;
    check_caller(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, limit).await.map_err(|_| ApiError::unreadable_body(limit))?;
    Ok((parts.headers, body))
}

/// Refuses who does not name our access key.
///
/// The signature is not verified: the key is public. What it keeps out is a web page that the user happens to look at,
/// since a browser sends no such header to another site without asking first, and [`check_host`] keeps that site from passing for
/// this one; and it finds clients with other credentials early.
fn check_caller(headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = |code, message| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
    let Some(authorization) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return refused("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    if authorization.contains(&format!("Credential={ACCESS_KEY}/")) {
        return Ok(());
    }
    refused("UnrecognizedClientException", "The security token included in the request is invalid.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_our_access_key_is_let_in() {
        let with = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let ours = "AWS4-HMAC-SHA256 Credential=local/20261122/us-east-1/sagemaker/aws4_request, Signature=0";
        assert!(check_caller(&with(ours)).is_ok());
        assert!(check_caller(&with("AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1")).is_err());
        assert!(check_caller(&HeaderMap::new()).is_err());
    }
}
