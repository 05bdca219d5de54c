//! What Lambda is invoked with: a document, or an HTTP request that has one as its body.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::Refusal;
use crate::question::FORMS;
use crate::settings::Settings;

/// What function URLs have in their domain's name: nobody gives up there before the function does.
const FUNCTION_URL: &str = ".lambda-url.";

/// What an event asks, and who asked.
#[derive(Debug)]
pub(crate) struct Event {
    /// The document, or why there is none.
    pub(crate) document: Result<Value, Refusal>,
    pub(crate) source: Source,
    /// When the caller gives up, where that is known.
    pub(crate) end: Option<SystemTime>,
}

/// Who asks, which decides about the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `Invoke` of the Lambda API: the answer's body is JSON within JSON.
    Direct,
    /// API Gateway or a function URL: the answer's body is a text.
    Http,
}

impl Source {
    /// The word for the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Direct => "invoke",
            Self::Http => "http",
        }
    }
}

/// The fields of an HTTP request that matter here, in either version of the payload format.
///
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpRequest {
    /// Version 1.0.
    http_method: Option<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: RequestContext,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    /// Version 2.0.
    http: Option<HttpContext>,
    domain_name: Option<String>,
    /// Version 1.0, in milliseconds.
    request_time_epoch: Option<u64>,
    /// Version 2.0, in milliseconds.
    time_epoch: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct HttpContext {
    method: String,
}

impl Event {
    /// Reads an event. The runtime lets through what its own parser would refuse, as half a surrogate pair.
    pub(crate) fn read(event: &RawValue, settings: &Settings) -> Self {
        let event: Value = match serde_json::from_str(event.get()) {
            Ok(event) => event,
            Err(error) => {
                let message = format!("the event is no valid JSON: {error}");
                let refusal = Refusal::new(400, "malformed_json", message);
                return Self { document: Err(refusal), source: Source::Direct, end: None };
            }
        };
        if !is_http(&event) {
            return Self { document: Ok(event), source: Source::Direct, end: None };
        }
        match serde_json::from_value::<HttpRequest>(event) {
            Ok(request) => {
                let end = request.end(settings.gateway, SystemTime::now());
                Self { document: request.document(settings.max_body_bytes), source: Source::Http, end }
            }
            Err(error) => {
                let message = format!("the event is no HTTP request of API Gateway or a function URL: {error}");
                Self { document: Err(Refusal::invalid(message)), source: Source::Http, end: None }
            }
        }
    }
}

/// Whether the event comes from API Gateway or a function URL; no document has such fields.
fn is_http(event: &Value) -> bool {
    let context = event.get("requestContext");
    context.is_some_and(|context| event.get("httpMethod").is_some() || context.get("http").is_some())
}

impl HttpRequest {
    /// When API Gateway gives up, unless it has: a sample event, such as the console has, was made years ago, and somebody
    /// waits for its answer.
    fn end(&self, gateway: Duration, now: SystemTime) -> Option<SystemTime> {
        let RequestContext { domain_name, request_time_epoch, time_epoch, .. } = &self.request_context;
        if domain_name.as_deref().is_some_and(|name| name.contains(FUNCTION_URL)) {
            return None;
        }
        let begin = SystemTime::UNIX_EPOCH + Duration::from_millis(request_time_epoch.or(*time_epoch)?);
        Some(begin + gateway).filter(|end| *end > now)
    }

    fn document(self, max_body_bytes: usize) -> Result<Value, Refusal> {
        let method = self.http_method.or(self.request_context.http.map(|http| http.method)).unwrap_or_default();
        if method != "POST" {
            return Err(Refusal::method(&method));
        }
        let body = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded {
            let refused = |error| Refusal::invalid(format!("`body` is said to be Base64, and is not: {error}"));
            BASE64_STANDARD.decode(body).map_err(refused)?
        } else {
            body.into_bytes()
        };
        if body.len() > max_body_bytes {
            let message = format!("the body is longer than {max_body_bytes} bytes: send fewer descriptions at a time");
            return Err(Refusal::too_large(message));
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::invalid(format!("the body is empty: {FORMS}")));
        }
        serde_json::from_slice(&body).map_err(|error| Refusal::malformed(&error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMIT: usize = 1000;
    const GATEWAY: Duration = Duration::from_secs(29);

    fn request(fields: Value) -> HttpRequest {
        let mut request = json!({ "httpMethod": "POST", "requestContext": {} });
        let Value::Object(fields) = fields else { panic!("no fields: {fields}") };
        request.as_object_mut().unwrap().extend(fields);
        assert!(is_http(&request));
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn a_body_comes_as_text_or_in_base64() {
        let document = json!({ "description": "toner" });
        let text = document.to_string();
        let plain = request(json!({ "body": text })).document(LIMIT);
        let coded = request(json!({ "body": BASE64_STANDARD.encode(&text), "isBase64Encoded": true })).document(LIMIT);
        assert_eq!((plain.unwrap(), coded.unwrap()), (document.clone(), document));
    }

    #[test]
    fn a_bad_request_is_told_what_is_wrong() {
        for (fields, status, said) in [
            (json!({ "httpMethod": "GET" }), 405, "`GET` cannot be used here"),
            (json!({}), 400, "the body is empty: send {\"description\""),
            (json!({ "body": " \n" }), 400, "the body is empty"),
            (json!({ "body": null }), 400, "the body is empty"),
            (json!({ "body": "description=toner" }), 400, "no valid JSON: expected value at line 1 column 1"),
            (json!({ "body": "%", "isBase64Encoded": true }), 400, "`body` is said to be Base64"),
            (json!({ "body": "/w==", "isBase64Encoded": true }), 400, "no valid JSON"),
            (json!({ "body": " ".repeat(LIMIT + 1) }), 413, "longer than 1000 bytes"),
        ] {
            let refusal = request(fields.clone()).document(LIMIT).unwrap_err();
            assert!(refusal.status == status && refusal.detail.message.contains(said), "{fields}: {refusal:?}");
        }
    }

    #[test]
    fn both_versions_say_method_and_time() {
        let context = json!({ "http": { "method": "PUT" }, "timeEpoch": 1_000, "domainName": "x.execute-api.a.b" });
        let second = json!({ "version": "2.0", "requestContext": context });
        assert!(is_http(&second));
        let second: HttpRequest = serde_json::from_value(second).unwrap();
        let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        assert_eq!(second.end(GATEWAY, at(29)), Some(at(30)));
        assert_eq!(second.end(GATEWAY, at(30)), None, "nobody there waits any more");
        assert_eq!(second.document(LIMIT).unwrap_err().status, 405);
        let context = |domain| json!({ "requestContext": { "requestTimeEpoch": 2_000, "domainName": domain } });
        let first = request(context("x.execute-api.us-east-1.amazonaws.com"));
        assert_eq!(first.end(GATEWAY, at(2)), Some(at(31)));
        assert_eq!(request(context("x.lambda-url.us-east-1.on.aws")).end(GATEWAY, at(2)), None);
        assert!(!is_http(&json!({ "description": "toner" })) && !is_http(&json!(["httpMethod"])));
    }
}
