//! Whether to try again, and when.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;
use jiff::Timestamp;

use super::error::Error;

/// How often and in which rhythm to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Tries in a row that bring nothing new.
    pub(crate) tries: u32,
    /// The same where there is no connection at all: a machine without a network is told so within seconds.
    pub(crate) unreachable_tries: u32,
    /// The wait after the first of them; each further one is `FACTOR` times as long.
    pub(crate) first_delay: Duration,
}

/// The growth of the waits.
const FACTOR: u32 = 5;
/// A server that asks for more patience than this is not waited for: the user can come back as well.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

impl Default for Schedule {
    /// Waits of at most 0.2, 1, 5 and 25 seconds.
    fn default() -> Self {
        Self { tries: 5, unreachable_tries: 3, first_delay: Duration::from_millis(200) }
    }
}

/// The tries of one file so far.
#[derive(Debug)]
pub(crate) struct Tries {
    schedule: Schedule,
    /// Those in a row that brought nothing new.
    in_vain: u32,
}

impl Tries {
    /// None yet.
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self { schedule, in_vain: 0 }
    }

    /// How long to wait after a try that ended with `error`, or `None` to give up. `has_progressed` tells whether it
    /// brought the file further than it had been; `random` spreads the waits of many machines.
    pub(crate) fn wait_after(&mut self, error: &Error, has_progressed: bool, random: u64) -> Option<Duration> {
        if !error.is_temporary() {
            return None;
        }
        self.in_vain = if has_progressed { 1 } else { self.in_vain + 1 };
        let limit = match error {
            Error::Unreachable { .. } => self.schedule.unreachable_tries,
            _ => self.schedule.tries,
        };
        if self.in_vain >= limit {
            return None;
        }
        match error {
            Error::Busy { wait: Some(wait), .. } => (*wait <= LONGEST_WAIT).then_some(*wait),
            _ => Some(self.delay(random)),
        }
    }

    /// From half of the schedule's wait to all of it.
    fn delay(&self, random: u64) -> Duration {
        let full = self.schedule.first_delay * FACTOR.pow(self.in_vain - 1);
        let share = f64::from(u32::try_from(random % 1000).unwrap_or_default()) / 1000.0;
        full.mul_f64(0.5 + share / 2.0)
    }
}

/// What the server says in `Retry-After`, which is either seconds or a date; a date that has passed is no wait.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(date.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    fn after(text: &str) -> Option<Duration> {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, now)
    }

    fn broken() -> Error {
        Error::Broken("lost".to_owned())
    }

    fn busy(wait: Option<u64>) -> Error {
        Error::Busy { status: StatusCode::SERVICE_UNAVAILABLE, wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after("0"), Some(Duration::ZERO));
        assert_eq!(after(" 17 "), Some(Duration::from_secs(17)));
        assert_eq!(after("Sun, 22 Nov 2026 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(after("Sun, 22 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        for text in ["", "soon", "-5", "1.5", "Sun, 99 Nov 2026 10:00:00 GMT"] {
            assert_eq!(after(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn waits_grow_and_end() {
        let mut tries = Tries::new(Schedule::default());
        let waits: Vec<_> = std::iter::from_fn(|| tries.wait_after(&broken(), false, 1999)).collect();
        let full = [0.2, 1.0, 5.0, 25.0];
        assert_eq!(waits.len(), full.len());
        for (wait, full) in waits.iter().zip(full) {
            assert!((0.99 * full..=full).contains(&wait.as_secs_f64()), "{wait:?}");
        }
        let mut tries = Tries::new(Schedule::default());
        assert_eq!(tries.wait_after(&broken(), false, 0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn progress_starts_the_count_again() {
        let mut tries = Tries::new(Schedule::default());
        for _ in 0..20 {
            assert!(tries.wait_after(&broken(), true, 0).is_some());
        }
    }

    #[test]
    fn the_server_chooses_the_wait_within_reason() {
        let mut tries = Tries::new(Schedule::default());
        assert_eq!(tries.wait_after(&busy(Some(0)), false, 0), Some(Duration::ZERO));
        assert_eq!(tries.wait_after(&busy(Some(120)), false, 0), Some(Duration::from_secs(120)));
        assert_eq!(tries.wait_after(&busy(Some(121)), false, 0), None);
        assert!(busy(Some(3600)).to_string().ends_with("asks for 60 minutes of patience"));
    }

    #[test]
    fn no_network_is_noticed_sooner_and_a_refusal_at_once() {
        let unreachable = Error::Unreachable { host: "h".to_owned(), reason: "refused".to_owned() };
        let mut tries = Tries::new(Schedule::default());
        assert_eq!(std::iter::from_fn(|| tries.wait_after(&unreachable, false, 0)).count(), 2);
        let refused = Error::Refused("404".to_owned());
        assert_eq!(Tries::new(Schedule::default()).wait_after(&refused, true, 0), None);
    }
}
