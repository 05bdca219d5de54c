//! Training: what goes in, what comes out, what is said about each epoch.

mod run;

#[cfg(test)]
mod tests;

use tch::nn::VarStore;
use tch::{TchError, Tensor};
use unspsc_contract::{EpochReport, metrics};

use crate::TrainError;
use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::evaluation::Evaluated;
use crate::task::Task;
use run::Run;

/// What training leaves, beside the best weights in the classifier.
#[derive(Debug, Default)]
pub(crate) struct Trained {
    /// One entry a finished epoch.
    pub(crate) epochs: Vec<EpochReport>,
    /// The epoch whose weights were kept; none where not one was finished.
    pub(crate) best: Option<Best>,
    /// Whether SIGTERM ended it early.
    pub(crate) stopped: bool,
}

/// The best epoch so far.
#[derive(Debug)]
pub(crate) struct Best {
    /// Counted from 1.
    pub(crate) epoch: usize,
    /// On the validation split.
    pub(crate) validation: Evaluated,
    weights: Vec<Tensor>,
}

/// Trains the classifier of `task`, from the start or on from a checkpoint, and leaves in it the weights of the epoch with
/// the best balanced accuracy on validation.
pub(crate) fn train(
    task: Task<'_>,
    checkpoints: Option<Checkpoints>,
    from: Option<&Checkpoint>,
) -> Result<Trained, TrainError> {
    let mut run = Run::new(task, checkpoints)?;
    if let Some(checkpoint) = from {
        run.resume(checkpoint)?;
    }
    run.announce();
    while !run.complete() {
        if !run.epoch()? {
            run.save()?;
            break;
        }
    }
    run.finish()
}

impl Trained {
    /// What the logits of the kept weights are to be divided by; 1 where no epoch was finished.
    pub(crate) fn temperature(&self) -> f64 {
        self.best.as_ref().map_or(1.0, |best| best.validation.temperature)
    }

    /// Keeps the weights in `store` if they are the best so far; of equals, those with the lower loss.
    fn keep(&mut self, epoch: usize, validation: &Evaluated, store: &VarStore) -> Result<(), TchError> {
        let rank = |e: &Evaluated| (e.confusion.balanced_accuracy(), -e.loss);
        if self.best.as_ref().is_none_or(|best| rank(validation) > rank(&best.validation)) {
            let _no_graph = tch::no_grad_guard();
            let weights = store.trainable_variables().iter().map(copy).collect::<Result<_, _>>()?;
            self.best = Some(Best { epoch, validation: validation.clone(), weights });
        }
        Ok(())
    }
}

/// The values of `tensor`, in memory of their own.
fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(tensor).map(|()| copy)
}

fn report(epoch: usize, train_loss: f64, validation: &Evaluated, seconds: f64) -> EpochReport {
    EpochReport {
        epoch,
        train_loss,
        validation_loss: validation.loss,
        validation_accuracy: validation.confusion.accuracy(),
        validation_balanced_accuracy: validation.confusion.balanced_accuracy(),
        validation_macro_f1: validation.confusion.macro_f1(),
        validation_top3_accuracy: validation.top3_accuracy(),
        validation_top5_accuracy: validation.top5_accuracy(),
        validation_ece: validation.reliability.error(),
        seconds,
    }
}

fn log(epoch: usize, epochs: usize, reports: &[EpochReport], rows_a_second: f64) {
    let Some(report) = reports.last() else { return };
    let line = metrics::line(&[
        (metrics::TRAIN_LOSS, report.train_loss),
        (metrics::VALIDATION_LOSS, report.validation_loss),
        (metrics::VALIDATION_ACCURACY, report.validation_accuracy),
        (metrics::VALIDATION_BALANCED_ACCURACY, report.validation_balanced_accuracy),
        (metrics::VALIDATION_MACRO_F1, report.validation_macro_f1),
        (metrics::VALIDATION_TOP3_ACCURACY, report.validation_top3_accuracy),
        (metrics::VALIDATION_TOP5_ACCURACY, report.validation_top5_accuracy),
        (metrics::VALIDATION_ECE, report.validation_ece),
    ]);
    tracing::info!("epoch {epoch}/{epochs} in {:.1} s, {rows_a_second:.0} rows/s: {line}", report.seconds);
}
