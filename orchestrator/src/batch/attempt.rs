//! Which job a run is about: one that is there, or the next.

use anyhow::bail;
use aws_sdk_sagemaker::operation::describe_transform_job::DescribeTransformJobOutput;
use aws_sdk_sagemaker::types::TransformJobStatus;

use crate::content::{self, CONTENT, Content};
use crate::session::Session;

use super::follow;

/// Jobs with the same content that may have failed before somebody looks into it.
const MAX_ATTEMPTS: u32 = 50;

/// A job with the content that was asked for.
#[derive(Debug)]
pub(super) enum Attempt {
    /// There is none that completed or runs; this is the next name.
    New(String),
    /// It runs.
    Running(String),
    /// It has completed.
    Completed(String),
}

impl Attempt {
    /// The job's name.
    pub(super) fn job(&self) -> &str {
        let (Self::New(name) | Self::Running(name) | Self::Completed(name)) = self;
        name
    }
}

/// Looks for the job with this content.
pub(super) async fn find(session: &Session, content: &Content) -> anyhow::Result<Attempt> {
    let base = content.name("batch");
    for number in 1..=MAX_ATTEMPTS {
        let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        let description = match follow::describe(session, &name).await {
            Err(error) if error.is_missing() => return Ok(Attempt::New(name)),
            outcome => outcome?,
        };
        if !is_ours(session, &description, content).await? {
            bail!("transform job {name} exists and is of other rows or settings");
        }
        let status = description.transform_job_status().map_or("unknown", TransformJobStatus::as_str);
        match description.transform_job_status() {
            Some(TransformJobStatus::Completed) => {
                session.progress.say(&format!("transform job {name} has completed already"));
                return Ok(Attempt::Completed(name));
            }
            Some(TransformJobStatus::InProgress) => {
                session.progress.say(&format!("transform job {name} runs already and is followed"));
                return Ok(Attempt::Running(name));
            }
            Some(TransformJobStatus::Stopping) if !session.is_plan() => follow::stop(session, &name).await?,
            _ => {}
        }
        let reason = description.failure_reason().map(|reason| format!(" ({})", reason.trim())).unwrap_or_default();
        session.progress.say(&format!("transform job {name} is {status}{reason}: the next attempt begins"));
    }
    bail!("{MAX_ATTEMPTS} jobs with this content have failed or were stopped: look into {base} with `unspsc logs`")
}

/// Whether `description` is of a job that was made with this content.
pub(super) async fn is_ours(
    session: &Session,
    description: &DescribeTransformJobOutput,
    content: &Content,
) -> anyhow::Result<bool> {
    let Some(arn) = description.transform_job_arn() else { return Ok(false) };
    let tags = content::tags_of(&session.clients.sagemaker, arn).await?;
    Ok(content::value(&tags, CONTENT) == Some(content.hash()))
}
