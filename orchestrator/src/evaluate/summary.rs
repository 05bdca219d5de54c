//! The evaluation in the terminal.

use std::fmt::Write as _;

use unspsc_contract::{AutoScores, EvaluationReport};

use crate::tables::{align_numbers, count, table};

use super::{failed, share_right, stated};

/// Figures by level, the answers of `auto`, what was judged and what failed.
pub(super) fn describe(report: &EvaluationReport) -> String {
    let coverage = format!("coverage at {}", stated(report.precision));
    let head = ["level", "rows", "codes", "accuracy", "balanced", "macro F1", "top 5", "calibration error", &coverage];
    let mut levels = table(head);
    for (level, scores) in &report.levels {
        let shares = [
            scores.accuracy,
            scores.balanced_accuracy,
            scores.macro_f1,
            scores.top5_accuracy,
            scores.ece,
            scores.coverage,
        ];
        let numbers = [scores.rows, scores.classes].map(count);
        let shares = shares.map(|share| format!("{share:.3}"));
        levels.add_row([level.to_string()].into_iter().chain(numbers).chain(shares));
    }
    align_numbers(&mut levels, 1..9);
    let mut text = format!("{levels}\n");
    if let Some(auto) = &report.auto {
        let _ = writeln!(text, "\n{}", describe_auto(auto));
    }
    for (code, failures) in &report.failures {
        let _ = writeln!(text, "! {}", failed(code, failures));
    }
    let data = &report.data;
    let files: Vec<&str> = data.files.iter().map(|file| file.name.as_str()).collect();
    let _ = write!(
        text,
        "data: {}; {} rows judged, {} that cannot be used\nanswered by: {}",
        files.join(", "),
        count(data.rows),
        count(data.rejected),
        report.answered_by
    );
    text
}

/// The answers at the level that the classifier chose.
fn describe_auto(auto: &AutoScores) -> String {
    let mut levels = table(["depth: auto answers", "rows", "judged", "right", "share right"]);
    for (level, scores) in &auto.levels {
        let numbers = [scores.rows, scores.judged, scores.right].map(count);
        levels.add_row([level.to_string()].into_iter().chain(numbers).chain([share_right(*scores)]));
    }
    levels.add_row(["needs review".to_owned(), count(auto.needs_review)]);
    align_numbers(&mut levels, 1..5);
    format!(
        "{levels}\nhierarchical precision {:.3}, recall {:.3}, F1 {:.3}",
        auto.hierarchical_precision, auto.hierarchical_recall, auto.hierarchical_f1
    )
}
