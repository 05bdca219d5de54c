//! Which values a trial gets.
//!
//! What is drawn comes from the tuning job's seed and the trial's number alone, never from the order in which others end: as long as trials are
//! random, any number of them at once are the same trials as one after another. `Bayesian` begins with [`RANDOM_TRIALS`] of them; a later one
//! looks at those that are over by then.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tpe::TpeOptimizer;

use super::ranges::{Parameter, Values};
use super::record::Strategy;

/// How many trials, those of parents among them, are random before `Bayesian` looks at their results.
pub(super) const RANDOM_TRIALS: usize = 5;
/// How often values that an earlier trial has are drawn anew.
const DRAWS: usize = 1000;
/// How often a suggestion is asked for anew that an earlier trial has tried; each asking looks at all results.
const ASKS: usize = 20;

/// The result of a trial.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) values: Values,
    /// The objective, turned so that less is better.
    pub(super) loss: f64,
}

/// Makes the values of trials.
#[derive(Debug)]
pub(super) struct Suggester {
    pub(super) strategy: Strategy,
    pub(super) seed: u64,
    pub(super) parameters: Vec<Parameter>,
    /// What is known from parents.
    pub(super) inherited: Vec<Observation>,
}

impl Suggester {
    /// The suffix of the name of trial `number`, which counts from 1.
    pub(super) fn suffix(&self, number: usize) -> String {
        format!("{:08x}", self.generator(number).random::<u32>())
    }

    /// The values of trial `number`, where `taken` are those of the trials before it, and `results` what has come of them. What a trial of a
    /// parent has tried is tried again only where nothing else is left.
    pub(super) fn values(&self, number: usize, taken: &[Values], results: &[Observation]) -> Values {
        if self.strategy == Strategy::Grid {
            return self.cell(number.saturating_sub(1));
        }
        let is_second_try = |values: &Values| taken.contains(values);
        let is_inherited = |values: &Values| {
            let is_same = |one: &Observation| values.iter().all(|(name, value)| one.values.get(name) == Some(value));
            self.inherited.iter().any(is_same)
        };
        let mut generator = self.generator(number);
        // The first number is the suffix of the name.
        let _ = generator.random::<u32>();
        if self.strategy == Strategy::Bayesian && number + self.inherited.len() > RANDOM_TRIALS {
            let seen: Vec<&Observation> = self.inherited.iter().chain(results).collect();
            if seen.len() > 1 {
                let asked = (0..ASKS).map(|_| self.likely(&seen, &mut generator));
                if let Some(values) = first_new(asked, is_second_try, is_inherited) {
                    return values;
                }
            }
        }
        let drawn = (0..DRAWS).map(|_| self.random(&mut generator));
        first_new(drawn, is_second_try, is_inherited).unwrap_or_else(|| self.random(&mut generator))
    }

    /// A generator of its own for each trial.
    fn generator(&self, number: usize) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(number as u64);
        generator
    }

    fn random(&self, generator: &mut ChaCha8Rng) -> Values {
        let draw = |parameter: &Parameter| (parameter.name.clone(), parameter.value(generator.random()));
        self.parameters.iter().map(draw).collect()
    }

    /// The combination at `index` of the product of all values, in which the last hyperparameter changes fastest.
    fn cell(&self, mut index: usize) -> Values {
        let pick = |parameter: &Parameter| {
            let values = parameter.categories().unwrap_or_default();
            let value = values.get(index % values.len().max(1)).cloned().unwrap_or_default();
            index /= values.len().max(1);
            (parameter.name.clone(), value)
        };
        self.parameters.iter().rev().map(pick).collect()
    }

    /// Values that are likelier among good trials than among others: a tree-structured Parzen estimator, by which each hyperparameter is looked
    /// at by itself (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011).
    fn likely(&self, seen: &[&Observation], generator: &mut ChaCha8Rng) -> Values {
        let ask = |parameter: &Parameter| {
            let value = likely(parameter, seen, generator).unwrap_or_else(|| parameter.value(generator.random()));
            (parameter.name.clone(), value)
        };
        self.parameters.iter().map(ask).collect()
    }
}

/// The first of `values` that nobody has tried, or else that no trial of this job has.
fn first_new(
    values: impl Iterator<Item = Values>,
    is_second_try: impl Fn(&Values) -> bool,
    is_inherited: impl Fn(&Values) -> bool,
) -> Option<Values> {
    let mut inherited = None;
    for values in values.filter(|values| !is_second_try(values)) {
        if !is_inherited(&values) {
            return Some(values);
        }
        inherited.get_or_insert(values);
    }
    inherited
}

fn likely(parameter: &Parameter, seen: &[&Observation], generator: &mut ChaCha8Rng) -> Option<String> {
    // A category is suggested by its index, where its stretch begins; half a step keeps it from being rounded into the one before.
    let (estimator, width, lift) = match parameter.categories() {
        Some(values) => (tpe::histogram_estimator(), values.len() as f64, 0.5),
        None => (tpe::parzen_estimator(), 1.0, 0.0),
    };
    let mut optimizer = TpeOptimizer::new(estimator, tpe::range(0.0, width).ok()?);
    for observation in seen {
        let place = observation.values.get(&parameter.name).and_then(|value| parameter.place(value));
        // Not a number: it says nothing of this hyperparameter.
        optimizer.tell(place.map_or(f64::NAN, |place| place * width), observation.loss).ok()?;
    }
    optimizer.ask(generator).ok().map(|place| parameter.value((place + lift) / width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::ranges::ParameterRanges;
    use serde_json::{Value, json};

    fn suggester(strategy: Strategy, seed: u64, ranges: Value) -> Suggester {
        let parameters = serde_json::from_value::<ParameterRanges>(ranges).unwrap().parameters().unwrap();
        Suggester { strategy, seed, parameters, inherited: Vec::new() }
    }

    fn mixed() -> Value {
        json!({
            "ContinuousParameterRanges": [{ "Name": "lr", "MinValue": "0.0001", "MaxValue": "1" }],
            "CategoricalParameterRanges": [{ "Name": "kind", "Values": ["a", "b", "c"] }],
        })
    }

    /// What `number` trials get one after another whose loss is `loss`.
    fn run(suggester: &Suggester, number: usize, loss: impl Fn(&Values) -> f64) -> Vec<Observation> {
        let mut seen: Vec<Observation> = Vec::new();
        for trial in 1..=number {
            let taken: Vec<Values> = seen.iter().map(|one| one.values.clone()).collect();
            let values = suggester.values(trial, &taken, &seen);
            seen.push(Observation { loss: loss(&values), values });
        }
        seen
    }

    #[test]
    fn a_random_trial_follows_from_the_seed_and_its_number_alone() {
        let one = suggester(Strategy::Random, 1, mixed());
        let results = [Observation { values: Values::new(), loss: 1.0 }];
        assert_eq!(one.values(3, &[], &[]), one.values(3, &[Values::new()], &results));
        assert_eq!(one.suffix(3), suggester(Strategy::Grid, 1, mixed()).suffix(3));
        let other = suggester(Strategy::Random, 2, mixed());
        assert_ne!(one.values(3, &[], &[]), other.values(3, &[], &[]));
        assert_ne!((one.values(3, &[], &[]), one.suffix(3)), (one.values(4, &[], &[]), one.suffix(4)));
    }

    #[test]
    fn a_random_trial_is_no_second_try_of_an_earlier_one() {
        let ranges = json!({ "IntegerParameterRanges": [{ "Name": "p", "MinValue": "1", "MaxValue": "8" }] });
        let seen = run(&suggester(Strategy::Random, 1, ranges), 8, |_| 0.0);
        let values: std::collections::BTreeSet<_> = seen.iter().map(|one| one.values.clone()).collect();
        assert_eq!(values.len(), 8);
    }

    #[test]
    fn a_trial_is_no_second_try_of_a_parents() {
        for strategy in [Strategy::Random, Strategy::Bayesian] {
            let parent = run(&suggester(Strategy::Random, 1, mixed()), 3, |_| 0.0);
            let mut child = suggester(strategy, 1, mixed());
            // A parent's observation tells what was not searched too.
            let with_static = |mut one: Observation| {
                one.values.insert("epochs".to_owned(), "3".to_owned());
                one
            };
            child.inherited = parent.iter().cloned().map(with_static).collect();
            let seen = run(&child, 8, |_| 0.0);
            assert!(seen.iter().all(|one| parent.iter().all(|other| one.values != other.values)), "{strategy:?}");
        }
    }

    #[test]
    fn the_first_bayesian_trials_are_random_and_look_at_no_result() {
        let results = vec![Observation { values: Values::new(), loss: 1.0 }; 4];
        let (bayesian, random) = (suggester(Strategy::Bayesian, 1, mixed()), suggester(Strategy::Random, 1, mixed()));
        for number in 1..=RANDOM_TRIALS {
            assert_eq!(bayesian.values(number, &[], &results), random.values(number, &[], &[]));
        }
    }

    #[test]
    fn bayesian_trials_gather_where_the_loss_is_low() {
        let loss = |values: &Values| {
            let lr: f64 = values["lr"].parse().unwrap();
            (lr.ln() - 0.01_f64.ln()).abs() + if values["kind"] == "b" { 0.0 } else { 2.0 }
        };
        let late = |strategy| {
            let seen = run(&suggester(strategy, 7, mixed()), 40, loss);
            seen[20..].iter().map(|one| one.loss).sum::<f64>()
        };
        assert!(late(Strategy::Bayesian) < 0.6 * late(Strategy::Random));
    }

    #[test]
    fn what_parents_have_seen_is_looked_at_from_the_first_trial_on() {
        let ranges = json!({ "CategoricalParameterRanges": [{ "Name": "kind", "Values": ["a", "b", "c", "d"] }] });
        let mut suggester = suggester(Strategy::Bayesian, 3, ranges);
        let of = |kind: &str| [("kind".to_owned(), kind.to_owned())].into();
        for _ in 0..20 {
            suggester.inherited.extend(
                ["a", "b", "c", "d"]
                    .map(|kind| Observation { values: of(kind), loss: if kind == "c" { 0.0 } else { 1.0 } }),
            );
        }
        assert_eq!(suggester.values(1, &[], &[]), of("c"));
    }

    #[test]
    fn a_grid_is_every_combination_once() {
        let grid = suggester(
            Strategy::Grid,
            1,
            json!({ "CategoricalParameterRanges": [
                { "Name": "b", "Values": ["1", "2", "3"] },
                { "Name": "a", "Values": ["x", "y"] },
            ] }),
        );
        let cells: Vec<String> = (1..=6)
            .map(|number| grid.values(number, &[], &[]))
            .map(|values| format!("{}{}", values["a"], values["b"]))
            .collect();
        assert_eq!(cells, ["x1", "x2", "x3", "y1", "y2", "y3"]);
    }
}
