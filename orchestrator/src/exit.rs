//! How a verb ends, as scripts see it.

use std::process::ExitCode;

use crate::interrupt::Interrupted;

/// What became of a job that did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    /// It failed.
    #[error("training job {job} failed{reason}")]
    Failed {
        /// Its name.
        job: String,
        /// SageMaker's reason after a colon, or nothing.
        reason: String,
    },
    /// It was stopped: by a user, or by a limit that it met.
    #[error("training job {job} was stopped{reason}")]
    Stopped {
        /// Its name.
        job: String,
        /// SageMaker's reason after a colon, or nothing.
        reason: String,
    },
    /// It was left running.
    #[error(
        "training job {job} still runs: `unspsc train` with the same options, or `unspsc logs {job} --follow`, comes back to it"
    )]
    Running {
        /// Its name.
        job: String,
    },
}

/// The exit code for `error`.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return interrupted.exit_code();
    }
    match error.downcast_ref() {
        Some(Unfinished::Failed { .. }) => ExitCode::from(3),
        Some(Unfinished::Stopped { .. }) => ExitCode::from(4),
        Some(Unfinished::Running { .. }) => ExitCode::from(5),
        None => ExitCode::FAILURE,
    }
}
