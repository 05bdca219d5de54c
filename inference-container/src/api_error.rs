//! Every answer that is not a success: its status, its code and its body.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use unspsc_contract::invocation::{ErrorBody, ErrorDetail};

/// Why a request, or one instance of a batch, has no prediction. The message is what the caller reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The body is no JSON.
    #[error("the body is no valid JSON: {0}")]
    MalformedJson(String),
    /// The body is JSON of another form than asked for; the text names the field and the fix.
    #[error("{0}")]
    InvalidRequest(String),
    /// A description holds nothing to classify.
    #[error("`description` is empty after cleaning; send the text of a purchase line")]
    EmptyDescription,
    /// The body could not be read to its end.
    #[error("the body could not be read to its end, or is not compressed as it says; send it again")]
    UnreadableBody,
    /// A line or a row holds other bytes than text.
    #[error("the text is no valid UTF-8; send it in UTF-8")]
    InvalidUtf8,
    /// A line or a row is longer than allowed.
    #[error("the record is longer than {0} bytes; a description is a few lines of text")]
    RecordTooLong(usize),
    /// A row of CSV opens a quoted field that does not end where one may.
    #[error(
        "the quotation mark opened in line {line} is not closed before a comma or a line end; close it, or put the \
         field in quotation marks and double those in the text"
    )]
    UnclosedQuote {
        /// The line of the body, from 1.
        line: usize,
    },
    /// A body of records has none.
    #[error("the body holds no record; send one description a line")]
    NoRecords,
    /// The path is none of ours.
    #[error("there is nothing at {0}; use GET /ping, GET /execution-parameters or POST /invocations")]
    NotFound(String),
    /// The path is ours, the method is not.
    #[error("{0} cannot be used here; use GET /ping, GET /execution-parameters or POST /invocations")]
    MethodNotAllowed(String),
    /// The body is longer than allowed.
    #[error("the body is longer than {0} bytes; send fewer instances at a time")]
    TooLarge(usize),
    /// The body is declared as something that is not read.
    #[error(
        "the content type `{0}` is not supported; send application/json, application/jsonlines, text/csv or \
         text/plain, in UTF-8"
    )]
    UnsupportedMediaType(String),
    /// The body is compressed in a way that is not undone.
    #[error("the content encoding `{0}` is not supported; send gzip, or the body as it is")]
    UnsupportedEncoding(String),
    /// No form of answer is welcome.
    #[error("none of `{0}` can be answered; accept application/json, application/jsonlines or text/csv")]
    NotAcceptable(String),
    /// The answer has no place in the form that was asked for.
    #[error("{0} does not fit into CSV; accept application/json or application/jsonlines")]
    NotForCsv(&'static str),
    /// As many requests or tokens wait as may.
    #[error("too many requests are waiting; try again in {retry_after} s")]
    Overloaded {
        /// Seconds until all that waits now is answered.
        retry_after: u64,
    },
    /// The answer would come too late, or would have.
    #[error("the answer would take longer than {deadline_secs} s; try again later or send fewer texts at a time")]
    DeadlineExceeded {
        /// How long a request may take.
        deadline_secs: u64,
        /// Seconds after which it would have been in time; none where it takes too long even alone.
        retry_after: Option<u64>,
    },
    /// The model is not loaded yet.
    #[error("the model is still being loaded; wait until /ping answers 200")]
    NotReady,
    /// The model failed on a text, or does not work at all. Its thread logs that, once.
    #[error("the model failed; the log has the reason")]
    ModelFailure,
    /// A fault of ours. The detail is for the log alone.
    #[error("an internal error occurred; the log has it under this request id")]
    Internal(String),
}

impl ApiError {
    /// The one table of statuses and codes.
    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson(_) => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::EmptyDescription => (StatusCode::BAD_REQUEST, "empty_description"),
            Self::UnreadableBody => (StatusCode::BAD_REQUEST, "unreadable_body"),
            Self::InvalidUtf8 => (StatusCode::BAD_REQUEST, "invalid_utf8"),
            Self::RecordTooLong(_) => (StatusCode::BAD_REQUEST, "record_too_long"),
            Self::UnclosedQuote { .. } => (StatusCode::BAD_REQUEST, "unclosed_quote"),
            Self::NoRecords => (StatusCode::BAD_REQUEST, "no_records"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::UnsupportedEncoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::NotForCsv(_) => (StatusCode::NOT_ACCEPTABLE, "not_for_csv"),
            Self::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::DeadlineExceeded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::ModelFailure => (StatusCode::INTERNAL_SERVER_ERROR, "model_failure"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Seconds after which trying again makes sense; none where it never does.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_after } => Some(*retry_after),
            Self::DeadlineExceeded { retry_after, .. } => *retry_after,
            Self::NotReady => Some(1),
            _ => None,
        }
    }

    /// The stable word for programs.
    pub(crate) fn code(&self) -> &'static str {
        self.row().1
    }

    /// The body of this error; an instance of a batch has no request id of its own.
    pub(crate) fn body(&self, request_id: Option<String>) -> ErrorBody {
        let (message, retry_after) = (self.to_string(), self.retry_after());
        ErrorBody { error: ErrorDetail { code: self.code().to_owned(), message, retry_after, request_id } }
    }
}

/// The status alone: the middleware of [`crate::app`] finds the error in the extensions and writes the body.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.row().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table() {
        let text = || String::from("x");
        let mut codes = Vec::new();
        for (error, status, code, retry_after) in [
            (ApiError::MalformedJson(text()), 400, "malformed_json", None),
            (ApiError::InvalidRequest(text()), 400, "invalid_request", None),
            (ApiError::EmptyDescription, 400, "empty_description", None),
            (ApiError::UnreadableBody, 400, "unreadable_body", None),
            (ApiError::InvalidUtf8, 400, "invalid_utf8", None),
            (ApiError::RecordTooLong(1), 400, "record_too_long", None),
            (ApiError::UnclosedQuote { line: 7 }, 400, "unclosed_quote", None),
            (ApiError::NoRecords, 400, "no_records", None),
            (ApiError::NotFound(text()), 404, "not_found", None),
            (ApiError::MethodNotAllowed(text()), 405, "method_not_allowed", None),
            (ApiError::TooLarge(1), 413, "payload_too_large", None),
            (ApiError::UnsupportedMediaType(text()), 415, "unsupported_media_type", None),
            (ApiError::UnsupportedEncoding(text()), 415, "unsupported_encoding", None),
            (ApiError::NotAcceptable(text()), 406, "not_acceptable", None),
            (ApiError::NotForCsv("x"), 406, "not_for_csv", None),
            (ApiError::Overloaded { retry_after: 4 }, 503, "overloaded", Some(4)),
            (ApiError::DeadlineExceeded { deadline_secs: 9, retry_after: Some(2) }, 503, "deadline_exceeded", Some(2)),
            (ApiError::DeadlineExceeded { deadline_secs: 9, retry_after: None }, 503, "deadline_exceeded", None),
            (ApiError::NotReady, 503, "not_ready", Some(1)),
            (ApiError::ModelFailure, 500, "model_failure", None),
            (ApiError::Internal("the secret".into()), 500, "internal", None),
        ] {
            let detail = error.body(Some("id".into())).error;
            assert_eq!(error.row().0.as_u16(), status);
            assert_eq!((detail.code.as_str(), detail.retry_after), (code, retry_after));
            assert!(!detail.message.contains("secret"), "details of a fault are for the log");
            codes.push(detail.code);
        }
        codes.dedup();
        let document: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        assert_eq!(document["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"], json!(codes));
    }
}
