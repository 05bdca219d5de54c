//! The classification head: one vector a text to logits.

use unspsc_artifact::{Architecture, ArtifactError, FEATURE_LENGTH, Metadata, ModelConfig};
use unspsc_contract::Pooling;

use crate::Logits;
use crate::batch::Batch;
use crate::linear::Linear;
use crate::loader::Loader;

/// A dense layer before the classifier, with its activation.
enum Hidden {
    /// BERT's pooler, which belongs to pooling by the first token.
    Tanh(Linear),
    /// DistilBERT's `pre_classifier`, which belongs to pooling by the first token.
    Relu(Linear),
    /// Mean pooling: the mean is given a fixed length.
    Length,
}

/// The head as `transformers` builds it for the architecture.
pub(crate) struct Head {
    hidden: Hidden,
    classifier: Linear,
    /// By label, how many outputs of the classifier it is the sum of; empty where each output is a label.
    sums: Vec<usize>,
}

impl Head {
    pub(crate) fn load(loader: &Loader<'_>, config: &ModelConfig, metadata: &Metadata) -> Result<Self, ArtifactError> {
        let size = config.hidden_size;
        let square = |name: String| loader.linear(&[name], size, size);
        let hidden = match (config.architecture, metadata.pooling) {
            (Architecture::Bert, Pooling::Cls) => Hidden::Tanh(square(loader.encoder("pooler.dense"))?),
            (Architecture::DistilBert, Pooling::Cls) => Hidden::Relu(square("pre_classifier".into())?),
            (_, Pooling::Mean) => Hidden::Length,
        };
        let classifier = loader.linear(&["classifier".into()], size, config.outputs.len())?;
        Ok(Self { hidden, classifier, sums: metadata.labels.values().copied().collect() })
    }

    /// How many logits a text has.
    pub(crate) fn labels(&self) -> usize {
        if self.sums.is_empty() { self.classifier.outputs() } else { self.sums.len() }
    }

    /// `pooled` is `[texts, hidden]`.
    pub(crate) fn forward(&self, texts: usize, pooled: &[f32]) -> Logits {
        let activate = |layer: &Linear, activation: fn(f32) -> f32| {
            let mut out = vec![0.0; pooled.len()];
            layer.forward(pooled, &mut out);
            out.iter_mut().for_each(|value| *value = activation(*value));
            out
        };
        let mut outputs = vec![0.0; texts * self.classifier.outputs()];
        match &self.hidden {
            Hidden::Tanh(layer) => self.classifier.forward(&activate(layer, f32::tanh), &mut outputs),
            Hidden::Relu(layer) => self.classifier.forward(&activate(layer, |value| value.max(0.0)), &mut outputs),
            Hidden::Length => self.classifier.forward(&with_length(pooled, pooled.len() / texts.max(1)), &mut outputs),
        }
        if self.sums.is_empty() {
            return Logits::new(outputs, self.labels());
        }
        Logits::new(label_logits(&outputs, &self.sums), self.labels()).with_outputs(outputs)
    }
}

/// Vectors `[texts, hidden]` scaled to [`FEATURE_LENGTH`] each.
fn with_length(pooled: &[f32], hidden: usize) -> Vec<f32> {
    let mut scaled = pooled.to_vec();
    for vector in scaled.chunks_exact_mut(hidden.max(1)) {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        let scale = FEATURE_LENGTH as f32 / length;
        vector.iter_mut().for_each(|value| *value *= scale);
    }
    scaled
}

/// The logits of labels, which are the logarithms of sums of probabilities, from those of outputs: label i is the sum of
/// the `sums[i]` outputs that follow those of the label before.
fn label_logits(outputs: &[f32], sums: &[usize]) -> Vec<f32> {
    let mut logits = Vec::with_capacity(outputs.len() / sums.iter().sum::<usize>().max(1) * sums.len());
    let mut rest = outputs;
    while !rest.is_empty() {
        for count in sums {
            let (own, others) = rest.split_at((*count).min(rest.len()));
            let highest = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = own.iter().map(|logit| (logit - highest).exp()).sum();
            logits.push(highest + sum.ln());
            rest = others;
        }
    }
    logits
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
    fn labels_are_sums_of_outputs_text_by_text() {
        let logits = label_logits(&[1.0, 3.0, 2.0, -500.0, -501.0, 400.0], &[2, 1]);
        let expected = [(1_f32.exp() + 3_f32.exp()).ln(), 2.0, (1.0 + (-1_f32).exp()).ln() - 500.0, 400.0];
        for (found, expected) in logits.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{logits:?}");
        }
        assert_eq!(logits.len(), 4);
        assert!(label_logits(&[f32::NAN, 1.0], &[2]).iter().all(|logit| !logit.is_finite()));
    }

    #[test]
    fn vectors_are_given_one_length() {
        let scaled = with_length(&[3.0, 4.0, 0.0, -2.0, 0.0, 0.0], 2);
        let expected = [0.6, 0.8, 0.0, -1.0, 0.0, 0.0].map(|value| value * FEATURE_LENGTH as f32);
        assert!(scaled.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{scaled:?}");
    }

    #[test]
    fn the_mean_is_taken_text_by_text() {
        let text = |ids: &[u32]| TokenIds { ids: ids.to_vec(), ..TokenIds::default() };
        let batch = Batch::pack(&[text(&[1, 1]), text(&[1])], 2, 2).unwrap();
        assert_eq!(mean_pool(&batch, &[1.0, 2.0, 3.0, 6.0, 5.0, 7.0], 2), [2.0, 4.0, 5.0, 7.0]);
    }
}
