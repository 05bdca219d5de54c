//! Answers as tables for people.

use std::iter;

use unspsc_contract::invocation::{BatchResponse, ErrorBody, Outcome, Prediction};
use unspsc_taxonomy::{Level, Titles};

use crate::tables::{align_numbers, table_of_texts};

/// The path of each text, from the segment down, and at which step of it the answer stands.
pub(crate) fn describe(texts: &[String], answer: &BatchResponse) -> anyhow::Result<String> {
    described(texts, answer.predictions.iter())
}

/// The same for outcomes wherever they come from.
pub(super) fn described<'a>(texts: &[String], outcomes: impl Iterator<Item = &'a Outcome>) -> anyhow::Result<String> {
    let titles = Titles::embedded()?;
    let mut rows = table_of_texts(["description", "code", "level", "title", "probability", "answer"]);
    for (text, outcome) in texts.iter().zip(outcomes) {
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
    use unspsc_contract::invocation::{ErrorDetail, Step};

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
}
