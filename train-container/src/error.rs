//! Why a job fails, and the exit code that says so.

use std::path::PathBuf;

use tch::TchError;
use unspsc_artifact::ArtifactError;
use unspsc_contract::HyperparameterError;
use unspsc_dataset::DatasetError;
use unspsc_engine::EngineError;

use crate::failure;

/// A job that cannot go on; each message is one sentence that names the file or field.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A hyperparameter is not taken.
    #[error(transparent)]
    Hyperparameter(#[from] HyperparameterError),
    /// A configuration file or a variable is not what it should be.
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
    /// A channel is missing, or its rows do not suffice to train and judge a model.
    #[error("{0}")]
    Data(String),
    /// There is no pretrained encoder.
    #[error("{0}")]
    NoEncoder(String),
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
    /// The engine that will serve the model cannot compute with it.
    #[error("the trained model cannot be served: {0}")]
    Engine(EngineError),
    /// The tensor library refused an operation.
    #[error("the tensor library failed: {0}")]
    Torch(TchError),
    /// Memory was refused, or the process was killed for what it took.
    #[error("out of memory: lower `max_batch_tokens` or `max_length`, or take an instance with more memory: {0}")]
    OutOfMemory(String),
    /// The operating system refused what a process is normally granted.
    #[error("the system refused {0}")]
    System(String),
    /// The process that trains ended without a word of its own.
    #[error("the process that trains crashed (a defect of this program or of a native library): {0}")]
    Crash(String),
    /// A defect of this program.
    #[error("internal fault (a defect of this program): {0}")]
    Panic(String),
}

impl TrainError {
    /// What the process ends with; documented by `--help` and in `docs/training.md`. 2 is the command line's.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Torch(_) | Self::System(_) => 11,
            Self::Hyperparameter(_) | Self::Setting(_) => 3,
            Self::Channel { .. } | Self::Data(_) => 4,
            Self::NoEncoder(_) | Self::Model(_) => 5,
            Self::Diverged { .. } | Self::Engine(_) => 6,
            Self::Write { .. } | Self::Artifact(_) => 7,
            Self::OutOfMemory(_) => 8,
            Self::Panic(_) => 9,
            Self::Crash(_) => 10,
        }
    }
}

impl From<TchError> for TrainError {
    fn from(error: TchError) -> Self {
        failure::out_of_memory(&error.to_string()).unwrap_or(Self::Torch(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_libtorch_is_refused_is_recognised() {
        for (message, code) in [
            ("CUDA out of memory. Tried to allocate 2.00 GiB.\nException raised from malloc:\nframe #0", 8),
            ("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to allocate 9", 8),
            ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", 8),
            ("shape '[2, 3]' is invalid for input of size 5", 11),
        ] {
            let error = TrainError::from(TchError::Torch(message.into()));
            assert_eq!(error.exit_code(), code, "{error}");
            assert_eq!(error.to_string().contains("lower `max_batch_tokens`"), code == 8);
            assert!(!error.to_string().contains("frame #0"));
        }
    }
}
