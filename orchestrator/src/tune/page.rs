//! The report of a tuning job as one HTML file.

mod axis;
mod parallel;
mod scatter;
mod time;

use unspsc_page::{document, escape, pairs, table, tiles};

use crate::status::span;

use super::report::{Report, dollars};
use super::trials::{Trial, plain};
use super::{Objective, Search};

use self::axis::Axis;

/// The whole page.
pub(super) fn page(report: &Report, search: &Search<'_>) -> String {
    let sections = [
        verdict(report, search),
        problems(report),
        charts(report, search),
        trials(report, search),
        comparison(report),
        facts(report),
    ];
    document("Tuning report", &report.job, &sections.concat())
}

/// The numbers that one looks for first, and the values to take.
fn verdict(report: &Report, search: &Search<'_>) -> String {
    let failed = report.trials.iter().filter(|trial| trial.status == "Failed").count();
    let mut figures = Vec::new();
    let best = report.best_trial();
    if let Some((best, value)) = best.and_then(|best| Some((best, best.objective?))) {
        figures.push((format!("{value:.4}"), format!("{}, trial {}", plain(&report.objective), best.number)));
    }
    let trials = if failed == 0 { "trials".to_owned() } else { format!("trials, {failed} of them failed") };
    figures.push((report.trials.len().to_string(), trials));
    figures.push((format!("{:.3}", report.hours()), "instance hours".to_owned()));
    figures.extend(report.cost.map(|cost| (dollars(cost), "cost, at the price that was given".to_owned())));
    let lead = best.map_or_else(
        || "No trial has a value of the objective.".to_owned(),
        |best| format!("Best is trial {}, with {}. Its training job is {}.", best.number, best.given(search), best.job),
    );
    format!("{}<p class=\"lead\">{}</p>\n", tiles(&figures), escape(&lead))
}

/// What did not go as it should.
fn problems(report: &Report) -> String {
    let mut lines = Vec::new();
    if report.status != "Completed" {
        let reason = report.failure.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("The tuning job is {}{reason}", report.status));
    }
    for trial in &report.trials {
        if let Some(reason) = &trial.failure {
            lines.push(format!("Trial {} failed: {reason}", trial.number));
        }
    }
    if let Some(better) = &report.better_of_parents {
        lines.push(format!(
            "{} of {}, from which this search began, is better still: {:.4}",
            better.job, better.tuning_job, better.objective
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    format!("<ul class=\"warnings\">\n{items}</ul>\n")
}

fn charts(report: &Report, search: &Search<'_>) -> String {
    let axes: Vec<(&str, Axis)> = search.space.0.iter().map(|(name, range)| (name.as_str(), Axis::of(range))).collect();
    let objective = Axis::around(report.trials.iter().filter_map(|trial| trial.objective));
    let Some(objective) = objective else { return String::new() };
    let colour = Colour { objective: &objective, search: &search.objective };
    let scatters: String =
        axes.iter().map(|(name, axis)| scatter::chart(report, name, axis, &objective, &colour)).collect();
    format!(
        "<section><h2>All trials at once</h2>\n<p class=\"note\">A line is a trial: where it crosses an axis is the value that \
         it was given, and at the right what came of it. The redder, the better; the thick one is the best. Point at a line for \
         its figures.</p>\n{}</section>\n\
         <section><h2>By hyperparameter</h2>\n<p class=\"note\">A dot is a trial; the numbers are those of the table below. \
         A cross at the foot is a trial without a value.</p>\n<div class=\"charts\">{scatters}</div></section>\n\
         <section><h2>Over time</h2>\n<p class=\"note\">A bar is a trial, from its start to its end, at the height of what came \
         of it; the dotted line is the best until then.</p>\n{}</section>\n",
        parallel::chart(report, &axes, &objective, &colour),
        time::chart(report, &objective, &colour),
    )
}

/// The colour of a trial, from what came of it.
struct Colour<'a> {
    objective: &'a Axis,
    search: &'a Objective,
}

impl Colour<'_> {
    /// Class and style: from blue by way of purple to red, as all reports have it.
    fn of(&self, value: f64) -> String {
        let place = self.objective.place(value).unwrap_or_default();
        let good = if self.search.is_better(1.0, 0.0) { place } else { 1.0 - place };
        format!("class=\"c\" style=\"color:hsl({:.0} 65% var(--ramp))\"", 212.0 + 163.0 * good)
    }
}

/// What a trial is and came to, for whoever points at it.
fn tooltip(report: &Report, trial: &Trial) -> String {
    let values: Vec<String> = trial.values.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let objective =
        trial.objective.map_or_else(|| trial.status.clone(), |value| format!("{} {value:.4}", report.objective));
    format!("<title>trial {}: {}\n{}</title>", trial.number, escape(&objective), escape(&values.join("\n")))
}

/// All trials with all that is known of them.
fn trials(report: &Report, search: &Search<'_>) -> String {
    let names: Vec<&str> = search.space.0.iter().map(|(name, _)| name.as_str()).collect();
    let mut head = vec!["trial", "status"];
    head.extend(&names);
    let objective = plain(&report.objective);
    head.extend([objective.as_str(), "took", "billed"]);
    if report.price_per_hour.is_some() {
        head.push("USD");
    }
    let row = |trial: &Trial| {
        let number = if Some(&trial.job) == report.best.as_ref() {
            format!("{} (best)", trial.number)
        } else {
            trial.number.to_string()
        };
        let mut cells = vec![number, trial.status.clone()];
        cells.extend(names.iter().map(|name| trial.value(name)));
        let billed = trial.billable_seconds.map(i64::from);
        cells.push(trial.objective.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}")));
        cells.extend([trial.seconds(), billed].map(|seconds| seconds.map_or_else(|| "–".to_owned(), span)));
        if report.price_per_hour.is_some() {
            let cost = billed.and_then(|seconds| report.price(seconds));
            cells.push(cost.map_or_else(|| "–".to_owned(), |cost| format!("{cost:.4}")));
        }
        cells
    };
    let caption = "In the order in which they began.";
    format!("<section><h2>Trials</h2>\n{}</section>\n", table(caption, head, 0, report.trials.iter().map(row)))
}

fn comparison(report: &Report) -> String {
    let rows = report.comparison();
    if rows.is_empty() {
        return String::new();
    }
    let heads = report.compared().into_iter().map(|(_, head)| head);
    let head = ["model"].into_iter().chain(heads).chain(["took"]);
    let caption = "On the same rows: validation, balanced accuracy; test, accuracy and balanced accuracy, which neither was chosen \
                   by. Balanced accuracy is the mean recall over the classes.";
    format!("<section><h2>Beside the base line</h2>\n{}</section>\n", table(caption, head, 1, rows))
}

fn facts(report: &Report) -> String {
    let search = pairs(
        "Search",
        [
            ("objective", format!("{} {}", report.goal, report.objective)),
            ("strategy", report.strategy.clone()),
            ("seed", report.random_seed.to_string()),
            ("at a time", report.parallel_jobs.to_string()),
            ("early stopping", report.early_stopping.clone()),
        ]
        .into_iter()
        .chain((!report.warm_start.is_empty()).then(|| ("started from", report.warm_start.join(", "))))
        .chain(report.ranges.iter().map(|(name, range)| (name.as_str(), range.clone()))),
    );
    let shared = report.hyperparameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let made = pairs(
        "Made of",
        [
            ("data", report.data.clone()),
            ("fingerprint", report.data_fingerprint.clone()),
            ("image", report.image.clone()),
            ("instance", format!("{}{}", report.instance, if report.is_spot { ", spot capacity" } else { "" })),
            ("cost", report.costs()),
            ("command", report.command.clone()),
            ("made by", report.tuned_by.clone()),
        ],
    );
    format!("<section class=\"facts\">\n{search}{}{made}</section>\n", pairs("Shared by all trials", shared))
}
