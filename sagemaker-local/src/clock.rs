//! The platform's clock: the system's, and ahead of it by as much as a caller has asked for.
//!
//! What takes minutes at SageMaker (a metric's period, a cooldown, a wait between two steps of a deployment) is timed by this clock, so that
//! a test can let ten minutes pass at once: `POST /_local/clock` with `{"AdvanceInSeconds": 600}`. What a process does takes the time that it
//! takes.

use std::time::Duration;

use tokio::sync::watch;

use crate::time::Time;

/// The platform's clock.
#[derive(Debug)]
pub(crate) struct Clock {
    ahead: watch::Sender<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { ahead: watch::Sender::new(Duration::ZERO) }
    }
}

impl Clock {
    /// The farthest that the clock can be put ahead: ten years, far above any time of SageMaker's.
    pub(crate) const FARTHEST: Duration = Duration::from_secs(10 * 365 * 86_400);

    /// The present.
    pub(crate) fn now(&self) -> Time {
        Time::now().plus(*self.ahead.borrow())
    }

    /// Puts the clock ahead, up to [`Clock::FARTHEST`]; whoever waits on it learns at once.
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead = ahead.saturating_add(by).min(Self::FARTHEST));
    }

    /// Returns when `duration` has passed on this clock.
    pub(crate) async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().plus(duration)).await;
    }

    /// Returns when it is `until` on this clock.
    pub(crate) async fn sleep_until(&self, until: Time) {
        let mut changes = self.ahead.subscribe();
        loop {
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_clock_is_put_ahead_and_not_before() {
        let clock = Clock::default();
        let before = clock.now();
        let hour = Duration::from_secs(3600);
        let waiting = clock.sleep(hour);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
        assert!(early.is_err());
        clock.advance(hour / 2);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        clock.advance(hour / 2);
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the hour was waited for");
        assert!(clock.now().since(before) >= hour);
    }
}
