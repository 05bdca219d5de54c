//! What has been downloaded, and whether it still lies there as it came: `DIR/downloads.json`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::answer::Validator;
use super::error::Error;

/// One file as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Where it was asked for.
    pub(crate) url: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    /// What the server called this state of it.
    #[serde(flatten)]
    pub(crate) validator: Validator,
    /// When it was complete.
    pub(crate) downloaded: Timestamp,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    /// By SOURCE/FILE.
    files: BTreeMap<String, Record>,
}

impl Ledger {
    /// Reads that of `folder`; where there is none it is empty.
    ///
    /// # Errors
    /// When there is one that cannot be read or understood.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("downloads.json");
        let files = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| Error::disk("understand", &path)(error.into()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Error::disk("read", &path)(error)),
        };
        Ok(Self { path, files })
    }

    /// The record of this file.
    pub(crate) fn get(&self, label: &str) -> Option<&Record> {
        self.files.get(label)
    }

    /// Adds or replaces a record, on disk too.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn insert(&mut self, label: &str, record: Record) -> Result<(), Error> {
        self.files.insert(label.to_owned(), record);
        write_json(&self.path, &self.files)
    }
}

/// Writes `value` to `path` so that there is the old or the new file at any time, and nothing between.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let failed = |error| Error::disk("write", path)(error);
    let new = path.with_added_extension("new");
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new))).map_err(failed)
}

/// How a file on disk compares with its record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Missing,
    /// It is as it came.
    Unchanged,
    /// It is not, in this respect.
    Differs(String),
    /// It was not downloaded, of so many bytes.
    Foreign(u64),
}

/// Compares the file at `path` with its record: length, and then digest.
///
/// # Errors
/// When there is a file that cannot be read.
pub(crate) fn standing(path: &Path, record: Option<&Record>) -> Result<Standing, Error> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(Error::Refused(format!("{} is there and is no file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Missing),
        Err(error) => return Err(Error::disk("read", path)(error)),
    };
    let Some(record) = record else {
        // An empty file is what an attempt by other means has left behind.
        return Ok(if bytes == 0 { Standing::Missing } else { Standing::Foreign(bytes) });
    };
    if bytes != record.bytes {
        return Ok(Standing::Differs(format!("{bytes} bytes instead of {}", record.bytes)));
    }
    let mut digest = Sha256::new();
    each_block(path, |block| digest.update(block))?;
    if hex(digest) == record.sha256 {
        Ok(Standing::Unchanged)
    } else {
        Ok(Standing::Differs("other bytes of the same length".to_owned()))
    }
}

/// Reads the file at `path` block by block.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn each_block(path: &Path, mut look: impl FnMut(&[u8])) -> Result<(), Error> {
    let failed = |error| Error::disk("read", path)(error);
    let mut file = File::open(path).map_err(failed)?;
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => look(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Lower-case hexadecimal of a digest.
pub(crate) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            url: "https://example.com/a.csv".to_owned(),
            bytes: 3,
            sha256: hex(Sha256::new().chain_update("abc")),
            validator: Validator { etag: Some("\"1\"".to_owned()), last_modified: None },
            downloaded: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn records_survive() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::read(folder.path()).unwrap();
        assert_eq!(ledger.get("x/a.csv"), None);
        ledger.insert("x/a.csv", record()).unwrap();
        assert_eq!(Ledger::read(folder.path()).unwrap().get("x/a.csv"), Some(&record()));
        fs::write(folder.path().join("downloads.json"), "{").unwrap();
        let error = Ledger::read(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot understand ") && error.ends_with("downloads.json"), "{error}");
    }

    #[test]
    fn files_are_compared_by_length_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let compare = |text: &str| {
            fs::write(&path, text).unwrap();
            standing(&path, Some(&record())).unwrap()
        };
        assert_eq!(standing(&path, Some(&record())).unwrap(), Standing::Missing);
        assert_eq!(compare("abc"), Standing::Unchanged);
        assert_eq!(compare("abcd"), Standing::Differs("4 bytes instead of 3".to_owned()));
        assert_eq!(compare("abd"), Standing::Differs("other bytes of the same length".to_owned()));
        assert_eq!(standing(&path, None).unwrap(), Standing::Foreign(3));
    }
}
