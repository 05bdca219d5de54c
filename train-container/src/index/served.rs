//! The model as `serve` has it.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use unspsc_artifact::{Artifact, Entry, EntryKind, Metadata, TitleIndex, TokenIds, Weights as Tensors};
use unspsc_contract::files;
use unspsc_dataset::Example;
use unspsc_engine::{Engine, Neighbour, Precision, Search};
use unspsc_hierarchy::{Found, Judged, Near, Weights};
use unspsc_taxonomy::clean;

use super::entries::Entries;
use crate::TrainError;
use crate::stop::Stop;

/// Texts that are computed at a time.
pub(super) const BATCH: usize = 64;

/// Neighbours beyond those that are wanted: as many of the nearest may be the row itself, under several codes.
const OWN: usize = 16;

/// How often the log says how far the index is.
const PROGRESS: Duration = Duration::from_secs(15);

/// Engine, tokenizer and, once it is written, index.
pub(super) struct Served {
    artifact: Artifact,
    engine: Engine,
    search: Option<Search>,
}

impl Served {
    /// The model in `directory`, in int16, as `serve` computes unless told otherwise.
    pub(super) fn load(directory: &Path) -> Result<Self, TrainError> {
        let artifact = Artifact::load(directory).map_err(TrainError::Artifact)?;
        let tensors = Tensors::read(&directory.join(files::WEIGHTS)).map_err(TrainError::Artifact)?;
        // Outputs as they are, and not their sums.
        let metadata = Metadata { labels: BTreeMap::new(), ..artifact.metadata.clone() };
        let threads = available_parallelism().map_or(1, usize::from);
        let engine = Engine::load(&artifact.config, &metadata, &tensors, Precision::Int16, threads);
        Ok(Self { engine: engine.map_err(TrainError::Engine)?, artifact, search: None })
    }

    /// Names of the head's outputs.
    pub(super) fn outputs(&self) -> &[String] {
        &self.artifact.config.outputs
    }

    /// Width of a vector.
    pub(super) fn hidden(&self) -> usize {
        self.artifact.config.hidden_size
    }

    /// The vectors of cleaned `texts`, `[texts, hidden]`; none where `stop` came first.
    pub(super) fn vectors(&mut self, texts: &[String], stop: &Stop) -> Result<Option<Vec<f32>>, TrainError> {
        let mut vectors = Vec::with_capacity(texts.len() * self.hidden());
        let mut said = Instant::now();
        for batch in texts.chunks(BATCH) {
            if stop.requested() {
                return Ok(None);
            }
            let tokens = self.tokens(batch.iter().map(String::as_str))?;
            let logits = self.engine.classify(&tokens).map_err(TrainError::Engine)?;
            vectors.extend(logits.pooled().flatten());
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                tracing::info!("index: {} of {} titles and texts", vectors.len() / self.hidden(), texts.len());
            }
        }
        Ok(Some(vectors))
    }

    /// Searches the index at `path` from now on.
    pub(super) fn search(&mut self, path: &Path) -> Result<(), TrainError> {
        let index = TitleIndex::read(path, self.hidden()).map_err(TrainError::Artifact)?;
        self.search = Some(Search::new(index));
        Ok(())
    }

    /// What is known of `rows`, of each without itself among what the index has for it.
    pub(super) fn judge(&mut self, entries: &Entries, rows: &[&Example]) -> Result<Vec<Judged>, TrainError> {
        let texts: Vec<String> = rows.iter().map(|row| clean(&row.description)).collect();
        let tokens = self.tokens(texts.iter().map(String::as_str))?;
        let logits = self.engine.classify(&tokens).map_err(TrainError::Engine)?;
        let queries: Vec<f32> = logits.pooled().flatten().copied().collect();
        let count = Weights::NEIGHBOURS + OWN;
        let found = self.search.as_ref().map(|search| {
            self.engine.install(|| (search.nearest(&queries, count), search.sharing_words(&tokens, count)))
        });
        let (near, words) = found.unwrap_or_default();
        let others = |found: Vec<Neighbour>, own: &str| {
            let entry = |neighbour: Neighbour| Some((entries.get(neighbour.entry as usize)?, neighbour.score));
            let others = found.into_iter().filter_map(entry).filter(|(entry, _)| entry.text != own);
            others.take(Weights::NEIGHBOURS).collect::<Vec<_>>()
        };
        let near_entry =
            |(entry, cosine): (Entry<'_>, f32)| Near { code: entry.code, text: entry.kind == EntryKind::Text, cosine };
        let known = logits.rows().zip(near.into_iter().zip(words));
        let judged = rows.iter().zip(&texts).zip(known).map(|((row, text), (logits, (near, words)))| {
            let near = others(near, text).into_iter().map(near_entry).collect();
            let words = others(words, text).into_iter().map(|(entry, score)| (entry.code, score)).collect();
            Judged { code: row.code, logits: logits.to_vec(), found: Found { near, words } }
        });
        Ok(judged.collect())
    }

    /// Writes the metadata again, with `weights`.
    pub(super) fn write_weights(&self, directory: &Path, weights: &Weights) -> Result<(), TrainError> {
        let metadata = Metadata { hierarchy: Some(weights.clone()), ..self.artifact.metadata.clone() };
        metadata.write(&directory.join(files::UNSPSC)).map_err(TrainError::Artifact)
    }

    fn tokens<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Result<Vec<TokenIds>, TrainError> {
        texts.map(|text| self.artifact.text.encode(text)).collect::<Result<_, _>>().map_err(TrainError::Artifact)
    }
}
