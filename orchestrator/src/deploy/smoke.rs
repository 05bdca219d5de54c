//! The one request that decides whether a deployment is good.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_s3::primitives::ByteStream;
use unspsc_contract::invocation::{BatchRequest, BatchResponse, Depth, ErrorBody, Outcome};

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::storage::S3Uri;
use crate::{invoke, poll};

use super::wanted::{Hosting, Wanted, async_place};

/// What is asked.
const TEXT: &str = "toner cartridge magenta";
/// The longest that an asynchronous answer may take: SageMaker's 15 minutes for a request, and five for an instance.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Asks the endpoint about one known text; a plan asks nobody.
///
/// # Errors
/// When there is no answer, or another than a prediction.
pub(super) async fn test(session: &Session, endpoint: &str, wanted: &Wanted) -> anyhow::Result<()> {
    if session.is_plan() {
        return Ok(());
    }
    let request = invoke::at_depth(&[TEXT.to_owned()], Depth::Auto);
    let step = session.progress.step(&format!("asking endpoint {endpoint} about \"{TEXT}\""));
    // The network may fail and a model take its time to load: neither is the model's fault.
    let answered = invoke::patiently(&session.progress, session.pace.patience, || async {
        match &wanted.hosting {
            Hosting::Asynchronous { bucket, .. } => through_s3(session, endpoint, bucket, &request).await,
            _ => invoke::ask(session, endpoint, &request).await,
        }
    })
    .await;
    drop(step);
    let answer = answered.and_then(judged);
    let answer = answer.with_context(|| format!("endpoint {endpoint} failed the smoke test, the text \"{TEXT}\""))?;
    session.progress.say(&format!("smoke test: \"{TEXT}\" is {answer}"));
    Ok(())
}

/// The label of the one prediction.
fn judged(answer: BatchResponse) -> anyhow::Result<String> {
    match answer.predictions.into_iter().next() {
        Some(Outcome::Prediction(prediction)) => Ok(prediction.label),
        Some(Outcome::Error(ErrorBody { error })) => bail!("{} ({})", error.message, error.code),
        None => bail!("the answer holds no prediction"),
    }
}

/// Asks by an object, waits for the one with the answer, and deletes both.
async fn through_s3(
    session: &Session,
    endpoint: &str,
    bucket: &str,
    request: &BatchRequest,
) -> anyhow::Result<BatchResponse> {
    let input = async_place(bucket, endpoint).join("smoke-test.json");
    let (s3, body) = (&session.clients.s3, serde_json::to_vec(request)?);
    let put = s3.put_object().bucket(&input.bucket).key(&input.key).body(ByteStream::from(body)).send().await;
    put.map_err(failed("PutObject")).with_context(|| format!("cannot write {input}"))?;
    let mut left = vec![input.clone()];
    let outcome = invoked(session, endpoint, &input, &mut left).await;
    for place in left {
        // A few bytes that nobody asked for are no reason to call a good deployment bad.
        let deleted = s3.delete_object().bucket(&place.bucket).key(&place.key).send().await;
        if let Err(error) = deleted.map_err(failed("DeleteObject")) {
            session.progress.say(&format!("{place} of the smoke test stays: {error}"));
        }
    }
    outcome
}

/// Invokes the endpoint with `input`, and adds what it leaves to `left`.
async fn invoked(
    session: &Session,
    endpoint: &str,
    input: &S3Uri,
    left: &mut Vec<S3Uri>,
) -> anyhow::Result<BatchResponse> {
    let request = session.clients.runtime.invoke_endpoint_async().endpoint_name(endpoint);
    let request = request.input_location(input.to_string()).content_type("application/json");
    let accepted = request.accept("application/json").send().await.map_err(failed("InvokeEndpointAsync"))?;
    let output: S3Uri =
        accepted.output_location().context("InvokeEndpointAsync named no place of its answer")?.parse()?;
    let failure: Option<S3Uri> = accepted.failure_location().map(str::parse).transpose()?;
    left.push(output.clone());
    left.extend(failure.clone());
    let answered = poll::until(session.pace, async || {
        if let Some(answer) = object(session, &output).await? {
            return Ok(Some(Ok(answer)));
        }
        let Some(failure) = &failure else { return Ok(None) };
        Ok(object(session, failure).await?.map(Err))
    });
    let Ok(answered) = tokio::time::timeout(LIMIT, answered).await else {
        bail!("there was no answer in S3 within {} minutes", LIMIT.as_secs() / 60);
    };
    match answered? {
        Ok(answer) => serde_json::from_slice(&answer).context("the answer in S3 is no prediction"),
        Err(reason) => Err(invoke::refusal(&String::from_utf8_lossy(&reason))),
    }
}

/// The bytes of an object, if it is there.
async fn object(session: &Session, place: &S3Uri) -> Result<Option<Vec<u8>>, ServiceError> {
    let got = session.clients.s3.get_object().bucket(&place.bucket).key(&place.key).send().await;
    match got.map_err(failed("GetObject")) {
        Err(error) if error.is_missing() => Ok(None),
        outcome => {
            let bytes = outcome?.body.collect().await;
            let bytes =
                bytes.map_err(|error| ServiceError::NoAnswer { operation: "GetObject", reason: error.to_string() });
            Ok(Some(bytes?.to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_prediction_is_an_answer() {
        let answer = |text: &str| judged(serde_json::from_str(text).unwrap());
        assert!(answer(r#"{"predictions": []}"#).is_err());
        let refused = answer(r#"{"predictions": [{"error": {"code": "c", "message": "m"}}]}"#).unwrap_err().to_string();
        assert_eq!(refused, "m (c)");
    }
}
