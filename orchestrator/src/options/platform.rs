//! Where SageMaker is found, and as whom to speak to it.

use std::path::PathBuf;

use clap::Args;

use super::values::{address, bucket, role};

/// Where SageMaker is found, and as whom to speak to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Platform")]
pub(crate) struct PlatformArgs {
    /// Use this machine: start sagemaker-local within this process and stop it at the end
    #[arg(long)]
    pub(crate) local: bool,
    /// Folder that sagemaker-local keeps buckets, jobs and logs in
    #[arg(long, env = "UNSPSC_STATE", value_name = "DIR", default_value = ".unspsc-local")]
    pub(crate) state: PathBuf,
    /// Address of a running sagemaker-local, or of another stand-in for AWS
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL", value_parser = address)]
    pub(crate) endpoint_url: Option<String>,
    /// AWS region [default: that of the AWS profile]
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// ARN of the role that jobs and endpoints run as; needed on AWS
    #[arg(long, env = "UNSPSC_ROLE", value_name = "ARN", value_parser = role)]
    pub(crate) role: Option<String>,
    /// Bucket for data, models and reports, in the same region; needed on AWS
    #[arg(long, env = "UNSPSC_BUCKET", value_name = "NAME", value_parser = bucket)]
    pub(crate) bucket: Option<String>,
}
