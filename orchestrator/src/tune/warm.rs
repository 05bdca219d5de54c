//! Warm start: earlier tuning jobs whose trials a new one learns from.

use anyhow::{bail, ensure};
use aws_sdk_sagemaker::types::{
    Channel, HyperParameterTuningJobWarmStartConfig, HyperParameterTuningJobWarmStartType,
    ParentHyperParameterTuningJob,
};

use crate::kinds;
use crate::session::Session;
use crate::train::Material;

use super::follow::{is_over, status};
use super::objective::Objective;

/// SageMaker's limit of parents.
const MOST: usize = 5;

/// The tuning jobs `names` as parents of one of `material`; nothing where there are none.
pub(super) async fn parents(
    session: &Session,
    names: &[String],
    material: &Material,
    objective: &Objective,
) -> anyhow::Result<Option<HyperParameterTuningJobWarmStartConfig>> {
    ensure!(names.len() <= MOST, "a warm start has at most {MOST} parents, and these are {}", names.len());
    let mut config = HyperParameterTuningJobWarmStartConfig::builder();
    let (mut kind, channels) = (HyperParameterTuningJobWarmStartType::IdenticalDataAndAlgorithm, material.channels()?);
    for (index, name) in names.iter().enumerate() {
        ensure!(!names[..index].contains(name), "--warm-start {name} is given twice: leave one of them away");
        let parent = match kinds::describe_tuning(session, name).await {
            Err(error) if error.is_missing() => bail!("there is no tuning job {name} to start from"),
            outcome => outcome?,
        };
        ensure!(is_over(&parent), "tuning job {name} is {}: start from it once it is over", status(&parent));
        let theirs =
            parent.hyper_parameter_tuning_job_config().and_then(|config| config.hyper_parameter_tuning_job_objective());
        let ours = objective.built();
        if let Some(theirs) = theirs.filter(|theirs| **theirs != ours) {
            let metric = theirs.metric_name().unwrap_or_default();
            bail!(
                "tuning job {name} has another objective, {metric}, so that its trials say nothing about {}: add \
                 --objective {metric}, or leave --warm-start away",
                objective.metric
            );
        }
        let definition = parent.training_job_definition();
        let image = definition.and_then(|one| one.algorithm_specification()?.training_image());
        let is_same = definition.is_some_and(|one| same(one.input_data_config(), &channels));
        if image != Some(material.image.as_str()) || !is_same {
            kind = HyperParameterTuningJobWarmStartType::TransferLearning;
        }
        let parent = ParentHyperParameterTuningJob::builder().hyper_parameter_tuning_job_name(name).build();
        config = config.parent_hyper_parameter_tuning_jobs(parent);
    }
    if names.is_empty() {
        return Ok(None);
    }
    session.progress.say(&match kind {
        HyperParameterTuningJobWarmStartType::TransferLearning => {
            format!("warm start from {}, which had other data or another image", names.join(", "))
        }
        _ => format!("warm start from {}", names.join(", ")),
    });
    Ok(Some(config.warm_start_type(kind).build()))
}

/// Whether both name the same files, in whatever order.
fn same(one: &[Channel], other: &[Channel]) -> bool {
    let places = |channels: &[Channel]| {
        let place = |channel: &Channel| {
            let source = channel.data_source().and_then(|source| source.s3_data_source());
            (channel.channel_name().map(str::to_owned), source.and_then(|source| source.s3_uri()).map(str::to_owned))
        };
        let mut places: Vec<_> = channels.iter().map(place).collect();
        places.sort();
        places
    };
    places(one) == places(other)
}
