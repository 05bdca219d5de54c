//! A line every few seconds on how far training is.

use std::time::{Duration, Instant};

/// Often enough to see that a job lives, rarely enough that a day's log can be read.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts steps and rows, and says from time to time where they stand.
#[derive(Debug)]
pub(crate) struct Progress {
    epochs: usize,
    steps: usize,
    done: usize,
    begun: usize,
    started: Instant,
    last: Instant,
    rows_since: usize,
}

impl Progress {
    /// Starts counting towards `steps` steps in `epochs` epochs, of which `done` are done.
    pub(crate) fn new(epochs: usize, steps: usize, done: usize) -> Self {
        let now = Instant::now();
        Self { epochs, steps, done, begun: done, started: now, last: now, rows_since: 0 }
    }

    /// Counts one step of `rows` rows, with its loss.
    pub(crate) fn step(&mut self, epoch: usize, rows: usize, loss: f64) {
        self.done += 1;
        self.rows_since += rows;
        let since = self.last.elapsed();
        if since >= INTERVAL {
            let rate = self.rows_since as f64 / since.as_secs_f64();
            let step = self.started.elapsed().as_secs_f64() / (self.done - self.begun) as f64;
            let left = step * (self.steps - self.done) as f64;
            let Self { epochs, steps, done, .. } = self;
            tracing::info!(
                "epoch {epoch}/{epochs}, step {done}/{steps}: loss {loss:.4}, {rate:.0} rows/s, {left:.0} s left"
            );
            self.last = Instant::now();
            self.rows_since = 0;
        }
    }
}
