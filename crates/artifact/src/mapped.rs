//! Safetensors files, mapped into memory.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use crate::ArtifactError;

/// A safetensors file, checked for consistency. Its bytes are mapped into memory, so that no copy of them is made or
/// kept.
#[derive(Debug)]
pub(crate) struct Mapped {
    path: PathBuf,
    bytes: Mmap,
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
        let mapped = Self { path: path.to_owned(), bytes };
        mapped.tensors()?;
        Ok(mapped)
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The tensors by name.
    pub(crate) fn tensors(&self) -> Result<SafeTensors<'_>, ArtifactError> {
        SafeTensors::deserialize(&self.bytes).map_err(|source| self.damaged(source))
    }

    /// What the file says about itself and its tensors, and where in its bytes their values begin.
    pub(crate) fn header(&self) -> Result<(usize, Metadata), ArtifactError> {
        let (length, metadata) = SafeTensors::read_metadata(&self.bytes).map_err(|source| self.damaged(source))?;
        Ok((size_of::<u64>() + length, metadata))
    }

    fn damaged(&self, source: SafeTensorError) -> ArtifactError {
        ArtifactError::Weights { path: self.path.clone(), source }
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
