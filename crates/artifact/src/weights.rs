//! `model.safetensors`: tensors by name.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::ArtifactError;
use crate::mapped::{self, Mapped};

/// A model's weights, mapped into memory.
#[derive(Debug)]
pub struct Weights(Arc<Mapped>);

/// A table of float32, `[rows, width]`, whose rows are read from the file as they are wanted.
///
/// A table of embeddings is the largest tensor of a small model, and a text reads a few rows of it: the file's own pages, which
/// the kernel keeps for all processes and may drop, are memory enough.
#[derive(Debug)]
pub struct Table {
    file: Arc<Mapped>,
    begin: usize,
    width: usize,
}

impl Table {
    /// Writes row number `row` to `out`, `[width]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn read(&self, row: usize, out: &mut [f32]) {
        let bytes = self.width * size_of::<f32>();
        let row = &self.file.bytes()[self.begin..][row * bytes..][..bytes];
        for (value, bytes) in out.iter_mut().zip(row.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
    }
}

/// How many values are looked at between two decisions: so many at once are vectorised.
const CHECKED: usize = 4096;

impl Weights {
    /// Opens the file at `path`, which nobody may shorten while it is in use: a model directory's files are replaced by
    /// renaming, never written in place.
    ///
    /// # Errors
    /// If the file is missing, truncated or no safetensors file.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        Mapped::open(path).map(|file| Self(Arc::new(file)))
    }

    /// Whether there is a tensor of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.tensor(name).is_some()
    }

    /// The values of the float32 tensor `name`, row by row, if it has exactly this `shape`.
    ///
    /// # Errors
    /// Names the tensor that is missing, has another shape or type, or holds a value that is not finite.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, ArtifactError> {
        let values = self.unchecked(name, shape)?;
        if values.chunks(CHECKED).all(all_finite) { Ok(values) } else { Err(self.not_finite(name)) }
    }

    /// As [`Weights::tensor`], for who looks at each value anyway: they may be not finite, for which there is
    /// [`Weights::not_finite`].
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape or type.
    pub fn unchecked(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, ArtifactError> {
        let wrong = |reason: String| self.0.wrong_tensor(name, reason);
        let (info, range) = self.0.tensor(name).ok_or_else(|| wrong("is missing".into()))?;
        if info.dtype != Dtype::F32 {
            return Err(wrong(format!("is {:?}; save the model in float32", info.dtype)));
        }
        if info.shape != shape {
            return Err(wrong(format!("has shape {:?}; the configuration asks for {shape:?}", info.shape)));
        }
        Ok(values(&self.0.bytes()[range]))
    }

    /// That the tensor `name` holds a value that is not finite.
    #[must_use]
    pub fn not_finite(&self, name: &str) -> ArtifactError {
        let reason = "holds a value that is not finite: the file is damaged or training diverged";
        self.0.wrong_tensor(name, reason.into())
    }

    /// The float32 tensor `name` to read rows of, if it has exactly this many `rows` of this `width`. Nobody looks at the
    /// values before they are read: a row may hold some that are not finite.
    ///
    /// # Errors
    /// As [`Weights::unchecked`].
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Table, ArtifactError> {
        self.unchecked(name, &[rows, width])?;
        let begin = self.0.tensor(name).map_or(0, |(_, range)| range.start);
        Ok(Table { file: Arc::clone(&self.0), begin, width })
    }

    /// Gives back the memory of what has been read so far: for when all tensors are where they are wanted. What is read later
    /// is read again.
    pub fn release(&self) {
        self.0.release();
    }

    /// Writes float32 tensors, each a shape and its values as little-endian bytes, to `path`. The file appears whole or
    /// not at all: it is written beside `path` and renamed.
    ///
    /// # Errors
    /// If a shape and its values disagree, or the file cannot be written.
    pub fn write(path: &Path, tensors: &BTreeMap<&str, (Vec<usize>, Vec<u8>)>) -> Result<(), ArtifactError> {
        let mut views = Vec::with_capacity(tensors.len());
        for (name, (shape, bytes)) in tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            views.push((*name, view.map_err(|error| mapped::failed(path, error))?));
        }
        // `transformers` refuses a file that does not say which library's layout it has.
        mapped::write(path, views, HashMap::from([("format".to_owned(), "pt".to_owned())]))
    }
}

fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

/// Little-endian float32, in place where the processor is little-endian too and the writer has aligned the tensors.
fn values(bytes: &[u8]) -> Cow<'_, [f32]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) if cfg!(target_endian = "little") => Cow::Borrowed(values),
        _ => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let values = [1.5_f32, -2.0, 0.25, 8.0];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensors = BTreeMap::from([("a.weight", (vec![2, 2], bytes.clone())), ("a.bias", (vec![4], bytes))]);
        Weights::write(&path, &tensors).unwrap();
        let weights = Weights::read(&path).unwrap();
        assert_eq!(*weights.tensor("a.weight", &[2, 2]).unwrap(), values);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the file itself");
        let error = Weights::write(&path, &BTreeMap::from([("a", (vec![3], vec![0; 4]))])).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        assert!(weights.tensor("a.bias", &[2]).unwrap_err().to_string().contains("`a.bias` has shape [4]"));
    }

    #[test]
    fn values_are_the_same_wherever_they_lie() {
        let bytes: Vec<u8> = [0.0_f32, 1.5, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        for shift in 0..4 {
            let moved = [vec![0; shift], bytes.clone()].concat();
            assert_eq!(*values(&moved[shift..]), [0.0, 1.5, -2.0]);
        }
    }

    /// A safetensors file with one float32 tensor `a`.
    fn file(values: &[f32]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Weights::write(&path, &BTreeMap::from([("a", (vec![values.len()], bytes))])).unwrap();
        (folder, path)
    }

    #[test]
    fn a_damaged_file_is_refused_wherever_it_is_cut() {
        let (_folder, path) = file(&[1.0, 2.0, 3.0]);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Weights::read(&path).unwrap_err().to_string();
            assert!(error.contains("model.safetensors is damaged"), "{length} bytes: {error}");
        }
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        std::fs::write(&path, lying).unwrap();
        assert!(Weights::read(&path).unwrap_err().to_string().contains("is damaged"));
        std::fs::remove_file(&path).unwrap();
        assert!(Weights::read(&path).unwrap_err().to_string().contains("model.safetensors: No such file"));
    }

    #[test]
    fn a_tensor_that_cannot_be_used_is_named() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (_folder, path) = file(&[1.0, value]);
            let weights = Weights::read(&path).unwrap();
            let error = weights.tensor("a", &[2]).unwrap_err().to_string();
            assert!(error.contains("tensor `a` holds a value that is not finite"), "{error}");
            let error = weights.tensor("b", &[2]).unwrap_err().to_string();
            assert!(error.contains("tensor `b` is missing"), "{error}");
            let error = weights.tensor("a", &[1, 2]).unwrap_err().to_string();
            assert!(error.contains("tensor `a` has shape [2]; the configuration asks for [1, 2]"), "{error}");
            assert!(weights.contains("a") && !weights.contains("b"));
        }
    }

    #[test]
    fn half_precision_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let view = TensorView::new(Dtype::F16, vec![2], &[0; 4]).unwrap();
        safetensors::serialize_to_file([("a", view)], None, &path).unwrap();
        let error = Weights::read(&path).unwrap().tensor("a", &[2]).unwrap_err().to_string();
        assert!(error.contains("tensor `a` is F16; save the model in float32"), "{error}");
    }
}
