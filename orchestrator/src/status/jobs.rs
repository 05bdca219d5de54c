//! Training jobs.

use std::time::Duration;

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{
    SecondaryStatus, SortBy, SortOrder, TrainingInstanceType, TrainingJobStatus, TrainingJobSummary,
};
use jiff::Timestamp;

use crate::aws::{ServiceError, failed};
use crate::content;
use crate::follow;
use crate::session::Session;
use crate::tables;

use super::{listed, moment, ours, span};

/// The largest page.
const PAGE: i32 = 100;
/// Characters of a reason in the table.
const REASON: usize = 60;

/// The jobs that are not older than `since` or that run.
pub(super) async fn table(session: &Session, since: Duration) -> anyhow::Result<String> {
    let since = Timestamp::now().as_second().saturating_sub(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let mut jobs = list(session, None, Some(DateTime::from_secs(since))).await?;
    for running in list(session, Some(TrainingJobStatus::InProgress), None).await? {
        if !jobs.iter().any(|job| job.training_job_name() == running.training_job_name()) {
            jobs.push(running);
        }
    }
    let managed = ours(session, jobs.iter().filter_map(|job| job.training_job_arn().map(str::to_owned))).await?;
    jobs.retain(|job| job.training_job_arn().is_some_and(|arn| managed.contains(arn)));
    if jobs.is_empty() {
        return Ok("no training jobs".to_owned());
    }
    let mut rows = tables::table(["training job", "status", "created (UTC)", "took", "last error"]);
    for job in &jobs {
        let name = job.training_job_name().unwrap_or_default();
        let is_failed = job.training_job_status() == Some(&TrainingJobStatus::Failed);
        let reason = if is_failed { reason(&follow::describe(session, name).await?) } else { None };
        let end = job.training_end_time().map_or_else(|| Timestamp::now().as_second(), DateTime::secs);
        let took = job.creation_time().map(|begin| span(end - begin.secs()));
        rows.add_row([
            name.to_owned(),
            stands(job.training_job_status(), job.secondary_status()),
            moment(job.creation_time()),
            took.unwrap_or_default(),
            reason.map(|reason| shortened(&reason)).unwrap_or_default(),
        ]);
    }
    Ok(rows.to_string())
}

async fn list(
    session: &Session,
    status: Option<TrainingJobStatus>,
    since: Option<DateTime>,
) -> Result<Vec<TrainingJobSummary>, ServiceError> {
    let (mut jobs, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_training_jobs().max_results(PAGE);
        let request = request.sort_by(SortBy::CreationTime).sort_order(SortOrder::Descending);
        let request = request.set_status_equals(status.clone()).set_creation_time_after(since).set_next_token(token);
        let page = request.send().await.map_err(failed("ListTrainingJobs"))?;
        jobs.extend_from_slice(page.training_job_summaries());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(jobs);
        }
    }
}

/// One job.
pub(super) async fn details(session: &Session, name: &str) -> anyhow::Result<String> {
    let job = follow::describe(session, name).await?;
    let tags = match job.training_job_arn() {
        Some(arn) => content::tags_of(&session.clients.sagemaker, arn).await?,
        None => Vec::new(),
    };
    let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let resources = job.resource_config();
    let instance = resources.and_then(|resources| resources.instance_type()).map(TrainingInstanceType::as_str);
    let spot = job.enable_managed_spot_training() == Some(true);
    let instance = instance.map(|instance| format!("{instance}{}", if spot { ", spot capacity" } else { "" }));
    let took = job.training_time_in_seconds().map(|seconds| span(seconds.into()));
    let artifact = job.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts()).map(str::to_owned);
    let checkpoints = job.checkpoint_config().and_then(|config| config.s3_uri()).map(str::to_owned);
    let image = job.algorithm_specification().and_then(|algorithm| algorithm.training_image()).map(str::to_owned);
    let fields = [
        ("training job", Some(name.to_owned())),
        ("status", Some(stands(job.training_job_status(), job.secondary_status()))),
        ("reason", reason(&job)),
        ("created", Some(moment(job.creation_time()))),
        ("trained for", took),
        ("billed for", job.billable_time_in_seconds().map(|seconds| billed(&job, seconds))),
        ("instance", instance),
        ("image", image),
        ("model", artifact),
        ("checkpoints", checkpoints),
        ("tags", (!tags.is_empty()).then(|| tags.join(", "))),
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

fn stands(status: Option<&TrainingJobStatus>, secondary: Option<&SecondaryStatus>) -> String {
    let status = status.map_or("unknown", TrainingJobStatus::as_str);
    match secondary.map(SecondaryStatus::as_str) {
        Some(secondary) if secondary != status => format!("{status} ({secondary})"),
        _ => status.to_owned(),
    }
}

fn reason(job: &DescribeTrainingJobOutput) -> Option<String> {
    job.failure_reason().map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty())
}

fn shortened(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let short: String = line.chars().take(REASON).collect();
    if short.len() < reason.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_the_job_is_about() {
        assert_eq!(stands(Some(&TrainingJobStatus::Failed), Some(&SecondaryStatus::Failed)), "Failed");
        let running = stands(Some(&TrainingJobStatus::InProgress), Some(&SecondaryStatus::Training));
        assert_eq!(running, "InProgress (Training)");
    }

    #[test]
    fn reasons_are_cut_to_one_line() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened("one\ntwo"), "one…");
        assert_eq!(shortened(&"ä".repeat(70)).chars().count(), REASON + 1);
    }

    #[test]
    fn spot_savings_are_the_share_that_was_not_billed() {
        let job = DescribeTrainingJobOutput::builder().training_time_in_seconds(1000).build();
        assert_eq!(billed(&job, 300), "5 min 0 s, 70 % saved");
        assert_eq!(billed(&job, 1000), "16 min 40 s");
    }
}
