//! What is trained: a network, its parameters, and the files it is written to.

mod centroids;
mod encoder;
mod recurrent;
mod trained;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tch::nn::VarStore;
use tch::{TchError, Tensor};
use unspsc_contract::ModelKind;
use unspsc_dataset::{Example, Label, Splits};
use unspsc_taxonomy::clean;

use crate::TrainError;
use crate::data::Data;
use crate::environment::Environment;
use crate::outputs::Machine;
use crate::stop::Stop;
use crate::texts::{Batch, Text, TextSplits, Texts};

pub use trained::TrainedClassifier;

use encoder::EncoderClassifier;
use recurrent::RecurrentClassifier;

/// A classifier under training.
pub(crate) trait Classifier {
    /// Its parameters, named as in the weights file.
    fn store(&self) -> &VarStore;

    /// Logits of the leaves, `[batch, leaves]`, without the loss's shift by the class prior.
    fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError>;

    /// Token ids of the rows of a pretrained word embedding that are trained, ascending; none where there is no such.
    fn words(&self) -> &[i64];

    /// Whether the parameter with this name came from a pretrained file.
    fn is_pretrained(&self, name: &str) -> bool;

    /// Gives the head, which is fresh, weights to begin with that come from the texts to train on; false where `stop` came first.
    /// `max_batch_tokens` go through the network at a time, at most.
    fn begin(&self, training: &Texts, max_batch_tokens: usize, stop: &Stop) -> Result<bool, TrainError>;

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

/// The classifier that `environment` asks for, and the rows of `data` as it reads them. `words` are those of the checkpoint
/// that it will be filled from, if any: where `stop` comes before every row was tokenised, nothing else knows them.
pub(crate) fn prepare(
    environment: &Environment,
    data: &Data,
    machine: &Machine,
    words: Option<&[i64]>,
    stop: &Stop,
) -> Result<(Box<dyn Classifier>, TextSplits), TrainError> {
    let settings = &environment.hyperparameters;
    match (settings.model, &environment.encoder) {
        (ModelKind::Encoder, Some(folder)) => {
            let (classifier, texts) = EncoderClassifier::prepare((folder, words), settings, data, machine, stop)?;
            Ok((Box::new(classifier), texts))
        }
        _ => {
            let (classifier, texts) = RecurrentClassifier::prepare(settings, data, machine.device, stop)?;
            Ok((Box::new(classifier), texts))
        }
    }
}

/// Tokenises every row once. Where `stop` comes first, the rows so far are all there are: enough for a model that is written
/// and not trained.
fn tokenise(
    data: &Data,
    stop: &Stop,
    encode: impl Fn(&str) -> Result<Vec<i64>, TrainError>,
) -> Result<TextSplits, TrainError> {
    let classes: HashMap<&Label, usize> = data.labels.iter().chain(&data.unseen).zip(0..).collect();
    let text = |row: &Example| {
        let class = classes.get(&row.label).copied().unwrap_or_default();
        let leaf = data.leaves.find(row).unwrap_or(data.leaves.len());
        Ok(Text { ids: encode(&clean(&row.description))?, class, leaf, source: Arc::clone(&row.origin) })
    };
    let side = |rows: &[Example]| {
        // One at least: a network without a single word has no shape.
        let wanted = rows.iter().enumerate().take_while(|(index, _)| *index == 0 || !stop.requested());
        wanted.map(|(_, row)| text(row)).collect::<Result<_, TrainError>>().map(Texts)
    };
    let Splits { train, validation, test } = &data.splits;
    let texts = TextSplits { train: side(train)?, validation: side(validation)?, test: side(test)? };
    if stop.requested() {
        let (done, all) = (texts.train.0.len(), train.len());
        tracing::warn!("stopped while tokenising, after {done} of {all} rows to train on");
    }
    Ok(texts)
}
