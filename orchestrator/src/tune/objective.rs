//! What decides which trial is best, and the proof that it can be found in a log.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use aws_sdk_sagemaker::types::{
    HyperParameterTuningJobObjective, HyperParameterTuningJobObjectiveType, MetricDefinition,
};
use regex::Regex;
use unspsc_contract::metrics;

use crate::options::{Goal, SearchArgs};
use crate::train::request;

/// SageMaker's limit for a regular expression, and for a metric's name.
const LONGEST: (usize, usize) = (500, 255);

/// A metric and the way in which it is better.
#[derive(Debug, Clone)]
pub(crate) struct Objective {
    pub(crate) metric: String,
    pub(crate) regex: String,
    pub(crate) goal: Goal,
    /// What the sample log says of it, last.
    pub(crate) sample: f64,
}

impl Objective {
    /// The objective that `args` name.
    ///
    /// # Errors
    /// When it would not be found in what `train` prints: every trial would be paid for and none be of use.
    pub(crate) fn new(args: &SearchArgs) -> anyhow::Result<Self> {
        let (metric, regex, goal) = match args.objective.split_once('=') {
            Some((name, regex)) => own(name.trim(), regex.trim(), args.goal)?,
            None => known(args.objective.trim(), args.goal)?,
        };
        let sample = in_sample(&metric, &regex)?;
        Ok(Self { metric, regex, goal, sample })
    }

    /// Whether `one` is better than `other`.
    pub(crate) fn is_better(&self, one: f64, other: f64) -> bool {
        match self.goal {
            Goal::Maximize => one > other,
            Goal::Minimize => one < other,
        }
    }

    /// The definition of a metric of the user's own.
    pub(crate) fn own_definition(&self) -> Option<MetricDefinition> {
        let is_own = !metrics::ALL.contains(&self.metric.as_str());
        is_own.then(|| request::metric_definition(&self.metric, &self.regex))
    }

    /// As SageMaker has it.
    pub(crate) fn built(&self) -> HyperParameterTuningJobObjective {
        let kind = match self.goal {
            Goal::Maximize => HyperParameterTuningJobObjectiveType::Maximize,
            Goal::Minimize => HyperParameterTuningJobObjectiveType::Minimize,
        };
        HyperParameterTuningJobObjective::builder().r#type(kind).metric_name(&self.metric).build()
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        })
    }
}

/// A metric that `train` prints.
fn known(name: &str, goal: Option<Goal>) -> anyhow::Result<(String, String, Goal)> {
    ensure!(
        metrics::ALL.contains(&name),
        "the objective `{name}` is none of the metrics that `train` prints: {}; one of your own is written NAME=REGEX",
        candidates()
    );
    ensure!(
        !name.starts_with("test:"),
        "the objective `{name}` is of the rows that are kept back to judge the result, which tuning must not see: take {}",
        candidates()
    );
    let natural = if name.ends_with("loss") || name.ends_with("ece") { Goal::Minimize } else { Goal::Maximize };
    if let Some(other) = goal.filter(|goal| *goal != natural) {
        bail!("--goal {other} would look for the worst {name}: leave it away");
    }
    Ok((name.to_owned(), metrics::regex(name), natural))
}

/// A metric of the user's own.
fn own(name: &str, regex: &str, goal: Option<Goal>) -> anyhow::Result<(String, String, Goal)> {
    if metrics::ALL.contains(&name) {
        bail!("the objective `{name}` has its regular expression: leave =REGEX away");
    }
    let (most, longest) = LONGEST;
    ensure!(
        !name.is_empty() && name.len() <= longest && regex.len() <= most,
        "an objective NAME=REGEX has a name of 1 to {longest} characters and a regular expression of at most {most}"
    );
    Ok((name.to_owned(), regex.to_owned(), goal.unwrap_or(Goal::Maximize)))
}

/// What `regex` finds in the sample log, last: the value that SageMaker would take.
fn in_sample(name: &str, regex: &str) -> anyhow::Result<f64> {
    let compiled =
        Regex::new(regex).with_context(|| format!("the objective `{name}` has a regular expression that is none"))?;
    ensure!(
        compiled.captures_len() == 2,
        "the regular expression of the objective `{name}` needs one group, such as {}, for the value",
        metrics::regex(metrics::OBJECTIVE)
    );
    let lines = metrics::SAMPLE_LOG.lines();
    let Some(found) = lines.rev().find_map(|line| compiled.captures(line)).and_then(|found| found.get(1)) else {
        let line = metrics::SAMPLE_LOG.lines().find(|line| line.contains(metrics::OBJECTIVE)).unwrap_or_default();
        bail!(
            "the regular expression of the objective `{name}` finds nothing in what `train` prints, such as\n  {line}\n\
             known metrics are {}",
            candidates()
        );
    };
    let value: Option<f64> = found.as_str().parse().ok().filter(|value: &f64| value.is_finite());
    value.with_context(|| {
        format!("the regular expression of the objective `{name}` finds `{}`, which is no number", found.as_str())
    })
}

/// The metrics that can be an objective.
fn candidates() -> String {
    metrics::ALL.into_iter().filter(|name| !name.starts_with("test:")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::search;
    use super::*;

    fn objective(text: &str, more: &[&str]) -> anyhow::Result<Objective> {
        Objective::new(&search(&[["--objective", text].as_slice(), more].concat()))
    }

    #[test]
    fn every_metric_that_may_be_one_is_found_in_the_sample_log() {
        for name in metrics::ALL.into_iter().filter(|name| !name.starts_with("test:")) {
            let objective = objective(name, &[]).unwrap();
            let less = name.ends_with("loss") || name.ends_with("ece");
            assert_eq!(objective.goal == Goal::Minimize, less, "{name}");
            assert!(objective.sample.is_finite() && objective.own_definition().is_none());
        }
        assert_eq!(Objective::new(&search(&[])).unwrap().metric, metrics::OBJECTIVE);
    }

    #[test]
    fn one_of_the_users_own_has_to_find_a_number() {
        let speed = objective("speed=, ([0-9.]+) rows/s", &[]).unwrap();
        assert!(speed.sample > 0.0 && speed.goal == Goal::Maximize && speed.own_definition().is_some());
        assert!(objective("speed=, ([0-9.]+) rows/s", &["--goal", "minimize"]).unwrap().is_better(1.0, 2.0));
        for (text, said) in [
            ("accuracy", "none of the metrics that `train` prints: train:loss, validation:loss"),
            ("test:accuracy", "which tuning must not see"),
            ("mine=score=([0-9.]+)", "finds nothing in what `train` prints"),
            ("mine=score=([0-9.]+)", "known metrics are train:loss"),
            ("mine=in ([0-9.]+ s)", "which is no number"),
            ("mine=epoch", "needs one group"),
            ("mine=(", "that is none"),
            ("=x", "has a name of 1 to 255"),
            ("validation:loss=([0-9.]+)", "leave =REGEX away"),
        ] {
            let error = format!("{:#}", objective(text, &[]).unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
        let error = objective("validation:loss", &["--goal", "maximize"]).unwrap_err().to_string();
        assert!(error.contains("the worst validation:loss"), "{error}");
    }
}
