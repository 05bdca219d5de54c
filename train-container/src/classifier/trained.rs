//! A trained classifier, computed by libtorch: what the other implementations of the network are compared with.

use std::path::Path;

use tch::{Device, Tensor};
use unspsc_artifact::Artifact;

use super::encoder::EncoderNetwork;
use crate::TrainError;
use crate::leaves::LabelSums;
use crate::texts::Batch;

/// A sequence classifier read from its model directory.
#[derive(Debug)]
pub struct TrainedClassifier {
    artifact: Artifact,
    network: EncoderNetwork,
    sums: LabelSums,
}

impl TrainedClassifier {
    /// Reads `directory`, written by `train` or by `transformers`.
    ///
    /// # Errors
    /// Names the file or tensor that is missing or damaged.
    pub fn load(directory: &Path) -> Result<Self, TrainError> {
        let artifact = Artifact::load(directory).map_err(TrainError::Model)?;
        let network = EncoderNetwork::load(directory, &artifact)?;
        let labels: Vec<usize> = artifact.metadata.labels.values().copied().collect();
        let sums = LabelSums::new(&labels, Device::Cpu)?;
        Ok(Self { artifact, network, sums })
    }

    /// The logits of `texts`, computed as one batch: `[texts, classes]`.
    ///
    /// # Errors
    /// If a text cannot be tokenised or an operator fails.
    pub fn logits(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, TrainError> {
        let _no_graph = tch::no_grad_guard();
        let logits = self.sums.logits(&self.network.logits(&self.batch(texts)?, false)?)?;
        Ok(Vec::<Vec<f32>>::try_from(&logits)?)
    }

    /// The token vectors of one text after the last layer: `[tokens, hidden]`.
    ///
    /// # Errors
    /// If the text cannot be tokenised or an operator fails.
    pub fn hidden_states(&self, text: &str) -> Result<Vec<Vec<f32>>, TrainError> {
        let _no_graph = tch::no_grad_guard();
        let states: Tensor = self.network.hidden_states(&self.batch(&[text])?, false)?.f_squeeze_dim(0)?;
        Ok(Vec::<Vec<f32>>::try_from(&states)?)
    }

    fn batch(&self, texts: &[&str]) -> Result<Batch, TrainError> {
        let encode = |text: &&str| {
            let tokens = self.artifact.text.encode(text).map_err(TrainError::Model)?;
            Ok(tokens.ids.into_iter().map(i64::from).collect())
        };
        let ids: Vec<Vec<i64>> = texts.iter().map(encode).collect::<Result<_, TrainError>>()?;
        Ok(Batch::new(ids.iter().map(Vec::as_slice), Device::Cpu)?)
    }
}
