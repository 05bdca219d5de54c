//! A tuning job from its creation to its end: its trials as a table that lives, or a line for each change.

use std::collections::BTreeMap;

use aws_sdk_sagemaker::operation::describe_hyper_parameter_tuning_job::DescribeHyperParameterTuningJobOutput;
use aws_sdk_sagemaker::types::HyperParameterTuningJobStatus;

use crate::exit::Unfinished;
use crate::follow::dashed;
use crate::kinds;
use crate::poll;
use crate::session::Session;
use crate::status::span;
use crate::undo::Started;

use super::Search;
use super::trials::{self, Trial};

/// Rows of the table while the job runs.
const ROWS: usize = 12;

/// Shows the trials of `job` until it is over, however it ends; returns them with its last description.
pub(super) async fn follow(
    session: &Session,
    job: &str,
    search: &Search<'_>,
) -> anyhow::Result<(DescribeHyperParameterTuningJobOutput, Vec<Trial>)> {
    let started = Started::Tuning(job.to_owned());
    session.undo.note_once(started.clone());
    let step = session.progress.step(&format!("{job}: waiting"));
    let mut shown = BTreeMap::new();
    let over = poll::until(session.pace, async || {
        // Asked first, listed second: what ended before the job did is in the list by then.
        let description = kinds::describe_tuning(session, job).await?;
        let trials = trials::list(session, job).await?;
        let is_live = session.progress.is_live();
        for trial in &trials {
            // A table has no place for the reason of a failure.
            let line = news(&mut shown, trial, &trials, search).filter(|_| !is_live || trial.failure.is_some());
            line.iter().for_each(|line| session.progress.say(line));
        }
        step.update(standing(job, &description, &trials, search));
        Ok(is_over(&description).then_some((description, trials)))
    });
    let over = over.await?;
    drop(step);
    session.undo.settle(&started);
    Ok(over)
}

/// How the job stands, with its last trials as a table.
fn standing(
    job: &str,
    description: &DescribeHyperParameterTuningJobOutput,
    trials: &[Trial],
    search: &Search<'_>,
) -> String {
    let table = if trials.is_empty() { String::new() } else { format!("\n{}", trials::table(trials, ROWS, search)) };
    let begun = trials.len();
    format!("{job}: {}, {begun} of {} trials{table}", status(description), search.trials())
}

/// What is new of `trial` since the last look.
fn news(
    shown: &mut BTreeMap<usize, (String, Option<f64>)>,
    trial: &Trial,
    all: &[Trial],
    search: &Search<'_>,
) -> Option<String> {
    let now = (trial.status.clone(), trial.objective);
    let before = shown.insert(trial.number, now.clone());
    if before.as_ref() == Some(&now) {
        return None;
    }
    let given = before.is_none().then(|| format!(" with {}", trial.given(search)));
    let took = trial.seconds().filter(|_| !trial.is_running()).map(|seconds| format!(" after {}", span(seconds)));
    let objective = trial.objective.map(|value| {
        let is_best = trials::best(all, search).is_some_and(|best| best.number == trial.number);
        format!(", {} {value:.4}{}", search.objective.metric, if is_best { ", best so far" } else { "" })
    });
    Some(format!(
        "trial {} of {}: {}{}{}{}{}",
        trial.number,
        search.trials(),
        trial.status,
        took.unwrap_or_default(),
        objective.unwrap_or_default(),
        given.unwrap_or_default(),
        dashed(trial.failure.as_deref())
    ))
}

/// Nothing if the job has found a best trial, else how it ended.
pub(super) fn completed(
    job: &str,
    description: &DescribeHyperParameterTuningJobOutput,
    trials: &[Trial],
) -> Result<(), Unfinished> {
    let (job, reason) = (Started::Tuning(job.to_owned()), dashed(description.failure_reason()));
    match description.hyper_parameter_tuning_job_status() {
        Some(HyperParameterTuningJobStatus::Completed) if trials.iter().any(|trial| trial.objective.is_some()) => {
            Ok(())
        }
        Some(HyperParameterTuningJobStatus::Completed) => {
            Err(Unfinished::Failed { job, reason: ": no trial has a value of the objective".to_owned() })
        }
        Some(HyperParameterTuningJobStatus::Failed) => Err(Unfinished::Failed { job, reason }),
        _ => Err(Unfinished::Stopped { job, reason }),
    }
}

/// The status in SageMaker's words.
pub(super) fn status(description: &DescribeHyperParameterTuningJobOutput) -> &str {
    description.hyper_parameter_tuning_job_status().map_or("unknown", HyperParameterTuningJobStatus::as_str)
}

/// Whether nothing will become of the job any more.
pub(crate) fn is_over(description: &DescribeHyperParameterTuningJobOutput) -> bool {
    kinds::is_over(status(description))
}
