//! Points in time as AWS's JSON protocols write them: seconds since 1970 as a number, to the millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(i64);

impl Time {
    /// The present.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// So much later.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// What has passed since `earlier`; nothing if that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Milliseconds since 1970, as CloudWatch Logs writes a time.
    pub(crate) fn millis(self) -> i64 {
        self.0
    }

    /// The time that is so many milliseconds after the beginning of 1970.
    pub(crate) fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Whole seconds from `earlier`, rounded up and at least 1, as SageMaker counts the time of a job.
    pub(crate) fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).saturating_add(999).div_euclid(1000).max(1)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The cast saturates, so no number of a caller's does harm.
        f64::deserialize(deserializer).map(|seconds| Self((seconds * 1000.0).round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds_and_comes_back_the_same() {
        let text = serde_json::to_string(&Time(1_790_000_000_123)).unwrap();
        assert_eq!(text, "1790000000.123");
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), Time(1_790_000_000_123));
        assert_eq!(serde_json::from_str::<Time>("1790000000").unwrap(), Time(1_790_000_000_000));
    }

    #[test]
    fn a_job_lasts_at_least_a_second() {
        assert_eq!(Time(5000).seconds_since(Time(4999)), 1);
        assert_eq!(Time(5000).seconds_since(Time(5000)), 1);
        assert_eq!(Time(5001).seconds_since(Time(3000)), 3);
    }
}
