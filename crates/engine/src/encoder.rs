//! Embeddings and layers: token ids to token vectors.

use rayon::prelude::*;
use unspsc_artifact::{ArtifactError, ModelConfig, Table};

use crate::batch::Batch;
use crate::layer::{Layer, LayerNorm, Scratch, sized};
use crate::loader::Loader;

/// Working memory of the encoder, kept between calls.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Token vectors, `[tokens, hidden]`.
    states: Vec<f32>,
    /// The first token's vector of each text, `[texts, hidden]`.
    firsts: Vec<f32>,
    scratch: Scratch,
}

/// A BERT or DistilBERT encoder.
pub(crate) struct Encoder {
    /// `[vocabulary, hidden]`
    words: Table,
    /// `[positions, hidden]`; for BERT with the vector of token type 0 added, the only type that occurs.
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    hidden: usize,
}

impl Encoder {
    pub(crate) fn load(loader: &Loader<'_>, config: &ModelConfig) -> Result<Self, ArtifactError> {
        let hidden = config.hidden_size;
        let embeddings = |part: &str, rows: usize| loader.embeddings(&loader.encoder(part), rows, hidden);
        let mut positions = embeddings("embeddings.position_embeddings", config.max_positions)?.into_owned();
        if config.type_vocab_size > 0 {
            let types = embeddings("embeddings.token_type_embeddings", config.type_vocab_size)?;
            for row in positions.chunks_exact_mut(hidden) {
                row.iter_mut().zip(types.iter()).for_each(|(value, of_type)| *value += of_type);
            }
        }
        let (words, layers): (_, Result<_, _>) = rayon::join(
            || loader.table(&loader.encoder("embeddings.word_embeddings"), config.vocab_size, hidden),
            || (0..config.layers).into_par_iter().map(|index| Layer::load(loader, config, index)).collect(),
        );
        Ok(Self {
            words: words?,
            positions,
            norm: LayerNorm::load(loader, &loader.encoder("embeddings.LayerNorm"), config)?,
            layers: layers?,
            hidden,
        })
    }

    /// Width of a token vector.
    pub(crate) fn hidden(&self) -> usize {
        self.hidden
    }

    /// The last layer's vectors of all tokens, `[tokens, hidden]`.
    pub(crate) fn all_tokens<'b>(&self, batch: &Batch, buffers: &'b mut Buffers) -> &'b [f32] {
        let states = sized(&mut buffers.states, batch.ids.len() * self.hidden);
        self.embed(batch, states);
        let tasks = batch.tasks();
        for layer in &self.layers {
            layer.forward(&tasks, states, &mut buffers.scratch);
        }
        states
    }

    /// The last layer's vectors of the first tokens, `[texts, hidden]`. That layer is computed for them alone.
    pub(crate) fn first_tokens<'b>(&self, batch: &Batch, buffers: &'b mut Buffers) -> &'b [f32] {
        let states = sized(&mut buffers.states, batch.ids.len() * self.hidden);
        self.embed(batch, states);
        let tasks = batch.tasks();
        let (last, before) = match self.layers.split_last() {
            Some((last, before)) => (Some(last), before),
            None => (None, self.layers.as_slice()),
        };
        for layer in before {
            layer.forward(&tasks, states, &mut buffers.scratch);
        }
        let firsts = sized(&mut buffers.firsts, batch.spans.len() * self.hidden);
        for (first, span) in firsts.chunks_exact_mut(self.hidden).zip(&batch.spans) {
            first.copy_from_slice(&states[span.start * self.hidden..][..self.hidden]);
        }
        if let Some(last) = last {
            last.forward_firsts(&batch.first_token_tasks(), states, firsts, &mut buffers.scratch);
        }
        firsts
    }

    /// `states` is `[tokens, hidden]`.
    fn embed(&self, batch: &Batch, states: &mut [f32]) {
        let mut rows = states.chunks_exact_mut(self.hidden);
        for span in &batch.spans {
            let ids = &batch.ids[span.clone()];
            for ((id, position), row) in ids.iter().zip(self.positions.chunks_exact(self.hidden)).zip(&mut rows) {
                self.words.read(*id as usize, row);
                row.iter_mut().zip(position).for_each(|(value, position)| *value += position);
            }
        }
        self.norm.forward(states);
    }
}
