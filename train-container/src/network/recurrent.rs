//! The recurrent baseline: word embedding, LSTM layers, a linear head on the last real word.

use tch::nn::Init;
use tch::{Kind, TchError, Tensor};

use super::parameters::Parameters;
use crate::adamw::Group;
use crate::texts::Batch;

/// Width of a word vector.
pub(crate) const EMBEDDING: i64 = 32;
/// Width of an LSTM layer.
pub(crate) const HIDDEN: i64 = 50;
/// LSTM layers.
pub(crate) const LAYERS: i64 = 3;
/// Dropout between the layers and before the head.
pub(crate) const DROPOUT: f64 = 0.2;

/// The network.
#[derive(Debug)]
pub(crate) struct Recurrent {
    /// `[words, embedding]`
    words: Tensor,
    /// By layer: input and hidden weights, input and hidden biases.
    lstm: Vec<Tensor>,
    /// `[classes, hidden]`
    weight: Tensor,
    /// `[classes]`
    bias: Tensor,
}

impl Recurrent {
    /// A network with fresh weights, spread as PyTorch's layers have them by default.
    pub(crate) fn new(parameters: &Parameters<'_>, words: usize, classes: usize) -> Result<Self, TchError> {
        let bound = 1.0 / (HIDDEN as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        let matrix = |parent: &str, name: &str, shape: [i64; 2], init| {
            parameters.below(parent).tensor(name, &shape, Group::Matrix, init)
        };
        let bias =
            |parent: &str, name: &str, length| parameters.below(parent).tensor(name, &[length], Group::Bias, uniform);
        let (classes, gates) = (classes as i64, 4 * HIDDEN);
        let table = matrix("embedding", "weight", [words as i64, EMBEDDING], normal)?;
        let mut lstm = Vec::new();
        for layer in 0..LAYERS {
            let input = if layer == 0 { EMBEDDING } else { HIDDEN };
            lstm.push(matrix("lstm", &format!("weight_ih_l{layer}"), [gates, input], uniform)?);
            lstm.push(matrix("lstm", &format!("weight_hh_l{layer}"), [gates, HIDDEN], uniform)?);
            lstm.push(bias("lstm", &format!("bias_ih_l{layer}"), gates)?);
            lstm.push(bias("lstm", &format!("bias_hh_l{layer}"), gates)?);
        }
        let weight = matrix("classifier", "weight", [classes, HIDDEN], uniform)?;
        Ok(Self { words: table, lstm, weight, bias: bias("classifier", "bias", classes)? })
    }

    /// Logits `[batch, classes]`.
    pub(crate) fn forward(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        let (rows, _) = batch.ids.size2()?;
        let words = Tensor::f_embedding(&self.words, &batch.ids, -1, false, false)?; // [batch, seq, embedding]
        let start = Tensor::f_zeros([LAYERS, rows, HIDDEN], (Kind::Float, words.device()))?;
        let weights: Vec<&Tensor> = self.lstm.iter().collect();
        let start = [&start, &start];
        // [batch, seq, hidden]
        let (states, _, _) = words.f_lstm(&start, &weights, true, LAYERS, DROPOUT, train, false, true)?;
        // What follows the last real word is filling, and an LSTM's state there says less and less about the text.
        let last = batch.lengths.f_sub_scalar(1)?.f_view_([rows, 1, 1])?.f_expand([rows, 1, HIDDEN], false)?;
        let read = states.f_gather(1, &last, false)?.f_squeeze_dim(1)?; // [batch, hidden]
        read.f_dropout(DROPOUT, train)?.f_linear(&self.weight, Some(&self.bias))
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, no_grad};

    use super::*;

    #[test]
    fn filling_up_changes_no_logit() {
        tch::manual_seed(1);
        let store = VarStore::new(Device::Cpu);
        let network = Recurrent::new(&Parameters::new(&store, Kind::Float), 20, 4).unwrap();
        let texts: [&[i64]; 3] = [&[3, 4, 5, 6, 7, 8], &[9], &[10, 11]];
        let logits = |texts: &[&[i64]]| {
            let batch = Batch::new(texts.iter().copied(), Device::Cpu).unwrap();
            no_grad(|| network.forward(&batch, false)).unwrap()
        };
        let together = logits(&texts);
        for (row, text) in texts.iter().enumerate() {
            assert!(together.get(row as i64).allclose(&logits(&[text]).get(0), 1e-5, 1e-5, false));
        }
    }
}
