//! Which rows go through the network together, and in which order.

use rand::Rng;
use rand::seq::SliceRandom;

/// Batches whose rows are drawn together and then sorted by length: enough for batches of nearly equal length, few
/// enough that a batch of a large set still mixes texts of all kinds.
const WINDOW: usize = 32;

/// All rows, in batches of similar length and random order; `lengths` are tokens a row.
pub(crate) fn shuffled(lengths: &[usize], batch_size: usize, random: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.shuffle(random);
    let mut batches = Vec::with_capacity(rows.len().div_ceil(batch_size));
    for window in rows.chunks_mut(batch_size * WINDOW) {
        batches.extend(sorted(window, lengths, batch_size));
    }
    batches.shuffle(random);
    batches
}

/// All rows, in batches of similar length, longest first: a batch that does not fit shows at once.
pub(crate) fn by_length(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    sorted(&mut rows, lengths, batch_size)
}

/// `rows` in batches, longest first; rows of equal length keep their order.
fn sorted(rows: &mut [usize], lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    rows.sort_by_key(|row| std::cmp::Reverse(lengths.get(*row)));
    rows.chunks(batch_size).map(<[usize]>::to_vec).collect()
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
    fn evaluation_goes_from_long_to_short() {
        assert_eq!(by_length(&[3, 9, 1, 9, 5], 2), [vec![1, 3], vec![4, 0], vec![2]]);
        assert!(by_length(&[], 2).is_empty());
    }
}
