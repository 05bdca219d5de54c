//! What an endpoint or a job works by: its role, its images, its places in S3.

use aws_sdk_sagemaker::operation::describe_model::DescribeModelOutput;
use aws_sdk_sagemaker::types::{
    ContainerDefinition, HyperParameterTrainingJobDefinition, ModelDataSource, OutputDataConfig, TransformOutput,
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
        if ties.iter().any(|tie| base.holds(tie)) {
            running.push((part.to_string(), remedy(session, &part, is_ours)));
        }
    }
    Ok(running)
}

/// What ends it.
fn remedy(session: &Session, part: &Part, is_ours: bool) -> String {
    match part {
        Part::Job(job) => format!("`{}`", session.command(&format!("stop {}", job.name()))),
        Part::Endpoint(name) if is_ours => format!("`{}`", session.command(&format!("destroy --endpoint {name}"))),
        part => format!("ask whoever has made {part}, which was not this program"),
    }
}

async fn ties(session: &Session, part: &Part) -> Result<Vec<Tie>, ServiceError> {
    match part {
        Part::Job(job) => of_job(session, job.kind(), job.name()).await,
        Part::Endpoint(name) => {
            let described = deploy::describe(session, name).await?;
            let models = deploy::models_used(session, &deploy::configs_used(&described)).await?;
            let mut ties = Vec::new();
            for model in &models {
                ties.extend(of_model(session, model).await?);
            }
            Ok(ties)
        }
        _ => Ok(Vec::new()),
    }
}

async fn of_job(session: &Session, kind: Kind, name: &str) -> Result<Vec<Tie>, ServiceError> {
    match kind {
        Kind::Training => {
            let job = follow::describe(session, name).await?;
            let image = job.algorithm_specification().and_then(|algorithm| algorithm.training_image());
            Ok(trained(job.role_arn(), job.output_data_config(), image))
        }
        Kind::Tuning => {
            let job = kinds::describe_tuning(session, name).await?;
            let one = job.training_job_definition();
            let of = |one: &HyperParameterTrainingJobDefinition| {
                let image = one.algorithm_specification().and_then(|algorithm| algorithm.training_image());
                trained(one.role_arn(), one.output_data_config(), image)
            };
            Ok(one.into_iter().chain(job.training_job_definitions()).flat_map(of).collect())
        }
        Kind::Transform => {
            let job = kinds::describe_transform(session, name).await?;
            let mut ties = match job.model_name() {
                Some(model) => of_model(session, model).await?,
                None => Vec::new(),
            };
            ties.extend(job.transform_output().and_then(TransformOutput::s3_output_path).map(place));
            Ok(ties)
        }
        Kind::Endpoint => Ok(Vec::new()),
    }
}

fn trained(role: Option<&str>, output: Option<&OutputDataConfig>, image: Option<&str>) -> Vec<Tie> {
    let output = output.and_then(OutputDataConfig::s3_output_path).map(place);
    let role = role.map(|role| Tie::Role(role.to_owned()));
    role.into_iter().chain(output).chain(image.map(|image| Tie::Image(image.to_owned()))).collect()
}

async fn of_model(session: &Session, name: &str) -> Result<Vec<Tie>, ServiceError> {
    let request = session.clients.sagemaker.describe_model().model_name(name);
    let model = match request.send().await.map_err(failed("DescribeModel")) {
        // An endpoint serves on without its model, by the role that this had and nobody can see any more.
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        model => model?,
    };
    let role = model.execution_role_arn().map(|role| Tie::Role(role.to_owned()));
    Ok(role.into_iter().chain(containers(&model).flat_map(of_container)).collect())
}

fn containers(model: &DescribeModelOutput) -> impl Iterator<Item = &ContainerDefinition> {
    model.primary_container().into_iter().chain(model.containers())
}

fn of_container(container: &ContainerDefinition) -> impl Iterator<Item = Tie> {
    let source = container.model_data_source().and_then(ModelDataSource::s3_data_source);
    let places = container.model_data_url().into_iter().chain(source.and_then(|source| source.s3_uri())).map(place);
    places.chain(container.image().map(|image| Tie::Image(image.to_owned())))
}

fn place(uri: &str) -> Tie {
    Tie::Place(uri.to_owned())
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
        let image = |name: &str| Tie::Image(format!("1.dkr.ecr.eu-central-1.amazonaws.com/{name}"));
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
