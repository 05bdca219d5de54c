//! The product of some stored vectors with some queries, whatever the instructions.

use super::{BLOCK, PackedBlock, QueryBlock};

/// Sums that are computed together: as many as registers can hold.
const TILE: usize = 4;

/// Instructions that multiply blocks and add the products. A value stands for a processor that has them.
pub(super) trait Kernel: Copy {
    /// The 64 values of a block, a byte each.
    type Unpacked: Copy;
    /// Parts of a sum, to be added up at the end.
    type Sums: Copy;

    /// Sums of nothing.
    fn zero(self) -> Self::Sums;
    /// Takes a stored block's values apart.
    fn unpack(self, block: &PackedBlock) -> Self::Unpacked;
    /// Adds the products of a block's values.
    fn accumulate(self, sums: Self::Sums, stored: Self::Unpacked, query: &QueryBlock) -> Self::Sums;
    /// Adds up the parts of each sum.
    fn totals(self, sums: [Self::Sums; TILE]) -> [i32; TILE];
    /// Computes `product` in code compiled for these instructions.
    fn run(self, product: Product<'_>);
}

/// What is to be multiplied: each query with each row.
pub(crate) struct Product<'a> {
    /// Blocks of a vector.
    pub(crate) blocks: usize,
    /// Stored vectors, `[rows, blocks]`.
    pub(crate) rows: &'a [PackedBlock],
    /// `[queries, blocks]`
    pub(crate) queries: &'a [QueryBlock],
    /// Takes the sums of products, `[queries, rows]`.
    pub(crate) sums: &'a mut [i32],
}

impl Product<'_> {
    /// Inlined into a function that is compiled for the kernel's instructions.
    #[inline(always)]
    pub(super) fn compute<K: Kernel>(mut self, kernel: K) {
        let rows = self.rows.len() / self.blocks;
        while rows > 0 && !self.queries.is_empty() {
            let count = match self.queries.len() / self.blocks {
                1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
            let (queries, other_queries) = self.queries.split_at(count * self.blocks);
            let (sums, other_sums) = self.sums.split_at_mut(count * rows);
            let tiles = Tiles { blocks: self.blocks, stored: self.rows, rows, queries, sums };
            match count {
                1 => tiles.compute::<K, TILE, 1>(kernel),
                2 => tiles.compute::<K, { TILE / 2 }, 2>(kernel),
                _ => tiles.compute::<K, 1, TILE>(kernel),
            }
            (self.queries, self.sums) = (other_queries, other_sums);
        }
    }
}

/// All rows and as many queries as fit a tile.
struct Tiles<'a> {
    blocks: usize,
    /// `[rows, blocks]`
    stored: &'a [PackedBlock],
    rows: usize,
    /// `[QUERIES, blocks]`
    queries: &'a [QueryBlock],
    /// `[QUERIES, rows]`
    sums: &'a mut [i32],
}

impl Tiles<'_> {
    #[inline(always)]
    fn compute<K: Kernel, const ROWS: usize, const QUERIES: usize>(mut self, kernel: K) {
        let whole = self.rows - self.rows % ROWS;
        for first in (0..whole).step_by(ROWS) {
            self.tile::<K, ROWS, QUERIES>(kernel, first);
        }
        for row in whole..self.rows {
            self.tile::<K, 1, QUERIES>(kernel, row);
        }
    }

    /// The sums of `ROWS` rows from number `first` on with all queries.
    #[inline(always)]
    fn tile<K: Kernel, const ROWS: usize, const QUERIES: usize>(&mut self, kernel: K, first: usize) {
        const { assert!(ROWS * QUERIES <= TILE) };
        let blocks = self.blocks;
        let queries: [_; QUERIES] = std::array::from_fn(|query| &self.queries[query * blocks..][..blocks]);
        let rows: [_; ROWS] = std::array::from_fn(|row| &self.stored[(first + row) * blocks..][..blocks]);
        let mut sums = [kernel.zero(); TILE];
        for block in 0..blocks {
            for row in 0..ROWS {
                let stored = kernel.unpack(&rows[row][block]);
                for query in 0..QUERIES {
                    let sum = &mut sums[row * QUERIES + query];
                    *sum = kernel.accumulate(*sum, stored, &queries[query][block]);
                }
            }
        }
        for (at, total) in kernel.totals(sums).into_iter().take(ROWS * QUERIES).enumerate() {
            self.sums[at % QUERIES * self.rows + first + at / QUERIES] = total;
        }
    }
}

/// Plain Rust for any processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Kernel for Portable {
    type Unpacked = [u8; BLOCK];
    type Sums = i32;

    #[inline(always)]
    fn zero(self) -> i32 {
        0
    }

    #[inline(always)]
    fn unpack(self, block: &PackedBlock) -> [u8; BLOCK] {
        let mut values = [0; BLOCK];
        let (low, high) = values.split_at_mut(BLOCK / 2);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(block) {
            (*low, *high) = (byte & 0xf, byte >> 4);
        }
        values
    }

    #[inline(always)]
    fn accumulate(self, sum: i32, stored: [u8; BLOCK], query: &QueryBlock) -> i32 {
        sum + stored.iter().zip(query).map(|(stored, query)| i32::from(*stored) * i32::from(*query)).sum::<i32>()
    }

    #[inline(always)]
    fn totals(self, sums: [i32; TILE]) -> [i32; TILE] {
        sums
    }

    fn run(self, product: Product<'_>) {
        product.compute(self);
    }
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
