//! The entries of an index that are nearest to a text: by the words that they share, and by their vectors, exactly, in one
//! product of the queries with all of them.
//!
//! Stored vectors have four bits a value, queries eight; sums of their products are exact. So a text's neighbours are
//! the same whatever other texts are in its batch, and on any number of threads.

mod best;
mod words;

use rayon::prelude::*;
use unspsc_artifact::{TitleIndex, TokenIds};

use crate::InstructionSet;
use crate::kernels::nibbles::{BLOCK, NibbleKernel, PackedBlock, Product, Queries};
use best::Best;
pub use best::Neighbour;
use words::Bm25;

/// Stored vectors that all queries pass before the next: 24 KiB of 768 values, which stay in the first-level cache.
const BLOCK_ROWS: usize = 64;

/// Queries whose sums of products with a block of rows are kept at a time.
const QUERIES: usize = 4;

/// Blocks of rows that a thread takes at least; fewer are not worth waking it.
const MIN_BLOCKS: usize = 32;

/// An index, ready to be searched.
#[derive(Debug)]
pub struct Search {
    index: TitleIndex,
    kernel: NibbleKernel,
    bm25: Bm25,
}

impl Search {
    /// Takes an index, for this processor.
    #[must_use]
    pub fn new(index: TitleIndex) -> Self {
        Self { bm25: Bm25::new(&index), index, kernel: NibbleKernel::fastest() }
    }

    /// What is searched.
    #[must_use]
    pub fn index(&self) -> &TitleIndex {
        &self.index
    }

    /// The instructions that are used on this processor.
    #[must_use]
    pub fn instruction_set(&self) -> InstructionSet {
        self.kernel.instruction_set()
    }

    /// The `count` entries that are nearest to each of `queries`, `[texts, hidden]` of any length: by cosine, the
    /// greatest first, and of equal ones the first in the index. There are fewer where the index has fewer, and none
    /// for a vector that is zero or not finite.
    ///
    /// The threads of the rayon pool that it is called in share the index.
    #[must_use]
    pub fn nearest(&self, queries: &[f32], count: usize) -> Vec<Vec<Neighbour>> {
        let queries = Queries::quantise(queries, self.index.hidden());
        let none = || vec![Best::new(count.min(self.index.entries())); queries.scales().len()];
        let blocks = self.index.entries().div_ceil(BLOCK_ROWS);
        let parts = (0..blocks).into_par_iter().with_min_len(MIN_BLOCKS).fold(none, |mut best, block| {
            self.visit(block * BLOCK_ROWS, &queries, &mut best);
            best
        });
        let best = parts.reduce(none, |mut best, others| {
            best.iter_mut().zip(others).for_each(|(best, other)| best.merge(other));
            best
        });
        best.into_iter().map(Best::into_sorted).collect()
    }

    /// The `count` titles among the entries that share most with the words of each of `texts`, the greatest score first, and of
    /// equal ones the first in the index. There are fewer where fewer share any.
    ///
    /// The threads of the rayon pool that it is called in share the texts.
    #[must_use]
    pub fn sharing_words(&self, texts: &[TokenIds], count: usize) -> Vec<Vec<Neighbour>> {
        texts.par_iter().map(|text| self.bm25.best(&self.index, &text.words, count)).collect()
    }

    /// Offers the block of entries that begins at `first` to each query's best.
    fn visit(&self, first: usize, queries: &Queries, best: &mut [Best]) {
        let blocks = self.index.hidden().div_ceil(BLOCK);
        let rows = BLOCK_ROWS.min(self.index.entries() - first);
        let (stored, _): (&[PackedBlock], _) = self.index.packed_vectors().as_chunks();
        let stored = &stored[first * blocks..][..rows * blocks];
        let scales = &self.index.scales()[first..][..rows];
        let mut sums = [0; QUERIES * BLOCK_ROWS];
        let some = queries.values().chunks(QUERIES * blocks).zip(queries.scales().chunks(QUERIES));
        for ((values, query_scales), best) in some.zip(best.chunks_mut(QUERIES)) {
            let sums = &mut sums[..query_scales.len() * rows];
            self.kernel.run(Product { blocks, rows: stored, queries: values, sums });
            for ((sums, scale), best) in sums.chunks_exact(rows).zip(query_scales).zip(best) {
                best.offer(first, sums, scales, *scale);
            }
        }
    }
}

#[cfg(test)]
mod tests;
