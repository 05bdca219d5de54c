//! The options of `unspsc images`.

use clap::{Args, Subcommand};

use super::infra::StackArgs;
use super::platform::PlatformArgs;
use crate::images::LocalName;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Push images of this machine's Docker Engine to ECR, and print the settings that name them by their digests
    #[command(after_help = "\
Examples:
  unspsc images push                              what scripts/build-images has made
  unspsc images push unspsc-train-gpu unspsc-serve --save
  unspsc images push team/unspsc-serve:0.1.0      into the repository team/unspsc-serve
  unspsc plan images push

An image's name without its tag is that of its repository, which is created if it is not there: tags immutable, scanned on \
push. With --name NAME that of unspsc-serve is NAME-serve, as the stack of that name has it. Its tag there follows from its content, so that the command can be repeated: what has arrived is not sent again. \
SageMaker's instances run linux/amd64, and nothing is created or pushed unless all images are that. Needs `docker`; logs in \
with a token of ECR, in a folder of its own that is deleted, so that your settings of `docker` stay as they are.")]
    Push(PushArgs),
}

/// `images push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Images by their names on this machine
    #[arg(value_name = "IMAGE", default_values = ["unspsc-train-cpu:latest", "unspsc-serve:latest"])]
    pub(crate) images: Vec<LocalName>,
    /// Write what is printed into the file of settings, in the place of what stands there
    #[arg(long)]
    pub(crate) save: bool,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}
