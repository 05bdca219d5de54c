//! What is refused: what SageMaker refuses, and what this platform would otherwise silently leave out.

use std::collections::BTreeSet;

use super::hyperband::Hyperband;
use super::ranges::{Parameter, Values, whole};
use super::record::{EarlyStopping, Strategy, TuningConfig, TuningJobSpec, WarmStartType};
use crate::error::ApiError;
use crate::names;
use crate::platform::Platform;
use crate::store::State;
use crate::training::{self, lacks};

/// SageMaker's limit for the name of a tuning job, which begins the names of its trials.
const MAX_NAME_LEN: usize = 32;
/// SageMaker's limit of hyperparameters of a training job.
const MAX_HYPERPARAMETERS: usize = 100;
/// SageMaker's limit of parents of a warm start.
const MAX_PARENTS: usize = 5;
/// The most trials where the request has no limit but another end, as SageMaker has it.
const MAX_TRIALS: usize = 750;
/// The largest grid: a slip in the values must not make a job without end.
const MAX_GRID: f64 = 10_000.0;

/// Refuses a request that cannot be carried out, whatever else there is; `spec` has its objective among the static hyperparameters.
pub(super) fn check(platform: &Platform, spec: &TuningJobSpec) -> Result<(), ApiError> {
    names::check_within("hyperParameterTuningJobName", &spec.hyper_parameter_tuning_job_name, MAX_NAME_LEN)?;
    for member in ["TrainingJobDefinitions", "Autotune"] {
        if spec.other.contains_key(member) {
            return Err(lacks(&format!("{member}: give one TrainingJobDefinition, and all limits and ranges")));
        }
    }
    for member in ["TuningObjective", "HyperParameterRanges"] {
        if spec.definition.request.contains_key(member) {
            return Err(lacks(&format!(
                "TrainingJobDefinition.{member}: it belongs into HyperParameterTuningJobConfig"
            )));
        }
    }
    if spec.definition.request.is_empty() {
        return Err(ApiError::validation("TrainingJobDefinition must be present."));
    }
    if spec.config.parameter_ranges.other.contains_key("AutoParameters") {
        return Err(lacks("ParameterRanges.AutoParameters"));
    }
    let parameters = spec.config.parameter_ranges.parameters()?;
    check_limits(&spec.config)?;
    check_hyperparameters(spec, &parameters)?;
    check_strategy(spec, &parameters)?;
    let values: Values = parameters.iter().map(|one| (one.name.clone(), one.value(0.0))).collect();
    let first = spec.definition.trial(&format!("{}-001", spec.hyper_parameter_tuning_job_name), &values)?;
    training::check(platform, &first)?;
    let metric = &spec.config.objective.metric_name;
    if first.algorithm_specification.metric_definitions.iter().any(|definition| definition.name == *metric) {
        return Ok(());
    }
    Err(ApiError::validation(
        "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric definitions.",
    ))
}

fn check_limits(config: &TuningConfig) -> Result<(), ApiError> {
    let limits = &config.resource_limits;
    let not_improving = config.criteria.as_ref().and_then(|criteria| criteria.best_objective_not_improving.as_ref());
    for (member, value, least, most) in [
        ("resourceLimits.maxNumberOfTrainingJobs", limits.max_number_of_training_jobs, 1, i64::MAX),
        ("resourceLimits.maxParallelTrainingJobs", Some(limits.max_parallel_training_jobs), 1, i64::MAX),
        ("resourceLimits.maxRuntimeInSeconds", limits.max_runtime_in_seconds, 120, 15_768_000),
        (
            "tuningJobCompletionCriteria.bestObjectiveNotImproving.maxNumberOfTrainingJobsNotImproving",
            not_improving.and_then(|one| one.limit),
            3,
            i64::MAX,
        ),
    ] {
        let Some(value) = value else { continue };
        let broken = if value < least {
            format!("Member must have value greater than or equal to {least}")
        } else if value > most {
            format!("Member must have value less than or equal to {most}")
        } else {
            continue;
        };
        let member = format!("hyperParameterTuningJobConfig.{member}");
        return Err(ApiError::constraint(&member, &value.to_string(), &broken));
    }
    let convergence = config
        .criteria
        .as_ref()
        .and_then(|criteria| criteria.other.get("ConvergenceDetected")?.get("CompleteOnConvergence"));
    if convergence.is_some_and(|value| value == "Enabled") {
        return Err(lacks("ConvergenceDetected; BestObjectiveNotImproving is close to it"));
    }
    Ok(())
}

fn check_hyperparameters(spec: &TuningJobSpec, parameters: &[Parameter]) -> Result<(), ApiError> {
    let fixed = &spec.definition.static_hyper_parameters;
    if let Some(twice) = parameters.iter().find(|parameter| fixed.contains_key(&parameter.name)) {
        return Err(ApiError::validation(format!(
            "The hyperparameter '{}' is both static and searched; leave it out of StaticHyperParameters or of \
             ParameterRanges.",
            twice.name
        )));
    }
    let number = fixed.len() + parameters.len();
    if number > MAX_HYPERPARAMETERS {
        return Err(ApiError::validation(format!(
            "A training job has at most {MAX_HYPERPARAMETERS} hyperparameters; these are {number}, with \
             _tuning_objective_metric, which is added."
        )));
    }
    Ok(())
}

fn check_strategy(spec: &TuningJobSpec, parameters: &[Parameter]) -> Result<(), ApiError> {
    let config = &spec.config;
    if config.strategy == Strategy::Hyperband {
        if config.early_stopping == EarlyStopping::Auto {
            return Err(ApiError::validation(
                "TrainingJobEarlyStoppingType must be Off for the strategy Hyperband, which stops training jobs itself.",
            ));
        }
        hyperband(spec)?;
    } else if config.strategy_config.as_ref().is_some_and(|config| config.hyperband_strategy_config.is_some()) {
        return Err(ApiError::validation("HyperbandStrategyConfig is for the strategy Hyperband only."));
    }
    let combinations = combinations(parameters);
    let asked = config.resource_limits.max_number_of_training_jobs;
    if config.strategy == Strategy::Grid {
        return check_grid(parameters, combinations, asked);
    }
    if let Some(asked) = asked.filter(|asked| *asked as f64 > combinations) {
        return Err(ApiError::validation(format!(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter \
             combinations for the provided ranges [{combinations:?}] must be equal or greater than the value of \
             MaxNumberOfJobs, [{asked}]. Provide additional ranges."
        )));
    }
    if asked.is_none() && config.resource_limits.max_runtime_in_seconds.is_none() && config.criteria.is_none() {
        return Err(ApiError::validation(
            "Nothing ends this tuning job: give ResourceLimits.MaxNumberOfTrainingJobs, \
             ResourceLimits.MaxRuntimeInSeconds or TuningJobCompletionCriteria.",
        ));
    }
    Ok(())
}

fn check_grid(parameters: &[Parameter], combinations: f64, asked: Option<i64>) -> Result<(), ApiError> {
    if let Some(other) = parameters.iter().find(|parameter| parameter.categories().is_none()) {
        return Err(ApiError::validation(format!(
            "The strategy Grid takes categorical hyperparameters only; '{}' is none.",
            other.name
        )));
    }
    if combinations > MAX_GRID {
        return Err(lacks(&format!("a grid of more than {MAX_GRID} combinations; these are {combinations}")));
    }
    if asked.is_some_and(|asked| asked as f64 != combinations) {
        return Err(ApiError::validation(format!(
            "MaxNumberOfTrainingJobs must be left out for the strategy Grid, or be the number of combinations of the \
             hyperparameters' values, which is {combinations}."
        )));
    }
    Ok(())
}

/// How many different trials there are.
fn combinations(parameters: &[Parameter]) -> f64 {
    parameters.iter().map(Parameter::size).product()
}

/// How many trials there are at most.
pub(super) fn number_of_trials(config: &TuningConfig, parameters: &[Parameter]) -> usize {
    let combinations = combinations(parameters);
    if config.strategy == Strategy::Grid {
        return whole(combinations);
    }
    let asked = config.resource_limits.max_number_of_training_jobs.and_then(|asked| usize::try_from(asked).ok());
    asked.unwrap_or_else(|| whole(combinations).min(MAX_TRIALS))
}

/// The rungs of the strategy Hyperband.
pub(super) fn hyperband(spec: &TuningJobSpec) -> Result<Option<Hyperband>, ApiError> {
    if spec.config.strategy != Strategy::Hyperband {
        return Ok(None);
    }
    let config = spec.config.strategy_config.as_ref().and_then(|config| config.hyperband_strategy_config);
    Hyperband::new(config.unwrap_or_default(), &spec.definition.static_hyper_parameters).map(Some)
}

/// Refuses parents that say nothing about this tuning job.
pub(super) fn check_parents(state: &State, spec: &TuningJobSpec) -> Result<(), ApiError> {
    let Some(config) = &spec.warm_start_config else { return Ok(()) };
    if config.parents.is_empty() || config.parents.len() > MAX_PARENTS {
        return Err(ApiError::constraint(
            "warmStartConfig.parentHyperParameterTuningJobs",
            &format!("{} tuning jobs", config.parents.len()),
            &format!("Member must have length between 1 and {MAX_PARENTS}, inclusive"),
        ));
    }
    for parent in &config.parents {
        let tuning = state.tuning_jobs.get(&parent.name).ok_or_else(|| super::not_found(&parent.name))?;
        let problem = if tuning.is_over() {
            difference(&tuning.spec, spec, config.kind)
        } else {
            Some(format!("is in status {:?}; it must be Completed, Stopped or Failed", tuning.status))
        };
        if let Some(problem) = problem {
            return Err(ApiError::validation(format!("The parent tuning job '{}' {problem}.", parent.name)));
        }
    }
    Ok(())
}

/// What keeps the results of `parent` from saying something about `child`.
fn difference(parent: &TuningJobSpec, child: &TuningJobSpec, kind: WarmStartType) -> Option<String> {
    if parent.config.objective != child.config.objective {
        return Some("has another objective; the metric and the type must be the same".to_owned());
    }
    let (theirs, ours) = (hyperparameters(parent), hyperparameters(child));
    if let Some(other) = theirs.symmetric_difference(&ours).next() {
        return Some(format!(
            "has other hyperparameters: '{other}' is only in one; static and searched ones together must be the same"
        ));
    }
    if kind == WarmStartType::TransferLearning {
        return None;
    }
    ["/AlgorithmSpecification/TrainingImage", "/AlgorithmSpecification/AlgorithmName", "/InputDataConfig"]
        .into_iter()
        .find(|path| part(parent, path) != part(child, path))
        .map(|path| {
            let member = path.trim_start_matches('/').replace('/', ".");
            format!("has another {member}, which IdenticalDataAndAlgorithm does not allow; use TransferLearning")
        })
}

fn part<'a>(spec: &'a TuningJobSpec, path: &str) -> Option<&'a serde_json::Value> {
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let member = spec.definition.request.get(first)?;
    if rest.is_empty() { Some(member) } else { member.get(rest) }
}

fn hyperparameters(spec: &TuningJobSpec) -> BTreeSet<String> {
    let searched = spec.config.parameter_ranges.parameters().unwrap_or_default();
    let fixed = spec.definition.static_hyper_parameters.keys().cloned();
    searched.into_iter().map(|parameter| parameter.name).chain(fixed).collect()
}
