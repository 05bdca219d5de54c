//! Files that have their name once they are whole, and lie beside it under another until then.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::scratch::Scratch;

/// A file on its way; it is gone unless it is kept.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
    draft: PathBuf,
    path: PathBuf,
    /// By which the next start finds the draft of a run that was killed.
    _scratch: Scratch,
}

impl WholeFile {
    /// Begins the file `path`; what is there under that name stays meanwhile.
    pub(crate) fn begin(path: &Path) -> anyhow::Result<Self> {
        // A folder, and what is replaced by nobody's intention: a pipe, a device.
        if path.file_name().is_none() || (path.exists() && !path.is_file()) {
            bail!("{} is there and is no file: name another", path.display());
        }
        let scratch = Scratch::new().context("cannot make a temporary folder")?;
        let cannot = || format!("cannot write {}", path.display());
        let draft = scratch.draft_in(path.parent().unwrap_or(Path::new(""))).with_context(cannot)?;
        let file = File::create_new(&draft).with_context(cannot)?;
        Ok(Self { file, draft, path: path.to_owned(), _scratch: scratch })
    }

    /// Gives it its name, which is returned.
    pub(crate) fn keep(self) -> anyhow::Result<PathBuf> {
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.draft, &self.path));
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

impl Drop for WholeFile {
    fn drop(&mut self) {
        // One that was kept has another name by now.
        let _ = fs::remove_file(&self.draft);
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
        let path = folder.path().join("a.csv");
        let (mut file, mut other) = (WholeFile::begin(&path).unwrap(), WholeFile::begin(&path).unwrap());
        file.write_all(b"new").unwrap();
        other.write_all(b"longer").unwrap();
        assert_eq!(file.keep().unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        drop(other);
        assert_eq!((names(), fs::read_to_string(&path).unwrap()), (vec!["a.csv".into()], "new".to_owned()));
        assert!(WholeFile::begin(folder.path()).unwrap_err().to_string().contains("is no file"));
        assert!(WholeFile::begin(&folder.path().join("none/a.csv")).unwrap_err().to_string().contains("none/a.csv"));
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
