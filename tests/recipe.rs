//! What the hyperparameters of the recipe do to the real `train`.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

#[path = "support/job.rs"]
mod job;
#[path = "support/tiny_encoder.rs"]
#[allow(dead_code, reason = "no encoder is edited here")]
mod tiny_encoder;

use std::fs;

use job::{Job, with};
use serde_json::{Value, json};
use unspsc_artifact::Architecture;

fn run(changes: &Value) -> (Job, String) {
    let job = Job::with_rows(Architecture::Bert, &with(changes));
    let log = job.succeed();
    (job, log)
}

fn weights(job: &Job) -> Vec<u8> {
    fs::read(job.model().join("model.safetensors")).unwrap()
}

#[test]
fn half_precision_learns_as_well_and_leaves_float32_weights() {
    let (single, _) = run(&json!({ "precision": "float32" }));
    for precision in ["bfloat16", "float16"] {
        let (job, log) = run(&json!({ "precision": precision }));
        assert!(log.contains(&format!("threads, {precision}:")), "{log}");
        let report = job.report();
        assert!(report.test.balanced_accuracy > 0.9, "{precision}: {:?}", report.test);
        assert_eq!(weights(&job).len(), weights(&single).len(), "{precision}");
        assert!(weights(&job) != weights(&single), "{precision} was not computed in");
    }
}

#[test]
fn any_batch_size_works_in_little_memory() {
    let (job, _) = run(&json!({ "batch_size": "256", "max_batch_tokens": "64", "epochs": "30" }));
    assert!(job.report().test.balanced_accuracy > 0.9, "{:?}", job.report().test);
}

#[test]
fn epochs_may_be_fractional_and_the_objective_comes_for_each_that_is_begun() {
    let (job, log) = run(&json!({ "epochs": "1.5" }));
    assert_eq!(job.report().epochs.len(), 2);
    assert!(log.contains("epoch 2/2 in"), "{log}");
}

#[test]
fn weights_and_smoothing_change_what_is_learned() {
    let (plain, _) = run(&json!({ "epochs": "1" }));
    for changes in [json!({ "class_weights": "balanced" }), json!({ "label_smoothing": "0.2" })] {
        let mut changes = changes;
        changes["epochs"] = json!("1");
        let (job, log) = run(&changes);
        assert!(weights(&job) != weights(&plain), "{log}");
    }
}
