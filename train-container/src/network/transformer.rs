//! The encoder that BERT and DistilBERT share: embeddings, then layers of attention and feed-forward, each followed by
//! a residual and a LayerNorm. The two differ in names, and in BERT's token types.

use tch::{TchError, Tensor};
use unspsc_artifact::{Architecture, ModelConfig};

use super::parameters::{LayerNorm, Linear, Parameters};
use crate::texts::Batch;

/// What one architecture calls its parts.
struct Names {
    encoder: &'static str,
    layers: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attention_output: &'static str,
    attention_norm: &'static str,
    widen: &'static str,
    narrow: &'static str,
    output_norm: &'static str,
}

const BERT: Names = Names {
    encoder: "bert",
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    widen: "intermediate.dense",
    narrow: "output.dense",
    output_norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    encoder: "distilbert",
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    widen: "ffn.lin1",
    narrow: "ffn.lin2",
    output_norm: "output_layer_norm",
};

fn names(architecture: Architecture) -> &'static Names {
    match architecture {
        Architecture::Bert => &BERT,
        Architecture::DistilBert => &DISTILBERT,
    }
}

/// Token ids to token vectors.
#[derive(Debug)]
pub(crate) struct Transformer {
    /// `[vocabulary, hidden]`
    words: Tensor,
    /// `[positions, hidden]`
    positions: Tensor,
    /// `[types, hidden]`; every token here is of type 0
    token_types: Option<Tensor>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    dropout: f64,
}

impl Transformer {
    /// The prefix of the encoder's parameters, without which bare encoders are published.
    pub(crate) fn prefix(architecture: Architecture) -> &'static str {
        names(architecture).encoder
    }

    /// The full name of the word embedding.
    pub(crate) fn word_embedding(architecture: Architecture) -> String {
        format!("{}.embeddings.word_embeddings.weight", Self::prefix(architecture))
    }

    /// A network of the shape that `config` describes, with `words` rows in its word embedding, to be filled.
    pub(crate) fn new(parameters: &Parameters<'_>, config: &ModelConfig, words: usize) -> Result<Self, TchError> {
        let names = names(config.architecture);
        let encoder = parameters.below(names.encoder);
        let embeddings = encoder.below("embeddings");
        let hidden = config.hidden_size as i64;
        let types = config.type_vocab_size as i64;
        let token_types = (types > 0).then(|| embeddings.table("token_type_embeddings", types, hidden));
        let layer = |index| Layer::new(&encoder.below(&format!("{}.{index}", names.layers)), config, names);
        Ok(Self {
            words: embeddings.table("word_embeddings", words as i64, hidden)?,
            positions: embeddings.table("position_embeddings", config.max_positions as i64, hidden)?,
            token_types: token_types.transpose()?,
            norm: embeddings.layer_norm("LayerNorm", hidden, config.layer_norm_eps)?,
            layers: (0..config.layers).map(layer).collect::<Result<_, _>>()?,
            dropout: config.dropout,
        })
    }

    /// Token vectors `[batch, seq, hidden]`; those of filled-up places are of no use.
    pub(crate) fn forward(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        let (_, length) = batch.ids.size2()?;
        let words = Tensor::f_embedding(&self.words, &batch.ids, -1, false, false)?; // [batch, seq, hidden]
        let mut hidden = words.f_add(&self.positions.f_narrow(0, 0, length)?)?;
        if let Some(types) = &self.token_types {
            hidden = hidden.f_add(&types.f_select(0, 0)?)?;
        }
        hidden = self.norm.forward(&hidden)?.f_dropout(self.dropout, train)?;
        // [batch, 1, 1, seq]: every head and every token looks at the real tokens alone.
        let mask = batch.mask.as_ref().map(|mask| mask.f_unsqueeze(1)?.f_unsqueeze(1)).transpose()?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, mask.as_ref(), train)?;
        }
        Ok(hidden)
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    output_norm: LayerNorm,
    heads: i64,
    dropout: f64,
}

impl Layer {
    fn new(parameters: &Parameters<'_>, config: &ModelConfig, names: &Names) -> Result<Self, TchError> {
        let (hidden, wide) = (config.hidden_size as i64, config.intermediate_size as i64);
        Ok(Self {
            query: parameters.linear(names.query, hidden, hidden)?,
            key: parameters.linear(names.key, hidden, hidden)?,
            value: parameters.linear(names.value, hidden, hidden)?,
            attention_output: parameters.linear(names.attention_output, hidden, hidden)?,
            attention_norm: parameters.layer_norm(names.attention_norm, hidden, config.layer_norm_eps)?,
            widen: parameters.linear(names.widen, hidden, wide)?,
            narrow: parameters.linear(names.narrow, wide, hidden)?,
            output_norm: parameters.layer_norm(names.output_norm, hidden, config.layer_norm_eps)?,
            heads: config.heads as i64,
            dropout: config.dropout,
        })
    }

    /// `[batch, seq, hidden]` to the same.
    fn forward(&self, input: &Tensor, mask: Option<&Tensor>, train: bool) -> Result<Tensor, TchError> {
        let attended = self.attention(input, mask, train)?.f_dropout(self.dropout, train)?;
        let middle = self.attention_norm.forward(&attended.f_add(input)?)?;
        let wide = self.widen.forward(&middle, train)?.f_gelu("none")?; // [batch, seq, intermediate]; "none": the exact GELU
        let output = self.narrow.forward(&wide, train)?.f_dropout(self.dropout, train)?;
        self.output_norm.forward(&output.f_add(&middle)?)
    }

    fn attention(&self, input: &Tensor, mask: Option<&Tensor>, train: bool) -> Result<Tensor, TchError> {
        let (batch, length, hidden) = input.size3()?;
        let by_head = |tensor: Tensor| tensor.f_view_([batch, length, self.heads, -1])?.f_transpose(1, 2);
        let query = by_head(self.query.forward(input, train)?)?; // [batch, heads, seq, hidden / heads]
        let key = by_head(self.key.forward(input, train)?)?;
        let value = by_head(self.value.forward(input, train)?)?;
        let dropout = if train { self.dropout } else { 0.0 };
        let attended = Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask, dropout, false, None, false)?;
        self.attention_output.forward(&attended.f_transpose(1, 2)?.f_reshape([batch, length, hidden])?, train)
    }
}
