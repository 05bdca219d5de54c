//! `InvokeEndpoint`: an invocation goes to an instance, its answer back to the caller.

use std::error::Error as _;
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use serde_json::json;

use super::routes::NoRoute;
use crate::error::{ApiError, ERROR_TYPE, REQUEST_ID};
use crate::names::{ACCOUNT, REGION};
use crate::platform::Platform;

/// SageMaker's limit for the body of a request and of an answer.
///
/// Source: <https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html>.
pub(crate) const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
/// SageMaker gives an invocation 60 seconds.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// So many instances are asked where one after another cannot be reached.
const CONNECT_ATTEMPTS: u32 = 4;
/// SageMaker's limit for the part of a container's error that a caller gets to see.
const MAX_ORIGINAL_CHARS: usize = 2048;

const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
const TARGET_VARIANT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-target-variant");
const INVOKED_VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");

/// The headers of a request that a container gets; SageMaker strips all others.
const FORWARDED: [HeaderName; 6] = [
    CONTENT_TYPE,
    ACCEPT,
    CUSTOM_ATTRIBUTES,
    HeaderName::from_static("x-amzn-sagemaker-target-model"),
    HeaderName::from_static("x-amzn-sagemaker-inference-id"),
    HeaderName::from_static("x-amzn-sagemaker-session-id"),
];
/// The headers of a container's answer that a caller gets.
const RETURNED: [HeaderName; 4] = [
    CONTENT_TYPE,
    CUSTOM_ATTRIBUTES,
    HeaderName::from_static("x-amzn-sagemaker-new-session-id"),
    HeaderName::from_static("x-amzn-sagemaker-closed-session-id"),
];

/// A container's answer within the limits, or what SageMaker makes of anything else.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An invocation that the container did not answer well: `ModelError`.
pub(super) struct ModelError {
    /// 0 where the container gave no answer at all.
    status: u16,
    message: String,
}

/// Why an invocation has no answer.
pub(super) enum Failure {
    NoRoute(NoRoute),
    Model(ModelError),
}

impl Failure {
    /// The sentence for a caller.
    pub(super) fn message(&self, name: &str) -> String {
        match self {
            Self::NoRoute(why) => no_route(name, *why).to_string(),
            Self::Model(error) => error.message.clone(),
        }
    }
}

/// Sends `body` to an instance of the endpoint `name`, and its answer to the caller.
pub(crate) async fn invoke(platform: &Platform, name: &str, headers: &HeaderMap, body: Bytes) -> Response {
    match deliver(platform, name, headers, body, TIME_LIMIT).await {
        Ok((variant, Answer { status, headers, body })) => {
            let mut response = (status, select(&headers, &RETURNED), body).into_response();
            let id = uuid::Uuid::new_v4().to_string();
            for (header, text) in [(INVOKED_VARIANT, variant), (REQUEST_ID, id)] {
                if let Ok(value) = HeaderValue::from_str(&text) {
                    response.headers_mut().insert(header, value);
                }
            }
            response
        }
        Err(Failure::NoRoute(why)) => no_route(name, why).into_response(),
        Err(Failure::Model(error)) => model_error(name, &error),
    }
}

/// Sends `body` to an instance of the endpoint `name`, which has so long for it; the variant that answered, and its answer.
pub(super) async fn deliver(
    platform: &Platform,
    name: &str,
    headers: &HeaderMap,
    body: Bytes,
    limit: Duration,
) -> Result<(String, Answer), Failure> {
    let target = headers.get(TARGET_VARIANT).and_then(|variant| variant.to_str().ok());
    // Those that cannot be reached stay leased meanwhile, so that they look busier than the others.
    let mut unreachable = Vec::new();
    for _ in 0..CONNECT_ATTEMPTS {
        let lease = platform.routes.lease(name, target).map_err(Failure::NoRoute)?;
        if unreachable.is_empty() {
            platform.traffic.count(name, &lease.variant, platform.clock.now());
        }
        let url = format!("http://127.0.0.1:{}/invocations", lease.port());
        let request = platform.http.post(url).headers(select(headers, &FORWARDED)).body(body.clone());
        let answer = match tokio::time::timeout(limit, exchange(request)).await {
            Ok(Err(Exchange::NoConnection)) => {
                unreachable.push(lease);
                continue;
            }
            Ok(Err(Exchange::Failed(error))) => Err(error),
            Ok(Ok(answer)) => Ok(answer),
            Err(_) => Err(ModelError {
                status: 0,
                message: "Your invocation timed out while waiting for a response from container primary.".to_owned(),
            }),
        };
        return answer.map(|answer| (lease.variant.clone(), answer)).map_err(Failure::Model);
    }
    Err(Failure::NoRoute(NoRoute::Instance))
}

/// What became of one request to a container, if not an answer.
enum Exchange {
    /// The instance has just ended, and nobody has noticed yet: another one can be asked.
    NoConnection,
    Failed(ModelError),
}

/// SageMaker's words where nobody answers.
fn no_route(name: &str, why: NoRoute) -> ApiError {
    let invalid = |message| ApiError::new(StatusCode::BAD_REQUEST, "ValidationError", message);
    match why {
        NoRoute::Endpoint => invalid(format!("Endpoint {name} of account {ACCOUNT} not found.")),
        NoRoute::Variant => invalid(format!("The target variant does not exist in endpoint {name}.")),
        NoRoute::Instance => {
            let message = "The service is temporarily unavailable. Please try again later.";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
        }
    }
}

/// One request to a container and its answer, read to the end.
async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, Exchange> {
    let broken = |error: reqwest::Error| {
        if error.is_connect() {
            return Exchange::NoConnection;
        }
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Exchange::Failed(ModelError {
            status: 0,
            message: format!("The container gave no whole answer: {error}{cause}"),
        })
    };
    let mut response = request.send().await.map_err(broken)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            let message = format!("The container's answer is larger than {MAX_BODY_BYTES} bytes.");
            return Err(Exchange::Failed(ModelError { status: response.status().as_u16(), message }));
        }
        body.extend_from_slice(&chunk);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let message = String::from_utf8_lossy(&body).chars().take(MAX_ORIGINAL_CHARS).collect();
        return Err(Exchange::Failed(ModelError { status: status.as_u16(), message }));
    }
    Ok(Answer { status, headers: std::mem::take(response.headers_mut()), body: body.freeze() })
}

/// The answer of SageMaker to a caller whose container failed: whatever its status, 424.
fn model_error(name: &str, error: &ModelError) -> Response {
    let ModelError { status, message } = error;
    let side = if (400..500).contains(status) { "client" } else { "server" };
    let group = crate::logs::of_endpoint(name);
    let text = format!(
        "Received {side} error ({status}) from primary with message \"{message}\". See {group} in account {ACCOUNT} for more \
         information."
    );
    let body = json!({
        "Message": text,
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "LogStreamArn": format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"),
    });
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (ERROR_TYPE, "ModelError".to_owned()),
        (REQUEST_ID, uuid::Uuid::new_v4().to_string()),
    ];
    (StatusCode::FAILED_DEPENDENCY, headers, body.to_string()).into_response()
}

fn select(headers: &HeaderMap, wanted: &[HeaderName]) -> HeaderMap {
    wanted.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_sagemaker_forwards_is_forwarded() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "authorization", "x-amzn-sagemaker-custom-attributes", "retry-after"] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        let forwarded = select(&headers, &FORWARDED);
        assert_eq!(forwarded.len(), 2);
        assert!(forwarded.contains_key(CONTENT_TYPE) && forwarded.contains_key(CUSTOM_ATTRIBUTES));
    }
}
