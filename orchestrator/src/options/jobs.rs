//! The options of the verbs that look at jobs and endpoints, and of the one that stops jobs.

use std::time::Duration;

use clap::Args;

use super::platform::PlatformArgs;
use super::values::{resource_name, span};

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Job or endpoint to show in detail [default: all]
    #[arg(value_name = "NAME", value_parser = resource_name)]
    pub(crate) name: Option<String>,
    /// Show jobs that are not older than this: a number and s, m, h or d; those that run are always shown
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
    pub(crate) since: Duration,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Job, endpoint, or the Lambda before one, such as unspsc-classify
    #[arg(value_name = "NAME", value_parser = resource_name)]
    pub(crate) name: String,
    /// Go on showing lines as they come, until a job is over, an endpoint deleted, or Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Show the last N lines only
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// Show lines that are not older than this: a number and s, m, h or d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) since: Option<Duration>,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Training, tuning or transform job
    #[arg(value_name = "NAME", value_parser = resource_name)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}
