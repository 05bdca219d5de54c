//! Metrics from a job's log, by the regular expressions that its request defines.

use std::io::{self, BufRead};

use regex::Regex;

use super::record::{MetricDatum, MetricDefinition};
use crate::time::Time;

/// The last value of each metric that `log` carries, in the order of `definitions`, stamped with `at`.
///
/// As SageMaker does, a line is searched, the value is the expression's one group, and what is no number is left out.
pub(crate) fn last_values(
    mut log: impl BufRead,
    definitions: &[MetricDefinition],
    at: Time,
) -> io::Result<Vec<MetricDatum>> {
    // The request was refused if an expression does not compile.
    let expressions: Vec<(&MetricDefinition, Regex)> =
        definitions.iter().filter_map(|definition| Some((definition, Regex::new(&definition.regex).ok()?))).collect();
    let mut values = vec![None; expressions.len()];
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        for ((_, expression), value) in expressions.iter().zip(&mut values) {
            for found in expression.captures_iter(&text) {
                let number = found.get(1).and_then(|group| group.as_str().parse::<f64>().ok());
                *value = number.filter(|number| number.is_finite()).or(*value);
            }
        }
        line.clear();
    }
    let datum = |name: &str, value| MetricDatum { metric_name: name.to_owned(), value, timestamp: at };
    let found = expressions.iter().zip(values);
    Ok(found.filter_map(|((definition, _), value)| Some(datum(&definition.name, value?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use unspsc_contract::metrics;

    #[test]
    fn the_last_value_of_each_metric_counts() {
        let definitions: Vec<MetricDefinition> =
            [metrics::TRAIN_LOSS, metrics::VALIDATION_ACCURACY, metrics::TEST_LOSS]
                .map(|name| MetricDefinition { name: name.to_owned(), regex: metrics::regex(name) })
                .into();
        let epoch = |loss| metrics::line(&[(metrics::TRAIN_LOSS, loss), (metrics::VALIDATION_ACCURACY, 0.5)]);
        let mut log = format!("INFO {}\nINFO {}\n", epoch(2.5), epoch(1.25)).into_bytes();
        log.extend(b"\xff train:loss=NaN; no value\n");
        let now = Time::now();
        let values = last_values(&log[..], &definitions, now).unwrap();
        let value = |name: &str, value| MetricDatum { metric_name: name.to_owned(), value, timestamp: now };
        assert_eq!(values, [value(metrics::TRAIN_LOSS, 1.25), value(metrics::VALIDATION_ACCURACY, 0.5)]);
    }
}
