//! Gradients, weights and updates, by layer.
//!
//! By layer and not by tensor: the gradient of an attention's key bias is 0 by construction, because the softmax does
//! not see what is added to all scores alike, and would be reported in every run.

use super::{Evidence, Plan, Rule, Standing, Step};

/// Debugger's `VanishingGradient`: a mean of the gradient's absolute values below this.
const LEAST_MEAN_GRADIENT: f64 = 1e-7;

/// Debugger's `WeightUpdateRatio`: an update through its weights above or below these.
const UPDATE_RATIOS: std::ops::RangeInclusive<f64> = 1e-8..=10.0;

/// A share of the highest learning rate below which updates are meant to be small: at both ends of the schedule the
/// rate is near 0, in a long run as near as one likes.
const JUDGED_RATE: f64 = 0.1;

/// Why a rule on layers has nothing to say.
fn no_step() -> Standing {
    Standing::NotEvaluated("no step was made".into())
}

/// A figure with where it was seen.
#[derive(Debug, Clone)]
struct Seen {
    value: f64,
    layer: String,
    step: usize,
}

/// The layers of a step with one figure each.
fn figures(step: &Step, figure: fn(&super::LayerStep) -> f64) -> impl Iterator<Item = Seen> + '_ {
    step.layers.iter().map(move |layer| Seen { value: figure(layer), layer: layer.name.clone(), step: step.step })
}

/// A number that is not finite.
#[derive(Debug, Default)]
pub(super) struct ExplodingTensor {
    /// Steps and the largest norm of the gradient so far.
    steps: usize,
    largest: f64,
}

impl Rule for ExplodingTensor {
    fn name(&self) -> &'static str {
        "exploding_tensor"
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.steps += 1;
        self.largest = self.largest.max(step.gradient_norm);
        for (name, value) in [("the loss", step.loss), ("the gradient's norm", step.gradient_norm)] {
            if !value.is_finite() {
                return Some(format!("{name} is {value}"));
            }
        }
        let bad = |layer: &&super::LayerStep| !(layer.weight_variance + layer.update_ratio).is_finite();
        let layer = step.layers.iter().find(bad)?;
        Some(format!("{} has weights that are not finite", layer.name))
    }

    fn standing(&self) -> Standing {
        if self.steps == 0 {
            return no_step();
        }
        Standing::Ok(format!(
            "every loss and norm of {} steps is finite; largest gradient {:.3}",
            self.steps, self.largest
        ))
    }
}

/// Gradients too small to move anything.
#[derive(Debug, Default)]
pub(super) struct VanishingGradient {
    least: Option<Seen>,
}

impl Rule for VanishingGradient {
    fn name(&self) -> &'static str {
        "vanishing_gradient"
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        let least = figures(step, |layer| layer.mean_gradient).min_by(|a, b| a.value.total_cmp(&b.value))?;
        if least.value < LEAST_MEAN_GRADIENT {
            let Seen { value, layer, .. } = least;
            return Some(format!("mean absolute gradient of {layer} is {value:.1e}, below {LEAST_MEAN_GRADIENT:.0e}"));
        }
        if self.least.as_ref().is_none_or(|seen| least.value < seen.value) {
            self.least = Some(least);
        }
        None
    }

    fn standing(&self) -> Standing {
        let Some(Seen { value, layer, step }) = &self.least else { return no_step() };
        Standing::Ok(format!(
            "smallest mean absolute gradient {value:.1e} ({layer}, step {step}), at least \
             {LEAST_MEAN_GRADIENT:.0e} wanted"
        ))
    }
}

/// Updates out of proportion to the weights.
#[derive(Debug, Default)]
pub(super) struct UpdateRatio {
    peak_rate: f64,
    range: Option<[Seen; 2]>,
}

impl Rule for UpdateRatio {
    fn name(&self) -> &'static str {
        "update_ratio"
    }

    fn begin(&mut self, plan: &Plan) -> Option<Evidence> {
        self.peak_rate = plan.peak_rate;
        None
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        if step.learning_rate < JUDGED_RATE * self.peak_rate {
            return None;
        }
        for seen in figures(step, |layer| layer.update_ratio) {
            if !UPDATE_RATIOS.contains(&seen.value) {
                let (low, high) = UPDATE_RATIOS.into_inner();
                let Seen { value, layer, .. } = seen;
                return Some(format!("the update of {layer} is {value:.1e} of its weights, not {low:.0e} to {high}"));
            }
            let [least, largest] = self.range.get_or_insert_with(|| [seen.clone(), seen.clone()]);
            if seen.value < least.value {
                *least = seen;
            } else if seen.value > largest.value {
                *largest = seen;
            }
        }
        None
    }

    fn standing(&self) -> Standing {
        let Some([least, largest]) = &self.range else { return no_step() };
        Standing::Ok(format!(
            "updates are {:.1e} ({}, step {}) to {:.1e} ({}, step {}) of the weights",
            least.value, least.layer, least.step, largest.value, largest.layer, largest.step
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerStep;
    use super::super::tests::{Event, issue, issue_of, ok};
    use super::*;

    fn step(number: usize, layers: Vec<LayerStep>) -> Step {
        Step { step: number, loss: 1.0, gradient_norm: 2.0, layers, ..Step::default() }
    }

    fn layer(name: &str, mean_gradient: f64, update_ratio: f64) -> LayerStep {
        LayerStep { name: name.into(), mean_gradient, update_ratio, ..LayerStep::default() }
    }

    #[test]
    fn a_vanishing_gradient_is_named_with_its_layer() {
        let healthy = (1..=3).map(|number| step(number, vec![layer("layer 0", 2e-7, 1e-3), layer("head", 1e-3, 1e-3)]));
        let evidence = ok(VanishingGradient::default(), healthy.clone());
        assert_eq!(evidence, "smallest mean absolute gradient 2.0e-7 (layer 0, step 1), at least 1e-7 wanted");
        let steps =
            healthy.chain([step(4, vec![layer("layer 0", 9e-8, 1e-3)]), step(5, vec![layer("head", 0.0, 1e-3)])]);
        let (at, evidence) = issue(VanishingGradient::default(), steps);
        assert_eq!((at, evidence.as_str()), (4, "mean absolute gradient of layer 0 is 9.0e-8, below 1e-7"));
    }

    #[test]
    fn whatever_is_not_finite_is_an_explosion() {
        let healthy = step(1, vec![layer("head", 1.0, 1e-3)]);
        assert!(ok(ExplodingTensor::default(), [healthy.clone()]).contains("of 1 steps"));
        let cases = [
            (Step { loss: f64::NAN, ..step(2, vec![]) }, "the loss is NaN"),
            (Step { gradient_norm: f64::INFINITY, ..step(2, vec![]) }, "the gradient's norm is inf"),
            (step(2, vec![layer("head", 1.0, f64::NAN)]), "head has weights that are not finite"),
        ];
        for (bad, said) in cases {
            assert_eq!(issue(ExplodingTensor::default(), [healthy.clone(), bad]), (2, said.to_owned()));
        }
    }

    #[test]
    fn updates_have_to_be_in_proportion_to_the_weights() {
        let healthy = [step(1, vec![layer("layer 0", 1.0, 1e-8), layer("head", 1.0, 9.0)])];
        let evidence = ok(UpdateRatio::default(), healthy.clone());
        assert_eq!(evidence, "updates are 1.0e-8 (layer 0, step 1) to 9.0e0 (head, step 1) of the weights");
        for (ratio, said) in [(11.0, "1.1e1"), (9e-9, "9.0e-9"), (0.0, "0.0e0")] {
            let steps = healthy.iter().cloned().chain([step(2, vec![layer("head", 1.0, ratio)])]);
            let (at, evidence) = issue(UpdateRatio::default(), steps);
            assert_eq!(at, 2);
            assert_eq!(evidence, format!("the update of head is {said} of its weights, not 1e-8 to 10"));
        }
        let at = |learning_rate| {
            let bad = Step { learning_rate, ..step(2, vec![layer("head", 1.0, 1e-9)]) };
            let plan = Plan { peak_rate: 1e-3, ..Plan::default() };
            vec![
                Event::Begin(plan),
                Event::Step(bad.clone()),
                Event::Step(Step { step: 3, learning_rate: 2e-4, ..bad }),
            ]
        };
        assert_eq!(
            [issue_of(UpdateRatio::default(), at(1e-4)).0, issue_of(UpdateRatio::default(), at(9e-5)).0],
            [2, 3]
        );
    }
}
