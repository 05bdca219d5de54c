//! Until when an invocation has to be answered.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// What is kept of the caller's time to bring the answer back.
const MARGIN: Duration = Duration::from_millis(500);

/// The moment after which nothing more is begun or waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    begin: Instant,
    end: Instant,
}

impl Deadline {
    /// That of a caller who waits until `end`.
    pub(crate) fn before(end: SystemTime) -> Self {
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        let begin = Instant::now();
        Self { begin, end: begin + left.saturating_sub(MARGIN) }
    }

    /// The moment.
    pub(crate) fn end(self) -> Instant {
        self.end
    }

    /// The time that is left.
    pub(crate) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The time from the invocation's beginning until now.
    pub(crate) fn elapsed(self) -> Duration {
        self.begin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_to_bring_the_answer_back() {
        let now = SystemTime::now();
        let left = Deadline::before(now + Duration::from_secs(10)).left();
        assert!(left > Duration::from_secs(9) && left <= Duration::from_millis(9_500), "{left:?}");
        for end in [now, now - Duration::from_secs(5), now + Duration::from_millis(400)] {
            assert_eq!(Deadline::before(end).left(), Duration::ZERO);
        }
    }
}
