//! The engine: a loaded classifier, its threads and its working memory.

use rayon::{ThreadPool, ThreadPoolBuilder};
use unspsc_artifact::{Metadata, ModelConfig, TokenIds, Weights};
use unspsc_contract::Pooling;

use crate::batch::Batch;
use crate::encoder::{Buffers, Encoder};
use crate::head::{Head, mean_pool};
use crate::loader::Loader;
use crate::{EngineError, InstructionSet};

/// The logits of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// `[texts, labels]`, row by row.
    values: Vec<f32>,
    labels: usize,
}

impl Logits {
    /// Wraps `values`, `[texts, labels]` row by row.
    #[must_use]
    pub fn new(values: Vec<f32>, labels: usize) -> Self {
        Self { values, labels }
    }

    /// The logits of each text, in the batch's order: `[labels]` each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.labels)
    }
}

/// A sequence classifier in memory, ready to classify.
pub struct Engine {
    encoder: Encoder,
    head: Head,
    pooling: Pooling,
    vocabulary: usize,
    positions: usize,
    buffers: Buffers,
    pool: ThreadPool,
}

impl Engine {
    /// Builds the classifier that `config` and `metadata` describe from `weights`, computing on `threads` threads.
    ///
    /// # Errors
    /// Names the tensor that is missing or does not fit.
    pub fn load(
        config: &ModelConfig,
        metadata: &Metadata,
        weights: &Weights,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let loader = Loader::new(config, weights);
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("engine-{index}"));
        Ok(Self {
            encoder: Encoder::load(&loader, config)?,
            head: Head::load(&loader, config, metadata)?,
            pooling: metadata.pooling,
            vocabulary: config.vocab_size,
            positions: config.max_positions,
            buffers: Buffers::default(),
            pool: pool.build().map_err(|source| EngineError::Threads { threads, source })?,
        })
    }

    /// The logits of every text of `batch`, whatever else is in it.
    ///
    /// # Errors
    /// If a text is empty, too long or has an unknown token, or a logit is not finite.
    pub fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError> {
        if batch.is_empty() {
            return Ok(Logits::new(Vec::new(), self.head.labels()));
        }
        let batch = self.pack(batch)?;
        let Self { encoder, head, pooling, buffers, pool, .. } = self;
        let values = pool.install(|| match pooling {
            Pooling::Cls => head.forward(batch.spans.len(), encoder.first_tokens(&batch, buffers)),
            Pooling::Mean => {
                let states = encoder.all_tokens(&batch, buffers);
                head.forward(batch.spans.len(), &mean_pool(&batch, states, encoder.hidden()))
            }
        });
        let logits = Logits::new(values, self.head.labels());
        let bad = logits.rows().position(|row| !row.iter().all(|logit| logit.is_finite()));
        bad.map_or(Ok(logits), |text| Err(EngineError::NotFinite { text }))
    }

    /// The last layer's vector of every token, `[tokens, hidden]`, the texts end to end.
    ///
    /// # Errors
    /// If a text is empty, too long or has an unknown token.
    pub fn hidden_states(&mut self, batch: &[TokenIds]) -> Result<Vec<f32>, EngineError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let batch = self.pack(batch)?;
        let Self { encoder, buffers, pool, .. } = self;
        Ok(pool.install(|| encoder.all_tokens(&batch, buffers).to_vec()))
    }

    /// The instructions that are used on this processor.
    #[must_use]
    pub fn instruction_set(&self) -> InstructionSet {
        InstructionSet::detect()
    }

    fn pack(&self, texts: &[TokenIds]) -> Result<Batch, EngineError> {
        Batch::pack(texts, self.vocabulary, self.positions)
    }
}
