//! The model as `serve` has it.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use unspsc_artifact::{Artifact, EntryKind, Metadata, TitleIndex, TokenIds, Weights as Tensors};
use unspsc_contract::files;
use unspsc_dataset::Example;
use unspsc_engine::{Engine, EngineError, Logits, Precision, Search};
use unspsc_hierarchy::{Judged, Near, Weights};
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
            vectors.extend(self.classify(batch.iter().map(String::as_str))?.pooled().flatten());
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

    /// What head and search say of `rows`, for each without itself among its neighbours.
    pub(super) fn judge(&mut self, entries: &Entries, rows: &[&Example]) -> Result<Vec<Judged>, TrainError> {
        let texts: Vec<String> = rows.iter().map(|row| clean(&row.description)).collect();
        let logits = self.classify(texts.iter().map(String::as_str))?;
        let queries: Vec<f32> = logits.pooled().flatten().copied().collect();
        let wanted = Weights::NEIGHBOURS;
        let found = self.search.as_ref().map(|search| self.engine.nearest(search, &queries, wanted + OWN));
        let judged = rows.iter().zip(&texts).zip(logits.rows()).zip(found.unwrap_or_default());
        let judge = |(((row, text), logits), found): (((&&Example, &String), &[f32]), Vec<_>)| {
            let near = found.into_iter().filter_map(|neighbour: unspsc_engine::Neighbour| {
                let (code, kind, own) = entries.get(neighbour.entry as usize)?;
                (own != text).then_some(Near { code, text: kind == EntryKind::Text, cosine: neighbour.cosine })
            });
            Judged { code: row.code, logits: logits.to_vec(), near: near.take(wanted).collect() }
        };
        Ok(judged.map(judge).collect())
    }

    /// Writes the metadata again, with `weights`.
    pub(super) fn write_weights(&self, directory: &Path, weights: &Weights) -> Result<(), TrainError> {
        let metadata = Metadata { hierarchy: Some(weights.clone()), ..self.artifact.metadata.clone() };
        metadata.write(&directory.join(files::UNSPSC)).map_err(TrainError::Artifact)
    }

    fn classify<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Result<Logits, TrainError> {
        let tokens: Vec<TokenIds> = texts
            .map(|text| self.artifact.text.encode(text))
            .collect::<Result<_, _>>()
            .map_err(TrainError::Artifact)?;
        self.engine.classify(&tokens).map_err(|error: EngineError| TrainError::Engine(error))
    }
}
