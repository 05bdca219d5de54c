//! `report.html`: the outcome of a job on one page that needs nothing beside it, on screen and on paper.

mod chart;
mod reliability;

use std::fmt::Write as _;

use unspsc_contract::{Evaluation, TrainingReport};
use unspsc_page::pairs;

use chart::{Line, bars, lines};

/// Classes that the page shows, weakest first; at commodity level there are thousands.
const MAX_CLASSES: usize = 120;

/// The libtorch that this version of tch is made for, and refuses to be built without.
const LIBTORCH: &str = "2.11.0, by way of tch 0.24";

/// What the report for machines has no field for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Circumstances {
    pub(crate) machine: String,
    /// The pretrained encoder's folder.
    pub(crate) encoder: Option<String>,
    /// Counted from 1; none where no epoch was finished.
    pub(crate) best_epoch: Option<usize>,
    /// Whether SIGTERM ended the job early.
    pub(crate) stopped: bool,
}

/// The whole page.
pub(crate) fn page(report: &TrainingReport, circumstances: &Circumstances) -> String {
    let title = format!("{} at {} level", model_name(report), report.level);
    let sections = [
        verdict(report, circumstances),
        curves(report, circumstances),
        probabilities(report),
        recall(report),
        facts(report, circumstances),
    ];
    unspsc_page::document("Training report", &title, &sections.concat())
}

fn model_name(report: &TrainingReport) -> &'static str {
    if report.model == "rnn" { "RNN baseline" } else { "Transformer classifier" }
}

/// The numbers that one looks for first, and what they mean in a sentence.
fn verdict(report: &TrainingReport, circumstances: &Circumstances) -> String {
    let (split, name) = judged(report);
    let tiles = [
        (percent(split.balanced_accuracy), format!("balanced accuracy, {name}")),
        (percent(split.accuracy), format!("accuracy, {name}")),
        (percent(split.macro_f1), format!("macro-F1, {name}")),
        (percent(split.top3_accuracy), format!("among the first three, {name}")),
        (percent(split.top5_accuracy), format!("among the first five, {name}")),
        (percent(split.calibration.calibrated_ece), format!("calibration error, {name}")),
        (split.rows.to_string(), format!("{name} rows in {} classes", split.classes.len())),
        (duration(report.seconds), "from start to report".to_owned()),
    ];
    let mut html = unspsc_page::tiles(&tiles);
    html.push_str("<p class=\"lead\">");
    if split.rows > 0 {
        let hits = split.accuracy * split.rows as f64;
        let _ = write!(
            html,
            "Of {} {name} texts that the model was not trained on, {hits:.0} get the right {}. Balanced accuracy is \
             the mean of the recalls below, so that every class counts the same, however rare.",
            split.rows, report.level
        );
    } else {
        html.push_str("How good the model is was not measured.");
    }
    if circumstances.stopped {
        let _ = match circumstances.best_epoch {
            Some(epoch) => write!(
                html,
                " <b>The job was stopped by SIGTERM: these are the weights of epoch {epoch}, \
                                         the best so far.</b>"
            ),
            None => write!(
                html,
                " <b>The job was stopped by SIGTERM before its first epoch was finished: the model is \
                                  not fit for use.</b>"
            ),
        };
    }
    html.push_str("</p>\n");
    html
}

/// The split to judge by: test, or validation where the job was stopped before it looked at test.
fn judged(report: &TrainingReport) -> (&Evaluation, &'static str) {
    if report.test.rows > 0 { (&report.test, "test") } else { (&report.validation, "validation") }
}

/// Loss and accuracy by epoch.
fn curves(report: &TrainingReport, circumstances: &Circumstances) -> String {
    if report.epochs.is_empty() {
        return "<section><h2>By epoch</h2><p>No epoch was finished.</p></section>\n".into();
    }
    let values = |value: fn(&unspsc_contract::EpochReport) -> f64| report.epochs.iter().map(value).collect();
    let loss = lines(
        "Loss",
        &[
            Line { name: "training", class: "a", values: values(|epoch| epoch.train_loss) },
            Line { name: "validation", class: "b", values: values(|epoch| epoch.validation_loss) },
        ],
        circumstances.best_epoch,
        |value| format!("{value:.2}"),
    );
    let accuracy = lines(
        "Validation",
        &[
            Line { name: "accuracy", class: "a", values: values(|epoch| epoch.validation_accuracy) },
            Line { name: "balanced", class: "b", values: values(|epoch| epoch.validation_balanced_accuracy) },
        ],
        circumstances.best_epoch,
        |value| format!("{:.0} %", 100.0 * value),
    );
    let note = circumstances.best_epoch.map_or_else(String::new, |epoch| {
        format!("<p class=\"note\">The weights of epoch {epoch} (dotted) were kept: best balanced accuracy.</p>\n")
    });
    format!("<section><h2>By epoch</h2>\n<div class=\"charts\">{loss}{accuracy}</div>\n{note}</section>\n")
}

/// How far the probabilities can be trusted.
fn probabilities(report: &TrainingReport) -> String {
    let (split, name) = judged(report);
    if split.rows == 0 {
        return String::new();
    }
    let calibration = &split.calibration;
    format!(
        "<section><h2>Probabilities</h2>\n<div class=\"charts\">{}{}</div>\n<p class=\"note\">Bars: the {name} rows as \
         served, with logits divided by the temperature {:.2}, which was fitted on validation; expected calibration \
         error {}. Dots: without the temperature; {}. On the dotted line a probability is right as often as it \
         claims.</p>\n</section>\n",
        reliability::diagram(calibration),
        reliability::histogram(calibration),
        calibration.temperature,
        percent(calibration.calibrated_ece),
        percent(calibration.ece),
    )
}

/// One bar a class, weakest first.
fn recall(report: &TrainingReport) -> String {
    let (split, name) = judged(report);
    let mut classes: Vec<_> = split.classes.iter().collect();
    classes.sort_by(|a, b| a.recall.total_cmp(&b.recall).then_with(|| b.rows.cmp(&a.rows)));
    let shown = classes.len().min(MAX_CLASSES);
    let cut = if shown < classes.len() { format!(", the weakest {shown} of {}", classes.len()) } else { String::new() };
    format!(
        "<section><h2>Recall by class</h2>\n<p class=\"note\">Share of each class's {name} rows that is found; weakest \
         first{cut}.</p>\n{}</section>\n",
        bars(classes.into_iter().take(shown))
    )
}

/// What it was trained on, how, and by what.
fn facts(report: &TrainingReport, circumstances: &Circumstances) -> String {
    let data = &report.data;
    let rows = [
        ("training rows", data.train_rows.to_string()),
        ("validation rows", data.validation_rows.to_string()),
        ("test rows", data.test_rows.to_string()),
        ("rows that could not be used", data.rejected_rows.to_string()),
        ("classes", data.classes.to_string()),
        ("fingerprint (SHA-256)", data.fingerprint.clone()),
    ];
    let settings = report.hyperparameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let run = [
        ("program", report.trained_by.clone()),
        ("machine", circumstances.machine.clone()),
        ("encoder", circumstances.encoder.clone().unwrap_or_else(|| "none: trained from scratch".into())),
        ("libtorch", LIBTORCH.into()),
    ];
    format!(
        "<section class=\"facts\">{}{}{}</section>\n",
        pairs("Data", rows),
        pairs("Hyperparameters", settings),
        pairs("Run", run)
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests;
