//! How long a step takes: a measurement, started by scripts/bench-training, which gives the same batches to PyTorch.

use std::path::Path;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tch::{Device, Kind};
use unspsc_contract::{Hyperparameters, ModelKind};
use unspsc_dataset::{Labelling, Reading, Splits, label, load};
use unspsc_taxonomy::Level;

use crate::adamw::AdamW;
use crate::batches::{passes, shuffled};
use crate::classifier;
use crate::criterion::Criterion;
use crate::data::Data;
use crate::environment::Environment;
use crate::outputs::Machine;
use crate::stop::Stop;
use crate::texts::targets;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is to be set: see scripts/bench-training"))
}

/// Writes batches of UNSPSC_ROWS, a CSV, to UNSPSC_BATCHES, trains on each once, and prints the seconds of each as JSON.
#[test]
#[ignore = "a measurement and no test: see scripts/bench-training"]
fn step_time() {
    let settings = Hyperparameters::defaults(ModelKind::Encoder);
    let rows = load(Path::new(&variable("UNSPSC_ROWS")), &Reading::default()).unwrap().rows;
    let rows = label(rows, &Labelling::Level(Level::Segment)).examples;
    let splits = Splits { train: rows.clone(), validation: rows[..10].to_vec(), test: rows[..10].to_vec() };
    let data = Data::checked(splits, 0).unwrap();
    let environment = Environment {
        hyperparameters: settings.clone(),
        training: "".into(),
        validation: None,
        test: None,
        encoder: Some(variable("UNSPSC_ENCODER").into()),
        model_dir: "".into(),
        output_data_dir: "".into(),
        checkpoints: None,
    };
    let threads: i32 = variable("UNSPSC_THREADS").parse().unwrap();
    tch::set_num_threads(threads);
    let machine = Machine { device: Device::Cpu, threads, kind: Kind::Float };
    let (classifier, texts) = classifier::prepare(&environment, &data, &machine, None, &Stop::default()).unwrap();
    let classes = data.labels.len();
    let criterion = Criterion::new(&vec![1; classes], &settings, Device::Cpu).unwrap();
    let mut optimizer = AdamW::new(classifier.store(), settings.adam_epsilon, settings.weight_decay).unwrap();
    let lengths = texts.train.lengths();
    let count: usize = variable("UNSPSC_COUNT").parse().unwrap();
    let mut batches = shuffled(&lengths, settings.batch_size, &mut ChaCha8Rng::seed_from_u64(1));
    batches.truncate(count);

    // Token ids as the vocabulary has them, and not as rows of the part of the embedding that is trained.
    let words = classifier.words();
    let word = |id: &i64| words[usize::try_from(*id).unwrap()];
    let ids = |row: &usize| texts.train.0[*row].ids.iter().map(word).collect::<Vec<i64>>();
    let all: Vec<_> = batches
        .iter()
        .map(|rows| json!({ "ids": rows.iter().map(ids).collect::<Vec<_>>(), "classes": texts.train.classes(rows) }))
        .collect();
    std::fs::write(variable("UNSPSC_BATCHES"), json!({ "classes": classes, "batches": all }).to_string()).unwrap();

    let step = |rows: &Vec<usize>| {
        let started = Instant::now();
        let truth = texts.train.classes(rows);
        let parts = passes(rows, &lengths, settings.max_batch_tokens);
        assert_eq!(parts.len(), 1, "the peer makes one pass");
        let targets = targets(&truth, classes, Device::Cpu).unwrap();
        let logits = classifier.logits(&texts.train.batch(rows, Device::Cpu).unwrap(), true).unwrap();
        let loss = criterion.sum(&logits, &targets).unwrap() / criterion.weight(&truth);
        let gradients = optimizer.gradients(&loss).unwrap();
        optimizer.step(&gradients, 1.0, 1e-5, false).unwrap();
        loss.double_value(&[]);
        started.elapsed().as_secs_f64()
    };
    let seconds: Vec<f64> = batches.iter().map(step).collect();
    println!("{}", json!({ "seconds": seconds }));
}
