//! CreateTrainingJob, and the parts of it that a tuning job's trials have too.

use anyhow::bail;
use aws_sdk_sagemaker::operation::create_training_job::builders::CreateTrainingJobFluentBuilder;
use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, CheckpointConfig, MetricDefinition, OutputDataConfig, ResourceConfig, RetryStrategy,
    StoppingCondition, Tag, TrainingInputMode, TrainingInstanceType,
};
use unspsc_contract::metrics;

use crate::attempt;
use crate::aws::failed;
use crate::content::{self, Content, DATA};
use crate::kinds::Kind;
use crate::options::JobArgs;
use crate::session::Session;
use crate::storage::S3Uri;

use super::material::Material;

/// Seconds that a job on spot capacity may wait, beyond the time for which it may run.
const WAIT_SECS: i32 = 3600;
/// The longest that a job may take, 28 days.
const MAX_SECS: i32 = 2_419_200;

/// Refuses options that SageMaker would refuse together.
pub(crate) fn check(args: &JobArgs) -> anyhow::Result<()> {
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
pub(super) async fn create(
    session: &Session,
    job: &str,
    material: &Material,
    content: &Content,
    args: &JobArgs,
) -> anyhow::Result<()> {
    let request = built(session, job, material, content, args)?;
    let sent = async { request.send().await.map(drop).map_err(failed("CreateTrainingJob")) };
    attempt::create(session, Kind::Training, job, content, sent).await
}

fn built(
    session: &Session,
    job: &str,
    material: &Material,
    content: &Content,
    args: &JobArgs,
) -> anyhow::Result<CreateTrainingJobFluentBuilder> {
    let algorithm = AlgorithmSpecification::builder()
        .training_image(&material.image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(Some(metric_definitions()))
        .build();
    let builder = session.clients.sagemaker.create_training_job().training_job_name(job);
    Ok(builder
        .set_hyper_parameters(Some(material.hyperparameters.clone().into_iter().collect()))
        .algorithm_specification(algorithm)
        .role_arn(session.role()?)
        .set_input_data_config(Some(material.channels()?))
        .output_data_config(output(&material.bucket))
        .resource_config(resources(args))
        .stopping_condition(stopping(args))
        .enable_network_isolation(args.network_isolation)
        .enable_managed_spot_training(args.spot)
        .set_checkpoint_config(checkpoints(args, &material.bucket, content.hash()))
        .set_retry_strategy(retries(args))
        .set_tags(Some(tags(args, content, &material.fingerprint))))
}

/// The metrics that `train` prints, and how they are found in its log.
pub(crate) fn metric_definitions() -> Vec<MetricDefinition> {
    metrics::ALL.into_iter().map(|name| metric_definition(name, &metrics::regex(name))).collect()
}

/// The metric `name`, which `regex` finds.
pub(crate) fn metric_definition(name: &str, regex: &str) -> MetricDefinition {
    MetricDefinition::builder().name(name).regex(regex).build()
}

/// The job's tags.
pub(crate) fn tags(args: &JobArgs, content: &Content, fingerprint: &str) -> Vec<Tag> {
    let mut tags = content::tags(content, &[(DATA, fingerprint)]);
    tags.extend(args.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()));
    tags
}

/// Where a job leaves its archives, in a folder of its name.
pub(crate) fn output(bucket: &S3Uri) -> OutputDataConfig {
    OutputDataConfig::builder().s3_output_path(bucket.to_string()).build()
}

/// Where checkpoints are kept: by `content` and not by job, so that the next attempt finds them.
pub(crate) fn checkpoints(args: &JobArgs, bucket: &S3Uri, content: &str) -> Option<CheckpointConfig> {
    let place = bucket.join("checkpoints").join(content);
    args.checkpoints.then(|| CheckpointConfig::builder().s3_uri(format!("{place}/")).build())
}

/// How often SageMaker begins again after faults of its own.
pub(crate) fn retries(args: &JobArgs) -> Option<RetryStrategy> {
    (args.max_retries > 0).then(|| RetryStrategy::builder().maximum_retry_attempts(args.max_retries).build())
}

/// What a job runs on.
pub(crate) fn resources(args: &JobArgs) -> ResourceConfig {
    let resources = ResourceConfig::builder()
        .instance_type(TrainingInstanceType::from(args.train_instance.as_str()))
        .instance_count(1)
        .volume_size_in_gb(args.volume_gb);
    let keep_alive = (args.keep_alive_secs > 0).then_some(args.keep_alive_secs);
    resources.set_keep_alive_period_in_seconds(keep_alive).build()
}

/// When a job is stopped.
pub(crate) fn stopping(args: &JobArgs) -> StoppingCondition {
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
