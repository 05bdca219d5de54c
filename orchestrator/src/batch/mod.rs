//! `unspsc batch`: rows up, CreateTransformJob, follow, answers down, joined to the rows.
//!
//! The rows are read here and sent as JSON Lines, because a job cuts its input at every line end, also at those within quotes. A row
//! that has no text is not sent; which rows those are follows from the rows, so that the answers find theirs again.

mod follow;
mod input;
mod join;
mod lines;
mod model;
mod request;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_transform_job::DescribeTransformJobOutput;
use aws_sdk_sagemaker::types::TransformOutput;
use serde_json::json;

use crate::attempt::{self, Attempt};
use crate::content::Content;
use crate::kinds::{self, Kind};
use crate::options::BatchArgs;
use crate::progress::print;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::tables::count;
use crate::undo::Started;
use crate::upload::Bundle;

use self::lines::Lines;
use self::model::Model;
use self::request::Request;

pub(crate) use self::follow::{delete_model, take_down};

/// Where the lines lie in the bucket; SageMaker puts the answers below the job's name.
const PREFIX: &str = "unspsc";

/// Codes all rows and writes them with their codes.
pub(crate) async fn run(session: &Session, args: &BatchArgs) -> anyhow::Result<()> {
    request::check(&args.transform)?;
    let model = Model::find(session, args).await?;
    let bucket = S3Uri::new(session.bucket()?, PREFIX);
    let inputs = input::read(session, args).await?;
    let step = session.progress.step(&format!("reading {}", args.data));
    let instances = args.transform.batch_instances.into();
    let written = tokio::task::spawn_blocking(move || Lines::write(&inputs, instances).map(|lines| (inputs, lines)));
    let (inputs, lines) = written.await.context("the reading came to a sudden end")??;
    drop(step);
    let bundle = Bundle::read(lines.paths()).await?;
    let content = Content::of(&json!({
        "rows": bundle.digests(""),
        "model": model,
        "depth": args.depth,
        "instance": args.transform.batch_instance,
        "instances": args.transform.batch_instances,
        "concurrent": args.transform.max_concurrent_transforms,
        "payload": args.transform.max_payload_mb,
        "strategy": args.transform.batch_strategy,
        "version": env!("CARGO_PKG_VERSION"),
    }))?;
    let has_answers = async |job: &str| {
        let description = kinds::describe_transform(session, job).await?;
        join::is_whole(session, &lines, &output_of(job, &description)?).await
    };
    let base = content.name("batch");
    let attempt = attempt::find_whole(session, Kind::Transform, &base, &content, has_answers).await?;
    let job = attempt.job().to_owned();
    if let Attempt::New(_) = attempt {
        let place = bundle.place(&bucket.join("batch"))?;
        upload(session, &bundle, &place).await?;
        let output = bucket.join(&job).join("output");
        let request = Request { model: &model, input: &place, output: &output, content: &content, args };
        request::create(session, &job, request).await?;
    }
    let description = match attempt {
        _ if session.is_plan() => None,
        Attempt::New(_) | Attempt::Running(_) => Some(follow::follow(session, &job).await?),
        Attempt::Completed(_) => Some(kinds::describe_transform(session, &job).await?),
    };
    if let Model::Made { .. } = model {
        // It may be there also where the job is over: whoever made it was killed before that.
        follow::delete_model(session, &job).await?;
    }
    let Some(description) = description else { return Ok(()) };
    session.undo.settle(&Started::Transform(job.clone()));
    follow::completed(&job, &description)?;
    let output = output_of(&job, &description)?;
    let targets: Vec<PathBuf> = inputs.iter().map(|input| input.target.clone()).collect();
    let (rows, failures) = join::join(session, inputs, lines, &output).await?;
    for target in targets {
        print(&target.display().to_string())?;
    }
    session.progress.say(&format!("{} rows coded by transform job {job}", count(rows - failures)));
    if failures > 0 {
        bail!("{} of {} rows have no code: their column `error` says why", count(failures), count(rows));
    }
    Ok(())
}

/// Where the answers of `job` are: an earlier run may have named another bucket.
fn output_of(job: &str, description: &DescribeTransformJobOutput) -> anyhow::Result<S3Uri> {
    let output = description.transform_output().and_then(TransformOutput::s3_output_path);
    output.with_context(|| format!("transform job {job} names no output path"))?.parse()
}

async fn upload(session: &Session, bundle: &Bundle, place: &S3Uri) -> anyhow::Result<()> {
    storage::ensure_bucket(session).await?;
    let step = session.sending(&format!("uploading to {place}"), bundle.bytes());
    bundle.upload(session, place, &step).await.map(drop)
}
