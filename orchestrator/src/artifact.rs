//! Where the model lies that is to be deployed or to code a table.

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::HyperParameterTuningJobStatus;
use unspsc_contract::ModelKind;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::storage::S3Uri;
use crate::{follow, kinds};

/// The place of the archive `artifact`, or of the model of a training job or of a tuning job's best trial.
pub(crate) async fn find(
    session: &Session,
    job: Option<&str>,
    tuning_job: Option<&str>,
    artifact: Option<&str>,
) -> anyhow::Result<String> {
    let job = match (artifact, job, tuning_job) {
        (Some(artifact), ..) => return Ok(artifact.to_owned()),
        (_, Some(job), _) => job.to_owned(),
        (_, _, Some(tuning)) => best_trial(session, tuning).await?,
        _ => bail!("--job, --tuning-job or --artifact is needed"),
    };
    match follow::describe(session, &job).await {
        Err(error) if error.is_missing() => {
            bail!("there is no training job {job}: `{}` lists those there are", session.command("status"))
        }
        outcome => {
            let described = outcome?;
            refuse_base_line(&job, &described)?;
            follow::artifact(&job, &described)
        }
    }
}

/// Refuses the model of a job that trains what is not served; the container would, minutes later.
fn refuse_base_line(job: &str, described: &DescribeTrainingJobOutput) -> anyhow::Result<()> {
    let model = described.hyper_parameters().and_then(|all| all.get("model"));
    if model.is_some_and(|model| model.trim_matches('"') == ModelKind::Rnn.to_string()) {
        bail!(
            "training job {job} is of the rnn baseline, which is there to be compared with and is not served: name one of an encoder"
        );
    }
    Ok(())
}

/// What tells the archive at `place` from another that lies there at another time, if it can be seen: the role reads the
/// archive, and the caller need not be allowed to.
///
/// # Errors
/// Where there is none, or it could not be asked for: names follow from it, and what was not seen by chance would be
/// another archive.
pub(crate) async fn etag(session: &Session, place: &S3Uri) -> anyhow::Result<Option<String>> {
    let head = session.clients.s3.head_object().bucket(&place.bucket).key(&place.key).send().await;
    match head.map_err(failed("HeadObject")) {
        Err(ServiceError::Denied { .. }) => Ok(None),
        Err(error) if error.is_missing() => {
            bail!("there is no archive {place}: name another with --artifact, or train anew")
        }
        outcome => Ok(outcome.with_context(|| format!("cannot look at {place}"))?.e_tag().map(str::to_owned)),
    }
}

/// The best trial of a tuning job, so far or at its end.
async fn best_trial(session: &Session, tuning: &str) -> anyhow::Result<String> {
    let described = match kinds::describe_tuning(session, tuning).await {
        Err(error) if error.is_missing() => bail!("there is no tuning job {tuning}"),
        outcome => outcome?,
    };
    let status = described.hyper_parameter_tuning_job_status();
    let is_over = status != Some(&HyperParameterTuningJobStatus::InProgress);
    let status = status.map_or("unknown", HyperParameterTuningJobStatus::as_str);
    let best = described.best_training_job().and_then(|best| best.training_job_name());
    let best = best.with_context(|| {
        let what = if is_over { "tune again, or name a job with --job" } else { "wait for its first completed trial" };
        format!("tuning job {tuning} is {status} and has no best trial: {what}")
    })?;
    let so_far = if is_over { "" } else { " so far" };
    session.progress.say(&format!("best trial of {tuning}{so_far}: {best}"));
    Ok(best.to_owned())
}
