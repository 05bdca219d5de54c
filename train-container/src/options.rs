//! The command line.

use std::path::PathBuf;

use unspsc_contract::OptMl;

/// What the exit code says; shown by `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  trained, or stopped by SIGTERM: the weights of the best epoch so far are saved, those of the moment before the first,
     and a checkpoint where the job has a folder for them
  1  the input cannot be used: settings, channels, data or the pretrained encoder
  2  the command line is wrong
  3  an internal fault: the tensor library, a write that failed, a panic

With codes 1 and 3 the reason stands in output/failure under the base directory.";

/// Trains a classifier of purchase-line descriptions as a SageMaker training job.
///
/// Everything else is told by the files under the base directory, as SageMaker lays them out: hyperparameters, channels,
/// resources. SM_* variables, where set, go before the files.
#[derive(Debug, clap::Parser)]
#[command(name = "train", version, after_help = EXIT_CODES)]
pub struct Options {
    /// The word that SageMaker appends to the command; it changes nothing
    #[arg(value_name = "train", value_parser = ["train"], hide_possible_values = true)]
    pub command: Option<String>,

    /// Folder that holds the tree SageMaker mounts: input, model, output, checkpoints
    #[arg(long, env = "SAGEMAKER_BASE_DIR", default_value = OptMl::ROOT)]
    pub base_dir: PathBuf,

    /// Folder of the pretrained encoder, in the Hugging Face layout; a `model` channel goes before it
    #[arg(long, env = "UNSPSC_ENCODER")]
    pub encoder: Option<PathBuf>,
}
