//! The command line.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use unspsc_contract::OptMl;

use crate::failure;

/// Names another folder than [`OptMl::ROOT`].
const BASE_DIR: &str = "SAGEMAKER_BASE_DIR";

/// What the exit code says; shown by `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  trained, or stopped by SIGTERM: the weights of the best epoch so far are saved, those of the moment before the first,
     and a checkpoint where the job has a folder for them
  2  the command line is wrong
  3  a hyperparameter, a configuration file or an SM_* variable cannot be used, or the job has more than one host
  4  a channel is missing, cannot be read, or has too few usable rows
  5  the pretrained encoder is missing or cannot be used
  6  training diverged
  7  a result cannot be written
  8  out of memory, by the kernel's out-of-memory killer too
  9  an internal fault: a panic
 10  the process that trains crashed: SIGSEGV, SIGABRT and the like
 11  the tensor library or the operating system refused something

With each but 0 the reason stands in output/failure under the base directory, if that can be written. 137 and 143 are not
this program's: the whole container was killed.";

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
    #[arg(long, env = BASE_DIR, default_value = OptMl::ROOT)]
    pub base_dir: PathBuf,

    /// Folder of the pretrained encoder, in the Hugging Face layout; a `model` channel goes before it
    #[arg(long, env = "UNSPSC_ENCODER")]
    pub encoder: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; where there is nothing to run, says so and returns what to end with.
    ///
    /// # Errors
    /// The exit code: 0 after `--help`, 2 for a command line that is wrong, with the reason in `output/failure` too.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // Standard error may be closed.
            let _ = error.print();
            let root = PathBuf::from(env::var_os(BASE_DIR).unwrap_or_else(|| OptMl::ROOT.into()));
            // Whoever mistypes a command at a desk wants no tree.
            if error.use_stderr() && root.is_dir() {
                failure::write(&OptMl::new(root).failure(), &failure::one_line(&error.to_string()));
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        })
    }
}
