//! Hyperband: many trials begin, and those that are behind at a rung are stopped.
//!
//! A resource is one report of the objective. Rungs lie at `MinResource` and at each [`ETA`]-fold of it below `MaxResource`. A trial that
//! reaches a rung goes on if it is among the best of [`ETA`] of all that have reached it so far: the asynchronous form, in which no trial waits
//! for another (Li et al., "Hyperband", 2018; "A System for Massively Parallel Hyperparameter Tuning", 2020). As in Hyperband's brackets, some
//! trials are judged from the first rung on and some from a later one.

use std::collections::BTreeMap;

use super::record::{Goal, HyperbandConfig};
use super::trials::Reports;
use crate::error::ApiError;

/// One of so many goes on at each rung.
const ETA: usize = 3;
/// SageMaker's limit of `MaxResource`.
const MAX_RESOURCE: usize = 20_000;
/// Static hyperparameters that SageMaker infers `MaxResource` from.
const EPOCHS: [&str; 5] = ["epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs"];

/// The rungs, and who has passed which.
#[derive(Debug)]
pub(super) struct Hyperband {
    rungs: Vec<usize>,
    /// Where a trial is stopped in any case; none where its own hyperparameters end it.
    stop_at: Option<usize>,
    /// Index of the next rung by the number of the trial.
    next: BTreeMap<usize, usize>,
}

impl Hyperband {
    /// The rungs that the request asks for.
    pub(super) fn new(config: HyperbandConfig, fixed: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let inferred = || EPOCHS.iter().find_map(|name| fixed.get(*name)?.trim_matches('"').parse().ok());
        let Some(max) = config.max_resource.or_else(inferred) else {
            return Err(ApiError::validation(format!(
                "Hyperband needs HyperbandStrategyConfig.MaxResource, or one of the static hyperparameters {} with a \
                 number of epochs.",
                EPOCHS.join(", ")
            )));
        };
        let min = config.min_resource.unwrap_or(1);
        if min == 0 || max <= min || max > MAX_RESOURCE {
            return Err(ApiError::validation(format!(
                "Hyperband needs 1 <= MinResource < MaxResource <= {MAX_RESOURCE}; they are {min} and {max}."
            )));
        }
        let rungs = std::iter::successors(Some(min), |rung| Some(rung * ETA)).take_while(|rung| *rung < max).collect();
        Ok(Self { rungs, stop_at: config.max_resource, next: BTreeMap::new() })
    }

    /// Whether trial `number` is to be stopped, where `all` are the reports of all trials, its own among them.
    pub(super) fn stops(&mut self, number: usize, reports: &Reports, all: &[&Reports], goal: Goal) -> bool {
        if self.stop_at.is_some_and(|limit| reports.len() >= limit) {
            return true;
        }
        let first = self.first_rung(number);
        let next = self.next.entry(number).or_insert(first);
        while let Some(rung) = self.rungs.get(*next).copied().filter(|rung| reports.len() >= *rung) {
            *next += 1;
            let at_rung = |reports: &Reports| reports.get(rung - 1).map(|(_, value)| goal.loss(*value));
            let Some(own) = at_rung(reports) else { break };
            let reached: Vec<f64> = all.iter().filter_map(|other| at_rung(other)).collect();
            let better = reached.iter().filter(|loss| **loss < own).count();
            if better >= reached.len().div_ceil(ETA) {
                return true;
            }
        }
        false
    }

    /// The index of the rung at which trial `number`, which counts from 1, is judged first.
    ///
    /// Hyperband begins `ceil((s_max + 1) / (s + 1) * ETA^s)` trials that have `s` rungs before them: with three rungs 9, 5 and 3. After these
    /// 17 it begins anew.
    fn first_rung(&self, number: usize) -> usize {
        let rungs = self.rungs.len();
        let sizes: Vec<usize> =
            (0..rungs).map(|first| rungs - 1 - first).map(|s| (rungs * ETA.pow(s as u32)).div_ceil(s + 1)).collect();
        let mut place = number.saturating_sub(1) % sizes.iter().sum::<usize>().max(1);
        for (first, size) in sizes.into_iter().enumerate() {
            if place < size {
                return first;
            }
            place -= size;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn hyperband(min: usize, max: usize) -> Hyperband {
        let config = HyperbandConfig { min_resource: Some(min), max_resource: Some(max) };
        Hyperband::new(config, &BTreeMap::new()).unwrap()
    }

    fn reports(values: &[f64]) -> Vec<(Time, f64)> {
        values.iter().map(|value| (Time::from_millis(0), *value)).collect()
    }

    #[test]
    fn rungs_are_threefold_and_brackets_have_the_sizes_of_hyperband() {
        let hyperband = hyperband(1, 27);
        assert_eq!(hyperband.rungs, [1, 3, 9]);
        let first: Vec<usize> = (1..=18).map(|number| hyperband.first_rung(number)).collect();
        let count = |rung| first[..17].iter().filter(|first| **first == rung).count();
        assert_eq!((count(0), count(1), count(2), first[17]), (9, 5, 3, 0));
        assert_eq!(self::hyperband(2, 5).rungs, [2]);
    }

    #[test]
    fn the_best_third_goes_on_at_a_rung_and_is_judged_there_once() {
        let mut hyperband = hyperband(1, 27);
        let all: Vec<_> = [0.9, 0.8, 0.7, 0.6].map(|value| reports(&[value])).into();
        let mut stopped = Vec::new();
        for number in 1..=4 {
            let known: Vec<&Reports> = all[..number].iter().map(Vec::as_slice).collect();
            if hyperband.stops(number, &all[number - 1], &known, Goal::Maximize) {
                stopped.push(number);
            }
        }
        assert_eq!(stopped, [2, 3, 4]);
        let better = reports(&[1.0]);
        assert!(
            !hyperband.stops(1, &all[0], &[&all[0], &better], Goal::Maximize),
            "it was judged before the other came"
        );
        assert!(hyperband.stops(5, &all[0], &[&all[0], &better], Goal::Maximize));
        assert!(!hyperband.stops(6, &all[0], &[&all[0], &better], Goal::Minimize));
    }

    #[test]
    fn a_trial_of_a_later_bracket_is_left_alone_until_its_rung() {
        let mut hyperband = hyperband(1, 27);
        let (bad, good) = (reports(&[0.1, 0.1]), reports(&[0.9, 0.9, 0.9]));
        assert!(!hyperband.stops(10, &bad, &[&bad, &good], Goal::Maximize));
        let bad = reports(&[0.1; 3]);
        assert!(hyperband.stops(10, &bad, &[&bad, &good], Goal::Maximize));
    }

    #[test]
    fn a_trial_ends_at_the_resource_that_was_asked_for_but_not_at_its_own_epochs() {
        let all = reports(&[0.5; 4]);
        assert!(hyperband(1, 4).stops(1, &all, &[&all], Goal::Maximize));
        let fixed = [("epochs".to_owned(), "\"4\"".to_owned())].into();
        let mut inferred = Hyperband::new(HyperbandConfig::default(), &fixed).unwrap();
        assert_eq!(inferred.rungs, [1, 3]);
        assert!(!inferred.stops(1, &all, &[&all], Goal::Maximize));
    }

    #[test]
    fn without_a_largest_resource_there_are_no_rungs() {
        let message = Hyperband::new(HyperbandConfig::default(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("MaxResource") && message.contains("num_epochs"), "{message}");
        let config = HyperbandConfig { min_resource: Some(5), max_resource: Some(5) };
        assert!(Hyperband::new(config, &BTreeMap::new()).is_err());
    }
}
