//! Folders for what nobody needs once the program has ended, however it ends.
//!
//! A program that is killed deletes nothing. Each folder therefore holds a file that its program keeps locked, and a lock
//! ends with its process: the next program deletes those that nobody holds any more, and with them the file elsewhere that
//! one of them may be about.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// How the folders' names begin.
const PREFIX: &str = "unspsc-scratch-";
/// The file that is locked.
const LOCK: &str = ".lock";
/// The link to the file elsewhere.
const DRAFT: &str = "draft";
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

    /// The path in `folder` of a file that is about to be made there; a program that is killed leaves it to the next to delete.
    pub(crate) fn draft_in(&self, folder: &Path) -> io::Result<PathBuf> {
        // Noted first. The name is this folder's alone, so that no file of anybody's bears it.
        let draft = std::path::absolute(folder.join(draft_name(self.path())))?;
        symlink(&draft, self.path().join(DRAFT))?;
        Ok(draft)
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
            remove_draft(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The name of the file elsewhere that `folder` is about.
fn draft_name(folder: &Path) -> String {
    format!(".{}.part", folder.file_name().unwrap_or_default().to_string_lossy())
}

/// Deletes the file elsewhere that `folder` is about. All users may make such a folder: a link says nothing of files that are not its
/// maker's own.
fn remove_draft(folder: &Path) {
    let link = folder.join(DRAFT);
    let (Ok(draft), Ok(maker)) = (fs::read_link(&link), link.symlink_metadata()) else { return };
    let is_named = draft.file_name().is_some_and(|name| *name == *draft_name(folder));
    if is_named && draft.symlink_metadata().is_ok_and(|draft| draft.is_file() && draft.uid() == maker.uid()) {
        let _ = fs::remove_file(draft);
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
        let elsewhere = tempfile::tempdir().unwrap();
        let drafts = [&held, &left].map(|scratch| scratch.draft_in(elsewhere.path()).unwrap());
        drafts.iter().for_each(|draft| fs::write(draft, "draft").unwrap());
        // A link to a file of another name is none of ours.
        let (other, mine) = (Scratch::new().unwrap(), elsewhere.path().join("mine"));
        fs::write(&mine, "mine").unwrap();
        symlink(&mine, other.path().join(DRAFT)).unwrap();
        let left = [left, other].map(|Scratch { folder, _lock }| folder.keep());
        clear_left_over();
        assert!(held.path().is_dir() && !left.iter().any(|left| left.exists()));
        assert!(drafts[0].exists() && !drafts[1].exists() && mine.exists());
        let path = held.path().to_path_buf();
        drop(held);
        assert!(!path.exists());
    }
}
