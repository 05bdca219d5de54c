//! Safetensors files, mapped into memory.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use crate::ArtifactError;

/// A safetensors file, checked for consistency. Its bytes are mapped into memory, so that no copy of them is made or
/// kept.
#[derive(Debug)]
pub(crate) struct Mapped {
    path: PathBuf,
    bytes: Mmap,
    /// What the file says about itself and its tensors.
    metadata: Metadata,
    /// Where the values of tensors begin.
    start: usize,
}

impl Mapped {
    /// Opens the file at `path`, which nobody may shorten while it is in use: a model directory's files are replaced by
    /// renaming, never written in place.
    ///
    /// # Errors
    /// If the file is missing, truncated or no safetensors file.
    pub(crate) fn open(path: &Path) -> Result<Self, ArtifactError> {
        let failed = |source| ArtifactError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: whatever the bytes are, they are read as bytes and checked; that they stay is said above.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let damaged = |source| ArtifactError::Weights { path: path.to_owned(), source };
        // With it is checked that the tensors lie side by side and fill the file.
        let (length, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        Ok(Self { path: path.to_owned(), bytes, metadata, start: size_of::<u64>() + length })
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the file says about itself.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the file says about the tensor `name`, and where its values are in the file's bytes.
    pub(crate) fn tensor(&self, name: &str) -> Option<(&TensorInfo, Range<usize>)> {
        let info = self.metadata.info(name)?;
        let (from, to) = info.data_offsets;
        Some((info, self.start + from..self.start + to))
    }

    /// Gives the memory back that the file's pages take in this process; what is read again comes from the page cache.
    pub(crate) fn release(&self) {
        // SAFETY: the mapping is one of a file that is only read, so that a page that is dropped comes back as it was.
        #[allow(unsafe_code)]
        let released = unsafe { self.bytes.unchecked_advise(UncheckedAdvice::DontNeed) };
        // A hint that is refused costs memory and nothing else.
        let _ = released;
    }

    /// An error about the tensor `name`.
    pub(crate) fn wrong_tensor(&self, name: &str, reason: String) -> ArtifactError {
        ArtifactError::Tensor { path: self.path.clone(), tensor: name.to_owned(), reason }
    }

    /// An error about the file.
    pub(crate) fn unsupported(&self, reason: String) -> ArtifactError {
        ArtifactError::Unsupported { path: self.path.clone(), reason }
    }
}

/// Writes `tensors` and `metadata` to `path`. The file appears whole or not at all: it is written beside `path` and
/// renamed.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(
    path: &Path,
    tensors: Vec<(&str, TensorView<'_>)>,
    metadata: HashMap<String, String>,
) -> Result<(), ArtifactError> {
    let partial = path.with_extension("partial");
    safetensors::serialize_to_file(tensors, Some(metadata), &partial).map_err(|source| failed(path, source))?;
    std::fs::rename(&partial, path).map_err(|source| ArtifactError::Io { path: path.to_owned(), source })
}

/// What became of a file that was to be written to `path`.
pub(crate) fn failed(path: &Path, error: SafeTensorError) -> ArtifactError {
    match error {
        SafeTensorError::IoError(source) => ArtifactError::Io { path: path.to_owned(), source },
        source => ArtifactError::Weights { path: path.to_owned(), source },
    }
}
