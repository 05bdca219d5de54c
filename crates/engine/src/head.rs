//! The classification head: one vector a text to logits.

use unspsc_artifact::{Architecture, ArtifactError, ModelConfig};
use unspsc_contract::Pooling;

use crate::batch::Batch;
use crate::linear::Linear;
use crate::loader::Loader;

/// A dense layer before the classifier, with its activation.
enum Hidden {
    /// BERT's pooler, which belongs to pooling by the first token.
    Tanh(Linear),
    /// DistilBERT's `pre_classifier`.
    Relu(Linear),
    /// BERT with mean pooling: the mean goes to the classifier as it is.
    None,
}

/// The head as `transformers` builds it for the architecture.
pub(crate) struct Head {
    hidden: Hidden,
    classifier: Linear,
}

impl Head {
    pub(crate) fn load(loader: &Loader<'_>, config: &ModelConfig, pooling: Pooling) -> Result<Self, ArtifactError> {
        let size = config.hidden_size;
        let square = |name: String| loader.linear(&[name], size, size);
        let hidden = match (config.architecture, pooling) {
            (Architecture::Bert, Pooling::Cls) => Hidden::Tanh(square(loader.encoder("pooler.dense"))?),
            (Architecture::Bert, Pooling::Mean) => Hidden::None,
            (Architecture::DistilBert, _) => Hidden::Relu(square("pre_classifier".into())?),
        };
        Ok(Self { hidden, classifier: loader.linear(&["classifier".into()], size, config.labels.len())? })
    }

    /// How many logits a text has.
    pub(crate) fn labels(&self) -> usize {
        self.classifier.outputs()
    }

    /// `pooled` is `[texts, hidden]`, the result `[texts, labels]`.
    pub(crate) fn forward(&self, texts: usize, pooled: &[f32]) -> Vec<f32> {
        let activate = |layer: &Linear, activation: fn(f32) -> f32| {
            let mut out = vec![0.0; pooled.len()];
            layer.forward(pooled, &mut out);
            out.iter_mut().for_each(|value| *value = activation(*value));
            out
        };
        let mut logits = vec![0.0; texts * self.labels()];
        match &self.hidden {
            Hidden::Tanh(layer) => self.classifier.forward(&activate(layer, f32::tanh), &mut logits),
            Hidden::Relu(layer) => self.classifier.forward(&activate(layer, |value| value.max(0.0)), &mut logits),
            Hidden::None => self.classifier.forward(pooled, &mut logits),
        }
        logits
    }
}

/// The mean over each text's tokens: `states` is `[tokens, hidden]`, the result `[texts, hidden]`.
pub(crate) fn mean_pool(batch: &Batch, states: &[f32], hidden: usize) -> Vec<f32> {
    let mut pooled = vec![0.0; batch.spans.len() * hidden];
    for (mean, span) in pooled.chunks_exact_mut(hidden).zip(&batch.spans) {
        for row in states[span.start * hidden..span.end * hidden].chunks_exact(hidden) {
            mean.iter_mut().zip(row).for_each(|(total, value)| *total += value);
        }
        let scale = 1.0 / span.len() as f32;
        mean.iter_mut().for_each(|total| *total *= scale);
    }
    pooled
}

#[cfg(test)]
mod tests {
    use unspsc_artifact::TokenIds;

    use super::*;

    #[test]
    fn the_mean_is_taken_text_by_text() {
        let text = |ids: &[u32]| TokenIds { ids: ids.to_vec(), truncated: false };
        let batch = Batch::pack(&[text(&[1, 1]), text(&[1])], 2, 2).unwrap();
        assert_eq!(mean_pool(&batch, &[1.0, 2.0, 3.0, 6.0, 5.0, 7.0], 2), [2.0, 4.0, 5.0, 7.0]);
    }
}
