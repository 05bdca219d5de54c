//! Which rows go through the network together, and in which order.

use rand::Rng;
use rand::seq::SliceRandom;
use tch::Device;

/// Batches whose rows are drawn together and then sorted by length: enough for batches of nearly equal length, few
/// enough that a batch of a large set still mixes texts of all kinds.
const WINDOW: usize = 32;

/// See [`tokens_without_gradients`].
const CPU_TOKENS: usize = 1024;

/// All rows, in batches of similar length and random order; `lengths` are tokens a row.
pub(crate) fn shuffled(lengths: &[usize], batch_size: usize, random: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.shuffle(random);
    let mut batches = Vec::with_capacity(rows.len().div_ceil(batch_size));
    for window in rows.chunks_mut(batch_size * WINDOW) {
        longest_first(window, lengths);
        batches.extend(window.chunks(batch_size).map(<[usize]>::to_vec));
    }
    batches.shuffle(random);
    batches
}

/// All rows, longest first: what does not fit into memory shows at once. Rows of equal length keep their order.
pub(crate) fn by_length(lengths: &[usize]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    longest_first(&mut rows, lengths);
    rows
}

/// Tokens that go through the network together where no gradient is wanted, at most `max_batch_tokens`. On a CPU, more than
/// some are no faster and pad more.
pub(crate) fn tokens_without_gradients(device: Device, max_batch_tokens: usize) -> usize {
    if device == Device::Cpu { CPU_TOKENS.min(max_batch_tokens) } else { max_batch_tokens }
}

/// A batch cut so that no part has more than `max_tokens` tokens, filled-up ones included; a row of its own may have more.
/// `rows` stand longest first.
pub(crate) fn passes<'a>(rows: &'a [usize], lengths: &[usize], max_tokens: usize) -> Vec<&'a [usize]> {
    let (mut passes, mut rest) = (Vec::new(), rows);
    while let Some(longest) = rest.first().and_then(|row| lengths.get(*row)) {
        let (pass, others) = rest.split_at((max_tokens / (*longest).max(1)).clamp(1, rest.len()));
        passes.push(pass);
        rest = others;
    }
    passes
}

fn longest_first(rows: &mut [usize], lengths: &[usize]) {
    rows.sort_by_key(|row| std::cmp::Reverse(lengths.get(*row)));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn lengths() -> Vec<usize> {
        (0..1000).map(|row| 1 + row * 7919 % 60).collect()
    }

    fn with_seed(seed: u64) -> Vec<Vec<usize>> {
        shuffled(&lengths(), 16, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn every_row_comes_once_and_the_seed_decides_the_order() {
        let mut rows = with_seed(1).concat();
        assert_eq!(with_seed(1).concat(), rows);
        assert_ne!(with_seed(2).concat(), rows);
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn little_is_filled_up() {
        let lengths = lengths();
        let width = |batch: &Vec<usize>| batch.iter().map(|row| lengths[*row]).max().unwrap() * batch.len();
        let padded: usize = with_seed(1).iter().map(width).sum();
        let real: usize = lengths.iter().sum();
        assert!((padded as f64) < 1.05 * real as f64, "{padded} against {real}");
    }

    #[test]
    fn epochs_differ_and_batches_come_in_no_order_of_length() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let lengths = lengths();
        let first = shuffled(&lengths, 16, &mut random);
        assert_ne!(first, shuffled(&lengths, 16, &mut random));
        let longest: Vec<usize> = first.iter().map(|batch| lengths[batch[0]]).collect();
        assert!(!longest.is_sorted() && !longest.iter().rev().is_sorted());
    }

    #[test]
    fn no_pass_is_larger_than_memory_allows() {
        let lengths = [8, 5, 4, 2, 2, 1];
        let rows: Vec<usize> = (0..6).collect();
        let passes = |max_tokens| super::passes(&rows, &lengths, max_tokens);
        assert_eq!(passes(48), [&rows[..]]);
        assert_eq!(passes(10), [&rows[..1], &rows[1..3], &rows[3..]]);
        assert_eq!(passes(1).len(), 6);
        assert!(super::passes(&[], &lengths, 10).is_empty());
    }

    #[test]
    fn evaluation_goes_from_long_to_short() {
        assert_eq!(by_length(&[3, 9, 1, 9, 5]), [1, 3, 4, 0, 2]);
        assert!(by_length(&[]).is_empty());
    }
}
