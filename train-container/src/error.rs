//! Why a job fails, and the exit code that says so.

use std::path::PathBuf;

use tch::TchError;
use unspsc_artifact::ArtifactError;
use unspsc_contract::HyperparameterError;
use unspsc_dataset::DatasetError;

/// A job that cannot go on; each message is one sentence that names the file or field.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A hyperparameter is not taken.
    #[error(transparent)]
    Hyperparameter(#[from] HyperparameterError),
    /// A configuration file, a variable or a channel is not what it should be.
    #[error("{0}")]
    Setting(String),
    /// A channel's files cannot be read.
    #[error("channel `{channel}`: {source}")]
    Channel {
        /// The channel's name.
        channel: &'static str,
        /// What is wrong with its files.
        source: DatasetError,
    },
    /// The rows do not suffice to train and judge a model.
    #[error("{0}")]
    Data(String),
    /// The pretrained encoder, or a trained model that is loaded, cannot be used.
    #[error("{0}")]
    Model(ArtifactError),
    /// The weights left the range of numbers.
    #[error(
        "training diverged in epoch {epoch}, step {step}: the gradient is not finite; lower `learning_rate` or raise \
         `warmup_ratio`"
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
        /// Counted from 1 over all epochs.
        step: usize,
    },
    /// A result cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of the model directory cannot be written.
    #[error("the trained model cannot be written: {0}")]
    Artifact(ArtifactError),
    /// The tensor library refused an operation.
    #[error("the tensor library failed: {0}")]
    Torch(#[from] TchError),
    /// The operating system refused what a process is normally granted.
    #[error("the system refused {0}")]
    System(String),
    /// A defect of this program.
    #[error("internal fault (a defect of this program): {0}")]
    Panic(String),
}

/// Whether the device had too little memory for an operation.
pub(crate) fn is_out_of_memory(error: &TchError) -> bool {
    // libtorch has a class for it and tch passes on only its text.
    error.to_string().contains("out of memory")
}

impl TrainError {
    /// What the process ends with: 1 if the input is to blame, 3 if not (2 is the command line's).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Hyperparameter(_)
            | Self::Setting(_)
            | Self::Channel { .. }
            | Self::Data(_)
            | Self::Model(_)
            | Self::Diverged { .. } => 1,
            Self::Write { .. } | Self::Artifact(_) | Self::Torch(_) | Self::System(_) | Self::Panic(_) => 3,
        }
    }
}
