//! Layers with their parameters, which stand in a `VarStore` under their Hugging Face names.

use std::collections::{BTreeMap, HashMap};

use tch::nn::{Init, Path, VarStore};
use tch::{Device, TchError, Tensor};

use crate::adamw::Group;

/// BERT's spread of initial weights, for what no pretrained file brings.
const FRESH: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// Makes layers whose parameters are named below a prefix.
pub(crate) struct Parameters<'a> {
    path: Path<'a>,
}

/// `x · weightᵀ + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[output, input]`
    weight: Tensor,
    /// `[output]`
    bias: Tensor,
}

/// Normalisation over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    /// `[hidden]`
    weight: Tensor,
    /// `[hidden]`
    bias: Tensor,
    epsilon: f64,
}

impl<'a> Parameters<'a> {
    /// Parameters of `store`, named from its root.
    pub(crate) fn new(store: &'a VarStore) -> Self {
        Self { path: store.root() }
    }

    /// Parameters below `name`, which may have several parts, as `encoder.layer.0`.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self { path: name.split('.').fold(self.path.clone(), |path, part| path.sub(part)) }
    }

    /// A parameter with its treatment and initial values.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64], group: Group, init: Init) -> Result<Tensor, TchError> {
        self.path.set_group(group as usize).f_var(name, shape, init)
    }

    /// A dense layer that begins from random weights.
    pub(crate) fn fresh_linear(&self, name: &str, input: i64, output: i64) -> Result<Linear, TchError> {
        let layer = self.below(name);
        Ok(Linear {
            weight: layer.tensor("weight", &[output, input], Group::FreshMatrix, FRESH)?,
            bias: layer.tensor("bias", &[output], Group::FreshBias, Init::Const(0.0))?,
        })
    }

    /// A dense layer whose values a pretrained file brings.
    pub(crate) fn linear(&self, name: &str, input: i64, output: i64) -> Result<Linear, TchError> {
        let layer = self.below(name);
        Ok(Linear {
            weight: layer.tensor("weight", &[output, input], Group::Matrix, Init::Const(0.0))?,
            bias: layer.tensor("bias", &[output], Group::Bias, Init::Const(0.0))?,
        })
    }

    /// An embedding table `[rows, width]` whose values a pretrained file brings.
    pub(crate) fn table(&self, name: &str, rows: i64, width: i64) -> Result<Tensor, TchError> {
        self.below(name).tensor("weight", &[rows, width], Group::Matrix, Init::Const(0.0))
    }

    /// A LayerNorm whose values a pretrained file brings.
    pub(crate) fn layer_norm(&self, name: &str, width: i64, epsilon: f64) -> Result<LayerNorm, TchError> {
        let layer = self.below(name);
        let weight = layer.tensor("weight", &[width], Group::Bias, Init::Const(1.0))?;
        Ok(LayerNorm { weight, bias: layer.tensor("bias", &[width], Group::Bias, Init::Const(0.0))?, epsilon })
    }
}

impl Linear {
    /// `[…, input]` to `[…, output]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, Some(&self.bias))
    }
}

impl LayerNorm {
    /// `[…, hidden]` to the same.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        input.f_layer_norm(self.weight.size(), weight, bias, self.epsilon, false)
    }
}

/// The values of every parameter by name, on the CPU and cut off from autograd.
pub(crate) fn values(store: &VarStore) -> Result<BTreeMap<String, Tensor>, TchError> {
    let value = |tensor: &Tensor| tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous();
    store.variables().iter().map(|(name, tensor)| Ok((name.clone(), value(tensor)?))).collect()
}

/// Every trainable parameter with its name, in the order in which an optimiser holds them.
pub(crate) fn trainable(store: &VarStore) -> Vec<(String, Tensor)> {
    let names: HashMap<usize, String> =
        store.variables().into_iter().map(|(name, tensor)| (tensor.data_ptr().addr(), name)).collect();
    let name = |tensor: &Tensor| names.get(&tensor.data_ptr().addr()).cloned().unwrap_or_default();
    store.trainable_variables().into_iter().map(|tensor| (name(&tensor), tensor)).collect()
}
