//! Weights that training cannot begin from.
//!
//! Debugger fires where any of its three signs is seen. In a pretrained encoder gradients are small and layers differ,
//! and the loss of the first steps stays where the learning rate still rises: each alone is seen in healthy runs. Here
//! the loss has to stay, and one of the other two has to say why.

use super::{Evidence, LayerStep, Plan, Rule, Standing, Step};

/// Debugger's `PoorWeightInitialization`: steps that are looked at; here the warm-up, where it is longer.
const STEPS: usize = 10;

/// Debugger's `PoorWeightInitialization`: steps in which a loss that does not fall is one that stays.
const PATIENCE: usize = 5;

/// A fall by less than this share is none, as in `LossNotDecreasing`.
const LEAST_FALL: f64 = 0.001;

/// Debugger's `PoorWeightInitialization`: a largest variance of a layer's weights through the smallest above this.
const MOST_RATIO: f64 = 10.0;

/// Debugger's `PoorWeightInitialization`: a distance between the gradient's 5th and 95th percentile below this.
const LEAST_SPREAD: f64 = 0.001;

/// That distance in standard deviations, of a normal distribution.
const SPREAD_DEVIATIONS: f64 = 3.29;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PoorWeightInitialization {
    resumed: bool,
    steps: usize,
    window: usize,
    /// Sum over the first and over the last [`PATIENCE`] steps of the window.
    first: f64,
    last: f64,
    /// Largest ratio of variances, smallest spread of gradients.
    ratio: f64,
    spread: Option<f64>,
}

impl PoorWeightInitialization {
    fn see(&mut self, layers: &[LayerStep]) {
        let layers = || layers.iter().filter(|layer| layer.hidden);
        let variances = || layers().map(|layer| layer.weight_variance).filter(|variance| *variance > 0.0);
        let largest = variances().fold(0.0, f64::max);
        self.ratio = self.ratio.max(largest / variances().fold(largest, f64::min).max(f64::MIN_POSITIVE));
        let spread = layers().map(|layer| SPREAD_DEVIATIONS * layer.gradient_deviation).reduce(f64::min);
        self.spread = self.spread.into_iter().chain(spread).reduce(f64::min);
    }

    fn figures(&self) -> String {
        let Self { window, first, last, ratio, spread, .. } = self;
        let [first, last] = [first, last].map(|sum| sum / PATIENCE as f64);
        let spread = spread.unwrap_or_default();
        format!(
            "in the first {window} steps the loss goes from {first:.3} to {last:.3}, variances of layers are \
             {ratio:.1} to 1, the narrowest gradient spreads over {spread:.1e}"
        )
    }
}

impl Rule for PoorWeightInitialization {
    fn name(&self) -> &'static str {
        "poor_weight_initialization"
    }

    fn begin(&mut self, plan: &Plan) -> Option<Evidence> {
        self.resumed = plan.first_step > 0;
        self.window = STEPS.max(plan.warmup_steps);
        None
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.steps += 1;
        if self.resumed || self.steps > self.window {
            return None;
        }
        if self.steps <= STEPS {
            self.see(&step.layers);
        }
        if self.steps <= PATIENCE {
            self.first += step.loss;
        } else if self.steps > self.window - PATIENCE {
            self.last += step.loss;
        }
        let stays = self.steps == self.window && self.last > self.first * (1.0 - LEAST_FALL);
        let poor = self.ratio > MOST_RATIO || self.spread.is_some_and(|spread| spread < LEAST_SPREAD);
        (stays && poor).then(|| self.figures())
    }

    fn standing(&self) -> Standing {
        if self.resumed {
            return Standing::NotEvaluated("the run went on from a checkpoint".into());
        }
        if self.steps < self.window.max(STEPS) {
            return Standing::NotEvaluated(format!(
                "{} of the {} steps that it takes",
                self.steps,
                self.window.max(STEPS)
            ));
        }
        Standing::Ok(self.figures())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, issue_of, not_evaluated_of, ok_of};
    use super::*;

    /// Ten steps with a loss that falls by `fall` a step, a ratio of variances and a deviation of the gradient.
    fn run(fall: f64, ratio: f64, gradient_deviation: f64) -> Vec<Event> {
        let layer =
            |weight_variance| LayerStep { hidden: true, weight_variance, gradient_deviation, ..LayerStep::default() };
        let outer = LayerStep { hidden: false, ..layer(1e6) };
        let step = |step: usize| Step {
            step,
            loss: 4.0 - fall * step as f64,
            layers: vec![outer.clone(), layer(0.01), layer(0.01 * ratio), outer.clone()],
            ..Step::default()
        };
        let plan = Plan { steps: 20, ..Plan::default() };
        std::iter::once(Event::Begin(plan)).chain((1..=20).map(step).map(Event::Step)).collect()
    }

    #[test]
    fn a_loss_that_stays_needs_a_reason_to_be_the_weights_fault() {
        let (at, evidence) = issue_of(PoorWeightInitialization::default(), run(0.0, 11.0, 0.1));
        assert_eq!(at, 10);
        assert!(evidence.contains("from 4.000 to 4.000, variances of layers are 11.0 to 1"), "{evidence}");
        let (at, evidence) = issue_of(PoorWeightInitialization::default(), run(0.0, 2.0, 3e-4));
        assert_eq!(at, 10);
        assert!(evidence.ends_with("the narrowest gradient spreads over 9.9e-4"), "{evidence}");
        for healthy in [run(0.0, 2.0, 0.1), run(0.1, 11.0, 3e-4)] {
            ok_of(PoorWeightInitialization::default(), healthy);
        }
    }

    #[test]
    fn the_beginning_has_to_be_seen_and_the_warm_up_is_part_of_it() {
        let mut resumed = run(0.0, 11.0, 0.1);
        resumed[0] = Event::Begin(Plan { first_step: 7, steps: 20, ..Plan::default() });
        assert_eq!(not_evaluated_of(PoorWeightInitialization::default(), resumed), "the run went on from a checkpoint");
        let mut slow = run(0.0, 11.0, 0.1);
        slow[0] = Event::Begin(Plan { warmup_steps: 15, steps: 20, ..Plan::default() });
        assert_eq!(issue_of(PoorWeightInitialization::default(), slow.clone()).0, 15);
        slow.truncate(15);
        assert_eq!(not_evaluated_of(PoorWeightInitialization::default(), slow), "14 of the 15 steps that it takes");
    }
}
