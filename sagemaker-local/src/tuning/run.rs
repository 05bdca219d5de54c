//! The life of a tuning job: it starts trials, stops those that are not worth their time, and knows when it is done.

use std::sync::Arc;
use std::time::Duration;

use super::check;
use super::early;
use super::hyperband::Hyperband;
use super::record::{EarlyStopping, TrialRecord, TuningJob, TuningStatus};
use super::suggest::{Observation, Suggester};
use super::trials::{self, Reports, Trial};
use super::{DEFAULT_SEED, STOPPED, task_key};
use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::State;
use crate::tasks::{Stop, StopSignal};
use crate::training::{self, JobStatus};

/// How often the trials are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// After so many trials of which none is of any use, SageMaker starts no others.
const ATTEMPTS: usize = 5;

/// How a tuning job ended, if not with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    Stopped,
}

/// A tuning job's `FailureReason`.
#[derive(Debug)]
struct Reason(String);

impl From<ApiError> for Reason {
    fn from(error: ApiError) -> Self {
        Self(format!("InternalServerError: {error}"))
    }
}

/// Runs the tuning job `name` to its end and keeps its record.
pub(super) async fn run(platform: &Arc<Platform>, name: &str, stop: StopSignal) {
    let outcome = match Tuning::new(platform, name) {
        Ok(Some(mut tuning)) => tuning.run(stop).await,
        // A stop that came before this task could be told of it stands in the record alone.
        Ok(None) => Ok(End::Stopped),
        Err(error) => Err(error.into()),
    };
    tracing::info!(job = name, ?outcome, "tuning job is over");
    let ended = platform.store.update(|state| {
        let now = platform.clock.now();
        if let Some(tuning) = state.tuning_jobs.get_mut(name) {
            match outcome {
                Ok(End::Completed) if tuning.status == TuningStatus::InProgress => {
                    tuning.enter(TuningStatus::Completed, now);
                }
                Ok(_) => tuning.enter(TuningStatus::Stopped, now),
                Err(Reason(reason)) => tuning.fail(&reason, now),
            }
        }
        Ok::<_, ApiError>(())
    });
    if let Err(error) = ended {
        tracing::error!(job = name, %error, "cannot record the end of the tuning job");
    }
    platform.tasks.finished(&task_key(name));
}

struct Tuning<'a> {
    platform: &'a Arc<Platform>,
    name: &'a str,
    /// The record as it was at the beginning.
    record: TuningJob,
    suggester: Suggester,
    hyperband: Option<Hyperband>,
    trials: usize,
    parallel: usize,
}

/// What one look at the trials shows.
struct Look {
    started: usize,
    running: usize,
    /// Running trials that are not worth their time.
    hopeless: Vec<String>,
    /// How the tuning job ends; none if it goes on.
    end: Option<Result<End, Reason>>,
}

impl<'a> Tuning<'a> {
    /// The tuning job `name`; none if it is being stopped already.
    fn new(platform: &'a Arc<Platform>, name: &'a str) -> Result<Option<Self>, ApiError> {
        let found = platform.store.read(|state| {
            let tuning = state.tuning_jobs.get(name).filter(|tuning| tuning.status == TuningStatus::InProgress)?;
            let inherited: Vec<Observation> =
                trials::of_parents(state, tuning).iter().filter_map(Trial::observation).collect();
            Some((tuning.clone(), inherited))
        });
        let Some((record, inherited)) = found else { return Ok(None) };
        let config = &record.spec.config;
        let seed = config.random_seed.unwrap_or(DEFAULT_SEED);
        tracing::info!(job = name, strategy = ?config.strategy, seed, inherited = inherited.len(), "tuning job begins");
        let parameters = config.parameter_ranges.parameters()?;
        Ok(Some(Self {
            platform,
            name,
            trials: check::number_of_trials(config, &parameters),
            parallel: usize::try_from(config.resource_limits.max_parallel_training_jobs).unwrap_or(1),
            hyperband: check::hyperband(&record.spec)?,
            suggester: Suggester { strategy: config.strategy, seed, parameters, inherited },
            record,
        }))
    }

    async fn run(&mut self, mut stop: StopSignal) -> Result<End, Reason> {
        let end = self.start_trials(&mut stop).await;
        self.stop_trials(&stop).await;
        end
    }

    /// Starts one trial after another until there is a reason to end.
    async fn start_trials(&mut self, stop: &mut StopSignal) -> Result<End, Reason> {
        loop {
            match stop.now() {
                Stop::No => {}
                why => return stopped(why),
            }
            let platform = self.platform;
            let look = platform.store.read(|state| self.look(state));
            for trial in &look.hopeless {
                tracing::info!(job = self.name, trial, "the trial is behind and is stopped");
                self.stop_trial(trial);
            }
            if let Some(end) = look.end {
                return end;
            }
            if look.running < self.parallel && look.started < self.trials {
                self.start_trial(look.started + 1)?;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                why = stop.stopped() => return stopped(why),
                () = self.time_is_up() => return Ok(End::Completed),
            }
        }
    }

    /// Returns when the tuning job has run for as long as it may.
    async fn time_is_up(&self) {
        let limit = self.record.spec.config.resource_limits.max_runtime_in_seconds;
        match limit.and_then(|seconds| u64::try_from(seconds).ok()) {
            Some(seconds) => {
                let run = self.platform.clock.now().since(self.record.creation_time);
                self.platform.clock.sleep(Duration::from_secs(seconds).saturating_sub(run)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Stops the trials that still run, and returns when none does; those of a platform that stops are left to it.
    async fn stop_trials(&self, stop: &StopSignal) {
        while stop.now() != Stop::Platform {
            let (running, waiting) = self.platform.store.read(|state| {
                let Some(tuning) = state.tuning_jobs.get(self.name) else { return (Vec::new(), false) };
                let trials = trials::of(state, tuning);
                let running = trials.iter().filter(|trial| trial.job.training_job_status == JobStatus::InProgress);
                let names = running.map(|trial| trial.record.name.clone()).collect();
                (names, trials.iter().any(|trial| !trial.job.is_over()))
            });
            if !waiting {
                return;
            }
            for trial in &running {
                self.stop_trial(trial);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stop_trial(&self, trial: &str) {
        if let Err(error) = training::stop_job(self.platform, trial) {
            // It has just ended by itself.
            tracing::debug!(job = self.name, trial, %error, "the trial cannot be stopped");
        }
    }

    fn look(&mut self, state: &State) -> Look {
        let Some(tuning) = state.tuning_jobs.get(self.name) else {
            return Look { started: 0, running: 0, hopeless: Vec::new(), end: Some(Ok(End::Stopped)) };
        };
        let trials = trials::of(state, tuning);
        let running = trials.iter().filter(|trial| !trial.job.is_over()).count();
        let going = trials.iter().filter(|trial| trial.job.training_job_status == JobStatus::InProgress);
        let hopeless: Vec<&Trial<'_>> = going.filter(|trial| self.is_hopeless(trial, &trials)).collect();
        Look {
            started: trials.len(),
            running,
            hopeless: hopeless.into_iter().map(|trial| trial.record.name.clone()).collect(),
            end: self.end(&trials),
        }
    }

    fn is_hopeless(&mut self, trial: &Trial<'_>, trials: &[Trial<'_>]) -> bool {
        let goal = self.record.spec.config.objective.goal;
        if let Some(hyperband) = &mut self.hyperband {
            let all: Vec<&Reports> = trials.iter().map(Trial::reports).collect();
            return hyperband.stops(trial.number, trial.reports(), &all, goal);
        }
        let earlier = trials.iter().filter(|other| other.number < trial.number && other.job.is_over());
        self.record.spec.config.early_stopping == EarlyStopping::Auto
            && early::is_hopeless(trial.reports(), earlier.map(Trial::reports), goal)
    }

    /// How the tuning job ends, if its trials are a reason to.
    fn end(&self, trials: &[Trial<'_>]) -> Option<Result<End, Reason>> {
        let over: Vec<&Trial<'_>> = trials.iter().filter(|trial| trial.job.is_over()).collect();
        let all_over = over.len() >= self.trials;
        if over.iter().all(|trial| trial.result().is_none()) {
            let useless = all_over || over.len() >= ATTEMPTS;
            return useless.then(|| Err(Reason(useless_trials(&over))));
        }
        let config = &self.record.spec.config;
        let criteria = config.criteria.as_ref();
        let target = criteria.and_then(|criteria| criteria.target_objective_metric_value);
        let target = target.map(|value| config.objective.goal.loss(value));
        let reached = target.is_some_and(|target| over.iter().filter_map(|one| one.loss()).any(|loss| loss <= target));
        let patience = criteria.and_then(|criteria| criteria.best_objective_not_improving.as_ref()?.limit);
        let patience = patience.and_then(|limit| usize::try_from(limit).ok());
        let settled = patience.is_some_and(|limit| trials::not_improving(trials) >= limit);
        (all_over || reached || settled).then_some(Ok(End::Completed))
    }

    /// Starts trial `number` with values that the strategy suggests.
    fn start_trial(&self, number: usize) -> Result<(), ApiError> {
        let (taken, results) = self.platform.store.read(|state| {
            let Some(tuning) = state.tuning_jobs.get(self.name) else { return (Vec::new(), Vec::new()) };
            let taken: Vec<_> = tuning.trials.iter().map(|trial| trial.values.clone()).collect();
            let results: Vec<_> = trials::of(state, tuning).iter().filter_map(Trial::observation).collect();
            (taken, results)
        });
        let values = self.suggester.values(number, &taken, &results);
        let name = format!("{}-{number:03}-{}", self.name, self.suggester.suffix(number));
        let spec = self.record.spec.definition.trial(&name, &values)?;
        tracing::info!(job = self.name, trial = name, ?values, "trial begins");
        training::launch(self.platform, spec, |state, job| {
            job.tuning_job_arn = Some(self.record.arn.clone());
            if let Some(tags) = state.tags.get(&self.record.arn).cloned() {
                state.tags.insert(job.training_job_arn.clone(), tags);
            }
            if let Some(tuning) = state.tuning_jobs.get_mut(self.name) {
                tuning.trials.push(TrialRecord { name, values });
            }
        })?;
        Ok(())
    }
}

/// SageMaker's words about trials of which none is of any use.
fn useless_trials(over: &[&Trial<'_>]) -> String {
    let all_failed = over.iter().all(|trial| trial.job.training_job_status == JobStatus::Failed);
    if !all_failed {
        return format!(
            "No objective metrics found after running {} training jobs. Please ensure that the custom algorithm is \
             emitting the objective metric as defined by the regular expression provided.",
            over.len()
        );
    }
    if over.len() >= ATTEMPTS {
        return format!(
            "No training job succeeded after {} attempts. For additional details, please take a look at the training \
             job failures by listing training jobs for the hyperparameter tuning job.",
            over.len()
        );
    }
    "All training jobs failed. Please take a look at the training jobs failures to get more details.".to_owned()
}

fn stopped(why: Stop) -> Result<End, Reason> {
    if why == Stop::Platform { Err(Reason(STOPPED.to_owned())) } else { Ok(End::Stopped) }
}
