//! The options of the verbs that put a model behind an endpoint, ask it, judge it and take it down.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::platform::PlatformArgs;
use super::serving::{RolloutArgs, ServeArgs};
use super::train::TrainArgs;
use super::values::{plain_http, resource_name, share};

/// `deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Name of the endpoint [default: the job's name, or one that follows from artifact, image and instance]
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) rollout: RolloutArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to deploy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelArgs {
    /// A completed training job
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) job: Option<String>,
    /// A tuning job: its best trial, so far or at its end
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) tuning_job: Option<String>,
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
    #[command(flatten)]
    pub(crate) what: DestroyedArgs,
    /// Confirm that it is to be deleted; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the names of what would go, in order, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to take down.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DestroyedArgs {
    /// An endpoint, as `deploy` was told or has printed its name, with all that belongs to it
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    /// Everything that bears this program's tag: endpoints, configurations, models, jobs that run, incomplete uploads
    #[arg(long)]
    pub(crate) all: bool,
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
