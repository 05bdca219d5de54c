//! A training job from its creation to its end: what it says, how it ends.

use std::io::SeekFrom;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::TrainingJobStatus;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::aws::{ServiceError, failed};
use crate::poll;
use crate::session::Session;
use crate::undo::Started;

/// Shows status and log lines of `job` until it has completed.
///
/// # Errors
/// When it fails or is stopped: SageMaker's reason.
pub(crate) async fn follow(session: &Session, job: &str) -> anyhow::Result<DescribeTrainingJobOutput> {
    if let Some(url) = session.console_log(job) {
        session.progress.say(&format!("its log: {url}"));
    }
    let step = session.progress.step(&format!("{job}: waiting"));
    let mut log = session.job_log(job).map(Tail::new);
    let mut shown = 0;
    let description = poll::until(session.interval, async || {
        // Asked first, read second: whatever the job said before it ended is in the file by then.
        let description = describe(session, job).await?;
        let transitions = description.secondary_status_transitions();
        for transition in transitions.iter().skip(shown) {
            let status = transition.status().map_or("unknown", |status| status.as_str());
            session.progress.say(&format!("{job}: {status}{}", dashed(transition.status_message())));
        }
        shown = shown.max(transitions.len());
        if let Some(log) = &mut log {
            log.new_lines().await.iter().for_each(|line| session.progress.say(&format!("  {line}")));
        }
        let status = description.secondary_status().map_or("unknown", |status| status.as_str());
        step.update(format!("{job}: {status}"));
        Ok(is_over(&description).then_some(description))
    });
    let description = description.await?;
    session.undo.settle(&Started::Job(job.to_owned()));
    match description.training_job_status() {
        Some(TrainingJobStatus::Completed) => Ok(description),
        Some(TrainingJobStatus::Failed) => bail!("training job {job} failed{}", dashed(description.failure_reason())),
        status => bail!(
            "training job {job} ended as {}{}",
            status.map_or("unknown", TrainingJobStatus::as_str),
            dashed(description.failure_reason())
        ),
    }
}

/// Stops `job` if it runs, and waits for its end.
pub(crate) async fn stop(session: &Session, job: &str) -> anyhow::Result<()> {
    match describe(session, job).await {
        Err(error) if error.is_missing() => return Ok(()),
        Ok(description) if is_over(&description) => return Ok(()),
        outcome => outcome?,
    };
    let step = session.progress.step(&format!("stopping {job}"));
    let stopped = session.clients.sagemaker.stop_training_job().training_job_name(job).send().await;
    if let Err(error) = stopped.map_err(failed("StopTrainingJob")) {
        // It may have ended by itself in the meantime.
        if !is_over(&describe(session, job).await?) {
            return Err(error.into());
        }
    }
    poll::until(session.interval, async || Ok(is_over(&describe(session, job).await?).then_some(()))).await?;
    drop(step);
    Ok(())
}

/// The description of `job`.
pub(crate) async fn describe(session: &Session, job: &str) -> Result<DescribeTrainingJobOutput, ServiceError> {
    let request = session.clients.sagemaker.describe_training_job().training_job_name(job);
    request.send().await.map_err(failed("DescribeTrainingJob"))
}

/// Where a completed job left its model.
pub(crate) fn artifact(job: &str, description: &DescribeTrainingJobOutput) -> anyhow::Result<String> {
    if description.training_job_status() != Some(&TrainingJobStatus::Completed) {
        let status = description.training_job_status().map_or("unknown", TrainingJobStatus::as_str);
        bail!("training job {job} is {status}: deploy a completed one, or name its model with --artifact");
    }
    let artifacts = description.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts());
    artifacts.map(str::to_owned).with_context(|| format!("training job {job} has left no model"))
}

fn is_over(description: &DescribeTrainingJobOutput) -> bool {
    use TrainingJobStatus::{Completed, Failed, Stopped};
    description.training_job_status().is_some_and(|status| matches!(status, Completed | Failed | Stopped))
}

fn dashed(text: Option<&str>) -> String {
    text.map(str::trim).filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default()
}

/// A log file that grows.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    /// Bytes read so far.
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, partial: Vec::new() }
    }

    /// The lines that have been completed since the last call; none while the file cannot be read.
    async fn new_lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = async {
            let mut file = tokio::fs::File::open(&self.path).await?;
            file.seek(SeekFrom::Start(self.offset)).await?;
            file.read_to_end(&mut bytes).await
        };
        // The job's own status tells what went wrong; its log is only looked at.
        self.offset += read.await.unwrap_or(0) as u64;
        self.partial.append(&mut bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        String::from_utf8_lossy(&complete).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_growing_file_yields_each_line_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.log");
        let mut tail = Tail::new(path.clone());
        assert!(tail.new_lines().await.is_empty());
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(b"one\ntwo\nth").unwrap();
        assert_eq!(tail.new_lines().await, ["one", "two"]);
        assert!(tail.new_lines().await.is_empty());
        file.write_all(b"ree\n").unwrap();
        assert_eq!(tail.new_lines().await, ["three"]);
    }
}
