//! A transform job from its creation to its end, and what is deleted then.

use aws_sdk_sagemaker::operation::describe_transform_job::DescribeTransformJobOutput;
use aws_sdk_sagemaker::types::TransformJobStatus;

use crate::aws::failed;
use crate::content;
use crate::exit::Unfinished;
use crate::kinds::{self, Kind};
use crate::logs::{Line, Source, Tail};
use crate::poll;
use crate::session::Session;
use crate::undo::Started;

/// Shows status and log lines of `job` until it is over.
pub(super) async fn follow(session: &Session, job: &str) -> anyhow::Result<DescribeTransformJobOutput> {
    session.undo.note_once(Started::Transform(job.to_owned()));
    let step = session.progress.step(&format!("{job}: waiting"));
    let (mut tail, mut is_readable, mut shown) = (Tail::new(&Source::of_transform(job), None), true, String::new());
    let description = poll::until(session.pace, async || {
        // Asked first, read second: whatever the job said before it ended is in the log by then.
        let description = kinds::describe_transform(session, job).await?;
        let status = stands(&description);
        if status != shown {
            session.progress.say(&format!("{job}: {status}"));
            step.update(format!("{job}: {status}"));
            shown = status;
        }
        is_readable = is_readable && show_new(session, &mut tail).await;
        let status = description.transform_job_status();
        let is_over = status.is_some_and(|status| kinds::is_over(status.as_str()));
        Ok(is_over.then_some(description))
    });
    let description = description.await?;
    if !session.is_local() && is_readable {
        // CloudWatch shows lines seconds after they were written.
        tokio::time::sleep(session.pace.interval).await;
        show_new(session, &mut tail).await;
    }
    drop(step);
    Ok(description)
}

/// How the job stands: SageMaker says no more of it than that its containers have started.
fn stands(description: &DescribeTransformJobOutput) -> String {
    match description.transform_job_status() {
        Some(TransformJobStatus::InProgress) if description.transform_start_time().is_some() => {
            "Transforming".to_owned()
        }
        status => status.map_or("unknown", TransformJobStatus::as_str).to_owned(),
    }
}

/// Shows what is new in the log; false if it cannot be read. The job's own status tells how it ends.
async fn show_new(session: &Session, tail: &mut Tail) -> bool {
    match tail.new_lines(&session.clients.logs).await {
        Ok(lines) => {
            for Line { text, .. } in lines {
                session.progress.say(&format!("  {text}"));
            }
            true
        }
        Err(error) if error.is_transient() => true,
        Err(error) => {
            session.progress.say(&format!("the log cannot be read, and is not shown: {error}"));
            false
        }
    }
}

/// Nothing if the job has completed, else how it ended.
pub(super) fn completed(job: &str, description: &DescribeTransformJobOutput) -> anyhow::Result<()> {
    let job = Started::Transform(job.to_owned());
    let reason = description.failure_reason().map(|reason| format!(": {}", reason.trim())).unwrap_or_default();
    Err(match description.transform_job_status() {
        Some(TransformJobStatus::Completed) => return Ok(()),
        Some(TransformJobStatus::Failed) => Unfinished::Failed { job, reason },
        _ => Unfinished::Stopped { job, reason },
    }
    .into())
}

/// Stops `job` and deletes the model that was made for it.
pub(crate) async fn take_down(session: &Session, job: &str) -> anyhow::Result<()> {
    kinds::stop(session, Kind::Transform, job).await?;
    delete_model(session, job).await
}

/// Deletes the model that bears the name of `job`, if this program has made it.
pub(crate) async fn delete_model(session: &Session, job: &str) -> anyhow::Result<()> {
    let sagemaker = &session.clients.sagemaker;
    match sagemaker.describe_model().model_name(job).send().await.map_err(failed("DescribeModel")) {
        // What the plan would have made is there as far as it goes on.
        Err(error)
            if error.is_missing() && session.is_plan() && session.undo.has(&Started::Transform(job.to_owned())) => {}
        Err(error) if error.is_missing() => return Ok(()),
        found => {
            let tags = match found?.model_arn() {
                Some(arn) => content::tags_of(sagemaker, arn).await?,
                None => Vec::new(),
            };
            if !content::is_ours(&tags) {
                return Ok(());
            }
        }
    }
    match sagemaker.delete_model().model_name(job).send().await.map_err(failed("DeleteModel")) {
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(()),
    }
}
