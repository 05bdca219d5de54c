//! Layers with their parameters, which stand in a `VarStore` under their Hugging Face names.

use std::collections::{BTreeMap, HashMap};

use tch::nn::{Init, Path, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use crate::adamw::Group;

/// BERT's spread of initial weights, for what no pretrained file brings.
const FRESH: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// Makes layers whose parameters are named below a prefix.
pub(crate) struct Parameters<'a> {
    path: Path<'a>,
    kind: Kind,
}

/// `x · weightᵀ + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[output, input]`
    weight: Tensor,
    /// `[output]`
    bias: Tensor,
    kind: Kind,
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
    /// Parameters of `store`, named from its root. They are float32; dense layers compute in `kind` while they are trained.
    pub(crate) fn new(store: &'a VarStore, kind: Kind) -> Self {
        Self { path: store.root(), kind }
    }

    /// Parameters below `name`, which may have several parts, as `encoder.layer.0`.
    pub(crate) fn below(&self, name: &str) -> Self {
        let path = name.split('.').fold(self.path.clone(), |path, part| path.sub(part));
        Self { path, kind: self.kind }
    }

    /// A parameter with its treatment and initial values.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64], group: Group, init: Init) -> Result<Tensor, TchError> {
        self.path.set_group(group as usize).f_var(name, shape, init)
    }

    /// A dense layer that begins from random weights.
    pub(crate) fn fresh_linear(&self, name: &str, input: i64, output: i64) -> Result<Linear, TchError> {
        let layer = self.below(name);
        Ok(Linear {
            weight: layer.tensor("weight", &[output, input], Group::Matrix, FRESH)?,
            bias: layer.tensor("bias", &[output], Group::Bias, Init::Const(0.0))?,
            kind: self.kind,
        })
    }

    /// A dense layer whose values a pretrained file brings.
    pub(crate) fn linear(&self, name: &str, input: i64, output: i64) -> Result<Linear, TchError> {
        let layer = self.below(name);
        Ok(Linear {
            weight: layer.tensor("weight", &[output, input], Group::Matrix, Init::Const(0.0))?,
            bias: layer.tensor("bias", &[output], Group::Bias, Init::Const(0.0))?,
            kind: self.kind,
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
    /// `[output, input]`
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[…, input]` to `[…, output]`, which is of the layer's kind in training and float32 else: what a model is worth is
    /// asked of the weights as they are served.
    pub(crate) fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor, TchError> {
        // Sums and LayerNorms stay float32: adding float32 to half makes float32, and autograd converts the gradients.
        let kind = if train { self.kind } else { Kind::Float };
        let [weight, bias] = [self.weight.f_to_kind(kind)?, self.bias.f_to_kind(kind)?];
        input.f_to_kind(kind)?.f_linear(&weight, Some(&bias))
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
