//! Token vectors to logits, as the Hugging Face sequence classifiers do it.

use tch::{Kind, TchError, Tensor};
use unspsc_artifact::{Architecture, FEATURE_LENGTH, ModelConfig};
use unspsc_contract::Pooling;

use super::parameters::{Linear, Parameters};
use crate::texts::Batch;

/// Pooling, the architecture's own layer, dropout and the classifier.
#[derive(Debug)]
pub(crate) struct Head {
    pooling: Pooling,
    inner: Inner,
    classifier: Linear,
    dropout: f64,
}

/// What stands between the pooled vector and the classifier.
#[derive(Debug)]
enum Inner {
    /// BERT's pooler, made for the first token.
    Tanh(Linear),
    /// DistilBERT's layer.
    Relu(Linear),
    /// Of a mean there is its direction alone, by which the index is searched as well.
    Length,
}

impl Head {
    /// A head with so many outputs, its weights fresh.
    pub(crate) fn new(
        parameters: &Parameters<'_>,
        config: &ModelConfig,
        pooling: Pooling,
        outputs: usize,
    ) -> Result<Self, TchError> {
        let hidden = config.hidden_size as i64;
        let inner = match (config.architecture, pooling) {
            (Architecture::Bert, Pooling::Cls) => {
                Inner::Tanh(parameters.fresh_linear("bert.pooler.dense", hidden, hidden)?)
            }
            (Architecture::DistilBert, Pooling::Cls) => {
                Inner::Relu(parameters.fresh_linear("pre_classifier", hidden, hidden)?)
            }
            (_, Pooling::Mean) => Inner::Length,
        };
        let classifier = parameters.fresh_linear("classifier", hidden, outputs as i64)?;
        Ok(Self { pooling, inner, classifier, dropout: config.dropout })
    }

    /// Token vectors `[batch, seq, hidden]` to logits `[batch, outputs]`.
    pub(crate) fn forward(&self, tokens: &Tensor, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        let features = self.features(tokens, batch, train)?;
        self.classifier.forward(&features.f_dropout(self.dropout, train)?, train)
    }

    /// Token vectors `[batch, seq, hidden]` to what the classifier sees, `[batch, hidden]`.
    pub(crate) fn features(&self, tokens: &Tensor, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        let pooled = match self.pooling {
            Pooling::Cls => tokens.f_select(1, 0)?, // [batch, hidden]
            Pooling::Mean => mean(tokens, batch)?,
        };
        match &self.inner {
            Inner::Tanh(layer) => layer.forward(&pooled, train)?.f_tanh(),
            Inner::Relu(layer) => layer.forward(&pooled, train)?.f_relu(),
            Inner::Length => {
                let length = pooled.f_norm_scalaropt_dim(2.0, -1, true)?.f_clamp_min(1e-12)?;
                pooled.f_div(&length)?.f_mul_scalar(FEATURE_LENGTH)
            }
        }
    }

    /// The classifier's weights, `[outputs, hidden]`.
    pub(crate) fn weight(&self) -> &Tensor {
        self.classifier.weight()
    }
}

/// The mean of each text's own token vectors: `[batch, hidden]`.
fn mean(tokens: &Tensor, batch: &Batch) -> Result<Tensor, TchError> {
    let Some(mask) = &batch.mask else { return tokens.f_mean_dim(1, false, None) };
    let real = tokens.f_mul(&mask.f_unsqueeze(-1)?.f_to_kind(tokens.f_kind()?)?)?;
    let lengths = batch.lengths.f_unsqueeze(-1)?.f_to_kind(Kind::Float)?; // [batch, 1]
    real.f_sum_dim_intlist(1, false, None)?.f_div(&lengths)
}
