//! The engine: a loaded classifier, its threads and its working memory.

use rayon::{ThreadPool, ThreadPoolBuilder};
use unspsc_artifact::{Metadata, ModelConfig, TokenIds, Weights};
use unspsc_contract::Pooling;

use crate::batch::Batch;
use crate::encoder::{Buffers, Encoder};
use crate::head::{Head, mean_pool};
use crate::kernels::integer::{Format, IntegerKernel};
use crate::loader::Loader;
use crate::{EngineError, InstructionSet, Precision};

/// The logits of a batch, and the vectors that they were computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// `[texts, labels]`, row by row.
    values: Vec<f32>,
    labels: usize,
    /// `[texts, outputs]`, row by row; empty where each output is a label, so that they are the values.
    outputs: Vec<f32>,
    /// `[texts, hidden]`, row by row; empty where nobody has said what they are.
    pooled: Vec<f32>,
}

impl Logits {
    /// Wraps `values`, `[texts, labels]` row by row.
    #[must_use]
    pub fn new(values: Vec<f32>, labels: usize) -> Self {
        Self { values, labels, outputs: Vec::new(), pooled: Vec::new() }
    }

    /// The same with the head's own outputs, `[texts, outputs]` row by row, which the labels are sums of.
    #[must_use]
    pub fn with_outputs(self, outputs: Vec<f32>) -> Self {
        Self { outputs, ..self }
    }

    /// The same with the pooled vectors, `[texts, hidden]` row by row.
    #[must_use]
    pub fn with_pooled(self, pooled: Vec<f32>) -> Self {
        Self { pooled, ..self }
    }

    /// The logits of each text, in the batch's order: `[labels]` each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.labels)
    }

    /// The head's own outputs for each text, in the batch's order: `[outputs]` each. Where each output is a label, they are
    /// the logits.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        let values = if self.outputs.is_empty() { &self.values } else { &self.outputs };
        let outputs = values.len() / self.rows().len().max(1);
        values.chunks_exact(outputs.max(1))
    }

    /// The pooled vector of each text, in the batch's order: `[hidden]` each, the last layer's first token or mean over
    /// the tokens, before the head. None where the batch is empty or its vectors are unknown.
    pub fn pooled(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        let hidden = self.pooled.len() / self.rows().len().max(1);
        self.pooled.chunks_exact(hidden.max(1))
    }
}

/// A sequence classifier in memory, ready to classify.
pub struct Engine {
    encoder: Encoder,
    head: Head,
    pooling: Pooling,
    vocabulary: usize,
    positions: usize,
    /// What the encoder's dense layers are computed with; in float32 where there is none.
    kernel: Option<IntegerKernel>,
    buffers: Buffers,
    pool: ThreadPool,
}

impl Engine {
    /// Builds the classifier that `config` and `metadata` describe from `weights`, computing in `precision` on
    /// `threads` threads. The file of `weights` stays in use: rows of embeddings are read from it.
    ///
    /// # Errors
    /// Names the tensor that is missing or does not fit.
    pub fn load(
        config: &ModelConfig,
        metadata: &Metadata,
        weights: &Weights,
        precision: Precision,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let kernel = match precision {
            Precision::Float32 => None,
            Precision::Int16 => Some(IntegerKernel::fastest_of_words()),
            Precision::Int8 => Some(IntegerKernel::fastest()),
        };
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("engine-{index}"));
        let pool = pool.build().map_err(|source| EngineError::Threads { threads, source })?;
        let loader = Loader::new(config, weights, kernel);
        let (encoder, head) =
            (pool.install(|| Encoder::load(&loader, config))?, Head::load(&loader, config, metadata)?);
        weights.release();
        Ok(Self {
            encoder,
            head,
            pooling: metadata.pooling,
            vocabulary: config.vocab_size,
            positions: config.max_positions,
            kernel,
            buffers: Buffers::default(),
            pool,
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
        let logits = pool.install(|| {
            let pooled = match pooling {
                Pooling::Cls => encoder.first_tokens(&batch, buffers).to_vec(),
                Pooling::Mean => mean_pool(&batch, encoder.all_tokens(&batch, buffers), encoder.hidden()),
            };
            head.forward(batch.spans.len(), &pooled).with_pooled(pooled)
        });
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

    /// Runs `work` on this engine's threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// The instructions that are used on this processor.
    #[must_use]
    pub fn instruction_set(&self) -> InstructionSet {
        self.kernel.map_or_else(InstructionSet::of_float32, IntegerKernel::instruction_set)
    }

    /// What is computed in: on a processor without vector instructions for them, [`Precision::Int8`] becomes
    /// [`Precision::Int16`].
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self.kernel.map(IntegerKernel::format) {
            None => Precision::Float32,
            Some(Format::Words) => Precision::Int16,
            Some(Format::Bytes | Format::NarrowBytes) => Precision::Int8,
        }
    }

    fn pack(&self, texts: &[TokenIds]) -> Result<Batch, EngineError> {
        Batch::pack(texts, self.vocabulary, self.positions)
    }
}
