//! The Lambda is asked, as its callers ask it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_lambda::primitives::Blob;
use serde_json::{Value, json};

use crate::aws::failed;
use crate::session::Session;

/// The one known text.
const TEXT: &str = "toner cartridge magenta";
/// How often it is asked where it is busy.
const ATTEMPTS: u32 = 4;
/// How long it is left alone then.
const PAUSE: Duration = Duration::from_secs(2);

/// Asks one known text, which has to be answered.
pub(super) async fn test(session: &Session, function: &str, qualifier: &str) -> anyhow::Result<()> {
    let _step = session.progress.step(&format!("asking {function}:{qualifier} one text"));
    answer(session, function, qualifier, TEXT).await.map(drop)
}

/// What the Lambda answers to a text.
pub(crate) async fn answer(session: &Session, function: &str, qualifier: &str, text: &str) -> anyhow::Result<Value> {
    let payload = json!({ "description": text }).to_string();
    for attempt in 1.. {
        let request = session.clients.lambda.invoke().function_name(function).qualifier(qualifier);
        let answer = request.payload(Blob::new(payload.clone())).send().await.map_err(failed("Invoke"))?;
        let body = answer.payload().map(Blob::as_ref).unwrap_or_default();
        if answer.function_error().is_some() {
            bail!("the program has failed: {}", failure(body));
        }
        let said: Value = serde_json::from_slice(body).with_context(|| {
            format!("it answers something else than JSON: {}", String::from_utf8_lossy(body).trim())
        })?;
        match said["statusCode"].as_u64() {
            Some(200) => return Ok(within(&said["body"])),
            Some(429 | 502..=504) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            Some(status) => bail!("it answers {status}: {}", words(&within(&said["body"]))),
            None => bail!("it answers without a statusCode: {said}"),
        }
    }
    bail!("it does not answer")
}

/// What a program that failed has left: an object of Lambda's with its message.
fn failure(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let message = value.as_ref().and_then(|value| value["errorMessage"].as_str()).map(str::to_owned);
    message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

/// A body, which is JSON in a text or JSON as it is.
fn within(body: &Value) -> Value {
    body.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| body.clone())
}

/// The words of a refusal.
fn words(body: &Value) -> String {
    let message =
        [&body["error"]["message"], &body["message"], &body["error"], body].into_iter().find_map(Value::as_str);
    message.map_or_else(|| body.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_forms_are_understood() {
        assert_eq!(within(&json!("{\"label\":\"1\"}")), json!({ "label": "1" }));
        assert_eq!(within(&json!({ "label": "1" })), json!({ "label": "1" }));
        assert_eq!(words(&json!({ "error": { "message": "busy" } })), "busy");
        assert_eq!(words(&json!({ "message": "busy" })), "busy");
        assert_eq!(words(&json!("busy")), "busy");
        assert_eq!(failure(br#"{"errorType":"Runtime.ExitError","errorMessage":"exited"}"#), "exited");
        assert_eq!(failure(b"oops"), "oops");
    }
}
