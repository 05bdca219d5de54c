//! Files that have their name once they are whole, and are called `.NAME.part` until then.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A file on its way; it is gone unless it is kept.
#[derive(Debug)]
pub(crate) struct WholeFile {
    /// Locked, so that no other run takes it for one that was left over.
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl WholeFile {
    /// Begins the file `path`; what is there under that name stays meanwhile. What a killed run has left of it is replaced.
    pub(crate) fn begin(path: &Path) -> anyhow::Result<Self> {
        // A folder, and what is replaced by nobody's intention: a pipe, a device.
        let name = path.file_name().filter(|_| !path.exists() || path.is_file());
        let name = name.with_context(|| format!("{} is there and is no file: name another", path.display()))?;
        let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
        let cannot = || format!("cannot write {}", part.display());
        loop {
            // Never what a link there leads to.
            if part.is_symlink() {
                fs::remove_file(&part).with_context(cannot)?;
            }
            let file = File::options().create(true).write(true).truncate(false).open(&part).with_context(cannot)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    bail!("{} is being written by another run: wait for it, or name another file", path.display())
                }
                // A file system without locks is one nevertheless.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // The run that held it until now may have given it its name, or taken it away.
            if is_at(&file, &part) {
                file.set_len(0).with_context(cannot)?;
                return Ok(Self { file, part, path: path.to_owned() });
            }
        }
    }

    /// Gives it its name, which is returned.
    pub(crate) fn keep(self) -> anyhow::Result<PathBuf> {
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        kept.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path.clone())
    }
}

/// Writes a file of this content, whole or not at all.
pub(crate) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    let mut file = WholeFile::begin(path)?;
    file.write_all(content.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    file.keep().map(drop)
}

/// Makes the folder that the file `path` is to lie in.
pub(crate) fn make_folder(path: &Path) -> anyhow::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Refuses an output that would replace the `input` of which it is made.
pub(crate) fn refuse_input(input: &Path, output: &Path) -> anyhow::Result<()> {
    if output.canonicalize().is_ok_and(|output| input.canonicalize().is_ok_and(|input| input == output)) {
        bail!("{} would be replaced by what is made of it: name another --output", input.display());
    }
    Ok(())
}

/// Whether `file` is what the name `path` stands for.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (file.dev(), file.ino()) == (there.dev(), there.ino())
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // One that was kept has another name, and the next run's begins with the same.
        if is_at(&self.file, &self.part) {
            let _ = fs::remove_file(&self.part);
        }
    }
}

impl std::io::Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let (path, part) = (folder.path().join("a.csv"), folder.path().join(".a.csv.part"));
        fs::write(&part, "what a killed run has left").unwrap();
        let mut file = WholeFile::begin(&path).unwrap();
        file.write_all(b"new").unwrap();
        let error = WholeFile::begin(&path).unwrap_err().to_string();
        assert!(error.contains("another run") && names() == [".a.csv.part"], "{error}");
        assert_eq!(file.keep().unwrap(), path);
        assert_eq!((names(), fs::read_to_string(&path).unwrap()), (vec!["a.csv".into()], "new".to_owned()));

        drop(WholeFile::begin(&path).unwrap());
        assert_eq!((names(), fs::read_to_string(&path).unwrap()), (vec!["a.csv".into()], "new".to_owned()));
        // Nothing is written through a link.
        std::os::unix::fs::symlink(&path, &part).unwrap();
        drop(WholeFile::begin(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(WholeFile::begin(folder.path()).unwrap_err().to_string().contains("is no file"));
    }

    #[test]
    fn an_input_is_never_its_own_output() {
        let folder = tempfile::tempdir().unwrap();
        let (input, link) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        fs::write(&input, "mine").unwrap();
        std::os::unix::fs::symlink(&input, &link).unwrap();
        assert!(refuse_input(&input, &link).is_err() && refuse_input(&input, &folder.path().join("c.csv")).is_ok());
    }
}
