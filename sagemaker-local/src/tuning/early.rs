//! Early stopping by the median rule: a trial is stopped whose objective is worse than the median of the running averages of earlier trials at
//! the same epoch.
//!
//! As the developer guide of SageMaker has it ("Stop Training Jobs Early"). An epoch is one report of the objective, and earlier trials are those
//! of a lower number that are over.

use super::record::Goal;
use super::trials::Reports;

/// Whether a trial with these reports is to be stopped, where `earlier` are those of earlier trials.
pub(super) fn is_hopeless<'a>(reports: &Reports, earlier: impl Iterator<Item = &'a Reports>, goal: Goal) -> bool {
    let Some((_, last)) = reports.last() else { return false };
    let averages = earlier.filter_map(|reports_of_other| average(reports_of_other.get(..reports.len())?));
    median(averages.map(|average| goal.loss(average)).collect()).is_some_and(|median| goal.loss(*last) > median)
}

fn average(reports: &Reports) -> Option<f64> {
    let sum: f64 = reports.iter().map(|(_, value)| value).sum();
    (!reports.is_empty()).then(|| sum / reports.len() as f64)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values.get(values.len() / 2 - 1)? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn reports(values: &[f64]) -> Vec<(Time, f64)> {
        values.iter().map(|value| (Time::from_millis(0), *value)).collect()
    }

    fn hopeless(own: &[f64], earlier: &[&[f64]], goal: Goal) -> bool {
        let earlier: Vec<_> = earlier.iter().map(|values| reports(values)).collect();
        is_hopeless(&reports(own), earlier.iter().map(Vec::as_slice), goal)
    }

    #[test]
    fn the_median_is_of_the_running_averages_at_the_same_epoch() {
        // Averages of the first two reports: 0.3, 0.5, 0.7; what comes later does not count.
        let earlier: [&[f64]; 3] = [&[0.2, 0.4, 0.9], &[0.4, 0.6, 0.9], &[0.6, 0.8, 0.9]];
        assert!(hopeless(&[0.9, 0.49], &earlier, Goal::Maximize));
        assert!(!hopeless(&[0.1, 0.5], &earlier, Goal::Maximize));
        assert!(hopeless(&[0.1, 0.51], &earlier, Goal::Minimize));
        assert!(!hopeless(&[0.9, 0.5], &earlier, Goal::Minimize));
        // Of two, the middle between them: 0.4.
        assert!(hopeless(&[0.9, 0.39], &earlier[..2], Goal::Maximize));
        assert!(!hopeless(&[0.9, 0.41], &earlier[..2], Goal::Maximize));
    }

    #[test]
    fn without_anything_to_compare_a_trial_goes_on() {
        assert!(!hopeless(&[], &[&[1.0]], Goal::Maximize));
        assert!(!hopeless(&[0.0], &[], Goal::Maximize));
        assert!(!hopeless(&[0.0, 0.0], &[&[1.0]], Goal::Maximize), "no other trial has come so far");
    }
}
