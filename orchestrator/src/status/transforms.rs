//! Batch transform jobs.

use aws_sdk_sagemaker::operation::describe_transform_job::DescribeTransformJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{
    AssemblyType, BatchStrategy, CompressionType, JoinSource, SortBy, SortOrder, SplitType, TransformInput,
    TransformInstanceType, TransformJobStatus, TransformOutput,
};
use comfy_table::Table;

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::{kinds, tables};

use super::{Listed, PAGE, kept, listed, moment, reason, shortened, span, tags};

/// A transform job in the list.
struct Transform {
    listed: Listed,
    reason: Option<String>,
}

impl AsRef<Listed> for Transform {
    fn as_ref(&self) -> &Listed {
        &self.listed
    }
}

/// The transform jobs that are not older than `since` or that run.
pub(super) async fn table(session: &Session, since: DateTime) -> anyhow::Result<Option<Table>> {
    let recent = list(session, None, Some(since)).await?;
    let running = list(session, Some(TransformJobStatus::InProgress), None).await?;
    let jobs = kept(session, recent, running).await?;
    if jobs.is_empty() {
        return Ok(None);
    }
    let mut rows = tables::table(["transform job", "status", "created (UTC)", "took", "last error"]);
    tables::keep_whole(&mut rows, [0]);
    for Transform { listed: job, reason } in jobs {
        rows.add_row([
            job.name.clone(),
            job.status.clone(),
            moment(job.created.as_ref()),
            job.took(),
            reason.map(|reason| shortened(&reason)).unwrap_or_default(),
        ]);
    }
    Ok(Some(rows))
}

async fn list(
    session: &Session,
    status: Option<TransformJobStatus>,
    since: Option<DateTime>,
) -> Result<Vec<Transform>, ServiceError> {
    let (mut jobs, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_transform_jobs().max_results(PAGE);
        let request = request.sort_by(SortBy::CreationTime).sort_order(SortOrder::Descending);
        let request = request.set_status_equals(status.clone()).set_creation_time_after(since).set_next_token(token);
        let page = request.send().await.map_err(failed("ListTransformJobs"))?;
        let listed = page.transform_job_summaries().iter().filter_map(|job| {
            let listed = Listed {
                name: job.transform_job_name()?.to_owned(),
                arn: job.transform_job_arn()?.to_owned(),
                status: job.transform_job_status()?.as_str().to_owned(),
                created: job.creation_time().copied(),
                ended: job.transform_end_time().copied(),
            };
            Some(Transform { listed, reason: reason(job.failure_reason()) })
        });
        jobs.extend(listed);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(jobs);
        }
    }
}

/// One transform job.
pub(super) async fn details(session: &Session, name: &str) -> anyhow::Result<String> {
    let job = kinds::describe_transform(session, name).await?;
    let tags = tags(session, job.transform_job_arn()).await?;
    let took = job.transform_start_time().zip(job.transform_end_time());
    let status = job.transform_job_status().map_or("unknown", TransformJobStatus::as_str);
    let fields = [
        ("transform job", Some(name.to_owned())),
        ("status", Some(status.to_owned())),
        ("reason", reason(job.failure_reason())),
        ("created", Some(moment(job.creation_time()))),
        ("started", job.transform_start_time().map(|time| moment(Some(time)))),
        ("ended", job.transform_end_time().map(|time| moment(Some(time)))),
        ("took", took.map(|(begin, end)| span(end.secs() - begin.secs()))),
        ("model", job.model_name().map(str::to_owned)),
        ("input", job.transform_input().map(input)),
        ("output", job.transform_output().map(|output| output_of(&job, output))),
        ("instances", instances(&job)),
        ("requests", requests(&job)),
        ("tags", tags),
    ];
    Ok(listed(&fields))
}

/// Where the input lies, and how it is cut.
fn input(input: &TransformInput) -> String {
    let source = input.data_source().and_then(|source| source.s3_data_source());
    let facts = [
        source.and_then(|source| source.s3_uri()).map(str::to_owned),
        input.content_type().map(str::to_owned),
        input.compression_type().filter(|kind| **kind != CompressionType::None).map(|kind| kind.as_str().to_owned()),
        input.split_type().filter(|kind| **kind != SplitType::None).map(|kind| format!("split by {}", kind.as_str())),
    ];
    joined(facts)
}

/// Where the output goes, and how it is put together.
fn output_of(job: &DescribeTransformJobOutput, output: &TransformOutput) -> String {
    let joins = job.data_processing().and_then(|processing| processing.join_source());
    let facts = [
        output.s3_output_path().map(str::to_owned),
        output.accept().map(str::to_owned),
        output.assemble_with().filter(|by| **by != AssemblyType::None).map(|by| format!("joined by {}", by.as_str())),
        joins.filter(|source| **source == JoinSource::Input).map(|_| "beside its input".to_owned()),
    ];
    joined(facts)
}

fn instances(job: &DescribeTransformJobOutput) -> Option<String> {
    let resources = job.transform_resources()?;
    let kind = resources.instance_type().map_or("unknown", TransformInstanceType::as_str);
    Some(format!("{} {kind}", resources.instance_count().unwrap_or(1)))
}

/// What an instance is asked at a time.
fn requests(job: &DescribeTransformJobOutput) -> Option<String> {
    let megabytes = job.max_payload_in_mb().map(|megabytes| format!("{megabytes} MB at most"));
    let parallel = job.max_concurrent_transforms().filter(|count| *count > 0);
    let facts = joined([
        job.batch_strategy().map(BatchStrategy::as_str).map(str::to_owned),
        megabytes,
        parallel.map(|count| format!("{count} at a time")),
    ]);
    (!facts.is_empty()).then_some(facts)
}

fn joined<const N: usize>(facts: [Option<String>; N]) -> String {
    facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
