//! The logs of everything that a name stands for, read together.

use std::collections::BTreeSet;

use aws_sdk_sagemaker::types::HyperParameterTrainingJobSummary;

use crate::aws::ServiceError;
use crate::kinds::{self, Kind};
use crate::session::Session;

use super::{Line, Source, Tail};

/// Logs that are read together.
#[derive(Debug)]
pub(super) struct Reading {
    /// Lines before this time are left out: milliseconds since 1970.
    since: Option<i64>,
    tails: Vec<Tail>,
    /// Which of them is a Lambda's.
    lambda: Option<usize>,
    /// The tuning job whose trials are followed.
    tuning: Option<String>,
    /// Its trials that are read or have been.
    seen: BTreeSet<String>,
    running: Vec<Trial>,
}

/// A trial that is followed.
#[derive(Debug)]
struct Trial {
    name: String,
    tail: Tail,
    /// Whether it was over when its log was last read.
    is_over: bool,
}

impl Reading {
    /// The logs of the things `found`, which bear one name. A tuning job logs nothing of its own: its best trial is read
    /// or, to `follow` it while it runs, the trials that run.
    pub(super) async fn begin(
        session: &Session,
        name: &str,
        found: &[Kind],
        since: Option<i64>,
        follow: bool,
    ) -> anyhow::Result<Self> {
        let mut reading =
            Self { since, tails: Vec::new(), lambda: None, tuning: None, seen: BTreeSet::new(), running: Vec::new() };
        for kind in found {
            let source = match kind {
                Kind::Training => Source::of_job(name),
                Kind::Transform => Source::of_transform(name),
                Kind::Endpoint => Source::of_endpoint(name),
                Kind::Tuning => {
                    reading.begin_tuning(session, name, follow).await?;
                    continue;
                }
            };
            reading.tails.push(Tail::new(&source, since));
        }
        Ok(reading)
    }

    /// Reads the log of the Lambda `function` too, if there is one.
    pub(super) fn read_lambda(&mut self, function: &str) {
        self.lambda = Some(self.tails.len());
        self.tails.push(Tail::new(&Source::of_lambda(function), self.since));
    }

    /// Whether a Lambda has a log.
    pub(super) fn has_lambda(&self) -> bool {
        self.lambda.and_then(|place| self.tails.get(place)).is_some_and(Tail::has_group)
    }

    async fn begin_tuning(&mut self, session: &Session, name: &str, follow: bool) -> anyhow::Result<()> {
        let job = kinds::describe_tuning(session, name).await?;
        let trials = kinds::trials(session, name).await?;
        let status = job.hyper_parameter_tuning_job_status().map_or("", |status| status.as_str());
        if follow && !kinds::is_over(status) {
            let over = trials.iter().filter(|trial| kinds::is_trial_over(trial));
            self.seen = over.filter_map(|trial| trial.training_job_name().map(str::to_owned)).collect();
            self.tuning = Some(name.to_owned());
            return Ok(self.look_for_trials(session).await?);
        }
        let best = job.best_training_job().and_then(HyperParameterTrainingJobSummary::training_job_name);
        let latest = trials.last().and_then(HyperParameterTrainingJobSummary::training_job_name);
        let Some(trial) = best.or(latest) else { return Ok(()) };
        let which = if best.is_some() { "the best" } else { "the latest" };
        session.progress.say(&format!(
            "the log of trial {trial}, {which} of {}; `unspsc status {name}` lists the others, `unspsc logs TRIAL` shows theirs",
            trials.len()
        ));
        self.tails.push(Tail::new(&Source::of_trial(name, trial), self.since));
        Ok(())
    }

    /// Takes up the trials that have begun, and leaves those whose last lines were read.
    pub(super) async fn look_for_trials(&mut self, session: &Session) -> Result<(), ServiceError> {
        let Some(tuning) = &self.tuning else { return Ok(()) };
        let trials = kinds::trials(session, tuning).await?;
        self.running.retain(|trial| !trial.is_over);
        for summary in &trials {
            let Some(name) = summary.training_job_name() else { continue };
            let is_over = kinds::is_trial_over(summary);
            if self.seen.insert(name.to_owned()) {
                let tail = Tail::new(&Source::of_trial(tuning, name), self.since);
                self.running.push(Trial { name: name.to_owned(), tail, is_over });
            } else if let Some(trial) = self.running.iter_mut().find(|trial| trial.name == name) {
                trial.is_over = is_over;
            }
        }
        Ok(())
    }

    /// Whether anything that was read has a log, be it empty.
    pub(super) fn has_streams(&self) -> bool {
        self.tails.iter().any(Tail::has_streams)
    }

    /// The lines that have come since the last call, in the order of their time.
    pub(super) async fn new_lines(&mut self, session: &Session) -> Result<Vec<Line>, ServiceError> {
        let mut lines = Vec::new();
        for tail in self.tails.iter_mut().chain(self.running.iter_mut().map(|trial| &mut trial.tail)) {
            match tail.new_lines(&session.clients.logs).await {
                Ok(new) => lines.extend(new),
                // What was read already must not get lost with it; it is met again next time.
                Err(_) if !lines.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        lines.sort_by_key(|line| line.time);
        Ok(lines)
    }
}
