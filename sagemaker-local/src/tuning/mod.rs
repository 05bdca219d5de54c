//! Hyperparameter tuning: the operations.
//!
//! A tuning job is a task that starts training jobs, its trials, as `CreateTrainingJob` does, and watches what their logs say of the objective.
//!
//! | file | |
//! |---|---|
//! | `check` | what is refused |
//! | `ranges` | hyperparameters by their place in a range, on its scale |
//! | `suggest` | which values a trial gets: `Random`, `Grid`, `Bayesian` |
//! | `early`, `hyperband` | which trials are stopped: the median rule, successive halving |
//! | `trials` | results, counters, the best trial |
//! | `run` | the task |

mod check;
mod early;
mod hyperband;
mod ranges;
mod record;
mod run;
mod suggest;
mod trials;

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use record::TuningJob;
#[cfg(test)]
pub(crate) use record::example;
use record::{OBJECTIVE_PARAMETER, TuningJobSpec, TuningStatus};
pub(crate) use trials::{recover, shown};

use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest, OBJECTIVE};
use crate::names;
use crate::platform::Platform;
use crate::tags;

/// What a tuning job's record says when its server ended before it did.
pub(crate) const STOPPED: &str = "InternalServerError: the local platform was stopped while the tuning job ran; a new \
                                  one with this one as parent in its WarmStartConfig builds on the trials that were over";
/// The seed where none is given; it is told in the description.
const DEFAULT_SEED: u64 = 17;

/// A request that names a tuning job and nothing else.
#[derive(Debug, Deserialize)]
pub(crate) struct TuningJobName {
    #[serde(rename = "HyperParameterTuningJobName")]
    name: String,
}

/// The request of `ListTrainingJobsForHyperParameterTuningJob`.
#[derive(Debug, Deserialize)]
pub(crate) struct TrialsRequest {
    #[serde(rename = "HyperParameterTuningJobName")]
    name: String,
    #[serde(flatten)]
    list: ListRequest,
}

/// `CreateHyperParameterTuningJob`: keeps the record and answers at once; the job runs on its own.
pub(crate) fn create(platform: &Arc<Platform>, mut spec: TuningJobSpec) -> Result<Value, ApiError> {
    let objective = spec.config.objective.metric_name.clone();
    spec.definition.static_hyper_parameters.insert(OBJECTIVE_PARAMETER.to_owned(), objective);
    spec.config.random_seed.get_or_insert(DEFAULT_SEED);
    check::check(platform, &spec)?;
    let name = spec.hyper_parameter_tuning_job_name.clone();
    let arn = names::arn(TuningJob::KIND, &name);
    platform.store.update(|state| {
        if state.tuning_jobs.contains_key(&name) {
            return Err(ApiError::in_use(format!(
                "Hyperparameter tuning job names must be unique within an AWS account and region, and a hyperparameter \
                 tuning job with this name already exists ({arn})"
            )));
        }
        check::check_parents(state, &spec)?;
        tags::keep(state, &arn, &mut spec.other)?;
        state.tuning_jobs.insert(name.clone(), TuningJob::new(spec, platform.clock.now()));
        Ok(())
    })?;
    let shared = Arc::clone(platform);
    platform.tasks.start(task_key(&name), |stop| async move { run::run(&shared, &name, stop).await });
    Ok(json!({ "HyperParameterTuningJobArn": arn }))
}

/// `DescribeHyperParameterTuningJob`.
pub(crate) fn describe(platform: &Platform, request: &TuningJobName) -> Result<Value, ApiError> {
    platform.store.read(|state| {
        let tuning = state.tuning_jobs.get(&request.name).ok_or_else(|| not_found(&request.name))?;
        trials::description(state, tuning, platform.clock.now())
    })
}

/// `StopHyperParameterTuningJob`: answers at once; the running trials have their grace period.
pub(crate) fn stop(platform: &Platform, request: &TuningJobName) -> Result<Value, ApiError> {
    platform.store.update(|state| {
        let tuning = state.tuning_jobs.get_mut(&request.name).ok_or_else(|| not_found(&request.name))?;
        match tuning.status {
            TuningStatus::InProgress => tuning.enter(TuningStatus::Stopping, platform.clock.now()),
            TuningStatus::Stopping => {}
            over => {
                return Err(ApiError::validation(format!(
                    "The request was rejected because the hyperparameter tuning job is in status {over:?}."
                )));
            }
        }
        Ok(())
    })?;
    // A job that ends by itself at this moment hears nothing, and needs to hear nothing.
    platform.tasks.stop(&task_key(&request.name));
    Ok(json!({}))
}

/// `ListHyperParameterTuningJobs`.
pub(crate) fn list(platform: &Platform, request: ListRequest) -> Result<Value, ApiError> {
    let entries = platform.store.read(|state| {
        let entry = |tuning: &TuningJob| Entry {
            name: tuning.spec.hyper_parameter_tuning_job_name.clone(),
            created: tuning.creation_time,
            status: Some(format!("{:?}", tuning.status)),
            summary: trials::tuning_summary(state, tuning),
        };
        state.tuning_jobs.values().map(entry).collect()
    });
    let (summaries, token) = listing::page(&request.or_by_name(), entries)?;
    Ok(json!({ "HyperParameterTuningJobSummaries": summaries, "NextToken": token }))
}

/// `ListTrainingJobsForHyperParameterTuningJob`.
pub(crate) fn list_trials(platform: &Platform, request: TrialsRequest) -> Result<Value, ApiError> {
    let by_objective = request.list.is_sorted_by(OBJECTIVE);
    let entries = platform.store.read(|state| {
        let tuning = state.tuning_jobs.get(&request.name).ok_or_else(|| not_found(&request.name))?;
        let mut trials = trials::of(state, tuning);
        if by_objective {
            // As at SageMaker, those without a result are not listed.
            trials.retain(|trial| trial.result().is_some());
            trials.sort_by(|a, b| a.result().unwrap_or(f64::NAN).total_cmp(&b.result().unwrap_or(f64::NAN)));
        }
        let entry = |trial: &trials::Trial<'_>| Entry {
            name: trial.record.name.clone(),
            created: trial.job.creation_time,
            status: Some(format!("{:?}", trial.job.training_job_status)),
            summary: trial.summary(),
        };
        Ok::<_, ApiError>(trials.iter().map(entry).collect())
    })?;
    let (summaries, token) = listing::page(&request.list.or_by_name(), entries)?;
    Ok(json!({ "TrainingJobSummaries": summaries, "NextToken": token }))
}

fn not_found(name: &str) -> ApiError {
    let message =
        format!("Amazon SageMaker can't find a tuning job with the name {name}. Check the name and try again.");
    ApiError::new(StatusCode::BAD_REQUEST, "ResourceNotFound", message)
}

/// The name of a tuning job's task.
fn task_key(name: &str) -> String {
    format!("{}/{name}", TuningJob::KIND)
}
