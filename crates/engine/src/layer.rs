//! One transformer layer, post-norm as BERT has it.

use unspsc_artifact::{ArtifactError, ModelConfig};

use crate::attention::{Attention, Heads, Projection, Task};
use crate::dense::Dense;
use crate::kernels;
use crate::kernels::integer::Activations;
use crate::loader::{Loader, NormTensors};

/// LayerNorm over a token vector.
pub(crate) struct LayerNorm {
    tensors: NormTensors,
    epsilon: f32,
}

impl LayerNorm {
    pub(crate) fn load(loader: &Loader<'_>, name: &str, config: &ModelConfig) -> Result<Self, ArtifactError> {
        Ok(Self { tensors: loader.norm(name, config.hidden_size)?, epsilon: config.layer_norm_eps as f32 })
    }

    /// In place on `values`, `[rows, hidden]`.
    pub(crate) fn forward(&self, values: &mut [f32]) {
        kernels::layer_norm(values, &self.tensors.weight, &self.tensors.bias, self.epsilon);
    }
}

/// Working memory of a layer, kept between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Queries, keys and values side by side, `[tokens, 3 * hidden]`.
    projected: Vec<f32>,
    /// Queries of the first tokens, `[texts, hidden]`.
    first_queries: Vec<f32>,
    /// What attention found, `[rows, hidden]`.
    context: Vec<f32>,
    /// The feed-forward layer's inside, `[rows, intermediate]`.
    inner: Vec<f32>,
    /// The input of a dense layer in whole numbers.
    quantised: Activations,
}

/// The first `len` values of `buffer`, which grows where it must and never shrinks.
pub(crate) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Self-attention and feed-forward, each with a residual connection and a LayerNorm after it.
pub(crate) struct Layer {
    heads: Heads,
    /// Query, key and value in one product: `[hidden, 3 * hidden]`.
    qkv: Dense,
    attended: Dense,
    attention_norm: LayerNorm,
    up: Dense,
    down: Dense,
    output_norm: LayerNorm,
}

impl Layer {
    pub(crate) fn load(loader: &Loader<'_>, config: &ModelConfig, index: usize) -> Result<Self, ArtifactError> {
        let (hidden, inner, names) = (config.hidden_size, config.intermediate_size, &loader.names);
        let name = |part: &str| loader.layer(index, part);
        let qkv = [names.query, names.key, names.value].map(name);
        Ok(Self {
            heads: Heads { count: config.heads, width: hidden / config.heads },
            qkv: loader.dense(&qkv, hidden, hidden)?,
            attended: loader.dense(&[name(names.attended)], hidden, hidden)?,
            attention_norm: LayerNorm::load(loader, &name(names.attention_norm), config)?,
            up: loader.dense(&[name(names.up)], hidden, inner)?,
            down: loader.dense(&[name(names.down)], inner, hidden)?,
            output_norm: LayerNorm::load(loader, &name(names.output_norm), config)?,
        })
    }

    fn hidden(&self) -> usize {
        self.heads.count * self.heads.width
    }

    /// Every token: `states`, `[tokens, hidden]`, in place.
    pub(crate) fn forward(&self, tasks: &[Task], states: &mut [f32], scratch: &mut Scratch) {
        let (hidden, stride) = (self.hidden(), self.qkv.outputs());
        let projected = sized(&mut scratch.projected, states.len() * 3); // [tokens, 3 * hidden]
        self.qkv.forward(states, projected, &mut scratch.quantised);
        let part = |index: usize| Projection { values: &projected[index * hidden..], stride };
        let attention = Attention { heads: self.heads, query: part(0), key: part(1), value: part(2) };
        let context = sized(&mut scratch.context, states.len()); // [tokens, hidden]
        attention.run(tasks, context);
        self.finish(context, states, &mut scratch.inner, &mut scratch.quantised);
    }

    /// The first tokens alone, which is all that pooling by them reads: all tokens' `states`, `[tokens, hidden]`, give
    /// keys and values; `firsts`, `[texts, hidden]`, the first rows of the texts in `states`, is changed in place.
    pub(crate) fn forward_firsts(&self, tasks: &[Task], states: &[f32], firsts: &mut [f32], scratch: &mut Scratch) {
        let hidden = self.hidden();
        let key_value = sized(&mut scratch.projected, states.len() * 2); // [tokens, 2 * hidden]
        self.qkv.forward_some(states, hidden..3 * hidden, key_value, &mut scratch.quantised);
        let queries = sized(&mut scratch.first_queries, firsts.len()); // [texts, hidden]
        self.qkv.forward_some(firsts, 0..hidden, queries, &mut scratch.quantised);
        let part = |index: usize| Projection { values: &key_value[index * hidden..], stride: 2 * hidden };
        let query = Projection { values: queries, stride: hidden };
        let attention = Attention { heads: self.heads, query, key: part(0), value: part(1) };
        let context = sized(&mut scratch.context, firsts.len()); // [texts, hidden]
        attention.run(tasks, context);
        self.finish(context, firsts, &mut scratch.inner, &mut scratch.quantised);
    }

    /// What follows attention, row by row: `context` and `states` are `[rows, hidden]`.
    fn finish(&self, context: &[f32], states: &mut [f32], inner: &mut Vec<f32>, quantised: &mut Activations) {
        self.attended.forward_add(context, states, quantised);
        self.attention_norm.forward(states);
        let width = self.up.outputs();
        let inner = sized(inner, states.len() / self.hidden() * width); // [rows, intermediate]
        self.up.forward_gelu(states, inner, quantised);
        self.down.forward_add(inner, states, quantised);
        self.output_norm.forward(states);
    }
}
