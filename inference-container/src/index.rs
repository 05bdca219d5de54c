//! The title index of the model directory, and what it adds to the head: one answer at all levels.

use std::path::Path;

use rayon::prelude::*;
use unspsc_artifact::{Artifact, ArtifactError, EntryKind, TitleIndex, TokenIds};
use unspsc_contract::files;
use unspsc_engine::{Logits, Neighbour, Search};
use unspsc_hierarchy::{Found, Hierarchy, Near, Probabilities, Threshold};
use unspsc_taxonomy::{Code, Level};

/// A model's title index with the weights by which head, vectors and words are joined.
#[derive(Debug)]
pub(crate) struct Index {
    search: Search,
    hierarchy: Hierarchy,
}

impl Index {
    /// Opens the index of `artifact` in its `directory`; none for a model whose `unspsc.json` has no `hierarchy`.
    ///
    /// # Errors
    /// If the index is missing or damaged, or the head's outputs are no codes.
    pub(crate) fn load(directory: &Path, artifact: &Artifact) -> Result<Option<Self>, ArtifactError> {
        let Some(weights) = artifact.metadata.hierarchy.clone() else { return Ok(None) };
        let index = TitleIndex::read(&directory.join(files::INDEX), artifact.config.hidden_size)?;
        let hierarchy = Hierarchy::new(&artifact.config.outputs, weights).ok_or_else(|| {
            let reason = format!("has `hierarchy`, but the labels of {} are no codes: train again", files::CONFIG);
            ArtifactError::Unsupported { path: directory.join(files::UNSPSC), reason }
        })?;
        Ok(Some(Self { search: Search::new(index), hierarchy }))
    }

    /// What is to be expected of each of `texts`, whose `logits` these are. The threads of the rayon pool that it is called in
    /// share the work.
    pub(crate) fn probabilities(&self, texts: &[TokenIds], logits: &Logits) -> Vec<Probabilities> {
        let queries = logits.pooled().collect::<Vec<_>>().concat();
        let count = self.hierarchy.weights().neighbours;
        let found = self.search.nearest(&queries, count).into_iter().zip(self.search.sharing_words(texts, count));
        let of_texts: Vec<_> = logits.outputs().zip(found).collect();
        let of_text = |(outputs, (near, words)): (&[f32], (Vec<Neighbour>, Vec<Neighbour>))| {
            let near = near.into_iter().filter_map(|neighbour| self.near(neighbour)).collect();
            let words = words.into_iter().filter_map(|title| Some((self.code(title.entry)?, title.score))).collect();
            self.hierarchy.probabilities(outputs, &Found { near, words })
        };
        of_texts.into_par_iter().map(of_text).collect()
    }

    fn near(&self, Neighbour { entry, score }: Neighbour) -> Option<Near> {
        let text = self.search.index().kind(entry as usize) == EntryKind::Text;
        Some(Near { code: self.code(entry)?, text, cosine: score })
    }

    fn code(&self, entry: u32) -> Option<Code> {
        Code::of_number(*self.search.index().codes().get(entry as usize)?)
    }

    /// The title of exactly this code.
    pub(crate) fn title(&self, code: Code) -> Option<&str> {
        self.search.index().title(code)
    }

    /// The segments of all entries, ascending.
    pub(crate) fn segments(&self) -> Vec<Code> {
        let segment = |number: &u32| Some(Code::of_number(*number)?.at(Level::Segment));
        let mut segments: Vec<Code> = self.search.index().codes().iter().filter_map(segment).collect();
        segments.dedup();
        segments
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.search.index().entries()
    }

    /// Whether it is known what probability is to be asked for.
    pub(crate) fn has_thresholds(&self) -> bool {
        self.hierarchy.weights().has_thresholds()
    }

    /// What is enough at `level` for the share `precision` of answers to be right.
    pub(crate) fn threshold(&self, level: Level, precision: f64) -> Option<&Threshold> {
        self.hierarchy.threshold(level, precision)
    }
}
