//! Training and validation loss, epoch by epoch.

use super::{Epoch, Evidence, Rule, Standing};

/// Debugger's `Overfit`: a validation loss above the training loss by a larger share than this, in one epoch.
const MOST_ABOVE: f64 = 0.1;

/// Debugger's `Overtraining`: epochs in which the training loss, or the validation loss, does not fall by `LEAST_FALL`.
const PATIENCE_TRAIN: usize = 5;
const PATIENCE_VALIDATION: usize = 10;
const LEAST_FALL: f64 = 0.01;

/// A model that knows the training rows better than others.
#[derive(Debug, Default)]
pub(super) struct Overfit {
    last: Option<Epoch>,
}

impl Overfit {
    fn figures(epoch: &Epoch) -> (f64, String) {
        let Epoch { epoch, train_loss, validation_loss, .. } = epoch;
        let above = (validation_loss - train_loss) / train_loss.max(f64::MIN_POSITIVE);
        let (percent, side) = (100.0 * above.abs(), if above < 0.0 { "below" } else { "above" });
        let losses = format!("{percent:.0} % {side} that on training ({train_loss:.3})");
        (above, format!("in epoch {epoch} the loss on validation ({validation_loss:.3}) is {losses}"))
    }
}

impl Rule for Overfit {
    fn name(&self) -> &'static str {
        "overfit"
    }

    fn epoch(&mut self, epoch: &Epoch) -> Option<Evidence> {
        let (above, figures) = Self::figures(self.last.insert(epoch.clone()));
        (above > MOST_ABOVE).then(|| format!("{figures}, more than {:.0} %", 100.0 * MOST_ABOVE))
    }

    fn standing(&self) -> Standing {
        let Some(epoch) = &self.last else { return Standing::NotEvaluated("no epoch was finished".into()) };
        Standing::Ok(format!("{}, up to {:.0} % above allowed", Self::figures(epoch).1, 100.0 * MOST_ABOVE))
    }
}

/// The lowest loss so far, and the epochs since.
#[derive(Debug, Default)]
struct Lowest {
    loss: Option<f64>,
    since: usize,
}

impl Lowest {
    fn see(&mut self, loss: f64) {
        if self.loss.is_none_or(|lowest| loss <= lowest - LEAST_FALL) {
            *self = Self { loss: Some(loss), since: 0 };
        } else {
            self.since += 1;
        }
    }
}

/// A run that goes on after it has stopped getting better.
#[derive(Debug, Default)]
pub(super) struct Overtraining {
    epochs: usize,
    train: Lowest,
    validation: Lowest,
}

impl Rule for Overtraining {
    fn name(&self) -> &'static str {
        "overtraining"
    }

    fn epoch(&mut self, epoch: &Epoch) -> Option<Evidence> {
        self.epochs += 1;
        self.train.see(epoch.train_loss);
        self.validation.see(epoch.validation_loss);
        let sides = [(&self.train, "training", PATIENCE_TRAIN), (&self.validation, "validation", PATIENCE_VALIDATION)];
        let (lowest, side, _) = sides.into_iter().find(|(lowest, _, patience)| lowest.since >= *patience)?;
        let (since, loss) = (lowest.since, lowest.loss.unwrap_or_default());
        Some(format!("for {since} epochs the loss on {side} has not fallen by {LEAST_FALL} from {loss:.3}"))
    }

    fn standing(&self) -> Standing {
        if self.epochs <= PATIENCE_TRAIN {
            let needed = PATIENCE_TRAIN + 1;
            return Standing::NotEvaluated(format!("{} of the {needed} epochs that it takes", self.epochs));
        }
        let [train, validation] = [self.train.since, self.validation.since];
        Standing::Ok(format!(
            "the loss on training last fell {train} epochs before the end, that on validation {validation}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::super::tests::{Event, issue_of, not_evaluated_of, ok_of};
    use super::*;

    /// An epoch of ten steps each, with losses on training and validation.
    fn epochs(losses: &[(f64, f64)]) -> Vec<Event> {
        let events = losses.iter().enumerate().flat_map(|(index, (train_loss, validation_loss))| {
            let step = Step { step: 10 * (index + 1), ..Step::default() };
            let losses = Epoch { train_loss: *train_loss, validation_loss: *validation_loss, ..Epoch::default() };
            [Event::Step(step), Event::Epoch(Epoch { epoch: index + 1, ..losses })]
        });
        events.collect()
    }

    #[test]
    fn a_validation_loss_far_above_that_of_training_is_overfit() {
        let well = ok_of(Overfit::default(), epochs(&[(2.0, 1.5), (1.0, 1.09)]));
        assert_eq!(
            well,
            "in epoch 2 the loss on validation (1.090) is 9 % above that on training (1.000), up to 10 % above allowed"
        );
        let (at, evidence) = issue_of(Overfit::default(), epochs(&[(2.0, 2.0), (1.0, 1.2), (0.5, 2.0)]));
        assert_eq!(at, 20);
        assert_eq!(
            evidence,
            "in epoch 2 the loss on validation (1.200) is 20 % above that on training (1.000), more than 10 %"
        );
        assert_eq!(not_evaluated_of(Overfit::default(), vec![]), "no epoch was finished");
    }

    #[test]
    fn epochs_that_change_nothing_are_overtraining() {
        let falling: Vec<(f64, f64)> = (0..8).map(|epoch| (2.0 - 0.1 * f64::from(epoch), 2.0)).collect();
        assert!(
            ok_of(Overtraining::default(), epochs(&falling))
                .ends_with("last fell 0 epochs before the end, that on validation 7")
        );
        let flat: Vec<(f64, f64)> =
            (0..9).map(|epoch| (if epoch < 2 { 2.0 } else { 1.0 - 0.0009 * f64::from(epoch) }, 1.0)).collect();
        let (at, evidence) = issue_of(Overtraining::default(), epochs(&flat));
        assert_eq!(at, 80);
        assert_eq!(evidence, "for 5 epochs the loss on training has not fallen by 0.01 from 0.998");
        let worse: Vec<(f64, f64)> =
            (0..12).map(|epoch| (2.0 - 0.1 * f64::from(epoch), 1.0 + 0.1 * f64::from(epoch))).collect();
        assert_eq!(issue_of(Overtraining::default(), epochs(&worse)).0, 110);
        assert_eq!(not_evaluated_of(Overtraining::default(), epochs(&flat[..5])), "5 of the 6 epochs that it takes");
    }
}
