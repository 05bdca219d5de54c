//! Which job a run is about: one that is there, or the next.

use anyhow::bail;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::TrainingJobStatus;

use crate::content::{self, CONTENT, Content};
use crate::follow;
use crate::session::Session;

/// Jobs with the same content that may have failed before somebody looks into it.
const MAX_ATTEMPTS: u32 = 50;
/// SageMaker's limit for a name.
const MAX_NAME: usize = 63;

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

/// Looks for the job `given`, or for that of `model` with this content.
pub(super) async fn find(
    session: &Session,
    given: Option<&str>,
    model: &str,
    content: &Content,
) -> anyhow::Result<Attempt> {
    let base = given.map_or_else(|| content.name(model), str::to_owned);
    for number in 1..=MAX_ATTEMPTS {
        let name = name(&base, number)?;
        let description = match follow::describe(session, &name).await {
            Err(error) if error.is_missing() => return Ok(Attempt::New(name)),
            outcome => outcome?,
        };
        if !is_ours(session, &description, content).await? {
            bail!("training job {name} exists and is of other data, settings or image: choose another --job-name");
        }
        let status = description.training_job_status().map_or("unknown", TrainingJobStatus::as_str);
        match description.training_job_status() {
            Some(TrainingJobStatus::Completed) => {
                session.progress.say(&format!("training job {name} has completed already"));
                return Ok(Attempt::Completed(name));
            }
            Some(TrainingJobStatus::InProgress) => {
                session.progress.say(&format!("training job {name} runs already and is followed"));
                return Ok(Attempt::Running(name));
            }
            Some(TrainingJobStatus::Stopping) if !session.is_plan() => follow::stop(session, &name).await?,
            _ => {}
        }
        let reason = description.failure_reason().map(|reason| format!(" ({})", reason.trim())).unwrap_or_default();
        session.progress.say(&format!("training job {name} is {status}{reason}: the next attempt begins"));
    }
    bail!("{MAX_ATTEMPTS} jobs with this content have failed or were stopped: look into {base} with `unspsc logs`")
}

/// Whether `description` is of a job that was made with this content.
pub(super) async fn is_ours(
    session: &Session,
    description: &DescribeTrainingJobOutput,
    content: &Content,
) -> anyhow::Result<bool> {
    let Some(arn) = description.training_job_arn() else { return Ok(false) };
    let tags = content::tags_of(&session.clients.sagemaker, arn).await?;
    Ok(content::value(&tags, CONTENT) == Some(content.hash()))
}

/// The name of the attempt `number`, from 1.
fn name(base: &str, number: u32) -> anyhow::Result<String> {
    let name = if number == 1 { base.to_owned() } else { format!("{base}-{number}") };
    if name.len() > MAX_NAME {
        bail!("{name} is longer than {MAX_NAME} characters: choose a shorter --job-name");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_numbered_from_the_second_on() {
        assert_eq!(name("unspsc-rnn-0", 1).unwrap(), "unspsc-rnn-0");
        assert_eq!(name("unspsc-rnn-0", 12).unwrap(), "unspsc-rnn-0-12");
        assert!(name(&"x".repeat(62), 2).unwrap_err().to_string().contains("shorter --job-name"));
    }
}
