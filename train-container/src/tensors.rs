//! Tensors in and out of safetensors files, float32.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{TchError, Tensor};
use unspsc_artifact::{ArtifactError, Weights};

use crate::TrainError;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// Writes `tensors`, contiguous on the CPU, to `path`, which appears whole or not at all.
pub(crate) fn write(path: &Path, tensors: &Tensors) -> Result<(), TrainError> {
    let mut values = BTreeMap::new();
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().filter_map(|size| usize::try_from(*size).ok()).collect();
        let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        values.insert(name.as_str(), (shape, bytes));
    }
    Weights::write(path, &values).map_err(|error| match error {
        ArtifactError::Io { path, source } => TrainError::Write { path, source },
        error => TrainError::Artifact(error),
    })
}

/// The tensor `name` of a weights file.
pub(crate) fn read(weights: &Weights, name: &str, shape: &[i64]) -> Result<Tensor, TrainError> {
    let sizes: Vec<usize> = shape.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let values = weights.tensor(name, &sizes).map_err(TrainError::Model)?;
    Ok(Tensor::f_from_slice(&values)?.f_view_(shape)?)
}

/// Gives `parameter` the values of `value`, past autograd.
pub(crate) fn assign(parameter: &Tensor, value: &Tensor) -> Result<(), TchError> {
    let _no_graph = tch::no_grad_guard();
    parameter.shallow_clone().f_copy_(value)
}
