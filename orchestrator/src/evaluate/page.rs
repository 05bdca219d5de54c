//! The evaluation as one HTML file.

use std::fmt::Write as _;

use unspsc_contract::{AutoScores, EvaluationReport, LevelScores, Mistake};
use unspsc_page::{document, escape, pairs, recall_bars, reliability_diagram, table, tiles};
use unspsc_taxonomy::{Level, Titles};

use crate::tables::count;

use super::{failed, percent, share_right, stated};

/// Codes whose misses are shown with examples; the others have a bar.
const MAX_CODES: usize = 5;

/// The whole page; `command` is the one that was given.
pub(super) fn page(report: &EvaluationReport, titles: &Titles, command: &str) -> String {
    let names: Vec<&str> = report.data.files.iter().map(|file| file.name.as_str()).collect();
    let title = match names.as_slice() {
        [name] => format!("{} on {name}", report.answered_by),
        names => format!("{} on {} files", report.answered_by, names.len()),
    };
    let worst = report.levels.iter().map(|(level, scores)| worst(*level, scores, titles));
    let sections = [verdict(report), levels(report), auto(report), failures(report), probabilities(report)];
    let sections = sections.into_iter().chain(worst).chain([facts(report, command)]);
    document("Evaluation", &title, &sections.collect::<String>())
}

/// The numbers that one looks for first.
fn verdict(report: &EvaluationReport) -> String {
    let Some((level, scores)) = report.levels.first_key_value() else { return String::new() };
    let mut figures = vec![
        (percent(scores.accuracy), format!("accuracy, {level}")),
        (percent(scores.balanced_accuracy), format!("balanced accuracy, {level}")),
        (percent(scores.top5_accuracy), format!("among the first five, {level}")),
        (percent(scores.coverage), format!("of the rows at {} precision, {level}", stated(report.precision))),
    ];
    if let Some(auto) = &report.auto {
        figures.push((percent(auto.hierarchical_f1), "hierarchical F1, level of its choice".to_owned()));
    }
    let hits = scores.accuracy * scores.rows as f64;
    let mut html = tiles(&figures);
    let _ = writeln!(
        html,
        "<p class=\"lead\">Of {} rows, {hits:.0} get the right {level}. Balanced accuracy is the mean recall over the {} \
         codes that occur, so that each counts the same, however rare.</p>",
        count(scores.rows),
        count(scores.classes)
    );
    html
}

/// All figures by level.
fn levels(report: &EvaluationReport) -> String {
    let head =
        ["level", "rows", "codes", "accuracy", "balanced accuracy", "macro-F1", "among five", "calibration error"];
    let head = head.map(str::to_owned).into_iter().chain([format!("coverage at {}", stated(report.precision))]);
    let row = |(level, scores): (&Level, &LevelScores)| {
        let counts = [scores.rows, scores.classes].map(count);
        let shares = [
            scores.accuracy,
            scores.balanced_accuracy,
            scores.macro_f1,
            scores.top5_accuracy,
            scores.ece,
            scores.coverage,
        ];
        [level.to_string()].into_iter().chain(counts).chain(shares.map(percent)).collect()
    };
    let caption = format!(
        "Over the rows whose code reaches the level. Coverage: the largest share of rows, taken by descending \
         probability, of which at least {} are right.",
        stated(report.precision)
    );
    let table = table(&caption, head, 1, report.levels.iter().map(row));
    format!("<section>\n<h2>By level</h2>\n{table}</section>\n")
}

/// The answers at the level that the classifier chose.
fn auto(report: &EvaluationReport) -> String {
    let Some(auto) = &report.auto else { return String::new() };
    let AutoScores { hierarchical_precision, hierarchical_recall, hierarchical_f1, levels, needs_review } = auto;
    let share = |part: usize, of: usize| percent(part as f64 / of.max(1) as f64);
    let mut rows: Vec<Vec<String>> = levels
        .iter()
        .map(|(level, scores)| {
            let counts = [count(scores.rows), share(scores.rows, report.data.rows)];
            let right = [count(scores.judged), count(scores.right), share_right(*scores)];
            [level.to_string()].into_iter().chain(counts).chain(right).collect()
        })
        .collect();
    let review = ["needs review".to_owned(), count(*needs_review), share(*needs_review, report.data.rows)];
    rows.push(review.into_iter().chain(std::iter::repeat_n(String::new(), 3)).collect());
    let head = ["answered at", "rows", "share", "with a code as deep", "of these right", "share right"];
    let caption = "Each text is answered at the deepest level that can be trusted.";
    format!(
        "<section>\n<h2>Depth of its choice</h2>\n{}<p class=\"note\">Hierarchical precision {}, recall {}, F1 {}: over \
         the codes on the paths of answers and truth.</p>\n</section>\n",
        table(caption, head, 1, rows),
        percent(*hierarchical_precision),
        percent(*hierarchical_recall),
        percent(*hierarchical_f1)
    )
}

/// Rows without an answer.
fn failures(report: &EvaluationReport) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>Rows without an answer</h2>\n<ul class=\"warnings\">\n");
    for (code, failures) in &report.failures {
        let _ = writeln!(html, "<li>{}</li>", escape(&failed(code, failures)));
    }
    html + "</ul>\n<p class=\"note\">They count as missed at every level.</p>\n</section>\n"
}

/// How far the probabilities can be trusted.
fn probabilities(report: &EvaluationReport) -> String {
    let chart = |(level, scores): (&Level, &LevelScores)| {
        let title = format!("Right, by probability: {level}, error {}", percent(scores.ece));
        reliability_diagram(&title, &scores.bins, &[])
    };
    format!(
        "<section>\n<h2>Probabilities</h2>\n<div class=\"charts\">{}</div>\n<p class=\"note\">On the dotted line a \
         probability is right as often as it claims. The error is the mean distance from it over the rows.</p>\n\
         </section>\n",
        report.levels.iter().map(chart).collect::<String>()
    )
}

/// The codes of one level that are missed most often.
fn worst(level: Level, scores: &LevelScores, titles: &Titles) -> String {
    if scores.worst.is_empty() {
        return String::new();
    }
    let code = |code: unspsc_taxonomy::Code, title: Option<&str>| format!("{code} {}", title.unwrap_or_default());
    let mut rows = Vec::new();
    for worst in scores.worst.iter().take(MAX_CODES) {
        for Mistake { text, code: truth, answer, title, probability } in &worst.examples {
            let answer = answer.map_or_else(|| "no answer".to_owned(), |answer| code(answer, title.as_deref()));
            let truth = code(*truth, titles.nearest(*truth));
            rows.push(vec![text.clone(), truth, answer, format!("{probability:.2}")]);
        }
    }
    let head = ["text", "its code", "answer", "probability"];
    format!(
        "<section>\n<h2>Worst at {level} level</h2>\n<p class=\"note\">Recall of the codes with 5 rows or more, lowest \
         first.</p>\n{}{}</section>\n",
        recall_bars(scores.worst.iter().map(|worst| &worst.class)),
        table("Examples of the first of them, the most surely missed first", head, 3, rows)
    )
}

/// What was judged, and by what.
fn facts(report: &EvaluationReport, command: &str) -> String {
    let data = &report.data;
    let files = data.files.iter().map(|file| ("file", format!("{}, SHA-256 {}", file.name, file.sha256)));
    let rows = [("rows judged", count(data.rows)), ("rows that cannot be used", count(data.rejected))];
    let run = [
        ("answered by", report.answered_by.clone()),
        ("program", report.evaluated_by.clone()),
        ("command", command.to_owned()),
    ];
    format!("<section class=\"facts\">{}{}</section>\n", pairs("Data", files.chain(rows)), pairs("Run", run))
}
