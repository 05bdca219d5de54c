//! Every kernel that this processor has against the definition: sums are whole numbers, so that equal means equal.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::NibbleKernel;
use super::*;

/// The definition, term by term.
fn defined(blocks: usize, rows: &[PackedBlock], queries: &[QueryBlock]) -> Vec<i32> {
    let stored = |row: &[PackedBlock], value: usize| {
        let byte = row[value / BLOCK][value % (BLOCK / 2)];
        i32::from(if value % BLOCK < BLOCK / 2 { byte & 0xf } else { byte >> 4 })
    };
    let sum = |query: &[QueryBlock], row: &[PackedBlock]| -> i32 {
        (0..blocks * BLOCK).map(|value| stored(row, value) * i32::from(query[value / BLOCK][value % BLOCK])).sum()
    };
    queries.chunks(blocks).flat_map(|query| rows.chunks(blocks).map(move |row| sum(query, row))).collect()
}

#[test]
fn every_kernel_of_this_processor_computes_what_is_defined() {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    for kernel in NibbleKernel::available() {
        for (blocks, rows, queries) in [(1, 1, 1), (6, 5, 1), (12, 4, 2), (3, 7, 3), (6, 9, 4), (17, 3, 7), (1, 2, 8)] {
            let stored: Vec<PackedBlock> = (0..rows * blocks).map(|_| random.random()).collect();
            let values = |_| std::array::from_fn(|_| random.random_range(-127..=127));
            let asked: Vec<QueryBlock> = (0..queries * blocks).map(values).collect();
            let mut sums = vec![i32::MIN; rows * queries];
            kernel.run(Product { blocks, rows: &stored, queries: &asked, sums: &mut sums });
            assert_eq!(sums, defined(blocks, &stored, &asked), "{kernel:?}: {blocks} blocks, {rows} x {queries}");
        }
    }
}

#[test]
fn no_sum_overflows_however_wide_vectors_are() {
    for kernel in NibbleKernel::available() {
        for (query, expected) in [(127, 15 * 127 * 64 * 64), (-127, -15 * 127 * 64 * 64)] {
            let (rows, queries) = (vec![[0xff; BLOCK / 2]; 64], vec![[query; BLOCK]; 64]);
            let mut sums = [0];
            kernel.run(Product { blocks: 64, rows: &rows, queries: &queries, sums: &mut sums });
            assert_eq!(sums, [expected], "{kernel:?}");
        }
    }
}
