//! The recurrent baseline, trained from scratch.

use std::path::Path;

use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};
use unspsc_artifact::RNN_MODEL_TYPE;
use unspsc_contract::{Hyperparameters, files};
use unspsc_taxonomy::clean;

use super::{Classifier, Provenance, tokenise};
use crate::TrainError;
use crate::data::Data;
use crate::network::{Parameters, Recurrent, values};
use crate::stop::Stop;
use crate::tensors;
use crate::texts::{Batch, TextSplits, Texts};
use crate::words::Words;

/// The vocabulary: one word a line, in order of ids.
const WORDS: &str = "vocab.txt";

/// Network, vocabulary and labels.
#[derive(Debug)]
pub(super) struct RecurrentClassifier {
    store: VarStore,
    network: Recurrent,
    words: Words,
    labels: Vec<String>,
    max_length: usize,
}

impl RecurrentClassifier {
    /// A fresh network for the words and labels of `data`, and the rows as it reads them.
    pub(super) fn prepare(
        settings: &Hyperparameters,
        data: &Data,
        device: Device,
        stop: &Stop,
    ) -> Result<(Self, TextSplits), TrainError> {
        let training: Vec<String> = data.splits.train.iter().map(|row| clean(&row.description)).collect();
        let words = Words::of(training.iter().map(String::as_str), settings.max_length);
        let texts = tokenise(data, stop, |description| Ok(words.encode(description)))?;
        tracing::info!("RNN baseline: {} words of the training texts", words.len());
        Ok((Self::new(words, data.leaves.names(), settings.max_length, device)?, texts))
    }

    fn new(words: Words, labels: Vec<String>, max_length: usize, device: Device) -> Result<Self, TchError> {
        let store = VarStore::new(device);
        let network = Recurrent::new(&Parameters::new(&store, Kind::Float), words.len(), labels.len())?;
        Ok(Self { store, network, words, labels, max_length })
    }
}

impl Classifier for RecurrentClassifier {
    fn store(&self) -> &VarStore {
        &self.store
    }

    fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        self.network.forward(batch, train)
    }

    fn words(&self) -> &[i64] {
        &[]
    }

    fn is_pretrained(&self, _: &str) -> bool {
        false
    }

    fn begin(&self, _: &Texts, _: usize, _: &Stop) -> Result<bool, TrainError> {
        Ok(true)
    }

    fn write(&self, directory: &Path, provenance: &Provenance) -> Result<(), TrainError> {
        let mut config = json!({
            "architectures": ["UnspscRecurrentClassifier"],
            "model_type": RNN_MODEL_TYPE,
            "max_length": self.max_length,
            "data": provenance.data,
            "test": provenance.test,
            "temperature": provenance.temperature,
            "trained_by": crate::TRAINED_BY,
        });
        for (index, label) in self.labels.iter().enumerate() {
            config["id2label"][index.to_string()] = json!(label);
        }
        let texts = [(files::CONFIG, format!("{config:#}\n")), (WORDS, self.words.to_file())];
        for (name, text) in texts {
            let path = directory.join(name);
            std::fs::write(&path, text).map_err(|source| TrainError::Write { path, source })?;
        }
        tensors::write(&directory.join(files::WEIGHTS), &values(&self.store)?)
    }
}

#[cfg(test)]
mod tests {
    use unspsc_artifact::{ModelConfig, Weights};
    use unspsc_contract::DataSummary;

    use super::*;

    #[test]
    fn what_is_written_computes_the_same() {
        tch::manual_seed(3);
        let folder = tempfile::tempdir().unwrap();
        let texts = ["hex bolt m8", "hex nut m8", "bolt nut"];
        let words = Words::of(texts.into_iter(), 8);
        let labels = vec!["31000000".to_owned(), "39000000".to_owned()];
        let trained = RecurrentClassifier::new(words, labels.clone(), 8, Device::Cpu).unwrap();
        let data = DataSummary {
            fingerprint: String::new(),
            train_rows: 1,
            validation_rows: 1,
            test_rows: 1,
            rejected_rows: 0,
            classes: 2,
        };
        trained.write(folder.path(), &Provenance { data, test: None, temperature: 1.0 }).unwrap();

        let words = Words::from_file(&std::fs::read_to_string(folder.path().join(WORDS)).unwrap(), 8);
        let loaded = RecurrentClassifier::new(words, labels, 8, Device::Cpu).unwrap();
        let weights = Weights::read(&folder.path().join(files::WEIGHTS)).unwrap();
        for (name, mut parameter) in loaded.store.variables() {
            let shape: Vec<usize> = parameter.size().iter().map(|size| usize::try_from(*size).unwrap()).collect();
            let values = weights.tensor(&name, &shape).unwrap();
            tch::no_grad(|| parameter.copy_(&Tensor::from_slice(&values).view_(parameter.size())));
        }
        let logits = |classifier: &RecurrentClassifier| {
            let ids: Vec<Vec<i64>> = texts.iter().map(|text| classifier.words.encode(text)).collect();
            let batch = Batch::new(ids.iter().map(Vec::as_slice), Device::Cpu).unwrap();
            tch::no_grad(|| classifier.logits(&batch, false)).unwrap()
        };
        assert_eq!(logits(&loaded), logits(&trained));
        let error = ModelConfig::read(&folder.path().join(files::CONFIG)).unwrap_err().to_string();
        assert!(error.contains("RNN baseline"), "{error}");
    }
}
