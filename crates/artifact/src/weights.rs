//! `model.safetensors`: tensors by name.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use crate::ArtifactError;

/// The bytes of a safetensors file, checked for consistency.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Weights {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If the file is missing, truncated or no safetensors file.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let bytes = std::fs::read(path).map_err(|source| ArtifactError::Io { path: path.to_owned(), source })?;
        let weights = Self { path: path.to_owned(), bytes };
        weights.tensors()?;
        Ok(weights)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, ArtifactError> {
        SafeTensors::deserialize(&self.bytes)
            .map_err(|source| ArtifactError::Weights { path: self.path.clone(), source })
    }

    /// Whether there is a tensor of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors().is_ok_and(|tensors| tensors.tensor(name).is_ok())
    }

    /// The values of the float32 tensor `name`, row by row, if it has exactly this `shape`.
    ///
    /// # Errors
    /// Names the tensor that is missing, has another shape or type, or holds a value that is not finite.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ArtifactError> {
        let wrong = |reason: String| ArtifactError::Tensor { path: self.path.clone(), tensor: name.to_owned(), reason };
        let tensors = self.tensors()?;
        let tensor = tensors.tensor(name).map_err(|_| wrong("is missing".into()))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(wrong(format!("is {:?}; save the model in float32", tensor.dtype())));
        }
        if tensor.shape() != shape {
            return Err(wrong(format!("has shape {:?}; the configuration asks for {shape:?}", tensor.shape())));
        }
        let values: Vec<f32> =
            tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(wrong("holds a value that is not finite: the file is damaged or training diverged".into()));
        }
        Ok(values)
    }
}
