//! The training loss, step by step.
//!
//! Debugger compares single values that lie many steps apart. The loss of one batch is far noisier than its
//! thresholds, so that here means are compared, and what is within their noise is no issue.

use std::collections::VecDeque;

use super::{Evidence, Plan, Rule, Standing, Step};

/// Debugger's `LossNotDecreasing`: steps between two looks at the loss; here a twentieth of the run, where that is
/// more.
const LEAST_WINDOW: usize = 10;
const WINDOWS: usize = 20;

/// Debugger's `LossNotDecreasing`: a fall by less than this share is none, between two neighbouring spans of so many
/// windows.
const LEAST_FALL: f64 = 0.001;
const SPAN: usize = 5;

/// Standard errors by which the loss has to miss that fall.
const FALL_NOISE: f64 = 1.0;

/// Debugger's `LossNotDecreasing`: a window above the span before by more than this share is a rise.
const MOST_RISE: f64 = 0.05;

/// Standard errors by which it has to rise.
const RISE_NOISE: f64 = 3.0;

/// How far single losses lie from the curve that they follow.
///
/// From the differences between neighbours, which know nothing of the curve (von Neumann et al. 1941,
/// <https://doi.org/10.1214/aoms/1177731746>), and over the whole run: a window of ten is too short to tell.
#[derive(Debug, Default)]
struct Deviation {
    before: Option<f64>,
    count: usize,
    squares: f64,
}

impl Deviation {
    fn add(&mut self, loss: f64) {
        if let Some(before) = self.before.replace(loss) {
            self.count += 1;
            self.squares += (loss - before).powi(2);
        }
    }

    /// Standard error of the difference between means over so many losses.
    fn of_difference(&self, first: usize, second: usize) -> f64 {
        let variance = self.squares / 2.0 / self.count.max(1) as f64;
        (variance / first.max(1) as f64 + variance / second.max(1) as f64).sqrt()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LossNotDecreasing {
    /// Steps a window, and how many of the one under way are made with which sum.
    window: usize,
    steps: usize,
    sum: f64,
    deviation: Deviation,
    /// Means over the windows of the last two spans.
    means: VecDeque<f64>,
}

impl LossNotDecreasing {
    /// Mean over the windows at these places of `means`.
    fn mean(&self, places: std::ops::Range<usize>) -> f64 {
        let count = places.len();
        self.means.range(places).sum::<f64>() / count.max(1) as f64
    }

    /// Means over the span before the last one and over the last one, once both are seen.
    fn spans(&self) -> Option<(f64, f64)> {
        (self.means.len() == 2 * SPAN).then(|| (self.mean(0..SPAN), self.mean(SPAN..2 * SPAN)))
    }

    fn judge(&self) -> Option<Evidence> {
        let last = self.means.len().checked_sub(1).filter(|last| *last > 0)?;
        let (mean, span) = (self.mean(last..last + 1), last.min(SPAN));
        let before = self.mean(last - span..last);
        let (rise, window) = (mean - before, self.window);
        if rise > MOST_RISE * before && rise > RISE_NOISE * self.deviation.of_difference(window, span * window) {
            let percent = 100.0 * rise / before;
            let steps = span * window;
            return Some(format!(
                "the loss rises by {percent:.0} %: mean over {window} steps {mean:.3}, over {steps} before {before:.3}"
            ));
        }
        let ((earlier, later), steps) = (self.spans()?, SPAN * window);
        let most = earlier - later + FALL_NOISE * self.deviation.of_difference(steps, steps);
        (most < LEAST_FALL * earlier).then(|| {
            let least = 100.0 * LEAST_FALL;
            let means = format!("mean over {steps} steps {later:.3}, over {steps} before {earlier:.3}");
            format!("the loss does not fall by {least:.1} %: {means}")
        })
    }
}

impl Rule for LossNotDecreasing {
    fn name(&self) -> &'static str {
        "loss_not_decreasing"
    }

    fn begin(&mut self, plan: &Plan) -> Option<Evidence> {
        self.window = LEAST_WINDOW.max(plan.steps / WINDOWS);
        None
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.deviation.add(step.loss);
        self.sum += step.loss;
        self.steps += 1;
        if self.steps < self.window {
            return None;
        }
        if self.means.len() == 2 * SPAN {
            self.means.pop_front();
        }
        self.means.push_back(self.sum / self.steps as f64);
        (self.sum, self.steps) = (0.0, 0);
        self.judge()
    }

    fn standing(&self) -> Standing {
        let steps = SPAN * self.window.max(LEAST_WINDOW);
        match self.spans() {
            Some((earlier, later)) => Standing::Ok(format!(
                "mean over the last {steps} steps {later:.3}, over the {steps} before {earlier:.3}"
            )),
            None => Standing::NotEvaluated(format!("fewer than the {} steps that it takes", 2 * steps)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, issue_of, not_evaluated_of, ok_of};
    use super::*;

    /// A run of 200 steps, of which `losses` are seen: windows of ten.
    fn run(losses: impl Iterator<Item = f64>) -> Vec<Event> {
        let steps = losses.zip(1..).map(|(loss, step)| Event::Step(Step { step, loss, ..Step::default() }));
        std::iter::once(Event::Begin(Plan { steps: 200, ..Plan::default() })).chain(steps).collect()
    }

    #[test]
    fn a_noisy_loss_that_falls_is_fine() {
        let noise = |step: i32| f64::from(step * 7919 % 13 - 6) * 0.2;
        let losses = (0..200).map(|step| 4.0 - 0.01 * f64::from(step) + noise(step));
        let said = ok_of(LossNotDecreasing::default(), run(losses));
        assert!(said.starts_with("mean over the last 50 steps 2.2"), "{said}");
        let few = not_evaluated_of(LossNotDecreasing::default(), run((0..99).map(|_| 4.0)));
        assert_eq!(few, "fewer than the 100 steps that it takes");
    }

    #[test]
    fn a_loss_that_stays_is_an_issue_after_half_of_the_run() {
        let (at, evidence) = issue_of(LossNotDecreasing::default(), run((0..200).map(|_| 3.1)));
        let means = "mean over 50 steps 3.100, over 50 before 3.100";
        assert_eq!((at, evidence), (100, format!("the loss does not fall by 0.1 %: {means}")));
        let late = (0..200).map(|step| if step < 50 { 4.0 - 0.02 * f64::from(step) } else { 3.0 });
        assert_eq!(issue_of(LossNotDecreasing::default(), run(late)).0, 150);
    }

    #[test]
    fn a_rise_beyond_the_noise_is_an_issue_at_once() {
        let rise = |by: f64, noise: f64| {
            let loss = move |step: i32| if step < 20 { 3.0 } else { 3.0 + by } + f64::from(step % 2) * noise;
            run((0..40).map(loss))
        };
        let (at, evidence) = issue_of(LossNotDecreasing::default(), rise(0.3, 0.1));
        assert_eq!(at, 30);
        assert_eq!(evidence, "the loss rises by 10 %: mean over 10 steps 3.350, over 20 before 3.050");
        for fine in [rise(0.14, 0.1), rise(0.3, 2.0)] {
            not_evaluated_of(LossNotDecreasing::default(), fine);
        }
    }
}
