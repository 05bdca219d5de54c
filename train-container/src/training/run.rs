//! The training loop, and how a run goes on from a checkpoint.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Reduction, TchError, Tensor};

use super::{Best, Task, Trained, log, report};
use crate::TrainError;
use crate::adamw::AdamW;
use crate::batches::shuffled;
use crate::checkpoint::{BEST, Checkpoint, Checkpoints, MEAN, Position, State, VARIANCE, WEIGHTS};
use crate::evaluation::{Evaluated, Temperature, evaluate};
use crate::network::trainable;
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::tensors::{Tensors, assign};
use crate::texts::targets;

/// A run under way.
pub(super) struct Run<'a> {
    task: Task<'a>,
    /// Tokens of each training row.
    lengths: Vec<usize>,
    /// Steps of all epochs together.
    steps: usize,
    parameters: Vec<(String, Tensor)>,
    optimizer: AdamW,
    schedule: Schedule,
    progress: Progress,
    position: Position,
    trained: Trained,
    checkpoints: Option<Checkpoints>,
}

impl<'a> Run<'a> {
    /// A run before its first step.
    pub(super) fn new(task: Task<'a>, checkpoints: Option<Checkpoints>) -> Result<Self, TrainError> {
        let settings = task.settings;
        let store = task.classifier.store();
        let lengths = task.texts.train.lengths();
        let steps = settings.epochs * lengths.len().div_ceil(settings.batch_size);
        Ok(Self {
            task,
            lengths,
            steps,
            parameters: trainable(store),
            optimizer: AdamW::new(store, settings.adam_epsilon, settings.weight_decay)?,
            schedule: Schedule::new(settings.learning_rate, settings.warmup_ratio, steps),
            progress: Progress::new(settings.epochs, steps, 0),
            position: Position::default(),
            trained: Trained::default(),
            checkpoints,
        })
    }

    /// Goes to where `checkpoint` stands.
    pub(super) fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let State { position, updates, epochs, best_epoch, .. } = checkpoint.state.clone();
        if let Some(epoch) = best_epoch {
            let weights = checkpoint.read(BEST, &self.parameters)?;
            self.set(&weights)?;
            // Judged anew and not read from the checkpoint: it gives the same figures, whichever a version wants.
            let validation = self.validate()?.unwrap_or_default();
            self.trained.best = Some(Best { epoch, validation, weights });
        }
        self.set(&checkpoint.read(WEIGHTS, &self.parameters)?)?;
        let moments = [checkpoint.read(MEAN, &self.parameters)?, checkpoint.read(VARIANCE, &self.parameters)?];
        self.optimizer.restore(updates, &moments)?;
        self.progress = Progress::new(self.task.settings.epochs, self.steps, position.step);
        self.trained.epochs = epochs;
        self.position = position;
        Ok(())
    }

    /// Whether every epoch is done.
    pub(super) fn complete(&self) -> bool {
        self.position.epoch >= self.task.settings.epochs
    }

    /// Goes to the end of the epoch under way; false where the job was asked to stop first.
    pub(super) fn epoch(&mut self) -> Result<bool, TrainError> {
        let Task { settings, stop, .. } = self.task;
        for rows in self.batches().into_iter().skip(self.position.batches) {
            if stop.requested() {
                return Ok(false);
            }
            self.step(&rows)?;
            if self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.due(false)) {
                self.save()?;
            }
        }
        let started = Instant::now();
        let Some(validation) = self.validate()? else { return Ok(false) };
        let Position { epoch, step, loss_sum, seconds, .. } = self.position;
        let rows = self.lengths.len() as f64;
        let all = seconds + started.elapsed().as_secs_f64();
        self.trained.epochs.push(report(epoch + 1, loss_sum / rows, &validation, all));
        log(epoch + 1, settings.epochs, &self.trained.epochs, rows / seconds);
        self.trained.keep(epoch + 1, validation, self.task.classifier.store())?;
        self.position = Position { epoch: epoch + 1, step, ..Position::default() };
        if self.complete() || self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.due(true)) {
            self.save()?;
        }
        Ok(true)
    }

    /// The epoch's batches in their order, which follows from seed and epoch alone.
    fn batches(&self) -> Vec<Vec<usize>> {
        let mut random = ChaCha8Rng::seed_from_u64(self.task.settings.seed);
        random.set_stream(self.position.epoch as u64);
        shuffled(&self.lengths, self.task.settings.batch_size, &mut random)
    }

    fn step(&mut self, rows: &[usize]) -> Result<(), TrainError> {
        let Task { classifier, texts, classes, criterion, settings, .. } = self.task;
        let started = Instant::now();
        let device = classifier.store().device();
        let Position { epoch, step, .. } = self.position;
        // Dropout follows from seed and step, so that a run that goes on drops what it would have dropped.
        tch::manual_seed(step_seed(settings.seed, step));
        let targets = targets(&texts.train.classes(rows), classes, device)?; // [batch]
        let logits = classifier.logits(&texts.train.batch(rows, device)?, true)?; // [batch, classes]
        let loss = criterion.loss(&logits, &targets, Reduction::Mean)?;
        let norm = self.optimizer.step(&loss, self.schedule.rate(step))?;
        if !norm.is_finite() {
            return Err(TrainError::Diverged { epoch: epoch + 1, step: step + 1 });
        }
        let loss = loss.f_double_value(&[])?;
        self.position.step += 1;
        self.position.batches += 1;
        self.position.loss_sum += loss * rows.len() as f64;
        self.position.seconds += started.elapsed().as_secs_f64();
        self.progress.step(epoch + 1, rows.len(), loss);
        Ok(())
    }

    fn validate(&self) -> Result<Option<Evaluated>, TrainError> {
        let Task { classifier, texts, classes, criterion, settings, stop } = self.task;
        let temperature = Temperature::Fitted { seed: settings.seed };
        evaluate(classifier, criterion, &texts.validation, classes, temperature, stop)
    }

    /// Writes a checkpoint where there is a place for it and something new to keep.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        let parameters = &self.parameters;
        let named = |tensors: &mut dyn Iterator<Item = &Tensor>| -> Result<Tensors, TchError> {
            let value = |tensor: &Tensor| tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous();
            let names = parameters.iter().map(|(name, _)| name.clone());
            names.zip(tensors).map(|(name, tensor)| Ok((name, value(tensor)?))).collect()
        };
        let moments = self.optimizer.moments()?;
        let mut files = vec![
            (WEIGHTS, named(&mut parameters.iter().map(|(_, tensor)| tensor))?),
            (MEAN, named(&mut moments.iter().map(|[mean, _]| mean))?),
            (VARIANCE, named(&mut moments.iter().map(|[_, variance]| variance))?),
        ];
        if let Some(best) = &self.trained.best {
            files.push((BEST, named(&mut best.weights.iter())?));
        }
        let state = State {
            position: self.position.clone(),
            updates: self.optimizer.updates(),
            epochs: self.trained.epochs.clone(),
            best_epoch: self.trained.best.as_ref().map(|best| best.epoch),
            words: self.task.classifier.words().to_vec(),
        };
        checkpoints.save(&state, &files);
        Ok(())
    }

    fn set(&self, weights: &[Tensor]) -> Result<(), TchError> {
        self.parameters.iter().zip(weights).try_for_each(|((_, parameter), value)| assign(parameter, value))
    }

    /// Leaves the best weights in the classifier.
    pub(super) fn finish(mut self) -> Result<Trained, TrainError> {
        self.trained.stopped = self.task.stop.requested();
        if let Some(best) = &self.trained.best {
            self.set(&best.weights)?;
        }
        Ok(self.trained)
    }
}

/// The seed of one step's random numbers: SplitMix64's, because libtorch reads only the lower half of a seed, which has to
/// depend on all of both.
fn step_seed(seed: u64, step: usize) -> i64 {
    let mut z = seed.wrapping_shl(32).wrapping_add(step as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn steps_and_seeds_have_their_own_random_numbers() {
        let low = |seed, step| step_seed(seed, step) & 0xffff_ffff;
        let seeds: BTreeSet<i64> = (0..10).flat_map(|seed| (0..1000).map(move |step| low(seed, step))).collect();
        assert!(seeds.len() > 9_990, "{}", seeds.len());
    }
}
