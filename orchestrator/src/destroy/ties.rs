//! What an endpoint or a job works by: its role, its images, its places in S3.

use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, AsyncInferenceConfig, AsyncInferenceOutputConfig, Channel, CheckpointConfig,
    ContainerDefinition, DataCaptureConfig, DeployedImage, HyperParameterAlgorithmSpecification,
    HyperParameterTrainingJobDefinition, ModelDataSource, OutputDataConfig, ProductionVariantSummary,
    S3ModelDataSource, TransformInput, TransformOutput,
};

use crate::aws::{ServiceError, failed};
use crate::deploy;
use crate::follow;
use crate::kinds::{self, Kind};
use crate::session::Session;

use super::find;
use super::part::Part;

/// What others may work by.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// The ARN of a role.
    pub(crate) role: Option<String>,
    /// Names of buckets.
    pub(crate) buckets: Vec<String>,
    /// Names of repositories of images.
    pub(crate) repositories: Vec<String>,
}

impl Base {
    /// Whether `tie` leads to it.
    fn holds(&self, tie: &Tie) -> bool {
        match tie {
            Tie::Role(arn) => self.role.as_ref() == Some(arn),
            Tie::Place(uri) => {
                let bucket = uri.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
                bucket.is_some_and(|bucket| self.buckets.iter().any(|own| own == bucket))
            }
            Tie::Image(image) => {
                let repository = image.split_once('/').and_then(|(_, rest)| rest.split(['@', ':']).next());
                repository.is_some_and(|repository| self.repositories.iter().any(|own| own == repository))
            }
        }
    }
}

/// One thing that something works by.
#[derive(Debug, PartialEq, Eq)]
enum Tie {
    Role(String),
    /// An S3 URI.
    Place(String),
    Image(String),
}

/// What runs by `base`, whoever has made it, but for the endpoint `goes`: each in words, with what ends it.
pub(crate) async fn running_by(
    session: &Session,
    base: &Base,
    goes: Option<&str>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut running = Vec::new();
    for (part, is_ours) in find::running(session).await? {
        if matches!(&part, Part::Endpoint(name) if Some(name.as_str()) == goes) {
            continue;
        }
        let ties = match ties(session, &part).await {
            // It has gone since it was listed.
            Err(error) if error.is_missing() => continue,
            ties => ties?,
        };
        // An endpoint serves on when its configuration or model are gone, by a role that nobody sees any more.
        let is_unknown = is_ours && !ties.iter().any(|tie| matches!(tie, Tie::Role(_)));
        if is_unknown || ties.iter().any(|tie| base.holds(tie)) {
            running.push((part.to_string(), remedy(session, &part, is_ours)));
        }
    }
    Ok(running)
}

/// What ends it.
fn remedy(session: &Session, part: &Part, is_ours: bool) -> String {
    match part {
        Part::Job(job) if is_ours => format!("`{}`", session.command(&format!("stop {}", job.name()))),
        Part::Endpoint(name) if is_ours => format!("`{}`", session.command(&format!("destroy --endpoint {name}"))),
        Part::Job(job) => format!("ask whoever has made {}, which was not this program", job.name()),
        part => format!("ask whoever has made {part}, which was not this program"),
    }
}

async fn ties(session: &Session, part: &Part) -> Result<Vec<Tie>, ServiceError> {
    match part {
        Part::Job(job) => of_job(session, job.kind(), job.name()).await,
        Part::Endpoint(name) => of_endpoint(session, name).await,
        _ => Ok(Vec::new()),
    }
}

async fn of_endpoint(session: &Session, name: &str) -> Result<Vec<Tie>, ServiceError> {
    let described = deploy::describe(session, name).await?;
    let images = described.production_variants().iter().flat_map(ProductionVariantSummary::deployed_images);
    let mut ties: Vec<Tie> = images.filter_map(DeployedImage::specified_image).map(image).collect();
    for config in deploy::configs_used(&described) {
        let request = session.clients.sagemaker.describe_endpoint_config().endpoint_config_name(config);
        let config = match request.send().await.map_err(failed("DescribeEndpointConfig")) {
            Err(error) if error.is_missing() => continue,
            config => config?,
        };
        let answers = config.async_inference_config().and_then(AsyncInferenceConfig::output_config);
        ties.extend(answers.and_then(AsyncInferenceOutputConfig::s3_output_path).map(place));
        ties.extend(config.data_capture_config().and_then(DataCaptureConfig::destination_s3_uri).map(place));
        for variant in config.production_variants().iter().chain(config.shadow_production_variants()) {
            if let Some(model) = variant.model_name() {
                ties.extend(of_model(session, model).await?);
            }
        }
    }
    Ok(ties)
}

async fn of_job(session: &Session, kind: Kind, name: &str) -> Result<Vec<Tie>, ServiceError> {
    match kind {
        Kind::Training => {
            let job = follow::describe(session, name).await?;
            Ok(Trained {
                role: job.role_arn(),
                algorithm: job.algorithm_specification().and_then(AlgorithmSpecification::training_image),
                inputs: job.input_data_config(),
                output: job.output_data_config(),
                checkpoints: job.checkpoint_config(),
            }
            .ties())
        }
        Kind::Tuning => {
            let job = kinds::describe_tuning(session, name).await?;
            let all = job.training_job_definition().into_iter().chain(job.training_job_definitions());
            let of = |one: &HyperParameterTrainingJobDefinition| {
                let algorithm = one.algorithm_specification();
                let algorithm = algorithm.and_then(HyperParameterAlgorithmSpecification::training_image);
                Trained {
                    role: one.role_arn(),
                    algorithm,
                    inputs: one.input_data_config(),
                    output: one.output_data_config(),
                    checkpoints: one.checkpoint_config(),
                }
                .ties()
            };
            Ok(all.flat_map(of).collect())
        }
        Kind::Transform => {
            let job = kinds::describe_transform(session, name).await?;
            let mut ties = match job.model_name() {
                Some(model) => of_model(session, model).await?,
                None => Vec::new(),
            };
            let input = job.transform_input().and_then(TransformInput::data_source);
            ties.extend(input.and_then(|source| source.s3_data_source()?.s3_uri()).map(place));
            ties.extend(job.transform_output().and_then(TransformOutput::s3_output_path).map(place));
            Ok(ties)
        }
        Kind::Endpoint => Ok(Vec::new()),
    }
}

/// What a training job, or each trial, works by.
struct Trained<'a> {
    role: Option<&'a str>,
    algorithm: Option<&'a str>,
    inputs: &'a [Channel],
    output: Option<&'a OutputDataConfig>,
    checkpoints: Option<&'a CheckpointConfig>,
}

impl Trained<'_> {
    fn ties(&self) -> Vec<Tie> {
        let inputs = self.inputs.iter().filter_map(|channel| channel.data_source()?.s3_data_source()?.s3_uri());
        let output = self.output.and_then(OutputDataConfig::s3_output_path);
        let places = inputs.chain(output).chain(self.checkpoints.and_then(CheckpointConfig::s3_uri)).map(place);
        places.chain(self.role.map(role)).chain(self.algorithm.map(image)).collect()
    }
}

async fn of_model(session: &Session, name: &str) -> Result<Vec<Tie>, ServiceError> {
    let request = session.clients.sagemaker.describe_model().model_name(name);
    let model = match request.send().await.map_err(failed("DescribeModel")) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        model => model?,
    };
    let containers = model.primary_container().into_iter().chain(model.containers());
    Ok(model.execution_role_arn().map(role).into_iter().chain(containers.flat_map(of_container)).collect())
}

fn of_container(container: &ContainerDefinition) -> impl Iterator<Item = Tie> {
    let source = container.model_data_source().and_then(ModelDataSource::s3_data_source);
    let places = container.model_data_url().into_iter().chain(source.and_then(S3ModelDataSource::s3_uri)).map(place);
    places.chain(container.image().map(image))
}

fn role(arn: &str) -> Tie {
    Tie::Role(arn.to_owned())
}

fn place(uri: &str) -> Tie {
    Tie::Place(uri.to_owned())
}

fn image(name: &str) -> Tie {
    Tie::Image(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_another_role_bucket_and_repository_holds_nothing_up() {
        let base = Base {
            role: Some("arn:aws:iam::1:role/cat-execution".to_owned()),
            buckets: vec!["cat-1".to_owned()],
            repositories: vec!["cat-serve".to_owned()],
        };
        let image = |name: &str| image(&format!("1.dkr.ecr.eu-central-1.amazonaws.com/{name}"));
        for tie in [
            Tie::Role("arn:aws:iam::1:role/cat-execution".to_owned()),
            place("s3://cat-1/unspsc/a"),
            place("s3://cat-1"),
        ] {
            assert!(base.holds(&tie), "{tie:?}");
        }
        for name in ["cat-serve@sha256:0", "cat-serve:id-1", "cat-serve"] {
            assert!(base.holds(&image(name)), "{name}");
        }
        for tie in [
            Tie::Role("arn:aws:iam::1:role/dog-execution".to_owned()),
            place("s3://cat-11/unspsc/a"),
            place("https://cat-1/a"),
            image("team/cat-serve:1"),
            Tie::Image("cat-serve:local".to_owned()),
        ] {
            assert!(!base.holds(&tie), "{tie:?}");
        }
    }
}
