//! What the model runs next: a pure rule over the jobs that wait.

use std::collections::VecDeque;

/// Something that waits for the model.
pub(crate) trait Waiting {
    /// How many tokens it brings.
    fn tokens(&self) -> usize;

    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool;
}

/// Takes the jobs of the next run from the front of `queue`: in the order of arrival, until the next one would exceed
/// `max_tokens`, and at least one. Jobs that nobody waits for are dropped on the way.
pub(crate) fn take_batch<J: Waiting>(queue: &mut VecDeque<J>, max_tokens: usize) -> Vec<J> {
    let (mut batch, mut tokens) = (Vec::new(), 0);
    while let Some(job) = queue.pop_front() {
        if job.is_abandoned() {
            continue;
        }
        if !batch.is_empty() && tokens + job.tokens() > max_tokens {
            queue.push_front(job);
            break;
        }
        tokens += job.tokens();
        batch.push(job);
    }
    batch
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Job {
        place: usize,
        tokens: usize,
        abandoned: bool,
    }

    impl Waiting for Job {
        fn tokens(&self) -> usize {
            self.tokens
        }

        fn is_abandoned(&self) -> bool {
            self.abandoned
        }
    }

    #[test]
    fn every_job_runs_once_in_order_within_the_budget() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..2000 {
            let count = random.random_range(0..30);
            let max_tokens = random.random_range(1..200);
            let job =
                |place| Job { place, tokens: random.random_range(1..300), abandoned: random.random_range(0..4) == 0 };
            let jobs: Vec<Job> = (0..count).map(job).collect();
            let mut queue: VecDeque<Job> = jobs.iter().cloned().collect();
            let mut ran = Vec::new();
            while !queue.is_empty() {
                let batch = take_batch(&mut queue, max_tokens);
                let tokens: usize = batch.iter().map(Waiting::tokens).sum();
                assert!(batch.len() <= 1 || tokens <= max_tokens);
                assert!(!batch.is_empty() || queue.is_empty(), "no progress");
                if let Some(next) = queue.front() {
                    assert!(tokens + next.tokens > max_tokens, "the batch is smaller than it need be");
                }
                ran.extend(batch);
            }
            let expected: Vec<Job> = jobs.into_iter().filter(|job| !job.abandoned).collect();
            assert_eq!(ran, expected);
        }
    }
}
