//! The options of `unspsc batch`.

use clap::{Args, ValueEnum};
use unspsc_contract::invocation::Depth;

use super::platform::PlatformArgs;
use super::train::OnInterrupt;
use super::values::{instance, resource_name};

/// `batch`.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    #[command(flatten)]
    pub(crate) model: BatchModelArgs,
    /// What to code: a file of this machine, or an object or prefix of S3; a table with a column `description`, JSON Lines, or a
    /// text a line
    #[arg(long, value_name = "PATH|S3URI")]
    pub(crate) data: String,
    /// Column of the text, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME")]
    pub(crate) description_column: Vec<String>,
    /// How deep to answer: `auto`, as deep as can be trusted, or `segment`, `family`, `class` or `commodity`
    #[arg(long, value_name = "DEPTH", default_value = "auto")]
    pub(crate) depth: Depth,
    /// File to write, or folder where --data holds several objects [default: NAME.coded.csv beside NAME.csv, in the working
    /// directory for S3; folder: coded]
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<std::path::PathBuf>,
    /// What a signal means while the job runs: `ask` on a terminal and stop elsewhere, `stop` the job, or `leave` it
    /// running; the job of --local always stops
    #[arg(long, value_name = "WHAT", default_value = "ask", hide_possible_values = true)]
    pub(crate) on_interrupt: OnInterrupt,
    /// URI of the inference image; needed on AWS
    #[arg(long, env = "UNSPSC_SERVE_IMAGE", value_name = "URI", help_heading = "Serving")]
    pub(crate) serve_image: Option<String>,
    #[command(flatten)]
    pub(crate) transform: TransformArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to code with.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct BatchModelArgs {
    /// A completed training job
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) job: Option<String>,
    /// A model.tar.gz in S3
    #[arg(long, value_name = "S3URI")]
    pub(crate) artifact: Option<String>,
    /// A tuning job, whose best training job counts
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) tuning_job: Option<String>,
    /// A model that SageMaker has, such as that of an endpoint; it is left as it is
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) model: Option<String>,
}

/// How the job runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct TransformArgs {
    /// Instance type to transform on
    #[arg(long, env = "UNSPSC_BATCH_INSTANCE", value_name = "TYPE", default_value = "ml.m5.large", value_parser = instance)]
    pub(crate) batch_instance: String,
    /// Instances that share the rows
    #[arg(long, env = "UNSPSC_BATCH_INSTANCES", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) batch_instances: u16,
    /// Requests that an instance has at a time; 0 leaves it to the container, as do the following two
    #[arg(long, env = "UNSPSC_MAX_CONCURRENT_TRANSFORMS", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) max_concurrent_transforms: u16,
    /// Longest request in MB, 0 to 100
    #[arg(long, env = "UNSPSC_MAX_PAYLOAD_MB", value_name = "MB", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) max_payload_mb: u16,
    /// Rows of a request: `container` as the container says, `multi-record` as many as fit, or `single-record`
    #[arg(
        long,
        env = "UNSPSC_BATCH_STRATEGY",
        value_name = "STRATEGY",
        default_value = "container",
        hide_possible_values = true
    )]
    pub(crate) batch_strategy: Batching,
}

/// Rows of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
pub(crate) enum Batching {
    /// As the container says.
    Container,
    /// As many as fit.
    MultiRecord,
    /// One.
    SingleRecord,
}
