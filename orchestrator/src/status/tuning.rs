//! Hyperparameter tuning jobs and their trials.

use std::collections::BTreeMap;

use aws_sdk_sagemaker::operation::describe_hyper_parameter_tuning_job::DescribeHyperParameterTuningJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{
    HyperParameterTrainingJobSummary, HyperParameterTuningJobConfig, HyperParameterTuningJobObjective,
    HyperParameterTuningJobSortByOptions, HyperParameterTuningJobStatus, ParentHyperParameterTuningJob, ResourceLimits,
    SortOrder, TrainingJobEarlyStoppingType, TrainingJobStatus, TrainingJobStatusCounters,
};
use comfy_table::Table;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::{kinds, tables};

use super::{Listed, PAGE, kept, listed, moment, reason, shortened, span, tags};

/// A tuning job in the list.
pub(super) struct Tuning {
    pub(super) listed: Listed,
    trials: String,
}

impl AsRef<Listed> for Tuning {
    fn as_ref(&self) -> &Listed {
        &self.listed
    }
}

/// The tuning jobs that are not older than `since` or that run.
pub(super) async fn list(session: &Session, since: DateTime) -> anyhow::Result<Vec<Tuning>> {
    let recent = pages(session, None, Some(since)).await?;
    let running = pages(session, Some(HyperParameterTuningJobStatus::InProgress), None).await?;
    kept(session, recent, running).await
}

async fn pages(
    session: &Session,
    status: Option<HyperParameterTuningJobStatus>,
    since: Option<DateTime>,
) -> Result<Vec<Tuning>, ServiceError> {
    let (mut jobs, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_hyper_parameter_tuning_jobs().max_results(PAGE);
        let request = request.sort_by(HyperParameterTuningJobSortByOptions::CreationTime);
        let request = request.sort_order(SortOrder::Descending).set_status_equals(status.clone());
        let request = request.set_creation_time_after(since).set_next_token(token);
        let page = request.send().await.map_err(failed("ListHyperParameterTuningJobs"))?;
        let listed = page.hyper_parameter_tuning_job_summaries().iter().filter_map(|job| {
            let listed = Listed {
                name: job.hyper_parameter_tuning_job_name()?.to_owned(),
                arn: job.hyper_parameter_tuning_job_arn()?.to_owned(),
                status: job.hyper_parameter_tuning_job_status()?.as_str().to_owned(),
                created: job.creation_time().copied(),
                ended: job.hyper_parameter_tuning_end_time().copied(),
            };
            Some(Tuning { listed, trials: counted(job.training_job_status_counters(), job.resource_limits()) })
        });
        jobs.extend(listed);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(jobs);
        }
    }
}

/// The table of tuning jobs.
pub(super) async fn table(session: &Session, tunings: &[Tuning]) -> anyhow::Result<Option<Table>> {
    if tunings.is_empty() {
        return Ok(None);
    }
    let mut rows = tables::table(["tuning job", "status", "created (UTC)", "took", "trials", "last error"]);
    tables::keep_whole(&mut rows, [0]);
    for Tuning { listed: job, trials } in tunings {
        let reason = if job.has_failed() {
            reason(kinds::describe_tuning(session, &job.name).await?.failure_reason())
        } else {
            None
        };
        rows.add_row([
            job.name.clone(),
            job.status.clone(),
            moment(job.created.as_ref()),
            job.took(),
            trials.clone(),
            reason.map(|reason| shortened(&reason)).unwrap_or_default(),
        ]);
    }
    Ok(Some(rows))
}

/// One tuning job with its trials.
pub(super) async fn details(session: &Session, name: &str) -> anyhow::Result<String> {
    let job = kinds::describe_tuning(session, name).await?;
    let trials = kinds::trials(session, name).await?;
    let tags = tags(session, job.hyper_parameter_tuning_job_arn()).await?;
    let config = job.hyper_parameter_tuning_job_config();
    let limits = config.and_then(HyperParameterTuningJobConfig::resource_limits);
    let took = job.creation_time().zip(job.hyper_parameter_tuning_end_time());
    let best = job.best_training_job();
    let best_ever = job
        .overall_best_training_job()
        .filter(|ever| best.is_none_or(|best| best.training_job_name() != ever.training_job_name()));
    let status = job.hyper_parameter_tuning_job_status().map_or("unknown", HyperParameterTuningJobStatus::as_str);
    let fields = [
        ("tuning job", Some(name.to_owned())),
        ("status", Some(status.to_owned())),
        ("reason", reason(job.failure_reason())),
        ("created", Some(moment(job.creation_time()))),
        ("took", took.map(|(begin, end)| span(end.secs() - begin.secs()))),
        ("objective", objective(&job).map(described)),
        ("strategy", config.map(strategy)),
        ("warm start", warm_start(&job)),
        ("trials", Some(counted(job.training_job_status_counters(), limits))),
        ("best trial", best.map(result)),
        ("best so far", best_ever.map(|ever| format!("{}, of an earlier tuning job", result(ever)))),
        ("tags", tags),
    ];
    let mut text = listed(&fields);
    if !trials.is_empty() {
        let metric = objective(&job).and_then(HyperParameterTuningJobObjective::metric_name).unwrap_or("objective");
        let best = best.and_then(HyperParameterTrainingJobSummary::training_job_name);
        text += &format!("\n\n{}", trial_table(&trials, metric, best));
        let failures = trials.iter().filter_map(|trial| {
            let reason = reason(trial.failure_reason())?;
            Some(format!("{}: {reason}", trial.training_job_name().unwrap_or_default()))
        });
        let failures: Vec<String> = failures.collect();
        if !failures.is_empty() {
            text += &format!("\n\n{}", failures.join("\n"));
        }
    }
    Ok(text)
}

fn trial_table(trials: &[HyperParameterTrainingJobSummary], metric: &str, best: Option<&str>) -> Table {
    let values: Vec<BTreeMap<&str, String>> = trials.iter().map(tuned).collect();
    let mut names: Vec<&str> = values.iter().flat_map(BTreeMap::keys).copied().collect();
    names.sort_unstable();
    names.dedup();
    let head = ["trial", "status", metric].into_iter().chain(names.iter().copied()).chain(["took"]);
    let mut rows = tables::table(head.collect::<Vec<_>>());
    tables::keep_whole(&mut rows, [0]);
    for (trial, values) in trials.iter().zip(&values) {
        let name = trial.training_job_name().unwrap_or_default();
        let status = trial.training_job_status().map_or("unknown", TrainingJobStatus::as_str);
        let status = format!("{status}{}", if best == Some(name) { ", best" } else { "" });
        let took = trial.training_start_time().zip(trial.training_end_time());
        let took = took.map(|(begin, end)| span(end.secs() - begin.secs()));
        let row = [name.to_owned(), status, value(trial).unwrap_or_default()].into_iter();
        let values = names.iter().map(|name| values.get(name).cloned().unwrap_or_default());
        rows.add_row(row.chain(values).chain([took.unwrap_or_default()]));
    }
    tables::align_numbers(&mut rows, 2..names.len() + 4);
    rows
}

/// A trial with what it has reached.
pub(crate) fn result(trial: &HyperParameterTrainingJobSummary) -> String {
    let name = trial.training_job_name().unwrap_or("unknown");
    let metric = trial.final_hyper_parameter_tuning_job_objective_metric();
    let metric = metric.and_then(|metric| metric.metric_name());
    let reached = metric.zip(value(trial)).map(|(metric, value)| format!(", {metric} {value}"));
    format!("{name}{}", reached.unwrap_or_default())
}

/// The objective that the trial has reached.
fn value(trial: &HyperParameterTrainingJobSummary) -> Option<String> {
    let metric = trial.final_hyper_parameter_tuning_job_objective_metric()?;
    Some(format!("{:.4}", metric.value()?))
}

/// The values that the trial was given; SageMaker may put those of a list in quotation marks.
fn tuned(trial: &HyperParameterTrainingJobSummary) -> BTreeMap<&str, String> {
    let values = trial.tuned_hyper_parameters().into_iter().flatten();
    values.map(|(name, value)| (name.as_str(), rounded(value.trim_matches('"')))).collect()
}

/// A number that has a fraction in four digits; anything else as it is.
fn rounded(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 => value.to_owned(),
        Ok(number) if (0.001..1e6).contains(&number.abs()) => {
            let before = number.abs().log10().floor();
            // Four digits in all, those before the point among them.
            let scale = 10_f64.powf(3.0 - before);
            format!("{}", (number * scale).round() / scale)
        }
        Ok(number) => format!("{number:.3e}"),
        Err(_) => value.to_owned(),
    }
}

/// The objective; where there are several definitions, that of the first.
fn objective(job: &DescribeHyperParameterTuningJobOutput) -> Option<&HyperParameterTuningJobObjective> {
    let config = job.hyper_parameter_tuning_job_config();
    let own = config.and_then(HyperParameterTuningJobConfig::hyper_parameter_tuning_job_objective);
    own.or_else(|| job.training_job_definitions().first()?.tuning_objective())
}

fn described(objective: &HyperParameterTuningJobObjective) -> String {
    let goal = objective.r#type().map_or_else(String::new, |goal| format!("{} ", goal.as_str().to_lowercase()));
    format!("{goal}{}", objective.metric_name().unwrap_or_default())
}

/// How is searched.
fn strategy(config: &HyperParameterTuningJobConfig) -> String {
    let strategy = config.strategy().map_or("unknown", |strategy| strategy.as_str());
    let stops_early = config.training_job_early_stopping_type() == Some(&TrainingJobEarlyStoppingType::Auto);
    let parallel = config.resource_limits().and_then(ResourceLimits::max_parallel_training_jobs);
    let parallel = parallel.map(|parallel| format!(", {parallel} at a time")).unwrap_or_default();
    let seed = config.random_seed().map(|seed| format!(", seed {seed}")).unwrap_or_default();
    format!("{strategy}{parallel}{}{seed}", if stops_early { ", stopped early" } else { "" })
}

fn warm_start(job: &DescribeHyperParameterTuningJobOutput) -> Option<String> {
    let config = job.warm_start_config()?;
    let parents = config.parent_hyper_parameter_tuning_jobs().iter();
    let parents = parents.filter_map(ParentHyperParameterTuningJob::hyper_parameter_tuning_job_name);
    let kind = config.warm_start_type().map_or("unknown", |kind| kind.as_str());
    Some(format!("{kind}, from {}", parents.collect::<Vec<_>>().join(", ")))
}

/// How many trials there are of each kind, and how many there may be.
fn counted(counters: Option<&TrainingJobStatusCounters>, limits: Option<&ResourceLimits>) -> String {
    let limit = limits.and_then(ResourceLimits::max_number_of_training_jobs);
    let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let Some(counters) = counters else { return format!("none{limit}") };
    let failures = [counters.retryable_error(), counters.non_retryable_error()];
    let counts = [
        (counters.completed(), "completed"),
        (counters.in_progress(), "running"),
        (counters.stopped(), "stopped"),
        (Some(failures.into_iter().flatten().sum()), "failed"),
    ];
    let counts = counts.into_iter().filter_map(|(count, what)| Some((count.filter(|count| *count > 0)?, what)));
    let (total, texts): (Vec<i32>, Vec<String>) =
        counts.map(|(count, what)| (count, format!("{count} {what}"))).unzip();
    match texts.is_empty() {
        true => format!("none{limit}"),
        false => format!("{}{limit}: {}", total.iter().sum::<i32>(), texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_trials_can_be_read() {
        for (value, text) in [
            ("64", "64"),
            ("0.00012345678", "1.235e-4"),
            ("0.123456", "0.1235"),
            ("12.3456", "12.35"),
            ("1e-05", "1.000e-5"),
            ("encoder", "encoder"),
        ] {
            assert_eq!(rounded(value), text);
        }
        let trial = HyperParameterTrainingJobSummary::builder().tuned_hyper_parameters("batch_size", "\"64\"").build();
        assert_eq!(tuned(&trial), BTreeMap::from([("batch_size", "64".to_owned())]));
        assert_eq!(result(&trial), "unknown");
    }

    #[test]
    fn trials_are_counted_by_their_fate() {
        let counters = TrainingJobStatusCounters::builder().completed(2).in_progress(1).stopped(0);
        let counters = counters.retryable_error(1).non_retryable_error(1).build();
        let limits = ResourceLimits::builder().max_number_of_training_jobs(9).build();
        assert_eq!(counted(Some(&counters), Some(&limits)), "5 of 9: 2 completed, 1 running, 2 failed");
        assert_eq!(counted(None, Some(&limits)), "none of 9");
        assert_eq!(counted(Some(&TrainingJobStatusCounters::builder().build()), None), "none");
    }
}
