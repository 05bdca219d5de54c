//! What is trained: a network, its parameters, and the files it is written to.

mod encoder;
mod recurrent;
mod trained;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, TchError, Tensor};
use unspsc_artifact::Weights;
use unspsc_contract::{ModelKind, files};
use unspsc_dataset::{Example, Label, Splits};
use unspsc_taxonomy::clean;

use crate::TrainError;
use crate::data::Data;
use crate::environment::Environment;
use crate::texts::{Batch, Text, TextSplits, Texts};

pub use trained::TrainedClassifier;

use encoder::EncoderClassifier;
use recurrent::RecurrentClassifier;

/// A classifier under training.
pub(crate) trait Classifier {
    /// Its parameters, named as in the weights file.
    fn store(&self) -> &VarStore;

    /// Logits `[batch, classes]`, without the loss's shift by the class prior.
    fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError>;

    /// Writes the model directory; the weights appear last and whole.
    fn write(&self, directory: &Path, provenance: &Provenance) -> Result<(), TrainError>;
}

/// Where a model comes from and what it is worth, for its directory.
#[derive(Debug)]
pub(crate) struct Provenance {
    pub(crate) data: unspsc_contract::DataSummary,
    /// None where the job was stopped before the model was judged.
    pub(crate) test: Option<unspsc_artifact::Scores>,
    /// What logits are to be divided by before the softmax.
    pub(crate) temperature: f64,
}

/// The classifier that `environment` asks for, and the rows of `data` as it reads them.
pub(crate) fn prepare(
    environment: &Environment,
    data: &Data,
    device: Device,
) -> Result<(Box<dyn Classifier>, TextSplits), TrainError> {
    let settings = &environment.hyperparameters;
    match (settings.model, &environment.encoder) {
        (ModelKind::Encoder, Some(folder)) => {
            let (classifier, texts) = EncoderClassifier::prepare(folder, settings, data, device)?;
            Ok((Box::new(classifier), texts))
        }
        _ => {
            let (classifier, texts) = RecurrentClassifier::prepare(settings, data, device)?;
            Ok((Box::new(classifier), texts))
        }
    }
}

/// Tokenises every row once.
fn tokenise(data: &Data, encode: impl Fn(&str) -> Result<Vec<i64>, TrainError>) -> Result<TextSplits, TrainError> {
    let classes: HashMap<&Label, usize> = data.labels.iter().chain(&data.unseen).zip(0..).collect();
    let text = |row: &Example| {
        let class = classes.get(&row.label).copied().unwrap_or_default();
        Ok(Text { ids: encode(&clean(&row.description))?, class })
    };
    let side = |rows: &[Example]| rows.iter().map(text).collect::<Result<_, TrainError>>().map(Texts);
    let Splits { train, validation, test } = &data.splits;
    Ok(TextSplits { train: side(train)?, validation: side(validation)?, test: side(test)? })
}

/// Writes `tensors`, float32 on the CPU, to the weights file of `directory`.
fn write_weights(directory: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
    let mut values = BTreeMap::new();
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().filter_map(|size| usize::try_from(*size).ok()).collect();
        let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        values.insert(name.as_str(), (shape, bytes));
    }
    Weights::write(&directory.join(files::WEIGHTS), &values).map_err(TrainError::Artifact)
}
