//! The data log of an instance: what the platform itself has to say about the data, a line for each thing, as SageMaker's stream `…/data-log`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::logs::Follower;
use crate::time::Time;

/// A file that lines are added to; their times are noted beside it.
#[derive(Debug)]
pub(super) struct DataLog {
    path: PathBuf,
    follower: Mutex<Follower>,
}

impl DataLog {
    /// The log at `path`; its file is made with the first line.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { follower: Mutex::new(Follower::new(path.clone())), path }
    }

    /// Adds the lines of `text`, said at `now`.
    pub(super) fn say(&self, now: Time, text: &str) {
        let mut follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner);
        let said = self.append(text).and_then(|()| follower.new_lines(now, false));
        if let Err(error) = said {
            tracing::warn!(log = %self.path.display(), %error, "cannot write the data log");
        }
    }

    fn append(&self, text: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut lines = String::new();
        for line in text.lines() {
            lines.push_str("[sagemaker logs]: ");
            lines.push_str(line);
            lines.push('\n');
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(lines.as_bytes())
    }
}
