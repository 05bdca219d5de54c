//! CreateHyperParameterTuningJob.

use aws_sdk_sagemaker::operation::create_hyper_parameter_tuning_job::builders::CreateHyperParameterTuningJobFluentBuilder;
use aws_sdk_sagemaker::types::{
    HyperParameterAlgorithmSpecification, HyperParameterTrainingJobDefinition, HyperParameterTuningJobConfig,
    HyperParameterTuningJobStrategyType, ResourceLimits, TrainingInputMode, TrainingJobEarlyStoppingType,
};

use crate::attempt;
use crate::aws::failed;
use crate::content::Content;
use crate::kinds::Kind;
use crate::options::{EarlyStopping, JobArgs, SearchArgs, Strategy};
use crate::session::Session;
use crate::train::{Material, request};

use super::Search;

/// Creates the job; what was created although the answer got lost is found.
pub(super) async fn create(
    session: &Session,
    job: &str,
    search: &Search<'_>,
    material: &Material,
    content: &Content,
) -> anyhow::Result<()> {
    let request = built(session, job, search, material, content)?;
    let sent = async { request.send().await.map(drop).map_err(failed("CreateHyperParameterTuningJob")) };
    attempt::create(session, Kind::Tuning, job, content, sent).await
}

fn built(
    session: &Session,
    job: &str,
    search: &Search<'_>,
    material: &Material,
    content: &Content,
) -> anyhow::Result<CreateHyperParameterTuningJobFluentBuilder> {
    let tags = request::tags(search.job, content, &material.fingerprint);
    let builder = session.clients.sagemaker.create_hyper_parameter_tuning_job();
    Ok(builder
        .hyper_parameter_tuning_job_name(job)
        .hyper_parameter_tuning_job_config(config(search))
        .training_job_definition(definition(session, search, material, content)?)
        .set_warm_start_config(search.warm_start.clone())
        // SageMaker gives a tuning job's tags to its trials too.
        .set_tags(Some(tags)))
}

fn config(search: &Search<'_>) -> HyperParameterTuningJobConfig {
    let args: &SearchArgs = search.args;
    // Of a grid the number follows from its values.
    let most = (args.strategy != Strategy::Grid).then_some(args.max_jobs);
    let limits = ResourceLimits::builder()
        .set_max_number_of_training_jobs(most)
        .max_parallel_training_jobs(args.parallel_jobs)
        .build();
    HyperParameterTuningJobConfig::builder()
        .strategy(match args.strategy {
            Strategy::Bayesian => HyperParameterTuningJobStrategyType::Bayesian,
            Strategy::Random => HyperParameterTuningJobStrategyType::Random,
            Strategy::Hyperband => HyperParameterTuningJobStrategyType::Hyperband,
            Strategy::Grid => HyperParameterTuningJobStrategyType::Grid,
        })
        .hyper_parameter_tuning_job_objective(search.objective.built())
        .resource_limits(limits)
        .parameter_ranges(search.space.built())
        .training_job_early_stopping_type(match args.early_stopping {
            EarlyStopping::Auto => TrainingJobEarlyStoppingType::Auto,
            EarlyStopping::Off => TrainingJobEarlyStoppingType::Off,
        })
        .random_seed(args.random_seed)
        .build()
}

/// What every trial is, but for the values that are searched.
fn definition(
    session: &Session,
    search: &Search<'_>,
    material: &Material,
    content: &Content,
) -> anyhow::Result<HyperParameterTrainingJobDefinition> {
    let args: &JobArgs = search.job;
    let mut metrics = request::metric_definitions();
    metrics.extend(search.objective.own_definition());
    let algorithm = HyperParameterAlgorithmSpecification::builder()
        .training_image(&material.image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(Some(metrics))
        .build();
    Ok(HyperParameterTrainingJobDefinition::builder()
        .set_static_hyper_parameters(Some(material.hyperparameters.clone().into_iter().collect()))
        .algorithm_specification(algorithm)
        .role_arn(session.role()?)
        .set_input_data_config(Some(material.channels()?))
        .output_data_config(request::output(&material.bucket))
        .resource_config(request::resources(args))
        .stopping_condition(request::stopping(args))
        .enable_network_isolation(args.network_isolation)
        .enable_managed_spot_training(args.spot)
        // Trials have folders of their own below it: the whole hash would make keys longer than sagemaker-local can keep.
        .set_checkpoint_config(request::checkpoints(args, &material.bucket, content.digits()))
        .set_retry_strategy(request::retries(args))
        .build())
}
