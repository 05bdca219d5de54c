//! CreateTrainingJob.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::create_training_job::builders::CreateTrainingJobFluentBuilder;
use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, Channel, CheckpointConfig, MetricDefinition, OutputDataConfig, ResourceConfig,
    RetryStrategy, StoppingCondition, Tag, TrainingInputMode, TrainingInstanceType,
};
use unspsc_contract::metrics;

use crate::aws::failed;
use crate::content::{self, Content, DATA};
use crate::follow;
use crate::options::JobArgs;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::undo::Started;

use super::attempt;

/// Seconds that a job on spot capacity may wait, beyond the time for which it may run.
const WAIT_SECS: i32 = 3600;
/// The longest that a job may take, 28 days.
const MAX_SECS: i32 = 2_419_200;

/// What goes into CreateTrainingJob, beside the name.
pub(super) struct Request<'a> {
    pub(super) image: &'a str,
    pub(super) hyperparameters: BTreeMap<String, String>,
    pub(super) channels: Vec<Channel>,
    /// Fingerprint of the data.
    pub(super) fingerprint: &'a str,
    pub(super) content: &'a Content,
    pub(super) args: &'a JobArgs,
}

/// Refuses options that SageMaker would refuse together.
pub(super) fn check(args: &JobArgs) -> anyhow::Result<()> {
    match args.max_wait_secs {
        Some(_) if !args.spot => bail!("--max-wait-secs is for spot capacity: add --spot, or leave it away"),
        Some(wait) if wait < args.max_runtime_secs => bail!(
            "--max-wait-secs {wait} is less than --max-runtime-secs {}: it counts waiting and running together",
            args.max_runtime_secs
        ),
        _ => {}
    }
    for (index, (key, _)) in args.tags.iter().enumerate() {
        if args.tags.iter().skip(index + 1).any(|(other, _)| other == key) {
            bail!("tag `{key}` is given twice: leave one of them away");
        }
    }
    if args.spot && !args.checkpoints {
        bail!("--spot without --checkpoints would begin anew after each interruption: leave --checkpoints on");
    }
    if args.spot && args.keep_alive_secs > 0 {
        bail!("spot capacity has no warm pools: leave --keep-alive-secs or --spot away");
    }
    Ok(())
}

/// Creates the job; what was created although the answer got lost is found.
pub(super) async fn create(session: &Session, job: &str, bucket: &S3Uri, request: Request<'_>) -> anyhow::Result<()> {
    let started = Started::Job(job.to_owned());
    session.undo.note(started.clone());
    let content = request.content;
    let sent = built(session, job, bucket, request)?.send().await.map_err(failed("CreateTrainingJob"));
    let Err(error) = sent else { return Ok(()) };
    if (error.is_taken() || error.is_transient()) && is_there(session, job, content).await {
        return Ok(());
    }
    // What was refused is not there, and a name that is taken is that of a job which is not ours to stop.
    if !error.is_transient() {
        session.undo.settle(&started);
    }
    Err(error).with_context(|| format!("cannot create {job}"))
}

/// Whether the job is there after all, and ours.
async fn is_there(session: &Session, job: &str, content: &Content) -> bool {
    let found = async {
        let description = follow::describe(session, job).await?;
        attempt::is_ours(session, &description, content).await
    };
    found.await.unwrap_or(false)
}

fn built(
    session: &Session,
    job: &str,
    bucket: &S3Uri,
    request: Request<'_>,
) -> Result<CreateTrainingJobFluentBuilder, anyhow::Error> {
    let Request { image, hyperparameters, channels, fingerprint, content, args } = request;
    let definition = |name: &str| MetricDefinition::builder().name(name).regex(metrics::regex(name)).build();
    let algorithm = AlgorithmSpecification::builder()
        .training_image(image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(Some(metrics::ALL.into_iter().map(definition).collect()))
        .build();
    let mut tags = content::tags(content, &[(DATA, fingerprint)]);
    tags.extend(args.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()));
    let mut builder = session
        .clients
        .sagemaker
        .create_training_job()
        .training_job_name(job)
        .set_hyper_parameters(Some(hyperparameters.into_iter().collect()))
        .algorithm_specification(algorithm)
        .role_arn(session.role()?)
        .set_input_data_config(Some(channels))
        .output_data_config(OutputDataConfig::builder().s3_output_path(bucket.to_string()).build())
        .resource_config(resources(args))
        .stopping_condition(stopping(args))
        .enable_network_isolation(args.network_isolation)
        .enable_managed_spot_training(args.spot)
        .set_tags(Some(tags));
    if args.checkpoints {
        // By content and not by job, so that the next attempt finds them.
        let place = bucket.join("checkpoints").join(content.hash());
        builder = builder.checkpoint_config(CheckpointConfig::builder().s3_uri(format!("{place}/")).build());
    }
    if args.max_retries > 0 {
        let retries = RetryStrategy::builder().maximum_retry_attempts(args.max_retries).build();
        builder = builder.retry_strategy(retries);
    }
    Ok(builder)
}

fn resources(args: &JobArgs) -> ResourceConfig {
    let resources = ResourceConfig::builder()
        .instance_type(TrainingInstanceType::from(args.train_instance.as_str()))
        .instance_count(1)
        .volume_size_in_gb(args.volume_gb);
    let keep_alive = (args.keep_alive_secs > 0).then_some(args.keep_alive_secs);
    resources.set_keep_alive_period_in_seconds(keep_alive).build()
}

fn stopping(args: &JobArgs) -> StoppingCondition {
    let longest = args.max_runtime_secs.saturating_add(WAIT_SECS).min(MAX_SECS);
    let wait = args.spot.then(|| args.max_wait_secs.unwrap_or(longest));
    StoppingCondition::builder()
        .max_runtime_in_seconds(args.max_runtime_secs)
        .set_max_wait_time_in_seconds(wait)
        .build()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::options::{Cli, Command};

    use super::*;

    fn job(options: &[&str]) -> JobArgs {
        let cli = Cli::parse_from(["unspsc", "train"].iter().chain(options));
        let Command::Train(verb) = cli.command else { panic!("{cli:?}") };
        verb.train.job
    }

    #[test]
    fn spot_capacity_has_a_limit_of_waiting_and_no_warm_pool() {
        let limits = |options: &[&str]| {
            let stopping = stopping(&job(options));
            (stopping.max_runtime_in_seconds().unwrap(), stopping.max_wait_time_in_seconds())
        };
        assert_eq!(limits(&[]), (86_400, None));
        assert_eq!(limits(&["--spot"]), (86_400, Some(90_000)));
        assert_eq!(limits(&["--spot", "--max-wait-secs", "100000"]), (86_400, Some(100_000)));
        assert_eq!(limits(&["--spot", "--max-runtime-secs", "2419200"]), (2_419_200, Some(2_419_200)));
        for (options, said) in [
            (&["--max-wait-secs", "5"][..], "add --spot"),
            (&["--spot", "--max-wait-secs", "5"], "less than --max-runtime-secs"),
            (&["--spot", "--checkpoints=false"], "leave --checkpoints on"),
            (&["--spot", "--keep-alive-secs", "60"], "no warm pools"),
            (&["--tag", "a=1", "--tag", "a=2"], "tag `a` is given twice"),
        ] {
            let error = check(&job(options)).unwrap_err().to_string();
            assert!(error.contains(said), "{options:?}: {error}");
        }
        assert!(check(&job(&["--spot"])).is_ok() && check(&job(&["--keep-alive-secs", "60"])).is_ok());
        assert_eq!(resources(&job(&["--keep-alive-secs", "60"])).keep_alive_period_in_seconds(), Some(60));
    }
}
