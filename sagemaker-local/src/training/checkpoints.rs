//! Checkpoints: what a job keeps in its folder of checkpoints is kept in S3 too, and is there again when the job is.
//!
//! As at SageMaker, the folder is filled before the program starts, what is written or deleted in it while the program runs is written or deleted
//! in S3, and what others put there meanwhile is not fetched.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::storage::{S3Uri, Storage, StorageError};

/// The folder of checkpoints of a running job, and what of it is in S3.
#[derive(Debug)]
pub(super) struct Checkpoints {
    folder: PathBuf,
    uri: S3Uri,
    /// Files below the folder as they were when they were last put into S3.
    kept: BTreeMap<PathBuf, (u64, SystemTime)>,
}

impl Checkpoints {
    /// Fills the folder from `uri`.
    pub(super) fn restore(storage: &Storage, folder: PathBuf, uri: S3Uri) -> Result<Self, StorageError> {
        let io_error = |reason| StorageError::Io { path: folder.clone(), reason };
        fs::create_dir_all(&folder).map_err(io_error)?;
        let whole = S3Uri { key: format!("{}/", uri.key.trim_end_matches('/')), ..uri.clone() };
        storage.download(&whole, &folder)?;
        let kept = files(&folder).map_err(io_error)?;
        Ok(Self { folder, uri, kept })
    }

    /// Puts what is new or has changed into S3, and deletes there what is gone here.
    pub(super) async fn sync(&mut self, storage: &Storage) -> Result<(), StorageError> {
        let io_error = |reason| StorageError::Io { path: self.folder.clone(), reason };
        let now = files(&self.folder).map_err(io_error)?;
        for (path, state) in &now {
            if self.kept.get(path) == Some(state) {
                continue;
            }
            match storage.put(&self.folder.join(path), &self.address(path)).await {
                // The job has just moved or deleted it.
                Err(StorageError::Io { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {}
                outcome => {
                    outcome?;
                    self.kept.insert(path.clone(), *state);
                }
            }
        }
        let gone: Vec<PathBuf> = self.kept.keys().filter(|path| !now.contains_key(*path)).cloned().collect();
        for path in gone {
            storage.delete(&self.address(&path)).await?;
            self.kept.remove(&path);
        }
        Ok(())
    }

    fn address(&self, path: &Path) -> S3Uri {
        self.uri.join(&path.to_string_lossy())
    }
}

/// All files below `folder`, with length and time of the last change.
fn files(folder: &Path) -> io::Result<BTreeMap<PathBuf, (u64, SystemTime)>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            // The job has just moved or deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file()
                && let Ok(below) = entry.path().strip_prefix(folder)
            {
                found.insert(below.to_path_buf(), (metadata.len(), metadata.modified()?));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_and_deleted_here_is_written_and_deleted_there() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("s3");
        fs::create_dir_all(root.join("bucket/kept")).unwrap();
        fs::write(root.join("bucket/kept/old"), "old").unwrap();
        fs::write(root.join("bucket/kept-not"), "of another").unwrap();
        let storage = Storage::open(root.clone()).unwrap();
        let folder = place.path().join("checkpoints");
        let mut checkpoints =
            Checkpoints::restore(&storage, folder.clone(), "s3://bucket/kept".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("old")).unwrap(), "old");
        assert_eq!(files(&folder).unwrap().len(), 1);

        fs::create_dir(folder.join("step-2")).unwrap();
        fs::write(folder.join("step-2/weights"), "new").unwrap();
        fs::remove_file(folder.join("old")).unwrap();
        checkpoints.sync(&storage).await.unwrap();
        assert_eq!(fs::read_to_string(root.join("bucket/kept/step-2/weights")).unwrap(), "new");
        assert!(!root.join("bucket/kept/old").exists());
        fs::write(folder.join("step-2/weights"), "newer").unwrap();
        checkpoints.sync(&storage).await.unwrap();
        assert_eq!(fs::read_to_string(root.join("bucket/kept/step-2/weights")).unwrap(), "newer");
        assert!(root.join("bucket/kept-not").exists());
    }
}
