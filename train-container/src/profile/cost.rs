//! What it costs to watch a run: a measurement, run by hand, whose figures stand in `docs/training.md`.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind};
use unspsc_contract::{Hyperparameters, ModelKind};
use unspsc_dataset::{Labelling, Splits, label, starter};
use unspsc_taxonomy::Level;

use super::machine::Meter;
use super::{LAYER_INTERVAL, Observer, SAMPLE_INTERVAL, StepFacts};
use crate::adamw::AdamW;
use crate::batches::shuffled;
use crate::classifier;
use crate::criterion::Criterion;
use crate::data::Data;
use crate::environment::Environment;
use crate::network::trainable;
use crate::outputs::Machine;
use crate::rules::Plan;
use crate::stop::Stop;
use crate::texts::targets;

/// Batches that are measured; each is trained on once with and once without a look at the layers.
const BATCHES: usize = 100;

/// Batches before them, which are not.
const WARM_UP: usize = 5;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn environment(settings: &Hyperparameters) -> Environment {
    Environment {
        hyperparameters: settings.clone(),
        training: "".into(),
        validation: None,
        test: None,
        titles: None,
        encoder: Some(std::env::var_os("UNSPSC_ENCODER").unwrap().into()),
        model_dir: "".into(),
        output_data_dir: "".into(),
        checkpoints: None,
    }
}

/// Median seconds of a look at the machine.
fn sample(machine: &Machine) -> f64 {
    let mut meter = Meter::new(machine, Instant::now()).unwrap();
    let samples = (0..200).map(|_| {
        let started = Instant::now();
        meter.sample().unwrap();
        started.elapsed().as_secs_f64()
    });
    median(samples.collect())
}

#[test]
#[ignore = "a measurement, of the encoder that UNSPSC_ENCODER names, and no test"]
fn cost_of_watching() {
    let settings = Hyperparameters::defaults(ModelKind::Encoder);
    let rows = label(starter().unwrap().rows, &Labelling::Level(Level::Segment)).examples;
    let splits = Splits { train: rows.clone(), validation: rows[..10].to_vec(), test: rows[..10].to_vec() };
    let data = Data::checked(splits, 0, Some(settings.head_level)).unwrap();
    let environment = environment(&settings);
    let device = Device::cuda_if_available();
    let threads = std::thread::available_parallelism().unwrap().get() as i32;
    tch::set_num_threads(threads);
    let machine = Machine { device, threads, kind: Kind::Float };
    let (classifier, texts) = classifier::prepare(&environment, &data, &machine, None, &Stop::default()).unwrap();
    let classes = data.labels.len();
    let criterion = Criterion::new(&vec![1; classes], data.leaves.sizes(), &settings, device).unwrap();
    let mut optimizer = AdamW::new(classifier.store(), settings.adam_epsilon, settings.weight_decay).unwrap();
    let observer = Observer::start(&machine, Instant::now());
    let parameters = trainable(classifier.store());
    observer.begin(&Plan { steps: 1000, ..Plan::default() }, parameters.iter().map(|(name, _)| name.as_str()));

    let lengths = texts.train.lengths();
    let batches = shuffled(&lengths, settings.batch_size, &mut ChaCha8Rng::seed_from_u64(1));
    let mut step = |number: usize, rows: &[usize], measure: bool| {
        let started = Instant::now();
        let targets = targets(&texts.train.leaves(rows), data.leaves.len(), device).unwrap();
        let logits = classifier.logits(&texts.train.batch(rows, device).unwrap(), true).unwrap();
        let loss = criterion.leaf_sum(&logits, &targets).unwrap() / rows.len() as f64;
        let gradients = optimizer.gradients(&loss).unwrap();
        let done = optimizer.step(&gradients, 1.0, 1e-5, measure).unwrap();
        let (loss, trained) = (loss.double_value(&[]), started.elapsed().as_secs_f64());
        let lengths: Vec<usize> = rows.iter().map(|row| lengths[*row]).collect();
        let (learning_rate, seconds) = (1e-5, trained);
        observer.step(&StepFacts { step: number, loss, learning_rate, lengths: &lengths, seconds, done: &done });
        [trained, started.elapsed().as_secs_f64() - trained]
    };
    let [mut plain, mut looks, mut notes] = [const { Vec::new() }; 3];
    for (number, rows) in batches.iter().take(BATCHES + WARM_UP).enumerate() {
        let first = number % 2 == 0;
        let [one, other] = [step(number, rows, first), step(number, rows, !first)];
        let ([with, look_note], [without, note]) = if first { (one, other) } else { (other, one) };
        if number >= WARM_UP {
            plain.push(without);
            looks.push(with + look_note - without - note);
            notes.push(note);
        }
    }
    let sample = sample(&machine);
    let [plain, look, note] = [plain, looks, notes].map(median);
    let share = (look / LAYER_INTERVAL as f64 + note) / plain + sample / SAMPLE_INTERVAL.as_secs_f64();
    println!(
        "{machine}: a step takes {:.1} ms; a look at the layers {:.2} ms, every {LAYER_INTERVAL} steps;",
        plain * 1e3,
        look * 1e3
    );
    println!(
        "a step's note {:.1} µs; a sample {:.0} µs, every {SAMPLE_INTERVAL:?}: {:.3} % in all",
        note * 1e6,
        sample * 1e6,
        100.0 * share
    );
}
