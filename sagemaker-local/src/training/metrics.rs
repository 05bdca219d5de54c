//! Metrics from a job's log, by the regular expressions that its request defines.

use std::collections::BTreeMap;

use regex::Regex;

use super::record::{MetricDatum, MetricDefinition};
use crate::time::Time;

/// Values of a metric that are kept, the newest; a job that prints one a second has them for hours.
const MAX_VALUES: usize = 10_000;

/// Reads metrics off lines.
#[derive(Debug)]
pub(super) struct Scraper(Vec<(String, Regex)>);

impl Scraper {
    /// Looks for the metrics that `definitions` define.
    pub(super) fn new(definitions: &[MetricDefinition]) -> Self {
        // The request was refused if an expression does not compile.
        let expressions = definitions.iter().filter_map(|one| Some((one.name.clone(), Regex::new(&one.regex).ok()?)));
        Self(expressions.collect())
    }

    /// The values in `lines`, in their order.
    ///
    /// As SageMaker does, a line is searched, the value is the expression's one group, and what is no number is left out.
    pub(super) fn values(&self, lines: &[String]) -> Vec<(&str, f64)> {
        let mut values = Vec::new();
        for line in lines {
            for (name, expression) in &self.0 {
                let numbers = expression.captures_iter(line).filter_map(|found| found.get(1)?.as_str().parse().ok());
                values.extend(numbers.filter(|number: &f64| number.is_finite()).map(|number| (name.as_str(), number)));
            }
        }
        values
    }
}

/// Adds values that were seen at `now` to those known before.
pub(super) fn add(history: &mut BTreeMap<String, Vec<(Time, f64)>>, values: &[(&str, f64)], now: Time) {
    for (name, value) in values {
        let known = history.entry((*name).to_owned()).or_default();
        known.push((now, *value));
        if known.len() > MAX_VALUES {
            known.remove(0);
        }
    }
}

/// The last value of each metric, in the order of `definitions`.
pub(super) fn last(history: &BTreeMap<String, Vec<(Time, f64)>>, definitions: &[MetricDefinition]) -> Vec<MetricDatum> {
    let datum = |definition: &MetricDefinition| {
        let (timestamp, value) = *history.get(&definition.name)?.last()?;
        Some(MetricDatum { metric_name: definition.name.clone(), value, timestamp })
    };
    definitions.iter().filter_map(datum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unspsc_contract::metrics;

    #[test]
    fn the_last_value_of_each_metric_counts_and_all_are_kept() {
        let definitions: Vec<MetricDefinition> =
            [metrics::TRAIN_LOSS, metrics::VALIDATION_ACCURACY, metrics::TEST_LOSS]
                .map(|name| MetricDefinition { name: name.to_owned(), regex: metrics::regex(name) })
                .into();
        let scraper = Scraper::new(&definitions);
        let epoch = |loss| metrics::line(&[(metrics::TRAIN_LOSS, loss), (metrics::VALIDATION_ACCURACY, 0.5)]);
        let lines = [format!("INFO {}", epoch(2.5)), format!("INFO {}", epoch(1.25)), "train:loss=NaN;".to_owned()];
        let now = Time::now();
        let mut history = BTreeMap::new();
        add(&mut history, &scraper.values(&lines), now);
        let value = |name: &str, value| MetricDatum { metric_name: name.to_owned(), value, timestamp: now };
        let last = last(&history, &definitions);
        assert_eq!(last, [value(metrics::TRAIN_LOSS, 1.25), value(metrics::VALIDATION_ACCURACY, 0.5)]);
        assert_eq!(history[metrics::TRAIN_LOSS], [(now, 2.5), (now, 1.25)]);
    }

    #[test]
    fn a_job_that_never_stops_printing_fills_no_memory() {
        let mut history = BTreeMap::new();
        for value in 0..MAX_VALUES + 5 {
            add(&mut history, &[("m", value as f64)], Time::from_millis(0));
        }
        assert_eq!((history["m"].len(), history["m"][0].1), (MAX_VALUES, 5.0));
    }
}
