//! `report.html`: the outcome of a job on one page that needs nothing beside it, on screen and on paper.

mod chart;
mod confusion;
mod levels;
mod profile;
mod rules;
mod scale;

use std::fmt::Write as _;

use unspsc_contract::{EpochReport, Evaluation, TrainingReport};
use unspsc_dataset::Manifest;
use unspsc_page::{pairs, probability_histogram, recall_bars, reliability_diagram};

use chart::{Chart, Colour, Line, Values};

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
    /// Where the rows come from, where the training channel says so.
    pub(crate) manifest: Option<Manifest>,
}

/// The whole page.
pub(crate) fn page(report: &TrainingReport, circumstances: &Circumstances) -> String {
    let title = format!("{} at {} level", model_name(report), report.level);
    let (split, name) = judged(report);
    let sections = [
        verdict(report, circumstances),
        levels::section(&report.levels),
        rules::section(&report.rules),
        curves(report, circumstances),
        profile::steps(&report.profile),
        profile::machine(&report.profile),
        sources(split, name),
        recall(report),
        confusion::section(split, name),
        probabilities(report),
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
    let measured = [
        (percent(split.balanced_accuracy), format!("balanced accuracy, {name}")),
        (percent(split.accuracy), format!("accuracy, {name}")),
        (percent(split.macro_f1), format!("macro-F1, {name}")),
        (percent(split.top3_accuracy), format!("among the first three, {name}")),
        (percent(split.top5_accuracy), format!("among the first five, {name}")),
        (percent(split.calibration.calibrated_ece), format!("calibration error, {name}")),
        (split.rows.to_string(), format!("{name} rows in {} classes", split.classes.len())),
    ];
    let took = (duration(report.seconds), "from start to report".to_owned());
    let tiles: Vec<_> = measured.into_iter().filter(|_| !split.is_missing()).chain([took]).collect();
    let mut html = unspsc_page::tiles(&tiles);
    html.push_str("<p class=\"lead\">");
    if !split.is_missing() {
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
                " <b>The job was stopped by SIGTERM before its first epoch was finished: it can be \
                                  served, and little is to be expected of it.</b>"
            ),
        };
    }
    html.push_str("</p>\n");
    html
}

/// The split to judge by: test, or validation where the job was stopped before it looked at test.
fn judged(report: &TrainingReport) -> (&Evaluation, &'static str) {
    if !report.test.is_missing() { (&report.test, "test") } else { (&report.validation, "validation") }
}

/// Loss and accuracy by epoch.
fn curves(report: &TrainingReport, circumstances: &Circumstances) -> String {
    if report.epochs.is_empty() {
        return "<section><h2>By epoch</h2><p>No epoch was finished.</p></section>\n".into();
    }
    if let [epoch] = report.epochs.as_slice() {
        return format!(
            "<section><h2>By epoch</h2>\n<p>One epoch: loss {:.3} on training, {:.3} on validation; there accuracy {}, \
             balanced accuracy {}.</p></section>\n",
            epoch.train_loss,
            epoch.validation_loss,
            percent(epoch.validation_accuracy),
            percent(epoch.validation_balanced_accuracy)
        );
    }
    type Value = fn(&EpochReport) -> f64;
    let line = |name, colour, value: Value| {
        let points = report.epochs.iter().map(|epoch| (epoch.epoch as f64, value(epoch))).collect();
        Line { name, colour, points }
    };
    let marked = circumstances.best_epoch.map(|epoch| epoch as f64);
    let chart = |title| Chart { title, places: "epoch", values: Values::Even(0.01), marked };
    let losses = [
        line("training", Colour::Plain, |epoch| epoch.train_loss),
        line("validation", Colour::Accent, |epoch| epoch.validation_loss),
    ];
    let loss = chart("Loss").draw(&losses, |value| format!("{value:.2}"));
    let shares = [
        line("accuracy", Colour::Plain, |epoch| epoch.validation_accuracy),
        line("balanced", Colour::Accent, |epoch| epoch.validation_balanced_accuracy),
    ];
    let accuracy = chart("Validation").draw(&shares, |value| format!("{:.0} %", 100.0 * value));
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
        reliability_diagram("Right, by probability", &calibration.calibrated_bins, &calibration.bins),
        probability_histogram(&calibration.calibrated_bins),
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
        recall_bars(classes.into_iter().take(shown))
    )
}

/// How well it does on what comes from where; nothing where all rows come from one place.
fn sources(split: &Evaluation, name: &str) -> String {
    if split.sources.len() < 2 {
        return String::new();
    }
    let rows = split.sources.iter().map(|source| {
        vec![
            source.source.clone(),
            source.rows.to_string(),
            percent(source.accuracy),
            percent(source.balanced_accuracy),
        ]
    });
    let head = ["source", "rows", "accuracy", "balanced accuracy"];
    let caption = format!("Where the {name} rows come from");
    format!("<section><h2>By source</h2>\n{}</section>\n", unspsc_page::table(&caption, head, 1, rows))
}

/// What it was trained on, how, and by what.
fn facts(report: &TrainingReport, circumstances: &Circumstances) -> String {
    let data = &report.data;
    let rows = vec![
        ("level", report.level.to_string()),
        ("training rows", data.train_rows.to_string()),
        ("validation rows", data.validation_rows.to_string()),
        ("test rows", data.test_rows.to_string()),
        ("rows that could not be used", data.rejected_rows.to_string()),
        ("classes", data.classes.to_string()),
        ("fingerprint (SHA-256)", data.fingerprint.clone()),
    ];
    let sources = circumstances.manifest.as_ref().map_or_else(Vec::new, origins);
    let rows = rows.into_iter().chain(sources);
    let settings = report.hyperparameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let run = [
        ("program", report.trained_by.clone()),
        ("machine", circumstances.machine.clone()),
        ("encoder", circumstances.encoder.clone().unwrap_or_else(|| "none: trained from scratch".into())),
        ("libtorch", LIBTORCH.into()),
    ];
    format!(
        "<section class=\"facts\">{}{}{}</section>\n",
        pairs("Dataset", rows),
        pairs("Hyperparameters", settings),
        pairs("Run", run)
    )
}

/// The dataset card's second half: files with their rows, and who prepared them.
fn origins(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let source = |source: &unspsc_dataset::Source| {
        let name = source.path.file_name().unwrap_or(source.path.as_os_str()).to_string_lossy();
        ("source", format!("{name}, {}: {} rows, SHA-256 {}", source.layout, source.rows, source.sha256))
    };
    let augmented = manifest.augmentation.is_some().then(|| ("augmented", "training rows, with synonyms".to_owned()));
    let prepared = ("prepared by", format!("{}, seed {}", manifest.prepared_by, manifest.options.seed));
    std::iter::once(prepared).chain(manifest.sources.iter().map(source)).chain(augmented).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests;
