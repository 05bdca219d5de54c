//! How a verb ends, as scripts see it.

use std::process::ExitCode;

use crate::interrupt::Interrupted;
use crate::progress::Closed;
use crate::undo::Started;

/// What became of a job that did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    /// It failed.
    #[error("{job} failed{reason}")]
    Failed {
        /// The job.
        job: Started,
        /// SageMaker's reason after a colon, or nothing.
        reason: String,
    },
    /// It was stopped: by a user, or by a limit that it met.
    #[error("{job} was stopped{reason}")]
    Stopped {
        /// The job.
        job: Started,
        /// SageMaker's reason after a colon, or nothing.
        reason: String,
    },
    /// It was left running.
    #[error("{job} still runs: {}", .job.way_back())]
    Running {
        /// The job.
        job: Started,
    },
}

/// `error`, or what is true instead where the job that it says was stopped is among those that `resisted`.
pub(crate) fn as_it_stands(error: anyhow::Error, resisted: &[Started]) -> anyhow::Error {
    match error.downcast_ref() {
        Some(Unfinished::Stopped { job, .. }) if resisted.contains(job) => {
            Unfinished::Running { job: job.clone() }.into()
        }
        _ => error,
    }
}

/// The exit code for `error`.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return interrupted.exit_code();
    }
    if error.is::<Closed>() {
        // As a program that SIGPIPE ends.
        return ExitCode::from(141);
    }
    match error.downcast_ref() {
        Some(Unfinished::Failed { .. }) => ExitCode::from(3),
        Some(Unfinished::Stopped { .. }) => ExitCode::from(4),
        Some(Unfinished::Running { .. }) => ExitCode::from(5),
        None => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_could_not_be_stopped_is_not_said_to_be() {
        let stopped = || Unfinished::Stopped { job: Started::Job("a".to_owned()), reason: String::new() }.into();
        let resisted = |job: &str| [Started::Job(job.to_owned())];
        assert!(as_it_stands(stopped(), &resisted("a")).to_string().contains("still runs"));
        assert!(as_it_stands(stopped(), &resisted("b")).to_string().contains("was stopped"));
    }
}
