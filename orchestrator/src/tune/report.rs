//! What a tuning job has found, for machines, for people and for the terminal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use jiff::Timestamp;
use serde::Serialize;
use unspsc_contract::{files, metrics};

use crate::report::command_line;
use crate::status::span;
use crate::tables;
use crate::whole;

use super::trials::{self, Trial};
use super::{Search, page};

/// What base line and best trial are compared by, after the objective.
const COMPARED: [(&str, &str); 3] = [
    (metrics::VALIDATION_BALANCED_ACCURACY, "validation, balanced"),
    (metrics::TEST_ACCURACY, "test, accuracy"),
    (metrics::TEST_BALANCED_ACCURACY, "test, balanced"),
];
/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// An amount of money: trials of minutes cost less than a cent.
pub(crate) fn dollars(cost: f64) -> String {
    if cost < 1.0 { format!("{cost:.4} USD") } else { format!("{cost:.2} USD") }
}

/// What a tuning job has found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Program and version.
    pub(crate) tuned_by: String,
    pub(crate) job: String,
    pub(crate) status: String,
    pub(crate) failure: Option<String>,
    pub(crate) strategy: String,
    pub(crate) random_seed: i32,
    pub(crate) early_stopping: String,
    pub(crate) parallel_jobs: i32,
    pub(crate) warm_start: Vec<String>,
    pub(crate) objective: String,
    pub(crate) objective_regex: String,
    pub(crate) goal: String,
    /// What was searched, as it is written on the command line.
    pub(crate) ranges: BTreeMap<String, String>,
    /// The hyperparameters that all trials share.
    pub(crate) hyperparameters: BTreeMap<String, String>,
    /// What people call the data.
    pub(crate) data: String,
    pub(crate) data_fingerprint: String,
    pub(crate) image: String,
    pub(crate) instance: String,
    pub(crate) is_spot: bool,
    /// Whether the jobs ran on this machine, where nothing is billed.
    pub(crate) is_local: bool,
    pub(crate) trials: Vec<Trial>,
    /// The best trial's job.
    pub(crate) best: Option<String>,
    /// A trial of a tuning job that this one started from, where it is better than the best.
    pub(crate) better_of_parents: Option<Better>,
    pub(crate) base_line: Option<BaseLine>,
    /// Of all trials and the base line.
    pub(crate) billable_seconds: i64,
    pub(crate) price_per_hour: Option<f64>,
    /// In US dollars, where the price is known.
    pub(crate) cost: Option<f64>,
    pub(crate) command: String,
}

/// A trial of an earlier tuning job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Better {
    pub(crate) job: String,
    pub(crate) tuning_job: String,
    pub(crate) objective: f64,
}

/// Another model on the same data.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BaseLine {
    pub(crate) model: String,
    pub(crate) job: String,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) billable_seconds: Option<i32>,
}

impl BaseLine {
    /// The training job `job` of another model.
    pub(crate) fn new(model: String, job: String, description: &DescribeTrainingJobOutput) -> Self {
        Self {
            model,
            job,
            metrics: trials::metrics_of(description),
            started: trials::moment(description.training_start_time()),
            ended: trials::moment(description.training_end_time()),
            billable_seconds: description.billable_time_in_seconds(),
        }
    }
}

impl Report {
    /// The best trial.
    pub(crate) fn best_trial(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| Some(&trial.job) == self.best.as_ref())
    }

    /// Instance hours of all trials and the base line.
    pub(crate) fn hours(&self) -> f64 {
        self.billable_seconds as f64 / HOUR
    }

    /// What so many seconds cost, where the price is known.
    pub(crate) fn price(&self, seconds: i64) -> Option<f64> {
        self.price_per_hour.map(|price| price * seconds as f64 / HOUR)
    }

    /// Hours and costs in a line.
    pub(crate) fn costs(&self) -> String {
        let where_ = if self.is_local { "this machine (nothing was billed)".to_owned() } else { self.instance.clone() };
        let cost = self.cost.zip(self.price_per_hour);
        let cost = cost.map(|(cost, price)| format!(", {} at {price} USD an hour", dollars(cost)));
        format!("{:.3} instance hours on {where_}{}", self.hours(), cost.unwrap_or_default())
    }

    /// Best trial and base line side by side: what it is, and the figures of [`Report::compared`].
    pub(crate) fn comparison(&self) -> Vec<Vec<String>> {
        let (Some(best), Some(base)) = (self.best_trial(), &self.base_line) else { return Vec::new() };
        let seconds = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.as_second() - from?.as_second());
        let row = |what: String, metrics: &BTreeMap<String, f64>, took: Option<i64>| {
            let figures = self
                .compared()
                .into_iter()
                .map(|(metric, _)| metrics.get(metric).map_or_else(|| "–".to_owned(), |value| format!("{value:.4}")));
            let took = took.map(span).unwrap_or_default();
            [what].into_iter().chain(figures).chain([took]).collect()
        };
        vec![
            row(format!("best trial, {}", best.number), &best.metrics, best.seconds()),
            row(format!("base line, {}", base.model), &base.metrics, seconds(base.started, base.ended)),
        ]
    }

    /// The metrics by which best trial and base line are compared, with their heads.
    pub(crate) fn compared(&self) -> Vec<(&str, &str)> {
        let own = !COMPARED.iter().any(|(metric, _)| *metric == self.objective);
        let objective = own.then_some((self.objective.as_str(), self.objective.as_str()));
        objective.into_iter().chain(COMPARED).collect()
    }

    /// Writes it for machines and for people into `folder`.
    pub(crate) fn write(&self, folder: &Path, search: &Search<'_>) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        whole::write(&folder.join(files::TUNING), &(serde_json::to_string_pretty(self)? + "\n"))?;
        whole::write(&folder.join(files::TUNING_PAGE), &page::page(self, search))
    }

    /// What the terminal shows at the end.
    pub(crate) fn describe(&self, folder: &Path, search: &Search<'_>) -> String {
        let mut text = trials::table(&self.trials, usize::MAX, search);
        for trial in &self.trials {
            if let Some(reason) = trial.failure.as_deref() {
                text += &format!("\ntrial {}, {}: {reason}", trial.number, trial.job);
            }
        }
        if let Some((best, value)) = self.best_trial().and_then(|best| Some((best, best.objective?))) {
            let given = best.given(search);
            text += &format!("\nbest: trial {}, {} {value:.4} with {given}", best.number, self.objective);
            text += &format!("\nits training job: {}", best.job);
        }
        if let Some(Better { job, tuning_job, objective }) = &self.better_of_parents {
            text += &format!("\n{job} of {tuning_job}, from which this search began, is better still: {objective:.4}");
        }
        let comparison = self.comparison();
        if !comparison.is_empty() {
            let heads = self.compared().into_iter().map(|(_, head)| head);
            let mut rows = tables::table([""].into_iter().chain(heads).chain(["took"]));
            let width = self.compared().len() + 2;
            rows.add_rows(comparison);
            tables::align_numbers(&mut rows, 1..width);
            text += &format!("\n{rows}");
        }
        text += &format!("\ndata: {}\nseed: {}\ncost: {}", self.data, self.random_seed, self.costs());
        text + &format!("\nreport: {}\ncommand: {}", folder.join(files::TUNING_PAGE).display(), command_line())
    }
}
