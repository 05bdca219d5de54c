//! Whether the model works, as `/ping` says it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a successful run proves that the model works. `/ping` comes every few seconds; without requests each then
/// asks for a proof of its own.
const PROOF_LASTS: Duration = Duration::from_secs(10);

/// What is known of the model; each change is told once.
#[derive(Debug)]
pub(crate) struct Health {
    works: AtomicBool,
    started: Instant,
    /// Milliseconds from `started` to the last success.
    proved_millis: AtomicU64,
}

impl Health {
    /// Nothing has run yet.
    pub(crate) fn new() -> Self {
        Self { works: AtomicBool::new(false), started: Instant::now(), proved_millis: AtomicU64::new(0) }
    }

    /// Whether the last run succeeded.
    pub(crate) fn works(&self) -> bool {
        self.works.load(Ordering::Acquire)
    }

    /// Whether the last run succeeded, and lately.
    pub(crate) fn is_proved(&self) -> bool {
        let proved = Duration::from_millis(self.proved_millis.load(Ordering::Acquire));
        self.works() && self.started.elapsed().saturating_sub(proved) < PROOF_LASTS
    }

    /// A run has succeeded. Whether that is news.
    pub(crate) fn succeeded(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.proved_millis.store(now, Ordering::Release);
        !self.works.swap(true, Ordering::AcqRel)
    }

    /// The model fails where it must not. Whether that is news.
    pub(crate) fn failed(&self) -> bool {
        self.works.swap(false, Ordering::AcqRel)
    }
}
