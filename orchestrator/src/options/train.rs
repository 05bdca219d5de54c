//! The options of `unspsc train`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use unspsc_contract::ModelKind;

use super::data::DataArgs;
use super::platform::PlatformArgs;
use super::values::{instance, pair, resource_name, tag};

/// `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainVerb {
    /// What a signal means while the job runs: `ask` on a terminal and stop elsewhere, `stop` the job, or `leave` it
    /// running; the job of --local always stops
    #[arg(long, value_name = "WHAT", default_value = "ask", hide_possible_values = true)]
    pub(crate) on_interrupt: OnInterrupt,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}

/// One training job: what `train`, `run` and `tune` are told of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Folder for the prepared data and the training report
    #[arg(long, env = "UNSPSC_OUTPUT", value_name = "DIR", default_value = "unspsc-output")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What a signal means while a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnInterrupt {
    /// On a terminal the user is asked; elsewhere the job is stopped.
    Ask,
    /// The job is stopped.
    Stop,
    /// The job runs on.
    Leave,
}

/// How to train.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct JobArgs {
    /// What to train: `encoder`, a pretrained transformer, or `rnn`, the recurrent baseline
    #[arg(long, env = "UNSPSC_MODEL", default_value_t = ModelKind::Encoder)]
    pub(crate) model: ModelKind,
    /// Any other hyperparameter, such as epochs=5; may be repeated
    #[arg(long = "hyperparameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) hyperparameters: Vec<(String, String)>,
    /// Folder with the pretrained encoder, to be uploaded [default: that of the training image; with
    /// --local that of the variable UNSPSC_ENCODER]
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Name of the job [default: from the model and a hash of all that decides the result]
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) job_name: Option<String>,
    /// URI of the training image; needed on AWS, where `unspsc images push` brings it
    #[arg(long, env = "UNSPSC_TRAIN_IMAGE", value_name = "URI")]
    pub(crate) train_image: Option<String>,
    /// Instance type to train on
    #[arg(long, env = "UNSPSC_TRAIN_INSTANCE", value_name = "TYPE", default_value = "ml.g4dn.xlarge", value_parser = instance)]
    pub(crate) train_instance: String,
    /// Size of the volume for image, data and checkpoints in GB; instances with a disk of their own use that
    #[arg(long, env = "UNSPSC_VOLUME_GB", value_name = "GB", default_value_t = 30,
          value_parser = clap::value_parser!(i32).range(1..=16_384))]
    pub(crate) volume_gb: i32,
    /// Seconds of training after which the job is stopped, 28 days at most
    #[arg(long, env = "UNSPSC_MAX_RUNTIME_SECS", value_name = "SECONDS", default_value_t = 86_400,
          value_parser = clap::value_parser!(i32).range(1..=2_419_200))]
    pub(crate) max_runtime_secs: i32,
    /// Train on spot capacity, for less money: interrupted jobs go on from their last checkpoint
    #[arg(long, env = "UNSPSC_SPOT", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub(crate) spot: bool,
    /// Seconds that a job on spot capacity may take with all waiting [default: an hour more than --max-runtime-secs]
    #[arg(long, env = "UNSPSC_MAX_WAIT_SECS", value_name = "SECONDS",
          value_parser = clap::value_parser!(i32).range(1..=2_419_200))]
    pub(crate) max_wait_secs: Option<i32>,
    /// Keep checkpoints in the bucket, from which the next job with the same content goes on; needed with --spot
    #[arg(long, env = "UNSPSC_CHECKPOINTS", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value_t = true)]
    pub(crate) checkpoints: bool,
    /// Cut the container off from every network; it needs none
    #[arg(long, env = "UNSPSC_NETWORK_ISOLATION", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value_t = true)]
    pub(crate) network_isolation: bool,
    /// How often SageMaker starts the job again after a fault of its own, 30 at most
    #[arg(long, env = "UNSPSC_MAX_RETRIES", value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(i32).range(0..=30))]
    pub(crate) max_retries: i32,
    /// Seconds to keep the instance, and to pay for it, for the next job (warm pool), 21600 at most; not with --spot
    #[arg(long, env = "UNSPSC_KEEP_ALIVE_SECS", value_name = "SECONDS", default_value_t = 0,
          value_parser = clap::value_parser!(i32).range(0..=21_600))]
    pub(crate) keep_alive_secs: i32,
    /// Tag of the job, such as team=catalogue; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
}
