//! The trials of a tuning job: training jobs with the values that they were given, and what came of them.

use std::collections::BTreeMap;

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{
    FinalHyperParameterTuningJobObjectiveMetric, HyperParameterTrainingJobSummary, TrainingJobSortByOptions,
    TrainingJobStatus,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::status::span;
use crate::tables;

use super::Search;

/// The largest page.
const PAGE: i32 = 100;

/// A trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Trial {
    /// Its place in the order in which trials begin, from 1.
    pub(crate) number: usize,
    /// The training job.
    pub(crate) job: String,
    pub(crate) status: String,
    /// The searched hyperparameters.
    pub(crate) values: BTreeMap<String, String>,
    /// The last value of the objective; nothing while it runs, and where it failed.
    pub(crate) objective: Option<f64>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) failure: Option<String>,
    /// The last value of every metric.
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) billable_seconds: Option<i32>,
}

impl Trial {
    fn new(number: usize, summary: &HyperParameterTrainingJobSummary) -> Self {
        let objective = summary.final_hyper_parameter_tuning_job_objective_metric();
        let values = summary.tuned_hyper_parameters().into_iter().flatten();
        let reason = summary.failure_reason().map(str::trim).filter(|reason| !reason.is_empty());
        Self {
            number,
            job: summary.training_job_name().unwrap_or_default().to_owned(),
            status: summary.training_job_status().map_or("unknown", TrainingJobStatus::as_str).to_owned(),
            values: values.map(|(name, value)| (name.clone(), value.trim_matches('"').to_owned())).collect(),
            objective: objective.and_then(FinalHyperParameterTuningJobObjectiveMetric::value).map(widened),
            started: moment(summary.training_start_time()),
            ended: moment(summary.training_end_time()),
            failure: reason.map(str::to_owned),
            metrics: BTreeMap::new(),
            billable_seconds: None,
        }
    }

    /// Adds what only the training job itself knows.
    pub(super) fn add(&mut self, description: &DescribeTrainingJobOutput) {
        self.metrics = metrics_of(description);
        self.billable_seconds = description.billable_time_in_seconds();
    }

    /// Whether it may still change.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "InProgress" | "Stopping")
    }

    /// Seconds from its start to its end, or to now.
    pub(crate) fn seconds(&self) -> Option<i64> {
        let end = self.ended.unwrap_or_else(Timestamp::now);
        self.started.map(|start| (end.as_second() - start.as_second()).max(0))
    }

    /// The value that it was given, as people read it.
    pub(crate) fn value(&self, name: &str) -> String {
        self.values.get(name).map_or_else(|| "–".to_owned(), |value| short(value))
    }

    /// The searched values in a line.
    pub(crate) fn given(&self, search: &Search<'_>) -> String {
        let pairs = search.space.0.iter().map(|(name, _)| format!("{name} {}", self.value(name)));
        pairs.collect::<Vec<_>>().join(", ")
    }
}

/// The trials so far, in the order in which they began.
pub(super) async fn list(session: &Session, job: &str) -> Result<Vec<Trial>, ServiceError> {
    let (mut summaries, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job();
        let request = request.hyper_parameter_tuning_job_name(job).max_results(PAGE).set_next_token(token);
        let request = request.sort_by(TrainingJobSortByOptions::Name);
        let page = request.send().await.map_err(failed("ListTrainingJobsForHyperParameterTuningJob"))?;
        summaries.extend_from_slice(page.training_job_summaries());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // A name is the tuning job's, a number of three digits or more, and a suffix.
    let number = |summary: &HyperParameterTrainingJobSummary| {
        let rest = summary.training_job_name()?.strip_prefix(job)?.trim_start_matches('-');
        rest.split('-').next()?.parse::<usize>().ok()
    };
    let mut trials: Vec<Trial> =
        summaries.iter().enumerate().map(|(at, one)| Trial::new(number(one).unwrap_or(at + 1), one)).collect();
    trials.sort_by_key(|trial| trial.number);
    Ok(trials)
}

/// The best of those that have a value, of equals the first.
pub(crate) fn best<'a>(trials: &'a [Trial], search: &Search<'_>) -> Option<&'a Trial> {
    trials.iter().filter(|trial| trial.objective.is_some()).reduce(|best, one| match (best.objective, one.objective) {
        (Some(old), Some(new)) if search.objective.is_better(new, old) => one,
        _ => best,
    })
}

/// The last `count` trials as a table, in which the best of all is marked.
pub(crate) fn table(trials: &[Trial], count: usize, search: &Search<'_>) -> String {
    let names = search.space.0.iter().map(|(name, _)| name.as_str());
    let metric = plain(&search.objective.metric);
    let head = ["trial", "status"].into_iter().chain(names.clone()).chain([metric.as_str(), "took", ""]);
    let mut rows = tables::table(head);
    let best = best(trials, search).map(|trial| trial.number);
    for trial in trials.iter().skip(trials.len().saturating_sub(count)) {
        let values = names.clone().map(|name| trial.value(name));
        let cells = [trial.number.to_string(), trial.status.clone()].into_iter().chain(values);
        rows.add_row(cells.chain([
            trial.objective.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}")),
            trial.seconds().map(span).unwrap_or_default(),
            if best == Some(trial.number) { "best".to_owned() } else { String::new() },
        ]));
    }
    let numbers = 2..4 + search.space.0.len();
    tables::align_numbers(&mut rows, std::iter::once(0).chain(numbers));
    rows.to_string()
}

/// The name of a metric in words, which can stand in two lines.
pub(crate) fn plain(metric: &str) -> String {
    metric.replace([':', '_'], " ")
}

/// A number with four digits that count; anything else as it is.
pub(crate) fn short(value: &str) -> String {
    let Some(number) = value.parse::<f64>().ok().filter(|_| value.len() > 6) else { return value.to_owned() };
    if number != 0.0 && (number.abs() < 1e-3 || number.abs() >= 1e6) {
        let text = format!("{number:.3e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'));
    }
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The last value of every metric of a training job.
pub(super) fn metrics_of(description: &DescribeTrainingJobOutput) -> BTreeMap<String, f64> {
    let metrics = description.final_metric_data_list().iter();
    metrics.filter_map(|metric| Some((metric.metric_name()?.to_owned(), widened(metric.value()?)))).collect()
}

/// The number that was meant, of the float32 that the service keeps of it: 0.1 rather than 0.10000000149.
fn widened(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A moment of the service.
pub(super) fn moment(time: Option<&DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shortened_to_what_counts() {
        for (value, shown) in [
            ("0.00012345678", "1.235e-4"),
            ("1e-5", "1e-5"),
            ("0.000100000001", "1e-4"),
            ("0.3333333333", "0.3333"),
            ("64", "64"),
            ("1234567.8", "1.235e6"),
            ("balanced", "balanced"),
        ] {
            assert_eq!(short(value), shown);
        }
    }
}
