//! What the golden files of the black-box test do not reach.

use serde_json::{Value, json};
use unspsc_contract::EvaluatedData;
use unspsc_dataset::Row;

use super::*;

/// Rows with their codes and answers.
fn judged(rows: &[(&str, Value)]) -> EvaluationReport {
    let row =
        |(place, (code, _)): (usize, &(&str, Value))| Row::new(&format!("text {place}"), code.parse().unwrap(), "");
    let answers: Vec<Answer> = rows.iter().map(|(_, answer)| serde_json::from_value(answer.clone()).unwrap()).collect();
    let data = EvaluatedData { files: Vec::new(), rows: rows.len(), rejected: 0 };
    let rows = LabelledRows { rows: rows.iter().enumerate().map(row).collect(), data };
    judge(&rows, &answers, "a peer", 0.9, &Titles::embedded().unwrap())
}

fn segment(label: &str, probability: f64) -> Value {
    json!({"by_level": {"segment": [{"label": label, "probability": probability}]}})
}

#[test]
fn levels_that_nobody_answers_or_no_row_reaches_are_left_out() {
    let report = judged(&[("43211503", segment("43", 0.9))]);
    assert_eq!(report.levels.keys().collect::<Vec<_>>(), [&Level::Segment]);
    assert_eq!(report.auto, None);
    let both = json!({"by_level": {
        "segment": [{"label": "43", "probability": 0.9}], "family": [{"label": "4321", "probability": 0.9}]
    }});
    assert_eq!(judged(&[("43", both)]).levels.keys().collect::<Vec<_>>(), [&Level::Segment]);
}

#[test]
fn a_row_without_an_answer_is_missed_and_lowers_no_other_class() {
    let error = json!({"error": {"code": "empty_description", "message": "it is empty"}});
    let report = judged(&[("43", segment("43", 0.9)), ("50", segment("50", 0.8)), ("50", error)]);
    let scores = &report.levels[&Level::Segment];
    assert_eq!((scores.rows, scores.accuracy, scores.balanced_accuracy), (3, 2.0 / 3.0, 0.75));
    assert!((scores.macro_f1 - 5.0 / 6.0).abs() < 1e-12, "1 and 2/3");
    assert_eq!((scores.coverage, scores.coverage_threshold), (2.0 / 3.0, Some(0.8)));
    assert_eq!(report.failures["empty_description"].rows, 1);
}

#[test]
fn the_worst_codes_have_five_rows_and_the_surest_mistakes_come_first() {
    let rare = (0..4).map(|_| ("43", segment("50", 0.9)));
    let often = [0.5, 0.7, 0.6, 0.8].map(|probability| ("50", segment("43", probability)));
    let found = (0..2).map(|_| ("50", segment("50", 0.9)));
    let good = (0..5).map(|_| ("14", segment("14", 0.9)));
    let report = judged(&rare.chain(often).chain(found).chain(good).collect::<Vec<_>>());
    let [worst] = report.levels[&Level::Segment].worst.as_slice() else { panic!("{report:?}") };
    assert_eq!((worst.class.label.as_str(), worst.class.rows), ("50000000", 6));
    assert!((worst.class.recall - 1.0 / 3.0).abs() < 1e-12);
    let examples: Vec<f64> = worst.examples.iter().map(|mistake| mistake.probability).collect();
    assert_eq!(examples, [0.8, 0.7, 0.6]);
    assert!(worst.examples[0].title.as_deref().is_some_and(|title| title.starts_with("Information Technology")));
}
