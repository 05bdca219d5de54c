//! A file that is still coming: `.FILE.part`, and beside it, in `.FILE.part.json`, of what it is the beginning.

use std::fs;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::answer::{Have, Validator};
use super::error::Error;
use super::record::{each_block, hex, write_json};

/// So many bytes tell a web page from data.
pub(crate) const HEAD_BYTES: usize = 256;

/// What a part is the beginning of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Where it was asked for.
    pub(crate) url: String,
    /// Length of the whole in bytes, where declared.
    pub(crate) total: Option<u64>,
    /// Which state of it.
    #[serde(flatten)]
    pub(crate) validator: Validator,
}

/// The beginning of a file, on disk under another name than its own.
#[derive(Debug)]
pub(crate) struct Part {
    place: Place,
    file: File,
    bytes: u64,
    digest: Sha256,
    head: Vec<u8>,
    origin: Option<Origin>,
}

/// Where a file lies, and where it lies until it is whole.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file itself.
    pub(crate) file: PathBuf,
    part: PathBuf,
    origin: PathBuf,
}

impl Place {
    /// That of `name` in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let [part, origin] = [".part", ".part.json"].map(|end| folder.join(format!(".{name}{end}")));
        Self { file: folder.join(name), part, origin }
    }

    /// The part, if it is there and a later download can go on from it.
    pub(crate) fn resumable(&self) -> Option<&Path> {
        let bytes = fs::metadata(&self.part).map_or(0, |metadata| metadata.len());
        let can_resume = self.origin().is_some_and(|origin| origin.validator.if_range().is_some());
        (bytes > 0 && can_resume).then_some(&self.part)
    }

    /// What the part is the beginning of; what cannot be read or understood is nothing to build on.
    fn origin(&self) -> Option<Origin> {
        serde_json::from_slice(&fs::read(&self.origin).ok()?).ok()
    }
}

impl Part {
    /// Opens or begins the part of the file at `place`, which comes from `url`.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub(crate) async fn open(place: Place, url: &str) -> Result<Self, Error> {
        let failed = |error| Error::disk("write", &place.part)(error);
        let origin = place.origin().filter(|origin| origin.url == url);
        let mut file =
            File::options().create(true).write(true).truncate(false).open(&place.part).await.map_err(failed)?;
        let (mut digest, mut head, mut bytes) = (Sha256::new(), Vec::new(), 0);
        if origin.is_some() {
            each_block(&place.part, |block| {
                digest.update(block);
                keep_head(&mut head, block);
                bytes += block.len() as u64;
            })?;
        }
        file.seek(SeekFrom::Start(bytes)).await.map_err(failed)?;
        Ok(Self { place, file, bytes, digest, head, origin })
    }

    /// So many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first of them, for a look.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What it is the beginning of.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What is there, if it can be continued.
    pub(crate) fn have(&self) -> Option<Have<'_>> {
        let Origin { total, validator, .. } = self.origin.as_ref()?;
        let can_resume =
            self.bytes > 0 && validator.if_range().is_some() && total.is_none_or(|total| self.bytes < total);
        can_resume.then_some(Have { bytes: self.bytes, total: *total, validator })
    }

    /// Forgets what is there and begins anew, with the beginning of `origin`.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub(crate) async fn restart(&mut self, origin: Origin) -> Result<(), Error> {
        // In this order: at no time may bytes of one file lie under the validator of another.
        self.clear().await.map_err(Error::disk("write", &self.place.part))?;
        write_json(&self.place.origin, &origin)?;
        self.origin = Some(origin);
        Ok(())
    }

    async fn clear(&mut self) -> io::Result<()> {
        (self.bytes, self.digest, self.origin) = (0, Sha256::new(), None);
        self.head.clear();
        self.file.set_len(0).await?;
        self.file.rewind().await?;
        Ok(())
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).await.map_err(Error::disk("write", &self.place.part))?;
        self.digest.update(bytes);
        keep_head(&mut self.head, bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Gives it up for now: it is kept if a later download can go on from it, and otherwise deleted.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub(crate) async fn suspend(mut self) -> Result<(), Error> {
        let written = self.file.flush().await.map_err(Error::disk("write", &self.place.part));
        if self.have().is_none() {
            self.discard();
        }
        written
    }

    /// Deletes it: nothing can come of it.
    pub(crate) fn discard(self) {
        // What cannot be deleted is found useless by the next download.
        let _ = fs::remove_file(&self.place.part);
        let _ = fs::remove_file(&self.place.origin);
    }

    /// Gives the file its name, now that it is whole; returns its SHA-256.
    ///
    /// # Errors
    /// When this machine does not let us; an older file under the name is still there then.
    pub(crate) async fn finish(mut self) -> Result<String, Error> {
        let failed = |error| Error::disk("write", &self.place.file)(error);
        self.file.flush().await.map_err(failed)?;
        // Else after a power failure the name could be there and the bytes not.
        self.file.sync_all().await.map_err(failed)?;
        fs::rename(&self.place.part, &self.place.file).map_err(failed)?;
        let _ = fs::remove_file(&self.place.origin);
        Ok(hex(self.digest))
    }
}

fn keep_head(head: &mut Vec<u8>, bytes: &[u8]) {
    let room = HEAD_BYTES.saturating_sub(head.len()).min(bytes.len());
    head.extend_from_slice(&bytes[..room]);
}
