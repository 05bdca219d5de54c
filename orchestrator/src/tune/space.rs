//! What is searched: the reference's ranges, changed as the options say, checked as the training container will check.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use aws_sdk_sagemaker::types::ParameterRanges;
use unspsc_contract::{Hyperparameters, ModelKind};

use crate::options::{SearchArgs, Strategy, TrainArgs};
use crate::train;

use super::range::Range;

/// The ranges of the reference project, which are for its encoder.
const DEFAULTS: [(&str, &str); 4] = [
    ("learning_rate", "1e-5..1e-3:log"),
    ("adam_epsilon", "1e-8..1e-7:log"),
    (EPOCHS, "1..2"),
    ("batch_size", "32,64,128"),
];
/// What Hyperband decides about itself.
const EPOCHS: &str = "epochs";
/// SageMaker's limit of hyperparameters that are searched.
const MOST: usize = 30;

/// The hyperparameters that are searched, in the order of the documentation.
#[derive(Debug)]
pub(crate) struct Space(pub(crate) Vec<(String, Range)>);

impl Space {
    /// The ranges that `args` give and the defaults of those that they do not mention; `fixed` are all hyperparameters as they
    /// would be without a search.
    pub(crate) fn new(train: &TrainArgs, args: &SearchArgs, fixed: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let given = |name: &str| train.job.hyperparameters.iter().any(|(other, _)| other == name);
        let mut ranges = BTreeMap::new();
        for (name, text) in &args.ranges {
            train::check_name(name, text)?;
            if given(name) {
                bail!("hyperparameter `{name}` is fixed by --hyperparameter and searched by --search: leave one away");
            }
            let range = Range::parse(name, text)?;
            if ranges.insert(name.clone(), range).is_some() {
                bail!("hyperparameter `{name}` is searched twice: leave one --search away");
            }
        }
        let is_hyperband = args.strategy == Strategy::Hyperband;
        if train.job.model == ModelKind::Encoder {
            for (name, text) in DEFAULTS {
                let is_settled = given(name) || ranges.contains_key(name) || (is_hyperband && name == EPOCHS);
                if !is_settled {
                    ranges.insert(name.to_owned(), Range::parse(name, text)?);
                }
            }
        }
        let place = |name: &str| Hyperparameters::NAMES.iter().position(|known| *known == name);
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_by_key(|(name, _)| place(name));
        if args.strategy == Strategy::Grid {
            for (name, range) in &mut ranges {
                *range = range.as_values(name)?;
            }
        }
        let space = Self(ranges);
        space.check(fixed)?;
        space.check_strategy(args, fixed)?;
        Ok(space)
    }

    fn check(&self, fixed: &BTreeMap<String, String>) -> anyhow::Result<()> {
        ensure!(
            !self.0.is_empty(),
            "nothing is searched: name hyperparameters and their ranges, such as --search learning_rate=1e-4..1e-2:log"
        );
        ensure!(self.0.len() <= MOST, "at most {MOST} hyperparameters can be searched, and these are {}", self.0.len());
        for (name, range) in &self.0 {
            for value in range.corners() {
                let mut map = fixed.clone();
                map.insert(name.clone(), value);
                Hyperparameters::from_map(&map).with_context(|| format!("cannot search {name}={range}"))?;
            }
        }
        Ok(())
    }

    /// Refuses what SageMaker would refuse, or would take for something that nobody wants.
    fn check_strategy(&self, args: &SearchArgs, fixed: &BTreeMap<String, String>) -> anyhow::Result<()> {
        if args.strategy == Strategy::Hyperband {
            ensure!(
                self.0.iter().all(|(name, _)| name != EPOCHS),
                "hyperband decides itself how many epochs a trial gets: leave --search epochs away, and give the most with \
                 --hyperparameter epochs=9"
            );
            let epochs = fixed.get(EPOCHS).map_or("", String::as_str);
            ensure!(
                epochs.parse().is_ok_and(|epochs: u32| epochs > 1),
                "hyperband stops trials between epochs, and these have {epochs}: give a whole number of 2 or more with \
                 --hyperparameter epochs=9"
            );
        }
        let asked = f64::from(args.max_jobs);
        if let Some(count) = self.combinations() {
            let factors: Vec<String> =
                self.0.iter().filter_map(|(name, range)| Some(format!("{name} {}", range.count()?))).collect();
            let factors = factors.join(" × ");
            let is_grid = args.strategy == Strategy::Grid;
            ensure!(
                !is_grid || count <= asked,
                "the grid has {count} combinations ({factors}), and --max-jobs is {asked}: add --max-jobs {count} to try them \
                 all, or --search NAME=VALUE,VALUE with fewer values, or fix some with --hyperparameter"
            );
            ensure!(
                is_grid || count >= asked,
                "there are only {count} combinations ({factors}) for --max-jobs {asked}: ask for fewer, or search more"
            );
        }
        let jobs = self.combinations().map_or(asked, |count| count.min(asked));
        ensure!(
            f64::from(args.parallel_jobs) <= jobs,
            "--parallel-jobs {} is more than the {jobs} trials there are",
            args.parallel_jobs
        );
        Ok(())
    }

    /// How many different trials there are; nothing where a range is continuous.
    pub(crate) fn combinations(&self) -> Option<f64> {
        self.0.iter().map(|(_, range)| range.count().map(|count| count as f64)).product()
    }

    /// As SageMaker has them.
    pub(crate) fn built(&self) -> ParameterRanges {
        self.0.iter().fold(ParameterRanges::builder(), |all, (name, range)| range.add_to(all, name)).build()
    }

    /// The ranges as they are written, by name.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, range)| (name.clone(), range.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tune;
    use super::*;

    fn space(options: &[&str]) -> anyhow::Result<Vec<String>> {
        let args = tune(options);
        let mut map = BTreeMap::from([("model".to_owned(), args.train.job.model.to_string())]);
        map.extend(args.train.job.hyperparameters.iter().cloned());
        let fixed = Hyperparameters::from_map(&map)?.to_map();
        let space = Space::new(&args.train, &args.search, &fixed)?;
        Ok(space.0.iter().map(|(name, range)| format!("{name}={range}")).collect())
    }

    #[test]
    fn the_references_ranges_hold_unless_something_else_is_said() {
        assert_eq!(
            space(&[]).unwrap(),
            ["epochs=1..2", "batch_size=32,64,128", "learning_rate=1e-5..1e-3:log", "adam_epsilon=1e-8..1e-7:log"]
        );
        let changed =
            ["--search", "epochs=2..4", "--hyperparameter", "batch_size=16", "--search", "warmup_ratio=0..0.2"];
        assert_eq!(
            space(&changed).unwrap(),
            ["epochs=2..4", "learning_rate=1e-5..1e-3:log", "adam_epsilon=1e-8..1e-7:log", "warmup_ratio=0..0.2"]
        );
        assert_eq!(
            space(&["--model", "rnn", "--search", "epochs=50..200"]).unwrap(),
            ["epochs=50..200"].as_slice()[..1]
        );
        assert!(!space(&["--strategy", "hyperband"]).unwrap().iter().any(|one| one.starts_with("epochs")));
    }

    #[test]
    fn a_grid_is_made_of_values() {
        assert_eq!(
            space(&["--strategy", "grid", "--max-jobs", "36"]).unwrap(),
            ["epochs=1,2", "batch_size=32,64,128", "learning_rate=1e-5,1e-4,1e-3", "adam_epsilon=1e-8,1e-7"]
        );
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_the_way_out() {
        for (options, said) in [
            (&["--model", "rnn"][..], "nothing is searched"),
            (&["--search", "epoch=1..2"], "did you mean `epochs`?"),
            (&["--search", "learning_rate=1e-5..10"], "hyperparameter `learning_rate` is `10`, allowed"),
            (&["--search", "seed=1..2"], "has an option of its own"),
            (&["--search", "epochs=1..2", "--hyperparameter", "epochs=1"], "leave one away"),
            (&["--search", "epochs=1..2", "--search", "epochs=1..3"], "searched twice"),
            (&["--strategy", "grid"], "add --max-jobs 36"),
            (&["--strategy", "grid", "--search", "weight_decay=0..0.1"], "weight_decay"),
            (&["--strategy", "hyperband", "--search", "epochs=1..2"], "leave --search epochs away"),
            (&["--strategy", "hyperband", "--hyperparameter", "epochs=1"], "2 or more"),
            (&["--model", "rnn", "--search", "epochs=1..2"], "only 2 combinations (epochs 2)"),
            (&["--parallel-jobs", "5"], "more than the 4 trials"),
        ] {
            let error = format!("{:#}", space(options).unwrap_err());
            assert!(error.contains(said), "{options:?}: {error}");
        }
    }
}
