//! The training loop.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Reduction, TchError, Tensor};
use unspsc_contract::{EpochReport, Hyperparameters, metrics};

use crate::TrainError;
use crate::adamw::AdamW;
use crate::batches::shuffled;
use crate::classifier::Classifier;
use crate::criterion::Criterion;
use crate::evaluation::{Evaluated, Temperature, evaluate};
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::stop::Stop;
use crate::texts::{TextSplits, targets};

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

/// Trains `classifier`, which knows `classes` labels, and leaves in it the weights of the epoch with the best balanced
/// accuracy on validation.
pub(crate) fn train(
    classifier: &dyn Classifier,
    texts: &TextSplits,
    classes: usize,
    criterion: &Criterion,
    settings: &Hyperparameters,
    stop: &Stop,
) -> Result<Trained, TrainError> {
    let Hyperparameters { epochs, batch_size, .. } = *settings;
    let device = classifier.store().device();
    let lengths = texts.train.lengths();
    let steps = epochs * lengths.len().div_ceil(batch_size);
    let mut order = ChaCha8Rng::seed_from_u64(settings.seed);

    let mut optimizer = AdamW::new(classifier.store(), settings.adam_epsilon, settings.weight_decay)?;
    let schedule = Schedule::new(settings.learning_rate, settings.warmup_ratio, steps);
    let temperature = Temperature::Fitted { seed: settings.seed };

    let mut progress = Progress::new(epochs, steps);
    let mut trained = Trained::default();
    let mut step = 0;
    'training: for epoch in 1..=epochs {
        let started = Instant::now();
        let mut loss_sum = 0.0;
        for rows in shuffled(&lengths, batch_size, &mut order) {
            if stop.requested() {
                break 'training;
            }
            let targets = targets(&texts.train.classes(&rows), classes, device)?; // [batch]
            let logits = classifier.logits(&texts.train.batch(&rows, device)?, true)?; // [batch, classes]
            let loss = criterion.loss(&logits, &targets, Reduction::Mean)?;
            let norm = optimizer.step(&loss, schedule.rate(step))?;
            step += 1;
            if !norm.is_finite() {
                return Err(TrainError::Diverged { epoch, step });
            }
            let loss = loss.f_double_value(&[])?;
            loss_sum += loss * rows.len() as f64;
            progress.step(epoch, rows.len(), loss);
        }
        let train_seconds = started.elapsed().as_secs_f64();
        let validation = evaluate(classifier, criterion, &texts.validation, classes, temperature, stop)?;
        let Some(validation) = validation else { break };
        let train_loss = loss_sum / lengths.len() as f64;
        trained.epochs.push(report(epoch, train_loss, &validation, started.elapsed().as_secs_f64()));
        log(epoch, epochs, &trained.epochs, lengths.len() as f64 / train_seconds);
        trained.keep(epoch, validation, classifier.store())?;
    }
    trained.stopped = stop.requested();
    if let Some(best) = &trained.best {
        restore(classifier.store(), &best.weights)?;
    }
    Ok(trained)
}

impl Trained {
    /// What the logits of the kept weights are to be divided by; 1 where no epoch was finished.
    pub(crate) fn temperature(&self) -> f64 {
        self.best.as_ref().map_or(1.0, |best| best.validation.temperature)
    }

    /// Keeps the weights in `store` if they are the best so far; of equals, those with the lower loss.
    fn keep(&mut self, epoch: usize, validation: Evaluated, store: &VarStore) -> Result<(), TchError> {
        let rank = |e: &Evaluated| (e.confusion.balanced_accuracy(), -e.loss);
        if self.best.as_ref().is_none_or(|best| rank(&validation) > rank(&best.validation)) {
            let _no_graph = tch::no_grad_guard();
            let copy = |tensor: &Tensor| {
                let mut copy = tensor.f_empty_like()?;
                copy.f_copy_(tensor).map(|()| copy)
            };
            let weights = store.trainable_variables().iter().map(copy).collect::<Result<_, _>>()?;
            self.best = Some(Best { epoch, validation, weights });
        }
        Ok(())
    }
}

fn restore(store: &VarStore, weights: &[Tensor]) -> Result<(), TchError> {
    let _no_graph = tch::no_grad_guard();
    store.trainable_variables().iter_mut().zip(weights).try_for_each(|(parameter, best)| parameter.f_copy_(best))
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
