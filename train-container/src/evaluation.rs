//! How well a classifier does on rows that it is not trained on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor};
use unspsc_contract::{Calibration, ClassRecall, ConfusionMatrix, Evaluation, MAX_SOURCES, SourceScores};
use unspsc_dataset::Label;
use unspsc_scores::{Confusion, Found, Reliability};
use unspsc_taxonomy::Titles;

use crate::TrainError;
use crate::batches::{by_length, passes, tokens_without_gradients};
use crate::task::Task;
use crate::temperature::Sample;
use crate::texts::{Texts, targets};

/// Logits that are kept to fit a temperature to, 80 MB: every row's up to a thousand classes and 20,000 rows.
const MAX_SAMPLE: usize = 20_000_000;

/// Where the temperature of an evaluation comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Temperature {
    /// It is fitted to the rows themselves, or to a sample of them that `seed` draws.
    Fitted {
        /// Of the sample.
        seed: u64,
    },
    /// It was fitted to other rows.
    Given(f64),
}

/// The outcome on one split.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    /// Mean of the training criterion over the rows whose label occurs in training, in nats.
    pub(crate) loss: f64,
    pub(crate) confusion: Confusion,
    /// The same by where the rows come from.
    pub(crate) sources: BTreeMap<Arc<str>, Confusion>,
    /// Rows whose label is among the three most probable.
    pub(crate) top3: usize,
    /// Rows whose label is among the five most probable.
    pub(crate) top5: usize,
    /// Of the probabilities at temperature 1.
    pub(crate) reliability: Reliability,
    /// What logits are divided by before the softmax.
    pub(crate) temperature: f64,
    /// Of the probabilities at `temperature`; of the sample where it was fitted to one.
    pub(crate) calibrated: Reliability,
}

impl Default for Evaluated {
    /// Of no row.
    fn default() -> Self {
        Self {
            loss: 0.0,
            confusion: Confusion::default(),
            sources: BTreeMap::new(),
            top3: 0,
            top5: 0,
            reliability: Reliability::default(),
            temperature: 1.0,
            calibrated: Reliability::default(),
        }
    }
}

/// Judges the classifier of `task` on `texts`; nothing where it was asked to stop first.
pub(crate) fn evaluate(
    task: Task<'_>,
    texts: &Texts,
    temperature: Temperature,
) -> Result<Option<Evaluated>, TrainError> {
    let Task { classifier, classes, criterion, settings, stop, .. } = task;
    let _no_graph = tch::no_grad_guard();
    let device = classifier.store().device();
    let max_tokens = tokens_without_gradients(device, settings.max_batch_tokens);
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut sources = BTreeMap::new();
    let lengths = texts.lengths();
    let mut tally = Tally::new(temperature, lengths.len(), classes);
    for rows in passes(&by_length(&lengths), &lengths, max_tokens) {
        if stop.requested() {
            return Ok(None);
        }
        let truth = texts.classes(rows);
        let targets = targets(&truth, classes, device)?;
        let leaves = classifier.logits(&texts.batch(rows, device)?, false)?; // [batch, leaves]
        let logits = criterion.label_logits(&leaves)?; // [batch, classes]
        sum += criterion.sum(&logits, &targets)?.f_double_value(&[])?;
        weight += criterion.weight(&truth);
        let predicted = tally.count(rows, &truth, &logits, &targets)?;
        for (source, (truth, predicted)) in texts.sources(rows).zip(truth.iter().zip(predicted)) {
            sources.entry(Arc::clone(source)).or_insert_with(Confusion::default).count(*truth, predicted);
        }
    }
    // No label of these rows may occur in training.
    let loss = if weight > 0.0 { sum / weight } else { 0.0 };
    Ok(Some(Evaluated { loss, sources, ..tally.finish() }))
}

/// Counts batches of logits, of which it keeps no more than a sample.
#[derive(Debug)]
struct Tally {
    evaluated: Evaluated,
    classes: usize,
    /// Whether the temperature is known; if not, `sample` is to tell.
    given: bool,
    /// By row, whether its logits are kept.
    sampled: Vec<bool>,
    sample: Sample,
}

impl Tally {
    fn new(temperature: Temperature, rows: usize, classes: usize) -> Self {
        let mut sampled = vec![false; rows];
        if let Temperature::Fitted { seed } = temperature {
            let kept = rows.min(MAX_SAMPLE / classes.max(1));
            for row in index::sample(&mut ChaCha8Rng::seed_from_u64(seed), rows, kept) {
                if let Some(sampled) = sampled.get_mut(row) {
                    *sampled = true;
                }
            }
        }
        let (given, temperature) = match temperature {
            Temperature::Fitted { .. } => (false, 1.0),
            Temperature::Given(temperature) => (true, temperature),
        };
        let evaluated = Evaluated { temperature, ..Evaluated::default() };
        Self { evaluated, classes, given, sampled, sample: Sample::new(classes) }
    }

    /// Counts the rows with these indices and true classes: `logits` are `[batch, classes]`, `targets` `[batch]`. Returns
    /// the predicted classes.
    fn count(
        &mut self,
        rows: &[usize],
        truth: &[usize],
        logits: &Tensor,
        targets: &Tensor,
    ) -> Result<Vec<usize>, TchError> {
        let logits = logits.f_to_kind(Kind::Float)?;
        let (highest, predicted) = logits.f_max_dim(-1, false)?; // [batch] each
        let predicted: Vec<usize> = whole_numbers(&predicted)?;
        let lower = whole_numbers(&lower(&logits, targets)?)?;
        let below = logits.f_sub(&highest.f_unsqueeze(-1)?)?; // [batch, classes]
        let raw = confidence(&below, 1.0)?;
        let scaled = if self.given { confidence(&below, self.evaluated.temperature)? } else { Vec::new() };
        let Evaluated { confusion, top3, top5, reliability, calibrated, .. } = &mut self.evaluated;
        for (row, (truth, predicted)) in truth.iter().zip(&predicted).enumerate() {
            confusion.count(*truth, *predicted);
            // A class without a logit cannot be among the most probable ones.
            let above = (*truth < self.classes).then(|| lower.get(row)).flatten().map(|lower| self.classes - 1 - lower);
            *top3 += usize::from(above.is_some_and(|above| above < 3));
            *top5 += usize::from(above.is_some_and(|above| above < 5));
            let hit = truth == predicted;
            raw.get(row).into_iter().for_each(|confidence| reliability.count(*confidence, hit));
            scaled.get(row).into_iter().for_each(|confidence| calibrated.count(*confidence, hit));
        }
        self.keep(rows, truth, &logits)?;
        Ok(predicted)
    }

    /// Keeps the logits of those rows that belong to the sample.
    fn keep(&mut self, rows: &[usize], truth: &[usize], logits: &Tensor) -> Result<(), TchError> {
        let is_sampled = |row: &usize| self.sampled.get(*row).copied().unwrap_or(false);
        let places = (0..).zip(rows).zip(truth).filter(|((_, row), _)| is_sampled(row));
        let (places, truth): (Vec<i64>, Vec<usize>) = places.map(|((place, _), truth)| (place, *truth)).unzip();
        if places.is_empty() {
            return Ok(());
        }
        let places = Tensor::f_from_slice(&places)?.f_to(logits.device())?;
        let kept = logits.f_index_select(0, &places)?.f_to(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
        let known = |truth: usize| (truth < self.classes).then_some(truth);
        self.sample.extend(&Vec::<f32>::try_from(&kept)?, truth.into_iter().map(known));
        Ok(())
    }

    fn finish(self) -> Evaluated {
        if self.given {
            return self.evaluated;
        }
        let temperature = self.sample.temperature();
        Evaluated { temperature, calibrated: self.sample.reliability(temperature), ..self.evaluated }
    }
}

/// How many logits of each row are lower than that of its target: `[batch]`. Equal ones are not, and nothing is lower
/// than what is no number, so that neither counts as a find.
fn lower(logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
    let places = targets.f_clamp_min(0)?.f_unsqueeze(-1)?;
    let target = logits.f_gather(-1, &places, false)?; // [batch, 1]
    logits.f_lt_tensor(&target)?.f_sum_dim_intlist(-1, false, Kind::Int64)
}

/// The probability of each row's largest logit at `temperature`, from logits less that one, `[batch, classes]`.
fn confidence(below: &Tensor, temperature: f64) -> Result<Vec<f64>, TchError> {
    let confidence = below.f_div_scalar(temperature)?.f_logsumexp(-1, false)?.f_neg()?.f_exp()?; // [batch]
    Vec::<f64>::try_from(&confidence.f_to_kind(Kind::Double)?.f_to(Device::Cpu)?)
}

fn whole_numbers(tensor: &Tensor) -> Result<Vec<usize>, TchError> {
    let numbers = Vec::<i64>::try_from(&tensor.f_to(Device::Cpu)?)?;
    Ok(numbers.into_iter().map(|number| usize::try_from(number).unwrap_or(usize::MAX)).collect())
}

impl Evaluated {
    /// Share of rows whose label is among the three most probable; 0 without rows.
    pub(crate) fn top3_accuracy(&self) -> f64 {
        self.top3 as f64 / self.confusion.total().max(1) as f64
    }

    /// Share of rows whose label is among the five most probable; 0 without rows.
    pub(crate) fn top5_accuracy(&self) -> f64 {
        self.top5 as f64 / self.confusion.total().max(1) as f64
    }

    /// The same for the report; `labels` stand by class index.
    pub(crate) fn report(&self, labels: &[Label], titles: &Titles) -> Evaluation {
        let class = |found: Found| {
            let label = labels.get(found.class)?;
            let title = label.as_str().parse().ok().and_then(|code| titles.nearest(code)).map(str::to_owned);
            Some(ClassRecall { label: label.to_string(), title, rows: found.rows, recall: found.recall() })
        };
        let mut classes: Vec<ClassRecall> = self.confusion.found().filter_map(class).collect();
        classes.sort_by(|a, b| a.label.cmp(&b.label));
        Evaluation {
            rows: self.confusion.total(),
            loss: self.loss,
            accuracy: self.confusion.accuracy(),
            balanced_accuracy: self.confusion.balanced_accuracy(),
            macro_f1: self.confusion.macro_f1(),
            top3_accuracy: self.top3_accuracy(),
            top5_accuracy: self.top5_accuracy(),
            calibration: self.calibration(),
            classes,
            sources: self.source_scores(),
            confusion: self.confusion_matrix(labels),
        }
    }

    fn source_scores(&self) -> Vec<SourceScores> {
        let scores = |(source, confusion): (&Arc<str>, &Confusion)| SourceScores {
            source: source.to_string(),
            rows: confusion.total(),
            accuracy: confusion.accuracy(),
            balanced_accuracy: confusion.balanced_accuracy(),
        };
        let mut scores: Vec<SourceScores> = self.sources.iter().map(scores).collect();
        scores.sort_by_key(|scores| std::cmp::Reverse(scores.rows));
        scores.truncate(MAX_SOURCES);
        scores
    }

    fn calibration(&self) -> Calibration {
        Calibration {
            temperature: self.temperature,
            ece: self.reliability.error(),
            calibrated_ece: self.calibrated.error(),
            bins: self.reliability.report(),
            calibrated_bins: self.calibrated.report(),
        }
    }

    /// The pairs that occur, by label instead of class index.
    fn confusion_matrix(&self, labels: &[Label]) -> ConfusionMatrix {
        let cell = |(truth, predicted, rows)| Some((labels.get(truth)?, labels.get(predicted)?, rows));
        let cells: Vec<(&Label, &Label, usize)> = self.confusion.cells().filter_map(cell).collect();
        let labels: BTreeSet<&Label> = cells.iter().flat_map(|(truth, predicted, _)| [*truth, *predicted]).collect();
        let places: BTreeMap<&Label, usize> = labels.iter().copied().zip(0..).collect();
        let cell = |(truth, predicted, rows)| Some([*places.get(truth)?, *places.get(predicted)?, rows]);
        let mut cells: Vec<[usize; 3]> = cells.into_iter().filter_map(cell).collect();
        cells.sort_unstable();
        ConfusionMatrix { labels: labels.into_iter().map(ToString::to_string).collect(), cells }
    }
}

#[cfg(test)]
mod tests;
