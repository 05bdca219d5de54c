//! Metric names, the log lines that carry them, and the regular expressions by which SageMaker finds them.

use std::fmt::Write as _;

/// Mean training loss of an epoch.
pub const TRAIN_LOSS: &str = "train:loss";
/// Mean loss over the validation split.
pub const VALIDATION_LOSS: &str = "validation:loss";
/// Share of validation rows whose label is found.
pub const VALIDATION_ACCURACY: &str = "validation:accuracy";
/// Mean recall over the classes of the whole validation split: the objective.
pub const VALIDATION_BALANCED_ACCURACY: &str = "validation:balanced_accuracy";
/// Mean F1 over the classes of the whole validation split, those that are only predicted included.
pub const VALIDATION_MACRO_F1: &str = "validation:macro_f1";
/// Share of validation rows whose label is among the three most probable.
pub const VALIDATION_TOP3_ACCURACY: &str = "validation:top3_accuracy";
/// Share of validation rows whose label is among the five most probable.
pub const VALIDATION_TOP5_ACCURACY: &str = "validation:top5_accuracy";
/// Expected calibration error of the network's own probabilities on the validation split.
pub const VALIDATION_ECE: &str = "validation:ece";
/// Mean loss over the test split.
pub const TEST_LOSS: &str = "test:loss";
/// Share of test rows whose label is found.
pub const TEST_ACCURACY: &str = "test:accuracy";
/// Mean recall over the classes of the whole test split.
pub const TEST_BALANCED_ACCURACY: &str = "test:balanced_accuracy";
/// Mean F1 over the classes of the whole test split, those that are only predicted included.
pub const TEST_MACRO_F1: &str = "test:macro_f1";
/// Share of test rows whose label is among the three most probable.
pub const TEST_TOP3_ACCURACY: &str = "test:top3_accuracy";
/// Share of test rows whose label is among the five most probable.
pub const TEST_TOP5_ACCURACY: &str = "test:top5_accuracy";
/// Expected calibration error of the network's own probabilities on the test split.
pub const TEST_ECE: &str = "test:ece";
/// The same of the probabilities as they are served: with the temperature that was fitted on validation.
pub const TEST_CALIBRATED_ECE: &str = "test:calibrated_ece";

/// Every metric that a training job prints.
pub const ALL: [&str; 16] = [
    TRAIN_LOSS,
    VALIDATION_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_BALANCED_ACCURACY,
    VALIDATION_MACRO_F1,
    VALIDATION_TOP3_ACCURACY,
    VALIDATION_TOP5_ACCURACY,
    VALIDATION_ECE,
    TEST_LOSS,
    TEST_ACCURACY,
    TEST_BALANCED_ACCURACY,
    TEST_MACRO_F1,
    TEST_TOP3_ACCURACY,
    TEST_TOP5_ACCURACY,
    TEST_ECE,
    TEST_CALIBRATED_ECE,
];

/// What tuning maximises.
pub const OBJECTIVE: &str = VALIDATION_BALANCED_ACCURACY;

/// The log of a training job as `train` prints it: what a regular expression can be tried on before a job is launched.
pub const SAMPLE_LOG: &str = include_str!("sample.log");

/// The regular expression that finds `metric` in a log: one group, closed by the delimiter that [`line()`] writes.
#[must_use]
pub fn regex(metric: &str) -> String {
    format!("{metric}=([0-9eE.+-]+);")
}

/// One log line that carries `values`, as `train:loss=1.5; validation:accuracy=0.75;`.
#[must_use]
pub fn line(values: &[(&str, f64)]) -> String {
    let mut line = String::new();
    for (metric, value) in values {
        let space = if line.is_empty() { "" } else { " " };
        let _ = write!(line, "{space}{metric}={value:.6};");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_regex_finds_its_value_in_a_line_and_no_other() {
        let values: Vec<(&str, f64)> = ALL.iter().enumerate().map(|(i, metric)| (*metric, i as f64 + 0.25)).collect();
        let line = format!("2026-11-22T10:00:00Z INFO train: epoch 1: {}", line(&values));
        for (metric, value) in values {
            let regex = regex::Regex::new(&regex(metric)).unwrap();
            let found: Vec<f64> = regex.captures_iter(&line).map(|c| c[1].parse().unwrap()).collect();
            assert_eq!(found, [value], "{metric}");
        }
    }

    #[test]
    fn every_metric_is_in_the_sample_log() {
        for metric in ALL {
            let regex = regex::Regex::new(&regex(metric)).unwrap();
            let values: Vec<f64> = regex.captures_iter(SAMPLE_LOG).map(|c| c[1].parse().unwrap()).collect();
            assert_eq!(values.len(), if metric.starts_with("test:") { 1 } else { 2 }, "{metric}");
        }
    }

    #[test]
    fn limits_of_the_api_hold() {
        assert!(ALL.len() <= 40);
        assert!(ALL.iter().all(|metric| metric.len() <= 255 && regex(metric).len() <= 500));
    }
}
