//! The state folder: where things lie in it, and the lock that keeps a second server out.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder of what transform jobs and containers need while they run.
const SCRATCH: &str = "scratch";

/// The state folder, held until dropped or released.
#[derive(Debug)]
pub(crate) struct StateFolder {
    root: PathBuf,
    mark: OsString,
    /// The lock goes when the file is closed, even by a kill; children do not inherit it.
    lock: File,
}

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A folder or the lock file cannot be made.
    #[error("cannot use the state folder {}: {reason}", path.display())]
    Io {
        /// What was being made.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Another server holds the folder.
    #[error("another sagemaker-local uses the state folder {}; stop it or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl StateFolder {
    /// Makes what is missing of the folder at `path`, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let io_error = |reason| FolderError::Io { path: path.to_path_buf(), reason };
        for part in ["s3", "jobs", "endpoints"] {
            fs::create_dir_all(path.join(part)).map_err(io_error)?;
        }
        // Left-over children are known by this path too, so it must be the same whichever way the folder is named.
        let root = fs::canonicalize(path).map_err(io_error)?;
        let lock = File::create(root.join("lock")).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { mark: mark(&root, &lock).map_err(io_error)?, root, lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Locked { path: root }),
            Err(TryLockError::Error(reason)) => Err(io_error(reason)),
        }
    }

    /// Lets the next server in although this value still lives.
    pub(crate) fn release(&self) -> io::Result<()> {
        self.lock.unlock()
    }

    /// The folder itself, without symbolic links in its path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What processes of this folder carry in their environment: the same for the next server on this folder, another
    /// for one whose folder was made anew at the same path.
    pub(crate) fn mark(&self) -> &OsStr {
        &self.mark
    }

    /// The file of records.
    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The folder whose folders are buckets.
    pub(crate) fn buckets(&self) -> PathBuf {
        self.root.join("s3")
    }

    /// The folder of what nobody needs once the server has ended, which may be missing.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join(SCRATCH)
    }

    /// A file of its own for what is on its way into a bucket; the folder is made if missing.
    pub(crate) fn passing(&self) -> io::Result<PathBuf> {
        let folder = self.scratch();
        fs::create_dir_all(&folder)?;
        Ok(folder.join(uuid::Uuid::new_v4().to_string()))
    }

    /// The folder of the training job `name`.
    pub(crate) fn job(&self, name: &str) -> JobFolder {
        JobFolder { root: self.root.clone(), below: Path::new("jobs").join(name) }
    }

    /// The folder of the transform job `name`.
    pub(crate) fn transform(&self, name: &str) -> TransformFolder {
        TransformFolder { root: self.root.clone(), name: name.to_owned() }
    }

    /// Deletes what transform jobs, asynchronous invocations and containers of a server that was killed have left of their work.
    pub(crate) fn clear_scratch(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.scratch()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The folder of the endpoint `name`.
    pub(crate) fn endpoint(&self, name: &str) -> EndpointFolder {
        EndpointFolder { root: self.root.clone(), below: Path::new("endpoints").join(name) }
    }
}

/// The path alone would not do: a folder can be deleted under a running server, and its path be locked a second time.
/// The lock file's inode is not given to another file as long as that server holds it open.
fn mark(root: &Path, lock: &File) -> io::Result<OsString> {
    let file = lock.metadata()?;
    let mut mark = root.as_os_str().to_owned();
    mark.push(format!("#{}:{}", file.dev(), file.ino()));
    Ok(mark)
}

/// The folder of one training job.
#[derive(Debug, Clone)]
pub(crate) struct JobFolder {
    root: PathBuf,
    /// The folder's path below the state folder.
    below: PathBuf,
}

impl JobFolder {
    /// What the job sees as `/opt/ml`.
    pub(crate) fn opt_ml(&self) -> PathBuf {
        self.root.join(&self.below).join("opt-ml")
    }

    /// What the job writes to standard output and error.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join(self.log_below())
    }

    /// The path of that file below the state folder.
    pub(crate) fn log_below(&self) -> PathBuf {
        self.below.join("job.log")
    }

    /// Where an archive lies until it is in its bucket.
    pub(crate) fn archive(&self, name: &str) -> PathBuf {
        self.root.join(&self.below).join(name)
    }
}

/// The folders of one transform job.
#[derive(Debug, Clone)]
pub(crate) struct TransformFolder {
    root: PathBuf,
    name: String,
}

impl TransformFolder {
    /// What the job needs while it runs; nothing in it is worth keeping.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join(SCRATCH).join(&self.name)
    }

    /// What the job's instances see as `/opt/ml`.
    pub(crate) fn opt_ml(&self) -> PathBuf {
        self.scratch().join("opt-ml")
    }

    /// What an instance writes to standard output and error.
    pub(crate) fn log(&self, instance: u32) -> PathBuf {
        self.root.join(self.log_below(instance))
    }

    /// The path of that file below the state folder.
    pub(crate) fn log_below(&self, instance: u32) -> PathBuf {
        Path::new("transforms").join(&self.name).join(format!("instance-{instance}.log"))
    }

    /// What the platform has to say about the data that an instance gets.
    pub(crate) fn data_log(&self, instance: u32) -> PathBuf {
        self.root.join(self.data_log_below(instance))
    }

    /// The path of that file below the state folder.
    pub(crate) fn data_log_below(&self, instance: u32) -> PathBuf {
        Path::new("transforms").join(&self.name).join(format!("instance-{instance}-data.log"))
    }
}

/// The folder of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointFolder {
    root: PathBuf,
    /// The folder's path below the state folder.
    below: PathBuf,
}

impl EndpointFolder {
    /// What the instances of a variant see as `/opt/ml`; each deployment of the endpoint has a number.
    pub(crate) fn opt_ml(&self, deployment: u32, variant: &str) -> PathBuf {
        self.root.join(&self.below).join(deployment.to_string()).join(variant)
    }

    /// What an instance writes to standard output and error.
    pub(crate) fn log(&self, variant: &str, instance: &str) -> PathBuf {
        self.root.join(self.log_below(variant, instance))
    }

    /// The path of that file below the state folder.
    pub(crate) fn log_below(&self, variant: &str, instance: &str) -> PathBuf {
        self.below.join("logs").join(variant).join(format!("{instance}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = StateFolder::open(folder.path()).unwrap();
        let error = StateFolder::open(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("another sagemaker-local uses the state folder"), "{error}");
        let mark = held.mark().to_owned();
        drop(held);
        let again = StateFolder::open(folder.path()).unwrap();
        assert_eq!(again.mark(), mark);
    }

    #[test]
    fn a_folder_that_is_deleted_and_made_anew_has_another_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let held = StateFolder::open(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        let second = StateFolder::open(&path).unwrap();
        assert_eq!(held.root(), second.root());
        assert_ne!(held.mark(), second.mark());
    }
}
