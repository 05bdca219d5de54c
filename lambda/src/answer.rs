//! What goes back: the reference's `statusCode` form, for whoever asked.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use unspsc_contract::invocation::{ErrorBody, ErrorDetail};

use crate::event::Source;
use crate::settings::MAX_PAYLOAD_BYTES;

/// Why there are no predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As in HTTP.
    pub(crate) status: u16,
    /// For the caller, in the container's form.
    pub(crate) detail: ErrorDetail,
}

impl Refusal {
    /// One with this code and message.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let detail =
            ErrorDetail { code: code.to_owned(), message: message.into(), retry_after: None, request_id: None };
        Self { status, detail }
    }

    /// The same, for a caller who shall come back after this time.
    pub(crate) fn come_back_after(mut self, time: Duration) -> Self {
        self.detail.retry_after = Some(time.as_secs().max(1));
        self
    }

    /// A document of the wrong form.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", message)
    }

    /// A body that is no JSON.
    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        Self::new(400, "malformed_json", format!("the body is no valid JSON: {error}"))
    }

    /// More than an event may hold or ask for.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "payload_too_large", message)
    }

    /// An HTTP request that is no POST.
    pub(crate) fn method(method: &str) -> Self {
        Self::new(405, "method_not_allowed", format!("`{method}` cannot be used here: send the document with POST"))
    }
}

/// The answer to an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_base64_encoded: Option<bool>,
}

/// The headers of an HTTP answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Headers {
    content_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<&'static str>,
    /// In seconds; in an answer of HTTP all headers are texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Body {
    Json(Box<RawValue>),
    Text(Box<str>),
}

impl Answer {
    /// The answer to the invocation `request_id`, within Lambda's limit.
    pub(crate) fn new(outcome: Result<Box<RawValue>, Refusal>, source: Source, request_id: &str) -> Self {
        match outcome {
            Ok(predictions) => {
                let answer = Self::in_form(200, predictions, source, None);
                if answer.bytes() <= MAX_PAYLOAD_BYTES { answer } else { Self::refused(longer(), source, request_id) }
            }
            Err(refusal) => Self::refused(refusal, source, request_id),
        }
    }

    /// As in HTTP.
    pub(crate) fn status(&self) -> u16 {
        self.status_code
    }

    fn refused(Refusal { status, mut detail }: Refusal, source: Source, request_id: &str) -> Self {
        detail.request_id = Some(request_id.to_owned());
        let retry_after = detail.retry_after;
        let body = serde_json::value::to_raw_value(&ErrorBody { error: detail }).unwrap_or_default();
        Self::in_form(status, body, source, retry_after)
    }

    fn in_form(status_code: u16, body: Box<RawValue>, source: Source, retry_after: Option<u64>) -> Self {
        match source {
            Source::Direct => Self { status_code, headers: None, body: Body::Json(body), is_base64_encoded: None },
            Source::Http => {
                let headers = Headers {
                    content_type: "application/json",
                    allow: (status_code == 405).then_some("POST"),
                    retry_after: retry_after.map(|seconds| seconds.to_string()),
                };
                let body = Body::Text(body.into());
                Self { status_code, headers: Some(headers), body, is_base64_encoded: Some(false) }
            }
        }
    }

    /// Its length as Lambda gets it.
    fn bytes(&self) -> usize {
        let mut counted = Counter(0);
        // What counts cannot fail, and what cannot be written fails later in the runtime, which says so.
        let _ = serde_json::to_writer(&mut counted, self);
        counted.0
    }
}

fn longer() -> Refusal {
    let message = format!(
        "the answer is longer than {MAX_PAYLOAD_BYTES} bytes: send fewer descriptions, a smaller `top_k`, or no `by_level`, \
         `logits` and `embeddings`"
    );
    Refusal::new(413, "answer_too_large", message)
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(outcome: Result<String, Refusal>, source: Source) -> Value {
        let outcome = outcome.map(|json| RawValue::from_string(json).unwrap());
        serde_json::to_value(Answer::new(outcome, source, "id")).unwrap()
    }

    #[test]
    fn a_caller_of_lambda_gets_json_and_one_of_http_a_text() {
        let prediction = r#"{"label":"44103103","probability":0.1}"#;
        let direct = answered(Ok(prediction.to_owned()), Source::Direct);
        assert_eq!(direct, json!({ "statusCode": 200, "body": { "label": "44103103", "probability": 0.1 } }));
        let http = answered(Ok(prediction.to_owned()), Source::Http);
        let headers = json!({ "content-type": "application/json" });
        let expected = json!({ "statusCode": 200, "headers": headers, "body": prediction, "isBase64Encoded": false });
        assert_eq!(http, expected);
    }

    #[test]
    fn a_refusal_says_which_invocation_and_when_to_come_back() {
        let busy = Refusal::new(503, "throttled", "busy").come_back_after(Duration::from_millis(10));
        let error = json!({ "code": "throttled", "message": "busy", "retry_after": 1, "request_id": "id" });
        let direct = answered(Err(busy.clone()), Source::Direct);
        assert_eq!(direct, json!({ "statusCode": 503, "body": { "error": error } }));
        let http = answered(Err(busy), Source::Http);
        assert_eq!(http["headers"]["retry-after"], "1");
        assert_eq!(serde_json::from_str::<Value>(http["body"].as_str().unwrap()).unwrap(), json!({ "error": error }));
        assert_eq!(answered(Err(Refusal::method("GET")), Source::Http)["headers"]["allow"], "POST");
    }

    #[test]
    fn an_answer_that_lambda_would_not_take_is_told_so() {
        // Each quotation mark is one byte of JSON, and two within a text.
        let long = format!("[{}\"\"]", "\"\",".repeat(MAX_PAYLOAD_BYTES / 4));
        assert!(long.len() < MAX_PAYLOAD_BYTES);
        assert_eq!(answered(Ok(long.clone()), Source::Direct)["statusCode"], 200);
        let refused = answered(Ok(long), Source::Http);
        assert_eq!(refused["statusCode"], 413);
        assert!(refused["body"].as_str().unwrap().contains("send fewer descriptions"), "{refused}");
    }
}
