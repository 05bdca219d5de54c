//! How many invocations each variant has had, minute by minute: the metric `Invocations` of CloudWatch.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::time::Time;

/// Minutes that are kept: a day.
const MAX_MINUTES: usize = 24 * 60;
const MINUTE_MILLIS: i64 = 60_000;

/// Invocations by endpoint, variant and minute since 1970; what is counted in memory goes with the server.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<HashMap<(String, String), BTreeMap<i64, u64>>>);

impl Traffic {
    /// Counts one invocation at `now`.
    pub(crate) fn count(&self, endpoint: &str, variant: &str, now: Time) {
        let mut traffic = self.lock();
        let minutes = traffic.entry((endpoint.to_owned(), variant.to_owned())).or_default();
        *minutes.entry(now.millis().div_euclid(MINUTE_MILLIS)).or_default() += 1;
        while minutes.len() > MAX_MINUTES {
            minutes.pop_first();
        }
    }

    /// Invocations in the minute that ends at `end`, a whole minute.
    pub(crate) fn before(&self, endpoint: &str, variant: &str, end: Time) -> u64 {
        let minute = end.millis().div_euclid(MINUTE_MILLIS) - 1;
        let traffic = self.lock();
        let minutes = traffic.get(&(endpoint.to_owned(), variant.to_owned()));
        minutes.and_then(|minutes| minutes.get(&minute)).copied().unwrap_or(0)
    }

    /// Invocations in each of the last `number` minutes, the present one the last.
    pub(crate) fn minutes(&self, endpoint: &str, variant: &str, now: Time, number: i64) -> Vec<u64> {
        let present = now.millis().div_euclid(MINUTE_MILLIS);
        let traffic = self.lock();
        let minutes = traffic.get(&(endpoint.to_owned(), variant.to_owned()));
        let count = |minute| minutes.and_then(|minutes| minutes.get(&minute)).copied().unwrap_or(0);
        (present - number + 1..=present).map(count).collect()
    }

    /// Forgets the endpoint.
    pub(crate) fn forget(&self, endpoint: &str) {
        self.lock().retain(|(of, _), _| of != endpoint);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), BTreeMap<i64, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocations_are_counted_by_the_minute() {
        let traffic = Traffic::default();
        let at = |seconds: i64| Time::from_millis(seconds * 1000);
        for seconds in [0, 59, 60, 119, 119] {
            traffic.count("e", "v", at(seconds));
        }
        assert_eq!([60, 120, 180].map(|end| traffic.before("e", "v", at(end))), [2, 3, 0]);
        assert_eq!(traffic.before("e", "other", at(60)), 0);
        assert_eq!(traffic.minutes("e", "v", at(130), 3), [2, 3, 0]);
        traffic.forget("e");
        assert_eq!(traffic.before("e", "v", at(60)), 0);
    }
}
