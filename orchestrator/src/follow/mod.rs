//! A training job from its creation to its end: what it says, how it ends.

mod epochs;

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::{SecondaryStatus, TrainingJobStatus};

use crate::aws::{ServiceError, failed};
use crate::exit::Unfinished;
use crate::kinds;
use crate::logs::{Line, Source, Tail};
use crate::poll;
use crate::session::Session;
use crate::undo::Started;

use self::epochs::Epochs;

/// Rows of the table of epochs while the job runs, and once it is over.
const ROWS: (usize, usize) = (8, 20);

/// Shows status, log lines and metrics of `job` until it has completed.
///
/// # Errors
/// [`Unfinished`] when it fails or is stopped, with SageMaker's reason.
pub(crate) async fn follow(session: &Session, job: &str) -> anyhow::Result<DescribeTrainingJobOutput> {
    session.undo.note_once(Started::Job(job.to_owned()));
    if let Some(url) = session.console_log(job) {
        session.progress.say(&format!("its log: {url}"));
    }
    let step = session.progress.step(&format!("{job}: waiting"));
    let (mut log, mut epochs, mut shown) = (Log::new(job), Epochs::new()?, 0);
    let description = poll::until(session.pace, async || {
        // Asked first, read second: whatever the job said before it ended is in the log by then.
        let description = describe(session, job).await?;
        let transitions = description.secondary_status_transitions();
        for transition in transitions.iter().skip(shown) {
            let status = transition.status().map_or("unknown", SecondaryStatus::as_str);
            session.progress.say(&format!("{job}: {status}{}", dashed(transition.status_message())));
        }
        shown = shown.max(transitions.len());
        log.show_new(session, &mut epochs).await;
        let status = description.secondary_status().map_or("unknown", SecondaryStatus::as_str);
        step.update(format!("{job}: {status}{}", epochs.table(ROWS.0)));
        Ok(is_over(&description).then_some(description))
    });
    let description = description.await?;
    if !session.is_local() {
        // CloudWatch shows lines seconds after they were written.
        tokio::time::sleep(session.pace.interval).await;
        log.show_new(session, &mut epochs).await;
    }
    drop(step);
    session.undo.settle(&Started::Job(job.to_owned()));
    if !epochs.is_empty() {
        session.progress.say(epochs.table(ROWS.1).trim_start_matches('\n'));
    }
    completed(job, &description)?;
    Ok(description)
}

/// The log of a job that is followed.
struct Log {
    tail: Tail,
    /// Whether it was said that it cannot be read.
    is_given_up: bool,
}

impl Log {
    fn new(job: &str) -> Self {
        Self { tail: Tail::new(&Source::of_job(job), None), is_given_up: false }
    }

    /// Shows what is new; the job's own status tells how it ends, so that a log that cannot be read stops nothing.
    async fn show_new(&mut self, session: &Session, epochs: &mut Epochs) {
        if self.is_given_up {
            return;
        }
        match self.tail.new_lines(&session.clients.logs).await {
            Ok(lines) => {
                for Line { text, .. } in lines {
                    epochs.read(&text);
                    session.progress.say(&format!("  {text}"));
                }
            }
            Err(error) if error.is_transient() => {}
            Err(error) => {
                self.is_given_up = true;
                session.progress.say(&format!("the log cannot be read, and is not shown: {error}"));
            }
        }
    }
}

/// Nothing if the job has completed, else how it ended.
fn completed(job: &str, description: &DescribeTrainingJobOutput) -> anyhow::Result<()> {
    let (job, reason) = (Started::Job(job.to_owned()), dashed(description.failure_reason()));
    Err(match description.training_job_status() {
        Some(TrainingJobStatus::Completed) => return Ok(()),
        Some(TrainingJobStatus::Failed) => Unfinished::Failed { job, reason },
        _ => {
            // A limit that was met stands in the secondary status alone.
            let secondary = description.secondary_status().map(SecondaryStatus::as_str);
            let limit = dashed(secondary.filter(|status| *status != SecondaryStatus::Stopped.as_str()));
            Unfinished::Stopped { job, reason: limit + &reason }
        }
    }
    .into())
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

/// The model that the job has left: its place is known from the beginning on, and one that failed, or was stopped before it
/// trained, puts nothing there.
pub(crate) fn model_left(description: &DescribeTrainingJobOutput) -> Option<&str> {
    let has_trained = || {
        let mut steps = description.secondary_status_transitions().iter();
        steps.any(|step| step.status() == Some(&SecondaryStatus::Training))
    };
    let is_there = match description.training_job_status()? {
        TrainingJobStatus::Completed => true,
        TrainingJobStatus::Stopped => has_trained(),
        _ => false,
    };
    description.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts()).filter(|_| is_there)
}

/// Whether nothing will become of the job any more.
pub(crate) fn is_over(description: &DescribeTrainingJobOutput) -> bool {
    description.training_job_status().map(TrainingJobStatus::as_str).is_some_and(kinds::is_over)
}

/// `text` after a colon, or nothing.
pub(crate) fn dashed(text: Option<&str>) -> String {
    text.map(str::trim).filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default()
}
