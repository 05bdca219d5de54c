//! Watches a job: what each step does, and how busy the machine is. The rules are told, and what is seen is kept for
//! the report, thinned to a bounded size.
//!
//! Nothing here changes a weight: an observed run ends with the very weights of one that is not.

#[cfg(test)]
mod cost;
mod history;
mod layers;
mod machine;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use unspsc_contract::{EpochReport, Profile, RuleVerdict};
use unspsc_scores::{Confusion, Found};

use crate::adamw::Stepped;
use crate::outputs::Machine;
use crate::rules::{Epoch, Plan, Rules, Sample, Step};
use history::History;
use layers::Layers;
use machine::Meter;

/// Time between two samples of the machine: Debugger's, on which the windows of its rules are counted.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

/// Steps between two whose layers are measured. `docs/training.md` says what that costs.
const LAYER_INTERVAL: usize = 20;

/// The first steps, of which all are measured, because the rule on initial weights looks at them.
const FIRST_STEPS: usize = 10;

/// Watches one job, from its start to [`Observer::finish`].
pub(crate) struct Observer {
    started: Instant,
    seen: Arc<Mutex<Seen>>,
    sampler: Option<Sampler>,
}

/// The thread that samples the machine; it ends when the sender is dropped.
struct Sampler {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

/// What was seen so far.
struct Seen {
    rules: Rules,
    /// Steps that were made before.
    steps_before: usize,
    layers: Layers,
    steps: History,
    gradient_norms: History,
    update_ratios: History,
    system: History,
}

/// What the loop knows of a step.
pub(crate) struct StepFacts<'a> {
    /// Counted from 1 over all epochs.
    pub(crate) step: usize,
    /// Mean over the batch, in nats.
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    /// Tokens of each row of the batch.
    pub(crate) lengths: &'a [usize],
    /// Seconds that it took.
    pub(crate) seconds: f64,
    /// What the optimiser did.
    pub(crate) done: &'a Stepped,
}

impl Observer {
    /// Begins to watch a job that began at `started`. Where no thread is to be had, the machine is not sampled.
    pub(crate) fn start(machine: &Machine, started: Instant) -> Self {
        let meter = Meter::new(machine, started);
        let columns = meter.as_ref().map(Meter::columns).unwrap_or_default();
        let seen = Arc::new(Mutex::new(Seen::new(columns)));
        let sampler = meter.and_then(|meter| Sampler::start(meter, Arc::clone(&seen)));
        Self { started, seen, sampler }
    }

    /// Says what is about to be trained: `parameters` are the names in the optimiser's order.
    pub(crate) fn begin<'a>(&self, plan: &Plan, parameters: impl Iterator<Item = &'a str>) {
        let mut seen = self.seen();
        seen.layers = Layers::of(parameters);
        seen.steps_before = plan.first_step;
        let columns = || std::iter::once("step".to_owned()).chain(seen.layers.names());
        (seen.gradient_norms, seen.update_ratios) = (History::new(columns()), History::new(columns()));
        seen.rules.begin(plan);
    }

    /// Whether the optimiser is to measure `step`, counted from 1.
    pub(crate) fn measures(step: usize) -> bool {
        step <= FIRST_STEPS || step.is_multiple_of(LAYER_INTERVAL)
    }

    /// Takes note of a step.
    pub(crate) fn step(&self, facts: &StepFacts<'_>) {
        self.seen().step(facts, self.started.elapsed().as_secs_f64());
    }

    /// Takes note of an epoch and its validation.
    pub(crate) fn epoch(&self, report: &EpochReport, validation: &Confusion) {
        let found = validation.found().map(|Found { class, rows, hits }| (class, rows, hits)).collect();
        self.seen().rules.epoch(&Epoch {
            at: self.started.elapsed().as_secs_f64(),
            epoch: report.epoch,
            train_loss: report.train_loss,
            validation_loss: report.validation_loss,
            found,
        });
    }

    /// Ends the watch: what the rules say, and what they were told.
    pub(crate) fn finish(mut self) -> (Vec<RuleVerdict>, Profile) {
        self.stop();
        let seen = self.seen();
        let series = |history: &History| history.series();
        let profile = Profile {
            steps_before: seen.steps_before,
            steps: series(&seen.steps),
            gradient_norms: series(&seen.gradient_norms),
            update_ratios: series(&seen.update_ratios),
            system: series(&seen.system),
        };
        (seen.rules.verdicts(), profile)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&mut self) {
        if let Some(Sampler { end, thread }) = self.sampler.take() {
            drop(end);
            // A sampler that panicked has said so; what it has seen is kept.
            let _ = thread.join();
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sampler {
    fn start(mut meter: Meter, seen: Arc<Mutex<Seen>>) -> Option<Self> {
        let (end, ended) = channel();
        let sample = move || {
            while ended.recv_timeout(SAMPLE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(sample) = meter.sample() else { return };
                seen.lock().unwrap_or_else(PoisonError::into_inner).sample(&sample);
            }
        };
        let thread = std::thread::Builder::new().name("sampler".into()).spawn(sample).ok()?;
        Some(Self { end, thread })
    }
}

impl Seen {
    fn new(system: Vec<&str>) -> Self {
        let none = || History::new(["step"]);
        Self {
            rules: Rules::new(),
            steps_before: 0,
            layers: Layers::of(std::iter::empty()),
            steps: History::new(["step", "loss", "learning_rate", "gradient_norm", "rows_per_second", "padding"]),
            gradient_norms: none(),
            update_ratios: none(),
            system: History::new(system),
        }
    }

    fn step(&mut self, facts: &StepFacts<'_>, at: f64) {
        let StepFacts { step, loss, learning_rate, lengths, seconds, done } = *facts;
        let (place, tokens) = (step as f64, lengths.iter().sum());
        let places = lengths.iter().max().unwrap_or(&0) * lengths.len();
        let padding = 1.0 - tokens as f64 / places.max(1) as f64;
        let rate = lengths.len() as f64 / seconds.max(f64::MIN_POSITIVE);
        self.steps.push(place, [loss, learning_rate, done.norm, rate, padding]);
        let layers = self.layers.gather(&done.changes);
        if !layers.is_empty() {
            self.gradient_norms.push(place, layers.iter().map(|layer| layer.gradient_norm));
            self.update_ratios.push(place, layers.iter().map(|layer| layer.update_ratio));
        }
        self.rules.step(&Step { step, at, loss, learning_rate, gradient_norm: done.norm, tokens, places, layers });
    }

    fn sample(&mut self, sample: &Sample) {
        let gpu = sample.gpu.map(|gpu| [gpu.busy, gpu.memory]);
        self.system.push(sample.at, [sample.cpu, sample.memory_mib].into_iter().chain(gpu.into_iter().flatten()));
        self.rules.sample(sample);
    }
}
