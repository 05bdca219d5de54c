//! Why a file did not come.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use indicatif::HumanDuration;

/// Why one try failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There was no connection to begin with.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// Whom it was tried to reach.
        host: String,
        /// The innermost reason.
        reason: String,
    },
    /// The connection was there and then was not, or fell silent.
    #[error("{0}")]
    Broken(String),
    /// The server wants to be asked another time.
    #[error("the server answered {status}{}", asked(*.wait))]
    Busy {
        /// Its words.
        status: StatusCode,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// Asking again gives the same.
    #[error("{0}")]
    Refused(String),
    /// The same, and what came is of no use either.
    #[error("{0}")]
    Unusable(String),
    /// This machine's file system.
    #[error("cannot {action} {}", path.display())]
    Disk {
        /// A verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// A failure to `action` the file at `path`, for `map_err`.
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_owned(), source }
    }

    /// Whether trying again may help.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken(_) | Self::Busy { .. })
    }
}

fn asked(wait: Option<Duration>) -> String {
    let wait = wait.filter(|wait| !wait.is_zero());
    wait.map(|wait| format!(" and asks for {} of patience", HumanDuration(wait))).unwrap_or_default()
}
