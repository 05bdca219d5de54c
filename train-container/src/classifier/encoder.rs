//! A pretrained transformer with a classification head.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::kind::FLOAT_CPU;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};
use unspsc_artifact::{Artifact, Metadata, ModelConfig, TextEncoder, Weights};
use unspsc_contract::{Hyperparameters, Pooling, files};
use unspsc_taxonomy::Level;

use super::{Classifier, Provenance, centroids, tokenise};
use crate::TrainError;
use crate::data::Data;
use crate::network::{EmbeddingRows, Head, Parameters, Transformer, values};
use crate::outputs::Machine;
use crate::stop::Stop;
use crate::tensors::{self, assign, read};
use crate::texts::{Batch, TextSplits, Texts};

/// Files that the tokenizers of other libraries want beside `tokenizer.json`, copied where the encoder has them.
const TOKENIZER_FILES: [&str; 4] = [files::TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];

/// Encoder, head, and what the model directory needs to know.
#[derive(Debug)]
pub(super) struct EncoderClassifier {
    network: EncoderNetwork,
    config: ModelConfig,
    /// The labels with the number of leaves that each is the sum of.
    labels: BTreeMap<String, usize>,
    level: Level,
    max_length: usize,
    /// The pretrained encoder's folder.
    source: PathBuf,
    /// The full word embedding `[vocabulary, hidden]` as pretrained, and the rows of it that are trained.
    words: (Tensor, EmbeddingRows),
}

/// The network with its parameters.
#[derive(Debug)]
pub(super) struct EncoderNetwork {
    store: VarStore,
    transformer: Transformer,
    head: Head,
    pooling: Pooling,
}

impl EncoderNetwork {
    fn new(
        config: &ModelConfig,
        words: usize,
        pooling: Pooling,
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let store = VarStore::new(device);
        let parameters = Parameters::new(&store, kind);
        let transformer = Transformer::new(&parameters, config, words)?;
        let head = Head::new(&parameters, config, pooling, config.outputs.len())?;
        Ok(Self { store, transformer, head, pooling })
    }

    /// The classifier in `directory`, complete, on the CPU.
    pub(super) fn load(directory: &Path, artifact: &Artifact) -> Result<Self, TrainError> {
        let Artifact { config, metadata, .. } = artifact;
        let network = Self::new(config, config.vocab_size, metadata.pooling, FLOAT_CPU)?;
        let weights = Weights::read(&directory.join(files::WEIGHTS)).map_err(TrainError::Model)?;
        for (name, parameter) in network.store.variables() {
            assign(&parameter, &read(&weights, &name, &parameter.size())?)?;
        }
        Ok(network)
    }

    /// Fills the encoder from a pretrained file, whose names may lack the architecture's prefix. The head stays fresh,
    /// and so does BERT's pooler where the file has none. Returns the full word embedding.
    fn fill(&self, weights: &Weights, config: &ModelConfig, rows: &EmbeddingRows) -> Result<Tensor, TrainError> {
        let prefix = format!("{}.", Transformer::prefix(config.architecture));
        let words = Transformer::word_embedding(config.architecture);
        let in_file = |name: &str| match name.strip_prefix(&prefix) {
            Some(bare) if !weights.contains(name) => bare.to_owned(),
            _ => name.to_owned(),
        };
        for (name, parameter) in self.store.variables() {
            let fresh = name.contains(".pooler.") && !weights.contains(&in_file(&name));
            if name.starts_with(&prefix) && name != words && !fresh {
                assign(&parameter, &read(weights, &in_file(&name), &parameter.size())?)?;
            }
        }
        let table = read(weights, &in_file(&words), &[config.vocab_size as i64, config.hidden_size as i64])?;
        if let Some(parameter) = self.store.variables().get(&words) {
            assign(parameter, &rows.take(&table)?)?;
        }
        Ok(table)
    }

    /// Token vectors `[batch, seq, hidden]` as the last layer leaves them.
    pub(super) fn hidden_states(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        self.transformer.forward(batch, train)
    }

    /// Logits of the leaves: `[batch, leaves]`.
    pub(super) fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        self.head.forward(&self.hidden_states(batch, train)?, batch, train)
    }
}

impl EncoderClassifier {
    /// The encoder in a folder, with a fresh head for the labels of `data`, and the rows as its tokenizer reads them. The
    /// words beside the folder are trained where `stop` comes first.
    pub(super) fn prepare(
        (folder, words): (&Path, Option<&[i64]>),
        settings: &Hyperparameters,
        data: &Data,
        machine: &Machine,
        stop: &Stop,
    ) -> Result<(Self, TextSplits), TrainError> {
        let config = folder.join(files::CONFIG);
        if !config.exists() {
            return Err(TrainError::NoEncoder(format!(
                "{} is no pretrained encoder: it lacks {}; the channel `model` or UNSPSC_ENCODER names its folder",
                folder.display(),
                files::CONFIG
            )));
        }
        let pretrained = ModelConfig::read(&config).map_err(TrainError::Model)?;
        let config = ModelConfig { outputs: data.leaves.names(), ..pretrained };
        let max_length = settings.max_length.min(config.max_positions);
        let weights = Weights::read(&folder.join(files::WEIGHTS)).map_err(TrainError::Model)?;
        // The rows are clean already.
        let text = TextEncoder::load(folder, &config, max_length, false).map_err(TrainError::Model)?;
        let mut texts = tokenise(data, stop, |description| {
            let tokens = text.encode(description).map_err(TrainError::Model)?;
            Ok(tokens.ids.into_iter().map(i64::from).collect())
        })?;
        let rows = match words {
            // Few rows may be tokenised; none will go through the network.
            Some(words) if stop.requested() => EmbeddingRows::of(words),
            _ => EmbeddingRows::compact(
                texts.all_mut().into_iter().flat_map(|side| side.0.iter_mut().map(|text| &mut text.ids)),
            ),
        };
        let network = EncoderNetwork::new(&config, rows.len(), settings.pooling, (machine.kind, machine.device))?;
        let table = network.fill(&weights, &config, &rows)?;
        tracing::info!(
            "encoder {}: {} layers of width {}, {} of {} words in use",
            folder.display(),
            config.layers,
            config.hidden_size,
            rows.len(),
            config.vocab_size
        );
        let level = settings.level;
        let labels = data.labels.iter().map(ToString::to_string).zip(data.leaves.sizes().iter().copied()).collect();
        Ok((
            Self { network, config, labels, level, max_length, source: folder.to_owned(), words: (table, rows) },
            texts,
        ))
    }

    fn write_tokenizer(&self, directory: &Path) -> Result<(), TrainError> {
        for name in TOKENIZER_FILES {
            let (from, path) = (self.source.join(name), directory.join(name));
            if from.exists() {
                // Not `fs::copy`: it would hand on the permissions of a read-only channel.
                let copied = fs::read(from).and_then(|bytes| fs::write(&path, bytes));
                copied.map_err(|source| TrainError::Write { path, source })?;
            }
        }
        Ok(())
    }
}

impl Classifier for EncoderClassifier {
    fn store(&self) -> &VarStore {
        &self.network.store
    }

    fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        self.network.logits(batch, train)
    }

    fn words(&self) -> &[i64] {
        self.words.1.ids()
    }

    fn is_pretrained(&self, name: &str) -> bool {
        // A pooler belongs to the head, whose task is new.
        name.starts_with(Transformer::prefix(self.config.architecture)) && !name.contains(".pooler.")
    }

    fn begin(&self, training: &Texts, max_batch_tokens: usize, stop: &Stop) -> Result<bool, TrainError> {
        let started = Instant::now();
        let EncoderNetwork { store, transformer, head, .. } = &self.network;
        let features = |batch: &Batch| head.features(&transformer.forward(batch, false)?, batch, false);
        let leaves = self.config.outputs.len();
        let weights = centroids::weights(training, leaves, (store.device(), max_batch_tokens), stop, features)?;
        let Some(weights) = weights else { return Ok(false) };
        assign(head.weight(), &weights)?;
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!("head of {leaves} outputs begun at the centroids of their texts in {seconds:.1} s");
        Ok(true)
    }

    fn write(&self, directory: &Path, provenance: &Provenance) -> Result<(), TrainError> {
        self.write_tokenizer(directory)?;
        self.config.write(&directory.join(files::CONFIG)).map_err(TrainError::Artifact)?;
        let metadata = Metadata {
            data: Some(provenance.data.clone()),
            test: provenance.test.clone(),
            temperature: provenance.temperature,
            trained_by: Some(crate::TRAINED_BY.into()),
            ..Metadata::trained(&self.config, self.labels.clone(), self.level, self.network.pooling, self.max_length)
        };
        metadata.write(&directory.join(files::UNSPSC)).map_err(TrainError::Artifact)?;
        let mut values = values(&self.network.store)?;
        let (table, rows) = &self.words;
        if let Some(words) = values.get_mut(&Transformer::word_embedding(self.config.architecture)) {
            *words = rows.put_back(table, words)?;
        }
        tensors::write(&directory.join(files::WEIGHTS), &values)
    }
}

#[cfg(test)]
mod tests {
    use unspsc_artifact::Architecture;
    use unspsc_dataset::{Labelling, Row, Splits, label};

    use super::*;
    use crate::data::Data;
    use crate::leaves::LabelSums;
    use crate::tiny_encoder;

    fn data() -> Data {
        let row = |(text, code): (&str, &str)| Row::new(text, code.parse().unwrap(), "test");
        let rows = |pairs: &[(&str, &str)]| {
            label(pairs.iter().copied().map(row).collect(), &Labelling::Level(Level::Segment)).examples
        };
        let splits = Splits {
            train: rows(&[("hex bolt m8", "31161500"), ("frozen fish", "50000000"), ("hex nut m8", "31161700")]),
            validation: rows(&[("bolt", "31000000"), ("fish and pork", "50000000")]),
            test: rows(&[("nut", "31000000"), ("pork", "50000000")]),
        };
        Data::checked(splits, 0, Some(Level::Class)).unwrap()
    }

    fn prepare(
        folder: &Path,
        settings: &Hyperparameters,
        data: &Data,
    ) -> Result<(EncoderClassifier, TextSplits), TrainError> {
        let machine = Machine { device: Device::Cpu, threads: 1, kind: Kind::Float };
        EncoderClassifier::prepare((folder, None), settings, data, &machine, &Stop::default())
    }

    #[test]
    fn what_is_written_computes_the_same() {
        let cases = [Architecture::Bert, Architecture::DistilBert].into_iter();
        for (architecture, pooling) in cases.flat_map(|kind| [(kind, Pooling::Cls), (kind, Pooling::Mean)]) {
            let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            tiny_encoder::write(source.path(), architecture, 1);
            let settings =
                Hyperparameters { pooling, ..Hyperparameters::defaults(unspsc_contract::ModelKind::Encoder) };
            let data = data();
            let (trained, texts) = prepare(source.path(), &settings, &data).unwrap();
            let provenance = Provenance { data: data.summary.clone(), test: None, temperature: 1.5 };
            trained.write(target.path(), &provenance).unwrap();
            let batch = texts.train.batch(&[0, 1, 2], Device::Cpu).unwrap();
            let sums = LabelSums::new(data.leaves.sizes(), Device::Cpu).unwrap();
            let logits = tch::no_grad(|| sums.logits(&trained.logits(&batch, false)?)).unwrap();
            let loaded = crate::TrainedClassifier::load(target.path()).unwrap();
            let descriptions: Vec<&str> = data.splits.train.iter().map(|row| row.description.as_str()).collect();
            let expected = Vec::<Vec<f32>>::try_from(&logits).unwrap();
            assert_eq!(loaded.logits(&descriptions).unwrap(), expected, "{architecture:?} {pooling:?}");
            assert_ne!(expected[0], expected[1]);
        }
    }

    #[test]
    fn filling_up_changes_no_logit_and_single_equals_batch() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tiny_encoder::write(source.path(), Architecture::Bert, 2);
        let settings = Hyperparameters::defaults(unspsc_contract::ModelKind::Encoder);
        let data = data();
        let (trained, _) = prepare(source.path(), &settings, &data).unwrap();
        trained.write(target.path(), &Provenance { data: data.summary, test: None, temperature: 1.0 }).unwrap();
        let loaded = crate::TrainedClassifier::load(target.path()).unwrap();
        let texts = ["bolt", "frozen fish and pork, 10 kg", ""];
        let together = loaded.logits(&texts).unwrap();
        for (text, row) in texts.iter().zip(&together) {
            let alone = loaded.logits(&[text]).unwrap();
            assert!(alone[0].iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-5), "{text:?}: {alone:?} {row:?}");
        }
    }

    #[test]
    fn names_with_and_without_prefix_are_read_and_a_missing_tensor_is_named() {
        let folder = tempfile::tempdir().unwrap();
        tiny_encoder::write(folder.path(), Architecture::Bert, 3);
        let settings = Hyperparameters::defaults(unspsc_contract::ModelKind::Encoder);
        let load = || prepare(folder.path(), &settings, &data());
        let query = |classifier: &EncoderClassifier| {
            classifier.store().variables()["bert.encoder.layer.1.attention.self.query.weight"].copy()
        };
        let bare = query(&load().unwrap().0);
        tiny_encoder::edit(folder.path(), |tensors| {
            *tensors = tensors.iter().map(|(name, tensor)| (format!("bert.{name}"), tensor.clone())).collect();
        });
        assert_eq!(query(&load().unwrap().0), bare);
        tiny_encoder::edit(folder.path(), |tensors| tensors.retain(|name, _| !name.ends_with("query.bias")));
        let error = load().unwrap_err();
        assert!(error.to_string().contains("query.bias` is missing"), "{error}");
        assert_eq!(error.exit_code(), 5);
    }
}
