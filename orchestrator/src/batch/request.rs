//! CreateTransformJob.

use anyhow::bail;
use aws_sdk_sagemaker::operation::create_transform_job::builders::CreateTransformJobFluentBuilder;
use aws_sdk_sagemaker::types::{
    AssemblyType, BatchStrategy, S3DataType, SplitType, TransformDataSource, TransformInput, TransformInstanceType,
    TransformOutput, TransformResources, TransformS3DataSource,
};
use unspsc_contract::invocation::Depth;

use crate::attempt;
use crate::aws::{failed, is_refused};
use crate::content::{self, Content};
use crate::kinds::Kind;
use crate::options::{BatchArgs, Batching, TransformArgs};
use crate::session::Session;
use crate::storage::S3Uri;
use crate::undo::Started;

use super::model::Model;

/// The form of rows and answers.
const JSON_LINES: &str = "application/jsonlines";
/// MB that all requests which an instance has at a time may have together.
const MAX_TOGETHER_MB: u16 = 100;

/// What goes into CreateTransformJob, beside the name.
pub(super) struct Request<'a> {
    pub(super) model: &'a Model,
    pub(super) input: &'a S3Uri,
    pub(super) output: &'a S3Uri,
    pub(super) content: &'a Content,
    pub(super) args: &'a BatchArgs,
}

/// Refuses options that SageMaker would refuse together.
pub(super) fn check(args: &TransformArgs) -> anyhow::Result<()> {
    let (requests, megabytes) = (args.max_concurrent_transforms, args.max_payload_mb);
    if requests * megabytes > MAX_TOGETHER_MB {
        bail!(
            "--max-concurrent-transforms {requests} times --max-payload-mb {megabytes} is above {MAX_TOGETHER_MB} MB: \
             lower one of them"
        );
    }
    Ok(())
}

/// Creates the job and the model that it needs; what was created although the answer got lost is found.
pub(super) async fn create(session: &Session, job: &str, request: Request<'_>) -> anyhow::Result<()> {
    let started = Started::Transform(job.to_owned());
    session.undo.note_once(started.clone());
    let Request { model, content, .. } = request;
    model.create(session, job, content).await.inspect_err(|error| {
        // The first request: where it was refused there is nothing to take down.
        if is_refused(error) {
            session.undo.settle(&started);
        }
    })?;
    let sent = async {
        let created = built(session, job, &request).send().await;
        created.map(drop).map_err(failed("CreateTransformJob"))
    };
    attempt::create(session, Kind::Transform, job, content, sent).await?;
    if !session.is_plan() {
        session.progress.say(&format!("transform job {job} was created"));
    }
    Ok(())
}

fn built(session: &Session, job: &str, request: &Request<'_>) -> CreateTransformJobFluentBuilder {
    let Request { model, input, output, content, args } = request;
    let options = &args.transform;
    // The slash keeps the folder from meaning others whose names only begin like it.
    let source = TransformS3DataSource::builder().s3_data_type(S3DataType::S3Prefix).s3_uri(format!("{input}/"));
    let input = TransformInput::builder()
        .data_source(TransformDataSource::builder().s3_data_source(source.build()).build())
        .content_type(JSON_LINES)
        .split_type(SplitType::Line);
    let output = TransformOutput::builder()
        .s3_output_path(output.to_string())
        .accept(accept(args.depth))
        .assemble_with(AssemblyType::Line);
    let resources = TransformResources::builder()
        .instance_type(TransformInstanceType::from(options.batch_instance.as_str()))
        .instance_count(options.batch_instances.into());
    let strategy = match options.batch_strategy {
        Batching::Container => None,
        Batching::MultiRecord => Some(BatchStrategy::MultiRecord),
        Batching::SingleRecord => Some(BatchStrategy::SingleRecord),
    };
    let unless_zero = |number: u16| (number > 0).then(|| number.into());
    session
        .clients
        .sagemaker
        .create_transform_job()
        .transform_job_name(job)
        .model_name(model.name(job))
        .set_max_concurrent_transforms(unless_zero(options.max_concurrent_transforms))
        .set_max_payload_in_mb(unless_zero(options.max_payload_mb))
        .set_batch_strategy(strategy)
        .transform_input(input.build())
        .transform_output(output.build())
        .transform_resources(resources.build())
        .set_tags(Some(content::tags(content, &[])))
}

/// The form of the answers, with what they are to hold: the only place that SageMaker leaves for it.
fn accept(depth: Depth) -> String {
    let depth = match depth {
        Depth::Auto => "auto",
        Depth::At(level) => level.as_str(),
    };
    format!("{JSON_LINES}; depth={depth}; top_k=1")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use unspsc_taxonomy::Level;

    use crate::options::{Cli, Command};

    use super::*;

    fn transform(options: &[&str]) -> TransformArgs {
        let arguments = ["unspsc", "batch", "--job", "j", "--data", "d.csv"];
        let cli = Cli::parse_from(arguments.iter().chain(options));
        let Command::Batch(batch) = cli.command else { panic!("{cli:?}") };
        batch.transform
    }

    #[test]
    fn what_an_instance_has_at_a_time_stays_within_the_limit_of_the_service() {
        let together = |requests, megabytes| {
            check(&transform(&["--max-concurrent-transforms", requests, "--max-payload-mb", megabytes]))
        };
        assert!(check(&transform(&[])).is_ok() && together("50", "2").is_ok() && together("0", "100").is_ok());
        assert!(together("51", "2").unwrap_err().to_string().contains("is above 100 MB"));
    }

    #[test]
    fn the_depth_stands_among_the_parameters_of_the_form() {
        assert_eq!(accept(Depth::Auto), "application/jsonlines; depth=auto; top_k=1");
        assert_eq!(accept(Depth::At(Level::Class)), "application/jsonlines; depth=class; top_k=1");
    }
}
