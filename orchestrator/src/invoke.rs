//! `unspsc invoke`: descriptions in, codes out.

use std::iter;

use anyhow::{Context as _, bail};
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use unspsc_contract::invocation::{BatchRequest, BatchResponse, Depth, ErrorBody, ErrorDetail, Outcome, Prediction};
use unspsc_taxonomy::{Level, Titles};

use crate::aws::failed;
use crate::options::InvokeArgs;
use crate::progress::print;
use crate::session::Session;
use crate::tables::{align_numbers, table};

/// Asks an endpoint and prints its answer.
pub(crate) async fn run(session: &Session, args: &InvokeArgs) -> anyhow::Result<()> {
    let answer = ask(session, &args.endpoint, &at_depth(&args.texts, args.depth)).await?;
    if args.json {
        print(&serde_json::to_string_pretty(&answer)?)?;
    } else {
        print(&describe(&args.texts, &answer)?)?;
    }
    let failures = answer.predictions.iter().filter(|outcome| matches!(outcome, Outcome::Error(_))).count();
    if failures > 0 {
        bail!("{failures} of {} descriptions could not be classified", args.texts.len());
    }
    Ok(())
}

/// A request about `texts` that leaves all options but the `depth` to the server.
pub(crate) fn at_depth(texts: &[String], depth: Depth) -> BatchRequest {
    BatchRequest { instances: texts.to_vec(), top_k: None, depth: Some(depth), by_level: false }
}

/// Asks the endpoint about all descriptions of `request`; the answer has one outcome for each. A container that refuses
/// is a [`Refusal`].
pub(crate) async fn ask(session: &Session, endpoint: &str, request: &BatchRequest) -> anyhow::Result<BatchResponse> {
    let (body, texts) = (serde_json::to_vec(request)?, request.instances.len());
    let request = session.clients.runtime.invoke_endpoint().endpoint_name(endpoint);
    let request = request.content_type("application/json").accept("application/json").body(Blob::new(body));
    let answer = request.send().await.map_err(|error| {
        let model_error = error.as_service_error().and_then(|error| match error {
            InvokeEndpointError::ModelError(error) => error.original_message(),
            _ => None,
        });
        model_error.map(refusal).unwrap_or_else(|| failed("InvokeEndpoint")(error).into())
    })?;
    let body = answer.body().map(Blob::as_ref).unwrap_or_default();
    let answer: BatchResponse = serde_json::from_slice(body)
        .with_context(|| format!("endpoint {endpoint} answered something else than predictions"))?;
    if answer.predictions.len() != texts {
        bail!("endpoint {endpoint} answered {} of {texts} descriptions", answer.predictions.len());
    }
    Ok(answer)
}

/// A container's own words on a request that it does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the request was refused: {} ({})", .0.message, .0.code)]
pub(crate) struct Refusal(pub(crate) ErrorDetail);

/// The container's own words, which SageMaker passes on within its error.
pub(crate) fn refusal(message: &str) -> anyhow::Error {
    match serde_json::from_str::<ErrorBody>(message) {
        Ok(ErrorBody { error }) => Refusal(error).into(),
        Err(_) => anyhow::anyhow!("the container failed: {message}"),
    }
}

/// The path of each text, from the segment down, and at which step of it the answer stands.
pub(crate) fn describe(texts: &[String], answer: &BatchResponse) -> anyhow::Result<String> {
    let titles = Titles::embedded()?;
    let mut rows = table(["description", "code", "level", "title", "probability", "answer"]);
    for (text, outcome) in texts.iter().zip(&answer.predictions) {
        match outcome {
            Outcome::Prediction(prediction) => {
                // Whose description it is stands in the first line alone.
                for (text, step) in iter::once(text.as_str()).chain(iter::repeat("")).zip(steps(prediction, &titles)) {
                    rows.add_row([text, &step[0], &step[1], &step[2], &step[3], &step[4]]);
                }
            }
            Outcome::Error(ErrorBody { error }) => {
                rows.add_row([text.as_str(), "–", "–", &error.message, "–", ""]);
            }
        }
    }
    align_numbers(&mut rows, [4]);
    Ok(rows.to_string())
}

/// Code, level, title and probability of each step, and what is to be said of it: one step for a model whose labels are no codes.
fn steps(prediction: &Prediction, titles: &Titles) -> Vec<[String; 5]> {
    let Prediction { label, level, title, probability, needs_review, path, .. } = prediction;
    let step = |code: &str, level: Option<Level>, title: Option<&str>, probability: f64| {
        let known = code.parse().ok().and_then(|code| titles.nearest(code));
        let mark = match (code == label, needs_review) {
            (false, _) => "",
            (true, false) => "trusted",
            (true, true) => "needs review",
        };
        let title = title.or(known).unwrap_or("–");
        [code, level.map_or("–", Level::as_str), title, &format!("{probability:.3}"), mark].map(str::to_owned)
    };
    if path.is_empty() {
        return vec![step(label, *level, title.as_deref(), *probability)];
    }
    let steps = path.iter().map(|at| step(&at.label, Some(at.level), at.title.as_deref(), at.probability));
    let mut steps: Vec<[String; 5]> = steps.collect();
    for step in (1..steps.len()).rev() {
        // A code without a title of its own has that of the code above, where it can be read.
        if steps[step][2] == steps[step - 1][2] {
            steps[step][2].clear();
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use unspsc_contract::invocation::Step;

    use super::*;

    fn prediction(label: &str, level: Option<Level>, needs_review: bool) -> Outcome {
        Outcome::Prediction(Prediction {
            label: label.to_owned(),
            title: None,
            level,
            probability: 0.98765,
            truncated: false,
            needs_review,
            top_k: Vec::new(),
            path: Vec::new(),
            by_level: None,
            pred_class: None,
            logits: None,
            embedding: None,
        })
    }

    #[test]
    fn the_table_has_each_step_of_the_path_and_shows_what_failed_or_needs_a_look() {
        let detail = ErrorDetail {
            code: "invalid_request".to_owned(),
            message: "it is empty".to_owned(),
            retry_after: None,
            request_id: None,
        };
        let failed = Outcome::Error(ErrorBody { error: detail });
        let predictions = vec![prediction("50000000", Some(Level::Segment), false), failed];
        let texts = ["rice".to_owned(), " ".to_owned()];
        let shown = describe(&texts, &BatchResponse { predictions }).unwrap();
        for part in ["rice", "50000000", "segment", "Food Beverage and Tobacco Products", "0.988", "it is empty"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(shown.contains("trusted") && !shown.contains("review"), "{shown}");
        let path = [
            ("50000000", Level::Segment, "Food", 0.9),
            ("50220000", Level::Family, "Cereals", 0.8),
            ("50221100", Level::Class, "Cereals", 0.4),
        ];
        let step = |(label, level, title, probability): (&str, Level, &str, f64)| Step {
            label: label.to_owned(),
            title: Some(title.to_owned()),
            level,
            probability,
        };
        let Outcome::Prediction(mut answer) = prediction("50220000", Some(Level::Family), true) else { panic!() };
        answer.path = path.map(step).to_vec();
        let long = "parboiled rice of long grain in bags of 25 kg, for a canteen of four hundred".to_owned();
        let shown = describe(&[long], &BatchResponse { predictions: vec![Outcome::Prediction(answer)] }).unwrap();
        let line = |code: &str| shown.lines().find(|line| line.contains(code)).unwrap();
        assert!(line("50000000").contains("parboiled") && line("50000000").contains("0.900"), "{shown}");
        assert!(line("50220000").contains("needs review") && !line("50221100").contains("review"), "{shown}");
        assert!(line("50220000").contains("Cereals") && line("50221100").contains("class"), "{shown}");
        assert!(!line("50221100").contains("Cereals"), "the title of its family is its family's: {shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    }

    #[test]
    fn the_containers_own_words_are_shown() {
        let body = r#"{"error":{"code":"invalid_request","message":"field `description` is missing"}}"#;
        let shown = refusal(body).to_string();
        assert_eq!(shown, "the request was refused: field `description` is missing (invalid_request)");
        assert!(refusal("oops").to_string().ends_with("failed: oops"));
    }
}
