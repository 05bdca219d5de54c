//! Jobs that run, of all three kinds: they are stopped, and what they have saved stays.

use std::fmt;

use aws_sdk_sagemaker::types::{HyperParameterTuningJobStatus, TrainingJobStatus, TransformJobStatus};

use crate::aws::{ServiceError, failed};
use crate::poll;
use crate::session::Session;

/// The largest page.
const PAGE: i32 = 100;

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    kind: Kind,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tuning,
    Training,
    Transform,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Tuning => "tuning job",
            Kind::Training => "training job",
            Kind::Transform => "transform job",
        };
        write!(f, "{kind} {}, which runs", self.name)
    }
}

/// All jobs that run with their ARNs, tuning jobs first, since their trials end with them.
pub(super) async fn running(session: &Session) -> Result<Vec<(Job, String)>, ServiceError> {
    let mut jobs = Vec::new();
    for kind in [Kind::Tuning, Kind::Training, Kind::Transform] {
        let mut token = None;
        loop {
            let (page, next) = page(session, kind, token).await?;
            jobs.extend(page.into_iter().map(|(name, arn)| (Job { kind, name }, arn)));
            token = next;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(jobs)
}

/// One page: names with ARNs, and the next page's token.
type Page = (Vec<(String, String)>, Option<String>);

async fn page(session: &Session, kind: Kind, token: Option<String>) -> Result<Page, ServiceError> {
    let sagemaker = &session.clients.sagemaker;
    Ok(match kind {
        Kind::Tuning => {
            let request = sagemaker.list_hyper_parameter_tuning_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(HyperParameterTuningJobStatus::InProgress);
            let page = request.send().await.map_err(failed("ListHyperParameterTuningJobs"))?;
            let named = page
                .hyper_parameter_tuning_job_summaries()
                .iter()
                .filter_map(|job| named(job.hyper_parameter_tuning_job_name(), job.hyper_parameter_tuning_job_arn()));
            (named.collect(), page.next_token().map(str::to_owned))
        }
        Kind::Training => {
            let request = sagemaker.list_training_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(TrainingJobStatus::InProgress);
            let page = request.send().await.map_err(failed("ListTrainingJobs"))?;
            let jobs = page.training_job_summaries().iter();
            let named = jobs.filter_map(|job| named(job.training_job_name(), job.training_job_arn()));
            (named.collect(), page.next_token().map(str::to_owned))
        }
        Kind::Transform => {
            let request = sagemaker.list_transform_jobs().max_results(PAGE).set_next_token(token);
            let request = request.status_equals(TransformJobStatus::InProgress);
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
    for job in jobs {
        if let Err(error) = job.stop(session).await {
            session.progress.say(&format!("{job}, may have ended by itself: {error}"));
        }
    }
}

impl Job {
    async fn stop(&self, session: &Session) -> Result<(), ServiceError> {
        let (sagemaker, name) = (&session.clients.sagemaker, &self.name);
        match self.kind {
            Kind::Tuning => {
                let stopped = sagemaker.stop_hyper_parameter_tuning_job().hyper_parameter_tuning_job_name(name);
                stopped.send().await.map(drop).map_err(failed("StopHyperParameterTuningJob"))
            }
            Kind::Training => {
                let stopped = sagemaker.stop_training_job().training_job_name(name).send().await;
                stopped.map(drop).map_err(failed("StopTrainingJob"))
            }
            Kind::Transform => {
                let stopped = sagemaker.stop_transform_job().transform_job_name(name).send().await;
                stopped.map(drop).map_err(failed("StopTransformJob"))
            }
        }
    }

    /// Waits for the end of a job that was told to stop; one that runs on is told again.
    pub(super) async fn ended(&self, session: &Session) -> Result<(), ServiceError> {
        if session.is_plan() {
            return Ok(());
        }
        poll::until(session.pace, async || match self.status(session).await?.as_deref() {
            None | Some("Completed" | "Failed" | "Stopped") => Ok(Some(())),
            Some("InProgress") => self.stop(session).await.map(|()| None),
            Some(_) => Ok(None),
        })
        .await
    }

    /// How it stands; nothing if it is gone.
    async fn status(&self, session: &Session) -> Result<Option<String>, ServiceError> {
        let (sagemaker, name) = (&session.clients.sagemaker, &self.name);
        let status = match self.kind {
            Kind::Tuning => {
                let job = sagemaker.describe_hyper_parameter_tuning_job().hyper_parameter_tuning_job_name(name);
                let job = job.send().await.map_err(failed("DescribeHyperParameterTuningJob"));
                job.map(|job| job.hyper_parameter_tuning_job_status().map(|status| status.as_str().to_owned()))
            }
            Kind::Training => {
                let job = sagemaker.describe_training_job().training_job_name(name).send().await;
                let job = job.map_err(failed("DescribeTrainingJob"));
                job.map(|job| job.training_job_status().map(|status| status.as_str().to_owned()))
            }
            Kind::Transform => {
                let job = sagemaker.describe_transform_job().transform_job_name(name).send().await;
                let job = job.map_err(failed("DescribeTransformJob"));
                job.map(|job| job.transform_job_status().map(|status| status.as_str().to_owned()))
            }
        };
        match status {
            Err(error) if error.is_missing() => Ok(None),
            outcome => outcome,
        }
    }
}
