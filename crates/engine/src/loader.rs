//! Tensors under the names that `transformers` gives them.

use std::borrow::Cow;

use unspsc_artifact::{Architecture, ArtifactError, ModelConfig, Table, Weights};

use crate::dense::{Dense, StoredLayer};
use crate::kernels::integer::IntegerKernel;
use crate::linear::Linear;
use crate::quantised::QuantisedLinear;

/// Names of one layer's parts, after the layer's number.
pub(crate) struct LayerNames {
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) attended: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) output_norm: &'static str,
}

const BERT: LayerNames = LayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attended: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

const DISTILBERT: LayerNames = LayerNames {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attended: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};

/// Weight and bias of a LayerNorm.
pub(crate) struct NormTensors {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Takes tensors out of a weights file by name and shape.
pub(crate) struct Loader<'a> {
    weights: &'a Weights,
    /// What the encoder's dense layers are computed with; in float32 where there is none.
    kernel: Option<IntegerKernel>,
    /// What stands before the encoder's names: `bert.` or `distilbert.`, or nothing where a bare encoder was saved.
    prefix: &'static str,
    /// What stands before a layer's number.
    layers: &'static str,
    /// The parts of a layer.
    pub(crate) names: LayerNames,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(config: &ModelConfig, weights: &'a Weights, kernel: Option<IntegerKernel>) -> Self {
        let (prefix, layers, names) = match config.architecture {
            Architecture::Bert => ("bert.", "encoder.layer", BERT),
            Architecture::DistilBert => ("distilbert.", "transformer.layer", DISTILBERT),
        };
        let prefixed = weights.contains(&format!("{prefix}embeddings.word_embeddings.weight"));
        Self { weights, kernel, prefix: if prefixed { prefix } else { "" }, layers, names }
    }

    /// The full name of a part of the encoder.
    pub(crate) fn encoder(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// The full name of a part of a layer.
    pub(crate) fn layer(&self, layer: usize, part: &str) -> String {
        format!("{}{}.{layer}.{part}", self.prefix, self.layers)
    }

    /// The embedding table `name`, `[rows, width]`, in the weights file.
    pub(crate) fn table(&self, name: &str, rows: usize, width: usize) -> Result<Table, ArtifactError> {
        self.weights.table(&format!("{name}.weight"), rows, width)
    }

    /// The embeddings `name`, `[rows, width]`.
    pub(crate) fn embeddings(&self, name: &str, rows: usize, width: usize) -> Result<Cow<'a, [f32]>, ArtifactError> {
        self.weights.tensor(&format!("{name}.weight"), &[rows, width])
    }

    /// The LayerNorm `name`, `[width]`.
    pub(crate) fn norm(&self, name: &str, width: usize) -> Result<NormTensors, ArtifactError> {
        let tensor = |part: &str| self.weights.tensor(&format!("{name}.{part}"), &[width]);
        Ok(NormTensors { weight: tensor("weight")?.into_owned(), bias: tensor("bias")?.into_owned() })
    }

    /// The dense layers `names`, each of `outputs` × `inputs`, as one layer whose outputs stand side by side, in the
    /// precision that was asked for.
    pub(crate) fn dense(&self, names: &[String], inputs: usize, outputs: usize) -> Result<Dense, ArtifactError> {
        let Some(kernel) = self.kernel else { return Ok(Dense::Float32(self.linear(names, inputs, outputs)?)) };
        // Quantising finds the largest value, and whether one is not finite.
        let layers = self.layers_of(names, outputs, |name| self.weights.unchecked(name, &[outputs, inputs]))?;
        let linear = QuantisedLinear::new(kernel, inputs, &layers);
        match names.iter().enumerate().find(|(at, _)| !linear.is_finite(&(at * outputs..(at + 1) * outputs))) {
            Some((_, name)) => Err(self.weights.not_finite(&weight_of(name))),
            None => Ok(Dense::Integer(linear)),
        }
    }

    /// As [`Loader::dense`], always in float32.
    pub(crate) fn linear(&self, names: &[String], inputs: usize, outputs: usize) -> Result<Linear, ArtifactError> {
        let layers = self.layers_of(names, outputs, |name| self.weights.tensor(name, &[outputs, inputs]))?;
        Ok(Linear::new(inputs, &layers))
    }

    /// The layers called `names`, whose weights are what `weight` finds.
    fn layers_of(
        &self,
        names: &[String],
        outputs: usize,
        weight: impl Fn(&str) -> Result<Cow<'a, [f32]>, ArtifactError>,
    ) -> Result<Vec<StoredLayer<'a>>, ArtifactError> {
        let layer =
            |name: &String| Ok((weight(&weight_of(name))?, self.weights.tensor(&format!("{name}.bias"), &[outputs])?));
        names.iter().map(layer).collect()
    }
}

/// The name of the weight of the dense layer `name`.
fn weight_of(name: &str) -> String {
    format!("{name}.weight")
}
