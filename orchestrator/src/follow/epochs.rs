//! The table of epochs, read from the lines of a job's log as SageMaker reads its metrics.

use anyhow::Context as _;
use regex::Regex;
use unspsc_contract::metrics;

use crate::tables::{align_numbers, table};

/// What is shown of an epoch.
const SHOWN: [(&str, &str); 4] = [
    (metrics::TRAIN_LOSS, "training loss"),
    (metrics::VALIDATION_LOSS, "validation loss"),
    (metrics::VALIDATION_ACCURACY, "accuracy"),
    (metrics::VALIDATION_BALANCED_ACCURACY, "balanced accuracy"),
];

/// The epochs of a job so far.
#[derive(Debug)]
pub(super) struct Epochs {
    /// Finds the epoch's number in its line.
    number: Regex,
    values: [Regex; SHOWN.len()],
    /// Number and values of each epoch.
    rows: Vec<[String; SHOWN.len() + 1]>,
}

impl Epochs {
    /// None yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        let compile = |regex: &str| Regex::new(regex).context("a metric's regular expression cannot be used");
        let [a, b, c, d] = SHOWN.map(|(metric, _)| compile(&metrics::regex(metric)));
        Ok(Self { number: compile(r"epoch (\d[\d./]*)")?, values: [a?, b?, c?, d?], rows: Vec::new() })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the epoch that `line` is about; other lines are passed over.
    pub(super) fn read(&mut self, line: &str) {
        let first = |regex: &Regex| Some(regex.captures(line)?.get(1)?.as_str().to_owned());
        let values = self.values.each_ref().map(first);
        // All of them stand in one line, at the end of each epoch.
        let [Some(a), Some(b), Some(c), Some(d)] = values else { return };
        let number = first(&self.number).unwrap_or_else(|| (self.rows.len() + 1).to_string());
        // After an interruption the job goes on from a checkpoint, and repeats what came after that.
        if let Some(repeated) = self.rows.iter().position(|[other, ..]| *other == number) {
            self.rows.truncate(repeated);
        }
        let rounded = |value: String| value.parse().map_or(value, |number: f64| format!("{number:.4}"));
        self.rows.push([number, rounded(a), rounded(b), rounded(c), rounded(d)]);
    }

    /// The last `count` epochs on lines of their own; nothing where there is none.
    pub(super) fn table(&self, count: usize) -> String {
        if self.is_empty() {
            return String::new();
        }
        let [a, b, c, d] = SHOWN.map(|(_, head)| head);
        let mut rows = table(["epoch", a, b, c, d]);
        for row in self.rows.iter().skip(self.rows.len().saturating_sub(count)) {
            rows.add_row(row);
        }
        align_numbers(&mut rows, 0..5);
        format!("\n{rows}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(epoch: u32) -> String {
        let values = metrics::ALL.map(|metric| (metric, f64::from(epoch) + 0.5));
        format!("2026-11-29T10:00:00Z INFO epoch {epoch}/30 in 13.6 s, 187 rows/s: {}", metrics::line(&values))
    }

    #[test]
    fn lines_of_epochs_become_rows_and_the_last_ones_are_shown() {
        let mut epochs = Epochs::new().unwrap();
        epochs.read("epoch 1/30 begins");
        epochs.read("test:loss=0.500000; test:accuracy=0.750000;");
        assert!(epochs.is_empty() && epochs.table(3).is_empty());
        (1..=30).for_each(|epoch| epochs.read(&line(epoch)));
        let shown = epochs.table(3);
        for part in ["28/30", "30/30", "30.5000", "balanced accuracy"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains("27/30"), "{shown}");
    }

    #[test]
    fn epochs_that_are_repeated_after_an_interruption_stand_once() {
        let mut epochs = Epochs::new().unwrap();
        [1, 2, 3, 2].map(line).iter().for_each(|line| epochs.read(line));
        let shown = epochs.table(9);
        assert!(shown.matches("/30").count() == 2 && shown.contains("2/30") && !shown.contains("3/30"), "{shown}");
    }
}
