//! The trials of a tuning job as their records show them: results, counters, the best one.

use serde_json::{Value, json};

use super::record::{Goal, TrialRecord, TuningJob, TuningStatus, WarmStartType};
use super::suggest::Observation;
use crate::error::ApiError;
use crate::store::{self, State};
use crate::time::Time;
use crate::training::{JobStatus, TrainingJob};

/// The share by which the best objective must get better to count as improved.
const IMPROVEMENT: f64 = 0.01;

/// The values of a metric that a job has reported, oldest first.
pub(super) type Reports = [(Time, f64)];

/// A trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'a> {
    /// Counts from 1.
    pub(super) number: usize,
    pub(super) record: &'a TrialRecord,
    pub(super) job: &'a TrainingJob,
    tuning: &'a TuningJob,
}

/// The trials of `tuning` in the order of their numbers.
pub(super) fn of<'a>(state: &'a State, tuning: &'a TuningJob) -> Vec<Trial<'a>> {
    let trial = |(index, record): (usize, &'a TrialRecord)| {
        let job = state.training_jobs.get(&record.name)?;
        Some(Trial { number: index + 1, record, job, tuning })
    };
    tuning.trials.iter().enumerate().filter_map(trial).collect()
}

/// The trials of the tuning jobs that `tuning` names as its parents.
pub(super) fn of_parents<'a>(state: &'a State, tuning: &'a TuningJob) -> Vec<Trial<'a>> {
    let parents = tuning.spec.warm_start_config.iter().flat_map(|config| &config.parents);
    parents.filter_map(|parent| state.tuning_jobs.get(&parent.name)).flat_map(|parent| of(state, parent)).collect()
}

impl Trial<'_> {
    fn goal(&self) -> Goal {
        self.tuning.spec.config.objective.goal
    }

    /// What it has reported of the objective.
    pub(super) fn reports(&self) -> &Reports {
        self.job.metric_history.get(&self.tuning.spec.config.objective.metric_name).map_or(&[], Vec::as_slice)
    }

    /// The last value of the objective, if it is over and has not failed.
    pub(super) fn result(&self) -> Option<f64> {
        let counts = matches!(self.job.training_job_status, JobStatus::Completed | JobStatus::Stopped);
        self.reports().last().filter(|_| counts).map(|(_, value)| *value)
    }

    /// The result, turned so that less is better.
    pub(super) fn loss(&self) -> Option<f64> {
        self.result().map(|value| self.goal().loss(value))
    }

    /// The result with the values that it comes from, static ones among them.
    pub(super) fn observation(&self) -> Option<Observation> {
        let mut values = self.tuning.spec.definition.static_hyper_parameters.clone();
        values.extend(self.record.values.clone());
        self.loss().map(|loss| Observation { values, loss })
    }

    fn objective_status(&self) -> &'static str {
        match (self.result(), self.job.is_over()) {
            (Some(_), _) => "Succeeded",
            (None, true) => "Failed",
            (None, false) => "Pending",
        }
    }

    /// `HyperParameterTrainingJobSummary`.
    pub(super) fn summary(&self) -> Value {
        let (job, tuning) = (self.job, &self.tuning.spec);
        let metric = self.result().map(|value| {
            let objective = &tuning.config.objective;
            json!({ "Type": objective.goal, "MetricName": objective.metric_name, "Value": value })
        });
        json!({
            "TrainingJobDefinitionName": tuning.definition.definition_name,
            "TrainingJobName": self.record.name,
            "TrainingJobArn": job.training_job_arn,
            "TuningJobName": tuning.hyper_parameter_tuning_job_name,
            "CreationTime": job.creation_time,
            "TrainingStartTime": job.training_start_time,
            "TrainingEndTime": job.training_end_time,
            "TrainingJobStatus": job.training_job_status,
            "TunedHyperParameters": self.record.values,
            "FailureReason": job.failure_reason,
            "FinalHyperParameterTuningJobObjectiveMetric": metric,
            "ObjectiveStatus": self.objective_status(),
        })
    }
}

/// What the page shows of a tuning job.
pub(crate) fn shown(state: &State, tuning: &TuningJob) -> Value {
    let trials = of(state, tuning);
    let trial = |trial: &Trial<'_>| {
        json!({
            "name": trial.record.name,
            "status": trial.job.training_job_status,
            "values": trial.record.values,
            "reports": trial.reports().iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "failure": trial.job.failure_reason,
        })
    };
    json!({
        "name": tuning.spec.hyper_parameter_tuning_job_name,
        "status": tuning.status,
        "created": tuning.creation_time,
        "objective": tuning.spec.config.objective.metric_name,
        "best": best(&trials).map(|trial| &trial.record.name),
        "trials": trials.iter().map(trial).collect::<Vec<_>>(),
    })
}

/// The best of those that have a result; of equals the first.
fn best<'a>(trials: &'a [Trial<'a>]) -> Option<&'a Trial<'a>> {
    let results = trials.iter().filter_map(|trial| Some((trial, trial.loss()?)));
    results.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(trial, _)| trial)
}

/// How many trials in a row, up to the last one that is over, have not improved the best objective by [`IMPROVEMENT`].
pub(super) fn not_improving(trials: &[Trial<'_>]) -> usize {
    let (mut best, mut count) = (f64::INFINITY, 0);
    for loss in trials.iter().filter_map(Trial::loss) {
        count += 1;
        if best.is_infinite() || loss < best - IMPROVEMENT * best.abs() {
            (best, count) = (loss, 0);
        }
    }
    count
}

/// `TrainingJobStatusCounters`; what failed by no fault of its own could be tried again.
fn job_counters(trials: &[Trial<'_>]) -> Value {
    let count = |wanted: &dyn Fn(&TrainingJob) -> bool| trials.iter().filter(|trial| wanted(trial.job)).count();
    let retryable =
        |job: &TrainingJob| job.failure_reason.as_ref().is_some_and(|reason| reason.starts_with("InternalServerError"));
    json!({
        "Completed": count(&|job| job.training_job_status == JobStatus::Completed),
        "InProgress": count(&|job| !job.is_over()),
        "RetryableError": count(&|job| job.training_job_status == JobStatus::Failed && retryable(job)),
        "NonRetryableError": count(&|job| job.training_job_status == JobStatus::Failed && !retryable(job)),
        "Stopped": count(&|job| job.training_job_status == JobStatus::Stopped),
    })
}

fn objective_counters(trials: &[Trial<'_>]) -> Value {
    let count = |status: &str| trials.iter().filter(|trial| trial.objective_status() == status).count();
    json!({ "Succeeded": count("Succeeded"), "Pending": count("Pending"), "Failed": count("Failed") })
}

/// The answer of `DescribeHyperParameterTuningJob`.
pub(super) fn description(state: &State, tuning: &TuningJob, now: Time) -> Result<Value, ApiError> {
    let trials = of(state, tuning);
    let mut description = store::description(tuning)?;
    let Some(members) = description.as_object_mut() else { return Ok(description) };
    members.insert("TrainingJobStatusCounters".to_owned(), job_counters(&trials));
    members.insert("ObjectiveStatusCounters".to_owned(), objective_counters(&trials));
    if let Some(best) = best(&trials) {
        members.insert("BestTrainingJob".to_owned(), best.summary());
    }
    let warm = tuning.spec.warm_start_config.as_ref();
    if warm.is_some_and(|config| config.kind == WarmStartType::IdenticalDataAndAlgorithm) {
        let everyone = [trials.clone(), of_parents(state, tuning)].concat();
        if let Some(best) = best(&everyone) {
            members.insert("OverallBestTrainingJob".to_owned(), best.summary());
        }
    }
    let details = json!({ "NumberOfTrainingJobsObjectiveNotImproving": not_improving(&trials) });
    members.insert("TuningJobCompletionDetails".to_owned(), details);
    let seconds = tuning.end_time.unwrap_or(now).seconds_since(tuning.creation_time);
    members.insert("ConsumedResources".to_owned(), json!({ "RuntimeInSeconds": seconds }));
    Ok(description)
}

/// `HyperParameterTuningJobSummary`.
pub(super) fn tuning_summary(state: &State, tuning: &TuningJob) -> Value {
    let trials = of(state, tuning);
    json!({
        "HyperParameterTuningJobName": tuning.spec.hyper_parameter_tuning_job_name,
        "HyperParameterTuningJobArn": tuning.arn,
        "HyperParameterTuningJobStatus": tuning.status,
        "Strategy": tuning.spec.config.strategy,
        "CreationTime": tuning.creation_time,
        "HyperParameterTuningEndTime": tuning.end_time,
        "LastModifiedTime": tuning.last_modified_time,
        "TrainingJobStatusCounters": job_counters(&trials),
        "ObjectiveStatusCounters": objective_counters(&trials),
        "ResourceLimits": tuning.spec.config.resource_limits,
    })
}

/// Ends on paper the tuning jobs that a server has left running.
pub(crate) fn recover(state: &mut State, now: Time) {
    for tuning in state.tuning_jobs.values_mut().filter(|tuning| !tuning.is_over()) {
        if tuning.status == TuningStatus::Stopping {
            tuning.enter(TuningStatus::Stopped, now);
        } else {
            tuning.fail(super::STOPPED, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tuning job whose trials are over with these statuses and objectives.
    fn state(trials: &[(&str, Option<f64>)]) -> State {
        let (mut state, mut tuning) = (State::default(), crate::tuning::example("t"));
        for (index, (status, value)) in trials.iter().enumerate() {
            let name = format!("t-{index}");
            let mut job = crate::training::example(&name);
            job.training_job_status = serde_json::from_value(json!(status)).unwrap();
            job.metric_history.extend(value.map(|value| ("score".to_owned(), vec![(Time::now(), value)])));
            state.training_jobs.insert(name.clone(), job);
            tuning.trials.push(TrialRecord { name, values: [("lr".to_owned(), index.to_string())].into() });
        }
        state.tuning_jobs.insert("t".to_owned(), tuning);
        state
    }

    fn described(trials: &[(&str, Option<f64>)]) -> Value {
        let state = state(trials);
        description(&state, &state.tuning_jobs["t"], Time::now()).unwrap()
    }

    #[test]
    fn the_best_trial_has_a_result_and_has_not_failed() {
        let described = described(&[
            ("Completed", Some(0.5)),
            ("Failed", Some(0.9)),
            ("InProgress", Some(0.8)),
            ("Stopped", Some(0.7)),
            ("Completed", Some(0.7)),
            ("Completed", None),
        ]);
        let best = &described["BestTrainingJob"];
        assert_eq!((&best["TrainingJobName"], &best["ObjectiveStatus"]), (&json!("t-3"), &json!("Succeeded")));
        assert_eq!(best["TunedHyperParameters"], json!({ "lr": "3" }));
        assert_eq!(best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"], 0.7);
        assert_eq!(described["ObjectiveStatusCounters"], json!({ "Succeeded": 3, "Pending": 1, "Failed": 2 }));
        let counters = json!({
            "Completed": 3, "InProgress": 1, "RetryableError": 0, "NonRetryableError": 1, "Stopped": 1,
        });
        assert_eq!(described["TrainingJobStatusCounters"], counters);
        assert!(described.get("OverallBestTrainingJob").is_none() && described.get("_Trials").is_none());
    }

    #[test]
    fn without_a_result_there_is_no_best_trial() {
        assert!(described(&[("Failed", Some(1.0)), ("Completed", None)]).get("BestTrainingJob").is_none());
    }

    #[test]
    fn a_hundredth_better_counts_as_improved() {
        let count = |values: &[f64]| {
            let trials: Vec<_> = values.iter().map(|value| ("Completed", Some(*value))).collect();
            described(&trials)["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"].clone()
        };
        assert_eq!(count(&[0.5]), 0);
        assert_eq!(count(&[0.5, 0.504, 0.4]), 2);
        assert_eq!(count(&[0.5, 0.4, 0.51]), 0);
    }

    #[test]
    fn what_was_being_stopped_when_the_server_died_is_stopped() {
        let mut state = state(&[]);
        let mut stopping = crate::tuning::example("s");
        stopping.status = TuningStatus::Stopping;
        state.tuning_jobs.insert("s".to_owned(), stopping);
        recover(&mut state, Time::now());
        assert_eq!(state.tuning_jobs["s"].status, TuningStatus::Stopped);
        assert_eq!(state.tuning_jobs["t"].status, TuningStatus::Failed);
    }
}
