//! What is to be put behind an endpoint, and the names of its pieces that follow from it.

use anyhow::bail;
use aws_sdk_sagemaker::types::{
    AsyncInferenceClientConfig, AsyncInferenceConfig, AsyncInferenceOutputConfig, ProductionVariant,
    ProductionVariantInstanceType, ProductionVariantRoutingConfig, ProductionVariantServerlessConfig, RoutingStrategy,
};
use serde::Serialize;

use crate::artifact;
use crate::content::Content;
use crate::options::ServeArgs;
use crate::session::Session;
use crate::storage::S3Uri;

use super::VARIANT;
use super::scaling::Scaling;

/// What is to be put behind an endpoint.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(super) image: String,
    pub(super) artifact: S3Uri,
    /// What lies at the artifact's place may change.
    etag: Option<String>,
    pub(super) role: String,
    pub(super) hosting: Hosting,
    /// How it scales; a serverless variant does so by itself.
    pub(super) scaling: Option<Scaling>,
}

/// On what it runs.
#[derive(Debug, Serialize)]
pub(super) enum Hosting {
    /// Instances that answer at once.
    Instances { instance: String },
    /// Instances that take requests from S3 and leave answers in `bucket`.
    Asynchronous { instance: String, concurrency: i32, bucket: String },
    /// What SageMaker chooses.
    Serverless { memory_mb: i32, concurrency: i32 },
}

/// A piece of a deployment, whose name follows from its content.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) name: String,
    pub(super) content: Content,
}

/// The pieces of one endpoint.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) model: Piece,
    pub(crate) config: Piece,
}

impl Wanted {
    /// The model at `artifact`, which a job has put there for good, to be served as `args` say.
    pub(crate) fn new(session: &Session, artifact: &str, args: &ServeArgs) -> anyhow::Result<Self> {
        let artifact: S3Uri = artifact.parse()?;
        // Asked for here, before anything is noted that would have to be undone.
        let role = session.role()?.to_owned();
        let image = session.serve_image(args.serve_image.as_deref())?.to_owned();
        let instance = args.serve_instance.clone();
        let hosting = match (args.serverless, args.asynchronous) {
            (true, true) => bail!("--serverless and --async exclude each other: SageMaker has no such endpoint"),
            (true, false) => {
                Hosting::Serverless { memory_mb: args.serverless_memory_mb, concurrency: args.serverless_concurrency }
            }
            (false, true) => Hosting::Asynchronous {
                instance,
                concurrency: args.async_concurrency,
                bucket: session.bucket()?.to_owned(),
            },
            (false, false) => Hosting::Instances { instance },
        };
        let scaling = if args.serverless { None } else { Some(Scaling::new(&args.scaling, args.asynchronous)?) };
        Ok(Self { image, artifact, etag: None, role, hosting, scaling })
    }

    /// The same with what lies at the artifact's place now, where another archive may lie later.
    pub(super) async fn looked_at(self, session: &Session) -> anyhow::Result<Self> {
        let etag = artifact::etag(session, &self.artifact).await?;
        Ok(Self { etag, ..self })
    }

    /// The name of an endpoint that has been given none; another archive at the same place updates it.
    pub(super) fn endpoint_name(&self) -> anyhow::Result<String> {
        Ok(Content::of(&(&self.image, self.artifact.to_string(), &self.hosting))?.name("endpoint"))
    }

    /// The pieces of `endpoint`: another content has another name, so that old and new stand beside each other.
    pub(crate) fn pieces(&self, endpoint: &str) -> anyhow::Result<Pieces> {
        let piece = |content: Content| Piece { name: content.piece_of(endpoint), content };
        let archive = (self.artifact.to_string(), &self.etag);
        let model = piece(Content::of(&("model", endpoint, &self.image, archive, &self.role))?);
        let config = piece(Content::of(&("config", endpoint, &model.name, &self.hosting))?);
        Ok(Pieces { model, config })
    }

    /// The endpoint's one variant.
    pub(super) fn variant(&self, model: &str) -> ProductionVariant {
        let variant = ProductionVariant::builder().variant_name(VARIANT).model_name(model).initial_variant_weight(1.0);
        if let Hosting::Serverless { memory_mb, concurrency } = &self.hosting {
            let config = ProductionVariantServerlessConfig::builder();
            let config = config.memory_size_in_mb(*memory_mb).max_concurrency(*concurrency).build();
            return variant.serverless_config(config).build();
        }
        // A queue needs nobody to choose an instance.
        let routing = (!self.is_asynchronous()).then(|| {
            ProductionVariantRoutingConfig::builder()
                .routing_strategy(RoutingStrategy::LeastOutstandingRequests)
                .build()
        });
        variant
            .initial_instance_count(self.scaling.as_ref().map_or(1, |scaling| scaling.min))
            .set_instance_type(self.instance().map(ProductionVariantInstanceType::from))
            .set_routing_config(routing)
            .build()
    }

    /// Where answers go that are not waited for.
    pub(super) fn asynchronous(&self, endpoint: &str) -> Option<AsyncInferenceConfig> {
        let Hosting::Asynchronous { concurrency, bucket, .. } = &self.hosting else { return None };
        let place = async_place(bucket, endpoint);
        let output = AsyncInferenceOutputConfig::builder().s3_output_path(place.to_string());
        let output = output.s3_failure_path(place.join("failed").to_string()).build();
        let client = AsyncInferenceClientConfig::builder().max_concurrent_invocations_per_instance(*concurrency);
        Some(AsyncInferenceConfig::builder().output_config(output).client_config(client.build()).build())
    }

    /// The instance type, where it has one.
    pub(super) fn instance(&self) -> Option<&str> {
        match &self.hosting {
            Hosting::Instances { instance } | Hosting::Asynchronous { instance, .. } => Some(instance),
            Hosting::Serverless { .. } => None,
        }
    }

    /// The name of the endpoint's scaling policy, where it scales by one.
    pub(crate) fn policy(&self, endpoint: &str) -> Option<String> {
        self.scaling.as_ref().map(|scaling| scaling.policy(endpoint))
    }

    /// Whether requests wait in S3.
    pub(crate) fn is_asynchronous(&self) -> bool {
        matches!(self.hosting, Hosting::Asynchronous { .. })
    }
}

/// Where the requests and answers of an asynchronous endpoint lie.
pub(super) fn async_place(bucket: &str, endpoint: &str) -> S3Uri {
    S3Uri::new(bucket, &format!("unspsc/{endpoint}/async"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(artifact: &str, hosting: Hosting) -> Wanted {
        Wanted {
            image: "i".to_owned(),
            artifact: artifact.parse().unwrap(),
            etag: None,
            role: "r".to_owned(),
            hosting,
            scaling: None,
        }
    }

    #[test]
    fn pieces_change_their_names_with_what_they_are_made_of() {
        let instances = || Hosting::Instances { instance: "ml.m5.large".to_owned() };
        let pieces = |wanted: &Wanted| wanted.pieces("e").unwrap();
        let one = pieces(&wanted("s3://b/one", instances()));
        let same = pieces(&wanted("s3://b/one", instances()));
        assert_eq!((&one.model.name, &one.config.name), (&same.model.name, &same.config.name));
        let rewritten = pieces(&Wanted { etag: Some("x".to_owned()), ..wanted("s3://b/one", instances()) });
        assert!(one.model.name != rewritten.model.name && one.config.name != rewritten.config.name);
        let two = pieces(&wanted("s3://b/two", instances()));
        assert!(one.model.name != two.model.name && one.config.name != two.config.name);
        let serverless = pieces(&wanted("s3://b/one", Hosting::Serverless { memory_mb: 1024, concurrency: 1 }));
        assert!(one.model.name == serverless.model.name && one.config.name != serverless.config.name);
    }
}
