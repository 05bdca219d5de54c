//! Which model codes: one that SageMaker has, or one that is made of an artifact for the time of the job.

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::ContainerDefinition;
use serde::Serialize;

use crate::artifact;
use crate::aws::failed;
use crate::content::{self, Content};
use crate::options::{BatchArgs, BatchModelArgs};
use crate::session::Session;
use crate::storage::S3Uri;

/// A model.
#[derive(Debug, Serialize)]
pub(super) enum Model {
    /// One that is there and stays; another one of its name was made at another time.
    Given { name: String, created: Option<i64> },
    /// One that bears the job's name, and goes with it. What lies at the artifact's place may change.
    Made { image: String, artifact: String, etag: Option<String> },
}

impl Model {
    /// The one that `args` mean.
    pub(super) async fn find(session: &Session, args: &BatchArgs) -> anyhow::Result<Self> {
        let BatchModelArgs { job, artifact, tuning_job, model } = &args.model;
        if let Some(name) = model {
            let found = session.clients.sagemaker.describe_model().model_name(name).send().await;
            let created = found.map_err(failed("DescribeModel"))?.creation_time().map(DateTime::secs);
            return Ok(Self::Given { name: name.clone(), created });
        }
        let artifact = artifact::find(session, job.as_deref(), tuning_job.as_deref(), artifact.as_deref()).await?;
        let place: S3Uri = artifact.parse()?;
        // Asked for here, before anything is noted that would have to be undone.
        session.role()?;
        let image = session.serve_image(args.serve_image.as_deref())?.to_owned();
        let etag = artifact::etag(session, &place).await?;
        Ok(Self::Made { image, artifact: place.to_string(), etag })
    }

    /// The model's name in the job `job`.
    pub(super) fn name<'a>(&'a self, job: &'a str) -> &'a str {
        match self {
            Self::Given { name, .. } => name,
            Self::Made { .. } => job,
        }
    }

    /// Makes the model of the job `job`, unless it is there.
    pub(super) async fn create(&self, session: &Session, job: &str, content: &Content) -> anyhow::Result<()> {
        let Self::Made { image, artifact, .. } = self else { return Ok(()) };
        if is_there(session, job, content).await? {
            return Ok(());
        }
        let container = ContainerDefinition::builder().image(image).model_data_url(artifact).build();
        let model = session.clients.sagemaker.create_model().model_name(job).primary_container(container);
        let model = model.execution_role_arn(session.role()?).set_tags(Some(content::tags(content, &[])));
        let Err(error) = model.send().await.map_err(failed("CreateModel")) else { return Ok(()) };
        // Its answer got lost.
        if (error.is_taken() || error.is_transient()) && is_there(session, job, content).await? {
            return Ok(());
        }
        Err(error).with_context(|| format!("cannot create model {job}"))
    }
}

/// Whether the model `name` is there, and made with this content.
async fn is_there(session: &Session, name: &str, content: &Content) -> anyhow::Result<bool> {
    let sagemaker = &session.clients.sagemaker;
    let found = match sagemaker.describe_model().model_name(name).send().await.map_err(failed("DescribeModel")) {
        Err(error) if error.is_missing() => return Ok(false),
        found => found?,
    };
    let Some(arn) = found.model_arn() else { return Ok(false) };
    let tags = content::tags_of(sagemaker, arn).await?;
    if content::value(&tags, content::CONTENT) != Some(content.hash()) {
        bail!("model {name} exists and was made of something else: delete it");
    }
    Ok(true)
}
