//! How fast the model reads, as measured, and what follows for those who wait.

use std::time::Duration;

/// What a run counts for beside the one after it: about the last ten decide.
const DECAY: f64 = 0.9;

/// The share of a full run's tokens from which on a run counts. Small runs are slower by the token, and say little about
/// a full queue, whose runs are full.
const LEAST_SHARE: f64 = 0.25;

/// Tokens a second, over the recent runs: `Σ tokens · 0.9^age / Σ seconds · 0.9^age`, age counted in runs.
#[derive(Debug)]
pub(crate) struct Rate {
    batch_tokens: usize,
    tokens: f64,
    seconds: f64,
}

impl Rate {
    /// Nothing is known yet. `batch_tokens` are those of a full run.
    pub(crate) fn new(batch_tokens: usize) -> Self {
        Self { batch_tokens, tokens: 0.0, seconds: 0.0 }
    }

    /// Counts a run.
    pub(crate) fn measured(&mut self, tokens: usize, took: Duration) {
        if (tokens as f64) < LEAST_SHARE * self.batch_tokens as f64 {
            return;
        }
        self.tokens = DECAY * self.tokens + tokens as f64;
        self.seconds = DECAY * self.seconds + took.as_secs_f64();
    }

    /// How long `tokens` take: `tokens / rate`. Unknown before a run that counts.
    pub(crate) fn time_for(&self, tokens: usize) -> Option<Duration> {
        // Without a run this is no number, and no duration either.
        Duration::try_from_secs_f64(tokens as f64 * self.seconds / self.tokens).ok()
    }

    /// The whole seconds after which `tokens` are done, at least one; one where nothing is known.
    pub(crate) fn retry_after(&self, tokens: usize) -> u64 {
        self.time_for(tokens).map_or(1, whole_seconds)
    }
}

/// Seconds, rounded up, at least one.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_runs_alone_decide_and_the_recent_ones_most() {
        let mut rate = Rate::new(100);
        assert_eq!((rate.time_for(50), rate.retry_after(50)), (None, 1));
        rate.measured(24, Duration::from_secs(1));
        assert_eq!(rate.time_for(50), None, "less than a quarter of a full run");
        rate.measured(100, Duration::from_secs(1));
        assert_eq!(rate.time_for(250), Some(Duration::from_millis(2500)));
        assert_eq!([rate.retry_after(0), rate.retry_after(250), rate.retry_after(300)], [1, 3, 3]);
        for _ in 0..100 {
            rate.measured(100, Duration::from_secs(2));
        }
        let time = rate.time_for(100).unwrap().as_secs_f64();
        assert!((time - 2.0).abs() < 1e-3, "{time}: what was measured long ago counts no more");
    }
}
