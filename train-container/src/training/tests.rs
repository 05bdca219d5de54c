//! Steps of a run on a network small enough to follow, whose memory can run out.

use std::time::Instant;

use tch::nn::{Init, VarStore};
use tch::{Device, Kind};
use unspsc_contract::{Hyperparameters, ModelKind};

use super::*;
use crate::classifier::{Classifier, Provenance};
use crate::criterion::Criterion;
use crate::outputs::Machine;
use crate::profile::Observer;
use crate::stop::Stop;
use crate::texts::{Batch, Text, TextSplits, Texts};

/// Logits that are the number of tokens times a weight a class; the test injects the fault of a GPU.
struct Small {
    store: VarStore,
    weight: Tensor,
    /// Tokens that fit into its memory.
    memory: i64,
}

impl Small {
    fn new(memory: i64) -> Self {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().f_var("weight", &[1, 2], Init::Const(0.0)).unwrap();
        Self { store, weight, memory }
    }
}

impl Classifier for Small {
    fn store(&self) -> &VarStore {
        &self.store
    }

    fn logits(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        let (rows, length) = batch.ids.size2()?;
        if train && rows * length > self.memory {
            return Err(TchError::Torch("CUDA out of memory. Tried to allocate 2.00 GiB.".into()));
        }
        batch.lengths.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?.f_matmul(&self.weight)
    }

    fn words(&self) -> &[i64] {
        &[]
    }

    fn is_pretrained(&self, _: &str) -> bool {
        true
    }

    fn begin(&self, _: &Texts, _: usize, _: &Stop) -> Result<bool, TrainError> {
        Ok(true)
    }

    fn write(&self, _: &std::path::Path, _: &Provenance) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Texts of 8, 4, 2 and 1 tokens, of two classes by turns.
fn texts() -> TextSplits {
    let text = |(length, class)| Text { ids: vec![1; length], class, leaf: class, source: "test".into() };
    let side = || Texts([(8, 0), (4, 1), (2, 0), (1, 1)].map(text).into());
    // What is learned is wrong there, so that the first epoch is the best.
    let validation = Texts(side().0.into_iter().map(|text| Text { class: 1 - text.class, ..text }).collect());
    TextSplits { train: side(), validation, test: side() }
}

/// What training with `memory` and `settings` ends with: the weights, and the outcome.
fn run(memory: i64, settings: &Hyperparameters, kind: Kind) -> (Vec<f32>, Result<Trained, TrainError>) {
    let (classifier, texts, stop) = (Small::new(memory), texts(), Stop::default());
    let criterion = Criterion::new(&[2, 2], &[1, 1], settings, Device::Cpu).unwrap();
    let observer = Observer::start(&Machine { device: Device::Cpu, threads: 1, kind }, Instant::now());
    let task = Task {
        classifier: &classifier,
        texts: &texts,
        class_rows: &[],
        classes: 2,
        leaves: 2,
        criterion: &criterion,
        settings,
        kind,
        stop: &stop,
        observer: &observer,
    };
    let trained = train(task, None, None);
    (Vec::<f32>::try_from(classifier.weight.view([-1])).unwrap(), trained)
}

fn settings() -> Hyperparameters {
    let default = Hyperparameters::defaults(ModelKind::Encoder);
    Hyperparameters { epochs: 4.0, batch_size: 4, learning_rate: 0.01, tuned_share: 1.0, ..default }
}

fn are_close(one: &[f32], other: &[f32]) -> bool {
    one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-6)
}

#[test]
fn a_batch_that_does_not_fit_is_split_and_gives_the_same_weights() {
    let (whole, _) = run(1000, &settings(), Kind::Float);
    assert!(whole[0] > 0.0, "{whole:?}");
    for max_batch_tokens in [1, 8, 16] {
        let (parts, trained) = run(1000, &Hyperparameters { max_batch_tokens, ..settings() }, Kind::Float);
        assert!(trained.is_ok() && are_close(&whole, &parts), "{whole:?} {parts:?}");
    }
    // Memory that runs out in the middle of a step: nothing of it counts twice.
    for memory in [8, 9, 31] {
        let (parts, trained) = run(memory, &settings(), Kind::Float);
        assert!(trained.is_ok() && are_close(&whole, &parts), "{memory}: {whole:?} {parts:?}");
    }
    let error = run(7, &settings(), Kind::Float).1.unwrap_err().to_string();
    assert!(error.contains("CUDA out of memory"), "one row alone does not fit: {error}");
}

#[test]
fn the_loss_scale_is_taken_out_again_and_backs_off() {
    let (plain, _) = run(1000, &settings(), Kind::Float);
    let (scaled, trained) = run(1000, &settings(), Kind::Half);
    assert!(trained.is_ok() && are_close(&plain, &scaled), "{plain:?} {scaled:?}");
}

#[test]
fn an_epoch_may_be_a_part_of_one() {
    let epochs = |epochs: f64, batch_size| {
        let settings = Hyperparameters { epochs, batch_size, ..settings() };
        run(1000, &settings, Kind::Float).1.unwrap().epochs.len()
    };
    assert_eq!([epochs(1.5, 1), epochs(0.25, 1), epochs(2.0, 1), epochs(0.001, 4)], [2, 1, 2, 1]);
    let (half, _) = run(1000, &Hyperparameters { epochs: 0.5, batch_size: 1, ..settings() }, Kind::Float);
    let (whole, _) = run(1000, &Hyperparameters { epochs: 1.0, batch_size: 1, ..settings() }, Kind::Float);
    assert_ne!(half, whole);
}

#[test]
fn training_ends_where_no_epoch_has_been_better_for_long_enough() {
    let settings = |patience| Hyperparameters { epochs: 9.0, early_stopping_patience: patience, ..settings() };
    let epochs = |patience| run(1000, &settings(patience), Kind::Float).1.unwrap().epochs.len();
    assert_eq!([epochs(0), epochs(2), epochs(20)], [9, 3, 9]);
}

#[test]
fn the_training_loss_is_the_mean_over_the_rows_of_the_epoch() {
    let settings = Hyperparameters { epochs: 1.0, learning_rate: 1e-8, batch_size: 3, ..settings() };
    let report = run(1000, &settings, Kind::Float).1.unwrap().epochs;
    // Of two equal logits and equal priors.
    assert!((report[0].train_loss - 2.0_f64.ln()).abs() < 1e-6, "{report:?}");
}

#[test]
fn what_is_judged_and_kept_is_a_mix_with_the_pretrained_weights() {
    let mixed = |tuned_share| {
        let (weights, trained) = run(1000, &Hyperparameters { epochs: 2.0, tuned_share, ..settings() }, Kind::Float);
        (weights, trained.unwrap())
    };
    let ((tuned, whole), (mix, part)) = (mixed(1.0), mixed(0.25));
    // The pretrained weights are 0 here.
    let quarter: Vec<f32> = tuned.iter().map(|weight| 0.25 * weight).collect();
    assert!(tuned[0] > 0.0 && are_close(&mix, &quarter), "{tuned:?} {mix:?}");
    let losses = |trained: &Trained| trained.epochs.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>();
    assert_eq!(losses(&whole), losses(&part), "training itself goes on from what was trained");
    assert!(whole.epochs[0].validation_loss > part.epochs[0].validation_loss, "wrong there, and less so");
}
