//! Classes of very different size, and classes that are hardly ever found.

use super::{Epoch, Evidence, Plan, Rule, Standing};

/// Debugger's `ClassImbalance`: a largest class with more rows than this for each of the smallest one's.
const MOST_RATIO: f64 = 10.0;

/// Debugger's `ClassImbalance`: a larger share than this of a class's rows taken for another class.
const MOST_MISSED: f64 = 0.7;

/// Debugger's `ClassImbalance`: rows before either is judged.
const LEAST_ROWS: usize = 500;

/// Validation rows of a class before its share of misses says anything.
const LEAST_CLASS_ROWS: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ClassImbalance {
    labels: Vec<String>,
    /// What was found fit, or why it could not be judged.
    sizes: Option<Result<String, String>>,
}

impl Rule for ClassImbalance {
    fn name(&self) -> &'static str {
        "class_imbalance"
    }

    fn begin(&mut self, plan: &Plan) -> Option<Evidence> {
        self.labels = plan.classes.iter().map(|(label, _)| label.clone()).collect();
        let rows: usize = plan.classes.iter().map(|(_, rows)| rows).sum();
        let by_rows = |class: &&(String, usize)| class.1;
        let (largest, smallest) = (plan.classes.iter().max_by_key(by_rows)?, plan.classes.iter().min_by_key(by_rows)?);
        let ratio = largest.1 as f64 / smallest.1.max(1) as f64;
        let figures = format!(
            "class {} has {} training rows, class {} has {}: {ratio:.0} to 1",
            largest.0, largest.1, smallest.0, smallest.1
        );
        if rows < LEAST_ROWS {
            self.sizes = Some(Err(format!("{rows} of the {LEAST_ROWS} training rows that it takes")));
            return None;
        }
        if ratio > MOST_RATIO {
            return Some(format!("{figures}, more than {MOST_RATIO:.0} to 1"));
        }
        self.sizes = Some(Ok(figures));
        None
    }

    fn epoch(&mut self, epoch: &Epoch) -> Option<Evidence> {
        if epoch.found.iter().map(|(_, rows, _)| rows).sum::<usize>() < LEAST_ROWS {
            return None;
        }
        let missed = |(class, rows, hits): &(usize, usize, usize)| {
            let share = 1.0 - *hits as f64 / (*rows).max(1) as f64;
            let label = self.labels.get(*class)?;
            (*rows >= LEAST_CLASS_ROWS && share > MOST_MISSED).then_some((share, label, *rows))
        };
        let missed: Vec<(f64, &String, usize)> = epoch.found.iter().filter_map(missed).collect();
        let (share, label, rows) = missed.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(format!(
            "in epoch {} more than {:.0} % of the validation rows of {} {} missed, most of \
             {label}: {:.0} % of {rows}",
            epoch.epoch,
            100.0 * MOST_MISSED,
            missed.len(),
            if missed.len() == 1 { "class are" } else { "classes are" },
            100.0 * share
        ))
    }

    fn standing(&self) -> Standing {
        match &self.sizes {
            Some(Ok(figures)) => Standing::Ok(format!("{figures}, up to {MOST_RATIO:.0} to 1 allowed")),
            Some(Err(why)) => Standing::NotEvaluated(why.clone()),
            None => Standing::NotEvaluated("training did not begin".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, issue_of, not_evaluated_of, ok_of};
    use super::*;

    fn plan(large: usize, small: usize) -> Event {
        let classes = vec![("31000000".into(), large), ("50000000".into(), small)];
        Event::Begin(Plan { classes, ..Plan::default() })
    }

    fn epoch(found: Vec<(usize, usize, usize)>) -> Event {
        Event::Epoch(Epoch { epoch: 1, found, ..Epoch::default() })
    }

    #[test]
    fn a_class_ten_times_as_large_as_another_is_an_issue_before_the_first_step() {
        let figures = "class 31000000 has 500 training rows, class 50000000 has 50: 10 to 1";
        assert_eq!(ok_of(ClassImbalance::default(), vec![plan(500, 50)]), format!("{figures}, up to 10 to 1 allowed"));
        let (at, evidence) = issue_of(ClassImbalance::default(), vec![plan(600, 50)]);
        assert_eq!(at, 0);
        assert!(evidence.ends_with("12 to 1, more than 10 to 1"), "{evidence}");
        let few = not_evaluated_of(ClassImbalance::default(), vec![plan(490, 1)]);
        assert_eq!(few, "491 of the 500 training rows that it takes");
    }

    #[test]
    fn a_class_that_is_hardly_ever_found_is_an_issue() {
        let (_, evidence) =
            issue_of(ClassImbalance::default(), vec![plan(500, 90), epoch(vec![(0, 490, 480), (1, 10, 2)])]);
        assert!(
            evidence.ends_with("validation rows of 1 class are missed, most of 50000000: 80 % of 10"),
            "{evidence}"
        );
        for fine in [vec![(0, 490, 480), (1, 10, 3)], vec![(0, 491, 480), (1, 9, 0)], vec![(0, 10, 0), (1, 10, 0)]] {
            ok_of(ClassImbalance::default(), vec![plan(500, 90), epoch(fine)]);
        }
    }
}
