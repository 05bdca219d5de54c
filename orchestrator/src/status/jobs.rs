//! Training jobs.

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{SecondaryStatus, SortBy, SortOrder, TrainingInstanceType, TrainingJobStatus};
use comfy_table::Table;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::{follow, kinds, tables};

use super::tuning::Tuning;
use super::{Listed, PAGE, kept, listed, moment, reason, shortened, span, tags};

/// A training job in the list.
struct Job {
    listed: Listed,
    secondary: Option<SecondaryStatus>,
}

impl AsRef<Listed> for Job {
    fn as_ref(&self) -> &Listed {
        &self.listed
    }
}

/// The jobs that are not older than `since` or that run; trials are shown with their tuning jobs.
pub(super) async fn table(session: &Session, since: DateTime, tunings: &[Tuning]) -> anyhow::Result<Option<Table>> {
    let is_trial = |job: &Job| tunings.iter().any(|tuning| kinds::is_trial_of(&job.listed.name, &tuning.listed.name));
    let mut recent = list(session, None, Some(since)).await?;
    let mut running = list(session, Some(TrainingJobStatus::InProgress), None).await?;
    [&mut recent, &mut running].into_iter().for_each(|jobs| jobs.retain(|job| !is_trial(job)));
    let jobs = kept(session, recent, running).await?;
    if jobs.is_empty() {
        return Ok(None);
    }
    let mut rows = tables::table(["training job", "status", "created (UTC)", "took", "last error"]);
    tables::keep_whole(&mut rows, [0]);
    for Job { listed: job, secondary } in &jobs {
        let reason =
            if job.has_failed() { reason(follow::describe(session, &job.name).await?.failure_reason()) } else { None };
        rows.add_row([
            job.name.clone(),
            stands(&job.status, secondary.as_ref()),
            moment(job.created.as_ref()),
            job.took(),
            reason.map(|reason| shortened(&reason)).unwrap_or_default(),
        ]);
    }
    Ok(Some(rows))
}

async fn list(
    session: &Session,
    status: Option<TrainingJobStatus>,
    since: Option<DateTime>,
) -> Result<Vec<Job>, ServiceError> {
    let (mut jobs, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_training_jobs().max_results(PAGE);
        let request = request.sort_by(SortBy::CreationTime).sort_order(SortOrder::Descending);
        let request = request.set_status_equals(status.clone()).set_creation_time_after(since).set_next_token(token);
        let page = request.send().await.map_err(failed("ListTrainingJobs"))?;
        let listed = page.training_job_summaries().iter().filter_map(|job| {
            let listed = Listed {
                name: job.training_job_name()?.to_owned(),
                arn: job.training_job_arn()?.to_owned(),
                status: job.training_job_status()?.as_str().to_owned(),
                created: job.creation_time().copied(),
                ended: job.training_end_time().copied(),
            };
            Some(Job { listed, secondary: job.secondary_status().cloned() })
        });
        jobs.extend(listed);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(jobs);
        }
    }
}

/// One job.
pub(super) async fn details(session: &Session, name: &str) -> anyhow::Result<String> {
    let job = follow::describe(session, name).await?;
    let tags = tags(session, job.training_job_arn()).await?;
    let status = job.training_job_status().map_or("unknown", TrainingJobStatus::as_str);
    let resources = job.resource_config();
    let instance = resources.and_then(|resources| resources.instance_type()).map(TrainingInstanceType::as_str);
    let spot = job.enable_managed_spot_training() == Some(true);
    let instance = instance.map(|instance| format!("{instance}{}", if spot { ", spot capacity" } else { "" }));
    let took = job.training_time_in_seconds().map(|seconds| span(seconds.into()));
    let artifact = follow::model_left(&job).map(str::to_owned);
    let checkpoints = job.checkpoint_config().and_then(|config| config.s3_uri()).map(str::to_owned);
    let image = job.algorithm_specification().and_then(|algorithm| algorithm.training_image()).map(str::to_owned);
    let tuning = job.tuning_job_arn().and_then(|arn| arn.rsplit('/').next());
    let fields = [
        ("training job", Some(name.to_owned())),
        ("status", Some(stands(status, job.secondary_status()))),
        ("tuning job", tuning.map(str::to_owned)),
        ("reason", reason(job.failure_reason())),
        ("created", Some(moment(job.creation_time()))),
        ("trained for", took),
        ("billed for", job.billable_time_in_seconds().map(|seconds| billed(&job, seconds))),
        ("instance", instance),
        ("image", image),
        ("model", artifact),
        ("checkpoints", checkpoints),
        ("tags", tags),
    ];
    let steps = job.secondary_status_transitions().iter().map(|step| {
        let status = step.status().map_or("unknown", SecondaryStatus::as_str);
        format!("{}  {status}: {}", moment(step.start_time()), step.status_message().unwrap_or_default())
    });
    let mut text = format!("{}\n\n{}", listed(&fields), steps.collect::<Vec<_>>().join("\n"));
    let metrics = job.final_metric_data_list();
    if !metrics.is_empty() {
        let mut rows = tables::table(["metric", "last value"]);
        for metric in metrics {
            let value = metric.value().map(|value| format!("{value:.4}")).unwrap_or_default();
            rows.add_row([metric.metric_name().unwrap_or_default(), &value]);
        }
        tables::align_numbers(&mut rows, [1]);
        text += &format!("\n\n{rows}");
    }
    Ok(text)
}

/// What is paid for, and what spot capacity has saved.
fn billed(job: &DescribeTrainingJobOutput, seconds: i32) -> String {
    let saved = job.training_time_in_seconds().filter(|trained| *trained > 0 && seconds < *trained);
    let saved = saved.map(|trained| 100.0 * (1.0 - f64::from(seconds) / f64::from(trained)));
    format!("{}{}", span(seconds.into()), saved.map(|saved| format!(", {saved:.0} % saved")).unwrap_or_default())
}

fn stands(status: &str, secondary: Option<&SecondaryStatus>) -> String {
    match secondary.map(SecondaryStatus::as_str) {
        Some(secondary) if secondary != status => format!("{status} ({secondary})"),
        _ => status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_the_job_is_about() {
        assert_eq!(stands("Failed", Some(&SecondaryStatus::Failed)), "Failed");
        let running = stands("InProgress", Some(&SecondaryStatus::Training));
        assert_eq!(running, "InProgress (Training)");
    }

    #[test]
    fn spot_savings_are_the_share_that_was_not_billed() {
        let job = DescribeTrainingJobOutput::builder().training_time_in_seconds(1000).build();
        assert_eq!(billed(&job, 300), "5 min 0 s, 70 % saved");
        assert_eq!(billed(&job, 1000), "16 min 40 s");
    }
}
