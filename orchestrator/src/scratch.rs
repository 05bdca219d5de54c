//! Folders for what nobody needs once the program has ended, however it ends.
//!
//! A program that is killed deletes nothing. Each folder therefore holds a file that its program keeps locked, and a lock
//! ends with its process: whoever makes or looks for such a folder deletes those that nobody holds any more.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// How the folders' names begin.
const PREFIX: &str = "unspsc-scratch-";
/// The file that is locked.
const LOCK: &str = ".lock";
/// A folder gets its lock at once after it was made; one that is older and has none never will.
const UNLOCKED: Duration = Duration::from_secs(60);

/// A folder of this process; it goes with this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one in the folder for temporary files.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        // Under its name it is never seen unlocked.
        let (unready, ready) = (folder.path().join(".new"), folder.path().join(LOCK));
        let lock = File::create(&unready)?;
        lock.lock()?;
        fs::rename(unready, ready)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Deletes what killed programs have left among the temporary files. What cannot be deleted is another user's.
pub(crate) fn clear_left_over() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left_over(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left_over(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = fs::symlink_metadata(folder).and_then(|folder| folder.modified());
            made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > UNLOCKED))
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_holds_stays() {
        let (held, left) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        let Scratch { folder, _lock } = left;
        let left = folder.keep();
        drop(_lock);
        clear_left_over();
        assert!(held.path().is_dir() && !left.exists());
        let path = held.path().to_path_buf();
        drop(held);
        assert!(!path.exists());
    }
}
