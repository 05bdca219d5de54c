//! Jobs that run, of all three kinds: they are stopped, and what they have saved stays.

use std::fmt;

use aws_sdk_sagemaker::types::{HyperParameterTuningJobStatus, TrainingJobStatus, TransformJobStatus};

use crate::aws::{ServiceError, failed};
use crate::kinds::{self, Kind, STOPPING};
use crate::poll;
use crate::session::Session;

/// The largest page.
const PAGE: i32 = 100;
/// The status of a job that runs, the same for all kinds.
const RUNNING: &str = "InProgress";

/// A job that runs, or comes to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    kind: Kind,
    name: String,
    /// It was told to stop already.
    is_stopping: bool,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, which runs", self.kind.noun(), self.name)
    }
}

/// All jobs that are not over with their ARNs, tuning jobs first, since their trials end with them.
pub(super) async fn running(session: &Session) -> Result<Vec<(Job, String)>, ServiceError> {
    let mut jobs = Vec::new();
    for kind in [Kind::Tuning, Kind::Training, Kind::Transform] {
        for status in [RUNNING, STOPPING] {
            let mut token = None;
            loop {
                let (page, next) = page(session, kind, status, token).await?;
                let is_stopping = status == STOPPING;
                jobs.extend(page.into_iter().map(|(name, arn)| (Job { kind, name, is_stopping }, arn)));
                token = next;
                if token.is_none() {
                    break;
                }
            }
        }
    }
    Ok(jobs)
}

/// One page: names with ARNs, and the next page's token.
type Page = (Vec<(String, String)>, Option<String>);

async fn page(session: &Session, kind: Kind, status: &str, token: Option<String>) -> Result<Page, ServiceError> {
    let sagemaker = &session.clients.sagemaker;
    Ok(match kind {
        Kind::Tuning => {
            let request = sagemaker.list_hyper_parameter_tuning_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(HyperParameterTuningJobStatus::from(status));
            let page = request.send().await.map_err(failed("ListHyperParameterTuningJobs"))?;
            let named = page
                .hyper_parameter_tuning_job_summaries()
                .iter()
                .filter_map(|job| named(job.hyper_parameter_tuning_job_name(), job.hyper_parameter_tuning_job_arn()));
            (named.collect(), page.next_token().map(str::to_owned))
        }
        Kind::Training => {
            let request = sagemaker.list_training_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(TrainingJobStatus::from(status));
            let page = request.send().await.map_err(failed("ListTrainingJobs"))?;
            let jobs = page.training_job_summaries().iter();
            let named = jobs.filter_map(|job| named(job.training_job_name(), job.training_job_arn()));
            (named.collect(), page.next_token().map(str::to_owned))
        }
        Kind::Endpoint => (Vec::new(), None),
        Kind::Transform => {
            let request = sagemaker.list_transform_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(TransformJobStatus::from(status));
            let page = request.send().await.map_err(failed("ListTransformJobs"))?;
            let jobs = page.transform_job_summaries().iter();
            let named = jobs.filter_map(|job| named(job.transform_job_name(), job.transform_job_arn()));
            (named.collect(), page.next_token().map(str::to_owned))
        }
    })
}

fn named(name: Option<&str>, arn: Option<&str>) -> Option<(String, String)> {
    Some((name?.to_owned(), arn?.to_owned()))
}

/// Tells all jobs to stop, so that their two minutes pass together; whether they do is seen by [`Job::ended`].
pub(super) async fn stop(session: &Session, jobs: impl Iterator<Item = &Job>) {
    for job in jobs.filter(|job| !job.is_stopping) {
        if let Err(error) = job.stop(session).await {
            session.progress.say(&format!("{job}, may have ended by itself: {error}"));
        }
    }
}

impl Job {
    /// What it is a job for.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    async fn stop(&self, session: &Session) -> Result<(), ServiceError> {
        kinds::ask_to_stop(session, self.kind, &self.name).await
    }

    /// Waits for the end of a job that was told to stop; one that runs on is told again.
    pub(super) async fn ended(&self, session: &Session) -> Result<(), ServiceError> {
        if session.is_plan() {
            return Ok(());
        }
        poll::until(session.pace, async || match kinds::state(session, self.kind, &self.name).await {
            Err(error) if error.is_missing() => Ok(Some(())),
            Ok(state) if state.is_over => Ok(Some(())),
            Ok(state) if state.status == RUNNING => self.stop(session).await.map(|()| None),
            outcome => outcome.map(|_| None),
        })
        .await
    }
}
