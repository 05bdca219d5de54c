//! The training loop, and how a run goes on from a checkpoint.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

use super::{Best, Trained, copy, log, report};
use crate::TrainError;
use crate::adamw::AdamW;
use crate::batches::{passes, shuffled};
use crate::checkpoint::{BEST, Checkpoint, Checkpoints, MEAN, Position, State, VARIANCE, WEIGHTS};
use crate::classifier::Classifier;
use crate::evaluation::{Evaluated, Temperature, evaluate};
use crate::network::trainable;
use crate::precision::LossScale;
use crate::profile::{Observer, StepFacts};
use crate::progress::Progress;
use crate::rules::Plan;
use crate::schedule::Schedule;
use crate::task::Task;
use crate::tensors::{Tensors, assign};
use crate::texts::targets;

/// A run under way.
pub(super) struct Run<'a> {
    task: Task<'a>,
    /// Tokens of each training row.
    lengths: Vec<usize>,
    /// Steps of an epoch, and of all of them together, of which the last may be a part of one.
    epoch_steps: usize,
    steps: usize,
    parameters: Vec<(String, Tensor)>,
    /// The parameters that came from a pretrained file, with their values there.
    pretrained: Vec<(Tensor, Tensor)>,
    optimizer: AdamW,
    loss_scale: LossScale,
    /// Tokens that go through the network at a time.
    max_tokens: usize,
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
        let parameters = trainable(store);
        let lengths = task.texts.train.lengths();
        let epoch_steps = lengths.len().div_ceil(settings.batch_size);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count, at least 1")]
        let steps = (settings.epochs * epoch_steps as f64).round().max(1.0) as usize;
        Ok(Self {
            task,
            lengths,
            epoch_steps,
            steps,
            pretrained: pretrained(&parameters, task.classifier)?,
            parameters,
            optimizer: AdamW::new(store, settings.adam_epsilon, settings.weight_decay)?,
            loss_scale: LossScale::of(task.kind),
            max_tokens: settings.max_batch_tokens,
            schedule: Schedule::new(settings.learning_rate, settings.warmup_ratio, steps),
            progress: Progress::new(steps.div_ceil(epoch_steps), steps, 0),
            position: Position::default(),
            trained: Trained::default(),
            checkpoints,
        })
    }

    /// Goes to where `checkpoint` stands.
    pub(super) fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let State { position, updates, loss_scale, epochs, best_epoch, .. } = checkpoint.state.clone();
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
        self.loss_scale = loss_scale;
        self.progress = Progress::new(self.epochs(), self.steps, position.step);
        self.trained.epochs = epochs;
        self.position = position;
        Ok(())
    }

    /// Tells the observer what is about to be trained.
    pub(super) fn announce(&self) {
        let plan = Plan {
            first_step: self.position.step,
            steps: self.steps,
            warmup_steps: self.schedule.warmup_steps(),
            peak_rate: self.task.settings.learning_rate,
            classes: self.task.class_rows.to_vec(),
        };
        self.task.observer.begin(&plan, self.parameters.iter().map(|(name, _)| name.as_str()));
    }

    /// Epochs that are begun if the run is not stopped.
    fn epochs(&self) -> usize {
        self.steps.div_ceil(self.epoch_steps)
    }

    /// Whether every epoch is done, or none has been better for so long that none is expected to be.
    pub(super) fn complete(&self) -> bool {
        self.position.epoch >= self.epochs() || self.position.batches == 0 && self.has_stalled()
    }

    fn has_stalled(&self) -> bool {
        let patience = self.task.settings.early_stopping_patience;
        let since = self.trained.best.as_ref().map_or(0, |best| self.position.epoch.saturating_sub(best.epoch));
        patience > 0 && since >= patience
    }

    /// Goes to the end of the epoch under way; false where the job was asked to stop first.
    pub(super) fn epoch(&mut self) -> Result<bool, TrainError> {
        let left = self.steps - self.position.step;
        for rows in self.batches().into_iter().skip(self.position.batches).take(left) {
            if !self.step(&rows)? {
                return Ok(false);
            }
            if self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.due(false)) {
                self.save()?;
            }
        }
        let started = Instant::now();
        let Some(validation) = self.judge()? else { return Ok(false) };
        let Position { epoch, step, rows, loss_sum, weight_sum, seconds, .. } = self.position;
        let all = seconds + started.elapsed().as_secs_f64();
        let report = report(epoch + 1, loss_sum / weight_sum, &validation, all);
        self.task.observer.epoch(&report, &validation.confusion);
        self.trained.epochs.push(report);
        log(epoch + 1, self.epochs(), &self.trained.epochs, rows as f64 / seconds);
        self.position = Position { epoch: epoch + 1, step, ..Position::default() };
        if self.has_stalled() {
            let patience = self.task.settings.early_stopping_patience;
            tracing::info!("no better epoch in {patience}: training ends early");
        }
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

    /// Does one step; false where the job was asked to stop first, and nothing has changed.
    fn step(&mut self, rows: &[usize]) -> Result<bool, TrainError> {
        let started = Instant::now();
        let Position { epoch, step, .. } = self.position;
        let weight = self.task.criterion.weight(&self.task.texts.train.classes(rows));
        let Some((loss_sum, gradients)) = self.gradients(rows, weight)? else { return Ok(false) };
        let learning_rate = self.schedule.rate(step);
        let scale = self.loss_scale.factor();
        let done = self.optimizer.step(&gradients, scale, learning_rate, Observer::measures(step + 1))?;
        let loss = loss_sum / weight;
        let is_finite = done.norm.is_finite();
        let is_skipped = !is_finite && self.loss_scale.back_off();
        if is_finite {
            self.loss_scale.grow();
        }
        // What leaves float16's range because of the scale is no news: the next step has a lower one.
        if !is_skipped {
            let seconds = started.elapsed().as_secs_f64();
            let lengths: Vec<usize> = rows.iter().filter_map(|row| self.lengths.get(*row).copied()).collect();
            let facts = StepFacts { step: step + 1, loss, learning_rate, lengths: &lengths, seconds, done: &done };
            self.task.observer.step(&facts);
            self.position.loss_sum += loss_sum;
            self.position.weight_sum += weight;
        }
        if !is_finite && !is_skipped {
            return Err(TrainError::Diverged { epoch: epoch + 1, step: step + 1 });
        }
        self.position.step += 1;
        self.position.batches += 1;
        self.position.rows += rows.len();
        self.position.seconds += started.elapsed().as_secs_f64();
        self.progress.step(epoch + 1, rows.len(), loss);
        Ok(true)
    }

    /// The loss summed over `rows`, and the gradients of its mean times the loss scale. What does not fit into the
    /// device's memory at once goes through the network in smaller parts, from here on. None where the job was asked to
    /// stop, which is looked for before each part: a large batch takes minutes.
    fn gradients(&mut self, rows: &[usize], weight: f64) -> Result<Option<(f64, Vec<Tensor>)>, TrainError> {
        loop {
            match self.try_gradients(rows, weight) {
                Err(error @ TrainError::OutOfMemory(_)) if self.halve(rows) => {
                    tracing::warn!("going on with {} tokens at a time: {error}", self.max_tokens);
                }
                result => return result,
            }
        }
    }

    fn try_gradients(&self, rows: &[usize], weight: f64) -> Result<Option<(f64, Vec<Tensor>)>, TrainError> {
        let Task { classifier, texts, criterion, settings, stop, .. } = self.task;
        let device = classifier.store().device();
        // Dropout follows from seed and step, so that a run that goes on drops what it would have dropped.
        tch::manual_seed(step_seed(settings.seed, self.position.step));
        let (mut loss_sum, mut sums) = (0.0, Vec::<Tensor>::new());
        for rows in passes(rows, &self.lengths, self.max_tokens) {
            if stop.requested() {
                return Ok(None);
            }
            let leaves = classifier.logits(&texts.train.batch(rows, device)?, true)?; // [rows, leaves]
            let loss = criterion.leaf_sum(&leaves, &targets(&texts.train.leaves(rows), self.task.leaves, device)?)?;
            let gradients = self.optimizer.gradients(&loss.f_mul_scalar(self.loss_scale.factor() / weight)?)?;
            loss_sum += self.label_loss(&leaves, rows)?;
            if sums.is_empty() {
                sums = gradients;
            } else {
                let _no_graph = tch::no_grad_guard();
                sums.iter_mut().zip(&gradients).try_for_each(|(sum, gradient)| sum.f_add_(gradient).map(drop))?;
            }
        }
        Ok(Some((loss_sum, sums)))
    }

    /// What is said about a step: the loss of the labels of `rows`, summed, which compares with that of validation.
    fn label_loss(&self, leaves: &Tensor, rows: &[usize]) -> Result<f64, TchError> {
        let _no_graph = tch::no_grad_guard();
        let Task { texts, classes, criterion, .. } = self.task;
        let logits = criterion.label_logits(leaves)?; // [rows, classes]
        let targets = targets(&texts.train.classes(rows), classes, logits.device())?; // [rows]
        criterion.sum(&logits, &targets)?.f_double_value(&[])
    }

    /// Halves what goes through the network at a time; false where of `rows` that is one row each already.
    fn halve(&mut self, rows: &[usize]) -> bool {
        let parts = passes(rows, &self.lengths, self.max_tokens);
        let size = |part: &&[usize]| part.first().and_then(|row| self.lengths.get(*row)).map_or(0, |n| n * part.len());
        let is_divisible = parts.iter().any(|part| part.len() > 1);
        // A row longer than all limits does not set the next.
        self.max_tokens = parts.iter().map(size).max().unwrap_or_default().min(self.max_tokens) / 2;
        is_divisible
    }

    /// Judges the weights as they would be served, and keeps them if they are the best so far.
    fn judge(&mut self) -> Result<Option<Evaluated>, TrainError> {
        let tuned = self.mix()?;
        let validation = self.validate()?;
        if let Some(validation) = &validation {
            self.trained.keep(self.position.epoch + 1, validation, self.task.classifier.store())?;
        }
        self.pretrained.iter().zip(&tuned).try_for_each(|((parameter, _), value)| assign(parameter, value))?;
        Ok(validation)
    }

    /// Mixes the pretrained weights into the encoder's, and returns what these were. Between two models that were trained
    /// from the same start lie models as good on what the second was trained for, and better elsewhere (Wortsman et al.
    /// 2022, <https://arxiv.org/abs/2109.01903>).
    fn mix(&self) -> Result<Vec<Tensor>, TchError> {
        let _no_graph = tch::no_grad_guard();
        let share = self.task.settings.tuned_share;
        let mix = |(parameter, pretrained): &(Tensor, Tensor)| {
            let tuned = copy(parameter)?;
            assign(parameter, &pretrained.f_lerp(&tuned, share)?)?;
            Ok(tuned)
        };
        if share < 1.0 { self.pretrained.iter().map(mix).collect() } else { Ok(Vec::new()) }
    }

    fn validate(&self) -> Result<Option<Evaluated>, TrainError> {
        let temperature = Temperature::Fitted { seed: self.task.settings.seed };
        evaluate(self.task, &self.task.texts.validation, temperature)
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
            loss_scale: self.loss_scale,
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
        match &self.trained.best {
            Some(best) => self.set(&best.weights)?,
            None => drop(self.mix()?),
        }
        Ok(self.trained)
    }
}

/// The parameters that came from a pretrained file, and copies of their values.
fn pretrained(parameters: &[(String, Tensor)], classifier: &dyn Classifier) -> Result<Vec<(Tensor, Tensor)>, TchError> {
    let _no_graph = tch::no_grad_guard();
    let from_file = parameters.iter().filter(|(name, _)| classifier.is_pretrained(name));
    from_file.map(|(_, parameter)| Ok((parameter.shallow_clone(), copy(parameter)?))).collect()
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
