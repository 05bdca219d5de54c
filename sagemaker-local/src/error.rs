//! Refusals as AWS words them on the wire.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::store::StoreError;

/// Content type of the AWS JSON 1.1 protocol.
pub(crate) const JSON_1_1: &str = "application/x-amz-json-1.1";
/// Carries the error code a second time, where clients of REST services look.
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// Carries an id that a log line can be found by.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A request that is refused or fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// An error with AWS's `code`.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// `ValidationException`: a value that does not fit, and at SageMaker also a resource that is not there.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// `ValidationException` about one member, worded as AWS does.
    pub(crate) fn constraint(member: &str, value: &str, broken: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {broken}"
        ))
    }

    /// `ResourceInUse`: the name is taken.
    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ResourceInUse", message)
    }

    /// `ObjectNotFoundException`, as Application Auto Scaling says it.
    pub(crate) fn object_not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ObjectNotFoundException", message)
    }

    /// `UnknownOperationException`: an operation of AWS that this platform lacks.
    pub(crate) fn unknown_operation(target: &str) -> Self {
        let message = format!("sagemaker-local has no operation {target:?}");
        Self::new(StatusCode::BAD_REQUEST, "UnknownOperationException", message)
    }

    /// `RequestEntityTooLargeException`: a body above `limit` bytes, or one that broke off.
    pub(crate) fn unreadable_body(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes or broke off.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message)
    }

    /// `ThrottlingException`: too many requests in too short a time.
    pub(crate) fn throttled() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded")
    }

    /// `InternalFailure`; the cause goes to the log and to the caller, who owns this machine.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message);
        tracing::error!(%error, "a request failed");
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<serde_json::Error> for ApiError {
    /// A body that is no JSON, or whose members have the wrong form.
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::validation(format!("1 validation error detected: {error}"))
        } else {
            Self::new(StatusCode::BAD_REQUEST, "SerializationException", error.to_string())
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "__type": self.code, "message": self.message }).to_string();
        let headers = [
            (CONTENT_TYPE, JSON_1_1.to_owned()),
            (ERROR_TYPE, self.code.to_owned()),
            (REQUEST_ID, uuid::Uuid::new_v4().to_string()),
        ];
        (self.status, headers, body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_carries_its_code_in_the_body_and_in_a_header() {
        let response = ApiError::validation("no").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["x-amzn-errortype"], "ValidationException");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(body, r#"{"__type":"ValidationException","message":"no"}"#);
    }

    #[test]
    fn a_missing_member_is_the_callers_fault_and_named() {
        #[derive(Debug, serde::Deserialize)]
        struct Request {
            #[serde(rename = "ModelName")]
            _name: String,
        }
        let error = ApiError::from(serde_json::from_str::<Request>("{}").unwrap_err());
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.contains("ModelName"), "{error}");
        let error = ApiError::from(serde_json::from_str::<Request>("{").unwrap_err());
        assert_eq!(error.code, "SerializationException");
    }
}
