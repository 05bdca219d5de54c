//! Faults on demand: what goes wrong on AWS now and then goes wrong here when a rule says so.
//!
//! A rule is a kind and conditions, such as `throttle:operation=CreateTrainingJob,times=2`.
//!
//! | kind | what happens | conditions of its own |
//! |---|---|---|
//! | `throttle` | an operation is refused: `ThrottlingException`, "Rate exceeded" | `operation` |
//! | `error` | an operation fails: HTTP 500, `InternalFailure` | `operation` |
//! | `lost-response` | an operation is carried out, and its answer breaks off | `operation` |
//! | `spot-interruption` | a managed spot training job loses its instance, without a warning | `name`, `after-secs` |
//! | `capacity` | a training job or an instance of an endpoint finds no machine | `name` |
//! | `crash` | a container is killed by SIGKILL | `name`, `after-secs` |
//! | `slow-ping` | an instance's `/ping` counts as unanswered for so long | `name`, `after-secs` |
//! | `alarm` | a CloudWatch alarm of an endpoint's update rings | `name` of the alarm |
//! | `full-disk` | what a job leaves cannot be packed: no space left on device | `name` |
//!
//! Every rule takes `times` (how often at most; 1), `skip` (how many occasions pass before; 0) and `chance` (0 to 1; 1), drawn from a seed.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Throttle,
    Error,
    LostResponse,
    SpotInterruption,
    Capacity,
    Crash,
    SlowPing,
    Alarm,
    FullDisk,
}

impl FaultKind {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Throttle, "throttle"),
        (Self::Error, "error"),
        (Self::LostResponse, "lost-response"),
        (Self::SpotInterruption, "spot-interruption"),
        (Self::Capacity, "capacity"),
        (Self::Crash, "crash"),
        (Self::SlowPing, "slow-ping"),
        (Self::Alarm, "alarm"),
        (Self::FullDisk, "full-disk"),
    ];

    /// Whether it befalls an operation of the API, and not what runs behind it.
    fn is_of_the_api(self) -> bool {
        matches!(self, Self::Throttle | Self::Error | Self::LostResponse)
    }
}

impl FaultKind {
    /// Whether it can strike some time after its occasion.
    fn has_delay(self) -> bool {
        matches!(self, Self::SpotInterruption | Self::Crash | Self::SlowPing)
    }
}

/// A rule: what goes wrong, where and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    /// The operation, or the name of the job or endpoint, that it befalls; any if absent.
    subject: Option<String>,
    times: u32,
    skip: u32,
    chance: f64,
    after: Duration,
}

/// The text is no rule of a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{problem} in the fault {rule:?}; write KIND or KIND:KEY=VALUE,…, such as throttle:operation=CreateModel,times=2"
)]
pub struct FaultError {
    rule: String,
    problem: String,
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(rule: &str) -> Result<Self, FaultError> {
        let error = |problem: String| FaultError { rule: rule.to_owned(), problem };
        let (word, conditions) = rule.split_once(':').unwrap_or((rule, ""));
        let known = FaultKind::ALL.iter().find(|(_, name)| *name == word);
        let kind = known.map(|(kind, _)| *kind).ok_or_else(|| {
            let words = FaultKind::ALL.map(|(_, name)| name).join(", ");
            error(format!("`{word}` is none of {words}"))
        })?;
        let mut fault = Self { kind, subject: None, times: 1, skip: 0, chance: 1.0, after: Duration::ZERO };
        for condition in conditions.split(',').filter(|condition| !condition.is_empty()) {
            fault.set(condition).map_err(error)?;
        }
        Ok(fault)
    }
}

impl Fault {
    fn set(&mut self, condition: &str) -> Result<(), String> {
        let (key, value) = condition.split_once('=').ok_or_else(|| format!("`{condition}` has no value"))?;
        let wrong = |wanted: &str| format!("`{key}` is `{value}`, and should be {wanted}");
        let subject = if self.kind.is_of_the_api() { "operation" } else { "name" };
        match key {
            "times" => self.times = value.parse().map_err(|_| wrong("a whole number"))?,
            "skip" => self.skip = value.parse().map_err(|_| wrong("a whole number"))?,
            "chance" => {
                let chance = value.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
                self.chance = chance.ok_or_else(|| wrong("a number from 0 to 1"))?;
            }
            "after-secs" if self.kind.has_delay() => {
                let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                self.after = seconds.ok_or_else(|| wrong("a number of seconds"))?;
            }
            _ if key == subject => self.subject = Some(value.to_owned()),
            _ => {
                let after = if self.kind.has_delay() { ", after-secs" } else { "" };
                return Err(format!("`{key}` is none of {subject}, times, skip, chance{after}"));
            }
        }
        Ok(())
    }

    fn befalls(&self, kind: FaultKind, subject: &str) -> bool {
        self.kind == kind && self.subject.as_deref().is_none_or(|wanted| wanted == subject)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// Returns when a fault strikes that was drawn to come after `time`; never if there is none.
pub(crate) async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The rules of a server, and how often each has struck.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<Drawn>);

#[derive(Debug)]
struct Drawn {
    rules: Vec<Fault>,
    generator: ChaCha8Rng,
}

impl Faults {
    /// The rules `rules`, whose chances are drawn from `seed`.
    pub(crate) fn new(rules: Vec<Fault>, seed: u64) -> Self {
        Self(Mutex::new(Drawn { rules, generator: ChaCha8Rng::seed_from_u64(seed) }))
    }

    /// Whether a fault of this kind strikes `subject` (an operation, or the name of a job or an endpoint) on this occasion, and after how long.
    pub(crate) fn strike(&self, kind: FaultKind, subject: &str) -> Option<Duration> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Drawn { rules, generator } = &mut *drawn;
        for rule in rules.iter_mut().filter(|rule| rule.times > 0 && rule.befalls(kind, subject)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if generator.random_bool(rule.chance) {
                rule.times -= 1;
                tracing::info!(fault = %kind, subject, "a fault strikes");
                return Some(rule.after);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: &[&str]) -> Faults {
        Faults::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), 17)
    }

    #[test]
    fn a_rule_strikes_where_and_as_often_as_it_says() {
        let faults = faults(&["throttle:operation=CreateModel,times=2,skip=1", "crash:name=job,after-secs=1.5"]);
        let throttled = |operation| faults.strike(FaultKind::Throttle, operation).is_some();
        assert!(!throttled("CreateEndpoint"));
        let occasions: Vec<bool> = (0..4).map(|_| throttled("CreateModel")).collect();
        assert_eq!(occasions, [false, true, true, false]);
        assert_eq!(faults.strike(FaultKind::Crash, "other"), None);
        assert_eq!(faults.strike(FaultKind::Crash, "job"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn chances_come_from_the_seed() {
        let struck = |seed| {
            let faults = Faults::new(vec!["error:chance=0.5,times=1000".parse().unwrap()], seed);
            (0..40).map(|_| faults.strike(FaultKind::Error, "x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
        assert!(struck(1).contains(&true) && struck(1).contains(&false));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_would_be_one() {
        for (rule, words) in [
            ("storm", "`storm` is none of throttle, error"),
            ("throttle:times=many", "`times` is `many`, and should be a whole number"),
            ("throttle:name=job", "`name` is none of operation, times"),
            ("crash:operation=x", "`operation` is none of name"),
            ("error:chance=2", "a number from 0 to 1"),
            ("crash:after-secs=-1", "a number of seconds"),
            ("error:times", "has no value"),
        ] {
            let error = rule.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("such as throttle"), "{rule}: {error}");
        }
    }
}
