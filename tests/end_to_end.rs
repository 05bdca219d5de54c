//! The main job with the real programs: `unspsc` starts sagemaker-local, which runs `train` and `serve`.
//!
//! The encoder is a tiny one with random weights, so that each job takes seconds. `train` and `serve` have to lie
//! beside `unspsc`: `cargo build --release` puts them there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::process::Command;

use place::{Place, TRAINING, rest, signal, until};
use support::texts;

/// `train` or `run` on a platform within the process.
fn command(place: &Place, verb: &str, more: &[&str]) -> Command {
    let mut command = place.on(&["--local", "--state", "state"], verb);
    command.args(TRAINING).args(more);
    command
}

#[test]
fn from_data_to_answers_and_nothing_is_left_running() {
    let place = Place::new();
    let texts_asked = ["rice and beans for the canteen", "toner cartridge magenta"];
    let output = command(&place, "run", &["--hyperparameter", "epochs=2"]).args(texts_asked).output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{out}\n{err}");
    for part in texts_asked.iter().chain(&["held-out rows", "data.csv", "seed 17", "command: unspsc run --local"]) {
        assert!(out.contains(part), "`{part}` is not in\n{out}\n{err}");
    }
    let answers = out.lines().filter(|line| line.contains("50000000") || line.contains("44000000")).count();
    assert_eq!(answers, 2, "{out}");
    let report = out.lines().find_map(|line| line.strip_prefix("report: ")).unwrap();
    assert!(place.path(report).is_file(), "{report} is missing");
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn separate_verbs_work_against_a_running_sagemaker_local() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let verb = |verb: &str, arguments: &[&str]| {
        let (code, out, err) = platform.verb(verb, arguments);
        (code == 0, (out, err))
    };
    let named = ["--job-name", "job", "--hyperparameter", "epochs=1"];
    let (done, shown) = verb("train", &[TRAINING.as_slice(), &named].concat());
    assert!(done && shown.0.contains("next: unspsc deploy --job job"), "{shown:?}");
    let (done, shown) = verb("train", &[TRAINING.as_slice(), &["--job-name", "job", "--seed", "18"]].concat());
    assert!(!done && shown.1.contains("training job job exists"), "a name was taken twice: {shown:?}");
    for _ in 0..2 {
        let (done, shown) = verb("deploy", &["--job", "job", "--endpoint", "first"]);
        assert!(done && shown.0 == "first\n", "{shown:?}");
    }
    let (done, shown) = verb("deploy", &["--job", "job", "--endpoint", "first", "--serve-instance", "ml.m5.xlarge"]);
    assert!(done && shown.0 == "first\n" && shown.1.contains("updating endpoint first"), "{shown:?}");
    let (done, shown) = verb("invoke", &["--endpoint", "first", "--format", "json", "rice", "toner"]);
    assert!(done && shown.0.lines().count() == 2 && shown.0.contains("\"description\":\"toner\""), "{shown:?}");
    let (done, shown) = verb("invoke", &["--endpoint", "first", "rice", "\u{7}"]);
    assert!(!done && shown.1.contains("1 of 2 descriptions could not be classified"), "{shown:?}");
    let (done, shown) = verb("status", &["first"]);
    assert!(done && shown.0.contains("InService") && shown.0.contains("1 to 4"), "{shown:?}");
    assert!(!shown.0.contains("cannot be told"), "scaling activities: {shown:?}");
    let (done, shown) = verb("logs", &["first", "--tail", "5"]);
    assert!(done && shown.0.contains("AllTraffic/"), "the log of an instance: {shown:?}");
    for _ in 0..2 {
        let (done, shown) = verb("destroy", &["--endpoint", "first", "--yes"]);
        assert!(done, "{shown:?}");
    }
    let (done, shown) = verb("invoke", &["--endpoint", "first", "rice"]);
    assert!(!done && shown.1.contains("InvokeEndpoint was refused"), "{shown:?}");
    platform.stop();
}

#[test]
fn a_broken_encoder_fails_the_job_with_one_sentence() {
    let place = Place::new();
    let tensor = "encoder.layer.1.output.dense.weight";
    tiny_encoder::edit(&place.path("encoder"), |tensors| drop(tensors.remove(tensor)));
    fails(&place, &["model.safetensors", tensor]);
    let weights = place.path("encoder/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    fails(&place, &["model.safetensors"]);
}

/// The job fails, and the last line says why in SageMaker's and the container's words.
fn fails(place: &Place, words: &[&str]) {
    let output = command(place, "train", &[]).output().unwrap();
    let (_, err) = texts(&output);
    let error = err.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(error.starts_with("error: training job unspsc-encoder-") && error.contains("failed: "), "{err}");
    assert!(words.iter().all(|word| error.contains(word)), "{err}");
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_leaves_no_process_and_can_be_repeated() {
    let place = Place::new();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut run = command(&place, "run", &["--hyperparameter", "epochs=10000"]);
        let (child, lines) = until(&mut run, ": Training");
        signal(&child, name);
        let (ended, said) = rest(child, lines);
        assert_eq!(ended, Some(code), "{said}");
        assert_eq!(place.processes(), Vec::<String>::new());
    }
    let output = command(&place, "run", &["--hyperparameter", "epochs=1"]).output().unwrap();
    assert!(output.status.success(), "{:?}", texts(&output));
}
