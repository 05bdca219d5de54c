//! The HTTP server: one address for every service.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::api;
use crate::error::{ApiError, JSON_1_1, REQUEST_ID};
use crate::hosting::invoke;
use crate::platform::Platform;
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
    Router::new().route("/endpoints/{name}/invocations", invocations).fallback(dispatch).with_state(platform)
}

async fn dispatch(State(platform): State<Arc<Platform>>, request: Request) -> Response {
    let target = request.headers().get(TARGET).map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
    match target {
        Some(target) => json_operation(platform, target, request).await,
        None => s3(&platform, request).await,
    }
}

async fn json_operation(platform: Arc<Platform>, target: String, request: Request) -> Response {
    let outcome = match accept(request, MAX_JSON_BYTES).await {
        Ok((_, body)) => {
            let operation = target.clone();
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
    match accept(request, invoke::MAX_BODY_BYTES).await {
        Ok((headers, body)) => invoke::invoke(&platform, &name, &headers, body).await,
        Err(error) => error.into_response(),
    }
}

async fn s3(platform: &Platform, request: Request) -> Response {
    match platform.storage.service().call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => response.map(Body::new),
        Err(error) => ApiError::internal(format!("S3: {error:?}")).into_response(),
    }
}

/// Reads a request to the end, if its caller may make one.
async fn accept(request: Request, limit: usize) -> Result<(HeaderMap, bytes::Bytes), ApiError> {
    check_caller(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, limit).await.map_err(|_| ApiError::unreadable_body(limit))?;
    Ok((parts.headers, body))
}

/// Refuses who does not name our access key.
///
/// The signature is not verified: the key is public. What it keeps out is a web page that the user happens to look at,
/// since a browser sends no such header without asking first; and it finds clients with other credentials early.
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
