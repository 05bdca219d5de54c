//! The options of the verbs that put a model behind an endpoint, ask it, judge it and take it down.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::platform::PlatformArgs;
use super::train::TrainArgs;
use super::values::{plain_http, resource_name, share};

/// How to serve.
#[derive(Debug, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArgs {
    /// URI of the inference image; needed on AWS
    #[arg(long, env = "UNSPSC_SERVE_IMAGE", value_name = "URI")]
    pub(crate) serve_image: Option<String>,
    /// Instance type to serve from
    #[arg(long, env = "UNSPSC_SERVE_INSTANCE", value_name = "TYPE", default_value = "ml.m5.large")]
    pub(crate) serve_instance: String,
}

/// `deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Name of the endpoint, its configuration and its model [default: the job's name, or one that follows from artifact, image and instance]
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to deploy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelArgs {
    /// A completed training job
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// A model.tar.gz in S3
    #[arg(long, value_name = "S3URI")]
    pub(crate) artifact: Option<String>,
}

/// `evaluate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvaluateArgs {
    /// File or folder with descriptions and codes, or a prepared folder
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) answerer: AnswererArgs,
    /// Folder to write the report and the answers into
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    pub(crate) output: PathBuf,
    /// Precision, 0 to 1, at which to state the coverage: how many rows can be left to the classifier
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    pub(crate) precision: f64,
    /// Column of the description, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME")]
    pub(crate) description_column: Vec<String>,
    /// Column of the UNSPSC code, where the header says something else
    #[arg(long, value_name = "NAME")]
    pub(crate) code_column: Option<String>,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to evaluate.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AnswererArgs {
    /// Name of an endpoint
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    /// Address of an inference container that runs by itself, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", value_parser = plain_http)]
    pub(crate) url: Option<Url>,
    /// File with answers that were given before, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
}

/// `destroy`.
#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    /// Name of the endpoint, as `deploy` gave it
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: String,
    /// Confirm that it is to be deleted
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Descriptions to ask the endpoint about [default: four examples]
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
}
