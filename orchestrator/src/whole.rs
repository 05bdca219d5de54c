//! Files that have their name once they are whole.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

/// What any new file has; the user's mask takes from it.
const MODE: u32 = 0o666;

/// A file on its way; it is gone unless it is kept.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl WholeFile {
    /// Begins the file `path`; what is there under that name stays meanwhile.
    pub(crate) fn begin(path: &Path) -> anyhow::Result<Self> {
        // A folder, and what is replaced by nobody's intention: a pipe, a device.
        if path.exists() && !path.is_file() {
            bail!("{} is there and is no file: name another", path.display());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let builder = tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder);
        let file = builder.with_context(|| format!("cannot write into {}", folder.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives it its name, which is returned.
    pub(crate) fn keep(self) -> anyhow::Result<PathBuf> {
        let Self { file, path } = self;
        let synced = file.as_file().sync_all();
        let kept = synced.and_then(|()| file.persist(&path).map_err(std::io::Error::from));
        kept.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
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
