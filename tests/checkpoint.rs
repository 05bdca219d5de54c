//! The real `train`, killed, stopped and given damaged checkpoints.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

#[path = "support/job.rs"]
mod job;
#[path = "support/tiny_encoder.rs"]
#[allow(dead_code, reason = "no encoder is edited here")]
mod tiny_encoder;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use job::{Ended, Job, names, with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use train_container::TrainedClassifier;
use unspsc_artifact::Architecture;

/// Steps of an epoch of the 128 training rows, in batches of 16.
const STEPS: usize = 8;

/// Three epochs of [`STEPS`] steps with `changes`.
fn short(changes: &Value) -> Value {
    let mut settings = with(&json!({ "epochs": "3", "batch_size": "16" }));
    settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    settings
}

/// A short job whose platform mounts a folder for checkpoints.
fn job(changes: &Value) -> Job {
    let job = Job::with_rows(Architecture::Bert, &short(changes));
    fs::create_dir_all(job.path("ml/checkpoints")).unwrap();
    job
}

/// One that writes a checkpoint after every step.
fn every_step(changes: &Value) -> Job {
    let job = job(changes);
    set(&job, changes, "0.000001");
    job
}

/// Gives the job `changes` and an interval of checkpoints, which is no part of what a run is.
fn set(job: &Job, changes: &Value, checkpoint_seconds: &str) {
    let mut settings = short(changes);
    settings["checkpoint_seconds"] = json!(checkpoint_seconds);
    job.write("ml/input/config/hyperparameters.json", &settings.to_string());
}

/// Longer than any test: a checkpoint at the end alone.
const RARELY: &str = "86400";

fn weights(job: &Job) -> Vec<u8> {
    fs::read(job.model().join("model.safetensors")).unwrap()
}

fn checkpoints(job: &Job) -> Vec<String> {
    names(&job.path("ml/checkpoints")).into_iter().filter(|name| name.starts_with("step-")).collect()
}

/// The weights that the same job ends with when nobody disturbs it and nothing is kept on the way.
fn undisturbed(changes: &Value) -> Vec<u8> {
    let job = Job::with_rows(Architecture::Bert, &short(changes));
    job.succeed();
    weights(&job)
}

/// A run of `train` whose log is read line by line.
struct Running {
    child: Ended,
    lines: Lines<BufReader<ChildStdout>>,
    log: String,
}

impl Running {
    fn start(job: &Job) -> Self {
        let mut child = Ended(job.command().stdout(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        Self { child, lines, log: String::new() }
    }

    /// Reads on until a line contains `part`; false where the log ends first.
    fn until(&mut self, part: &str) -> bool {
        for line in self.lines.by_ref().map(Result::unwrap) {
            self.log += &(line + "\n");
            if self.log.lines().last().unwrap().contains(part) {
                return true;
            }
        }
        false
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.0.id().cast_signed()), signal).unwrap();
    }

    /// Runs `job` until a line contains `part`, then stops it.
    fn stop_at(job: &Job, part: &str) -> String {
        let mut running = Self::start(job);
        assert!(running.until(part), "{}", running.log);
        running.stop(job)
    }

    /// Sends SIGTERM, which has to end the run with 0 and a model, and returns the log.
    fn stop(mut self, job: &Job) -> String {
        let asked = Instant::now();
        self.signal(Signal::SIGTERM);
        assert!(!self.until("no such line"));
        assert!(self.child.0.wait().unwrap().success(), "{}", self.log);
        assert!(asked.elapsed() < Duration::from_secs(30));
        assert!(self.log.contains("SIGTERM"), "{}", self.log);
        assert_eq!(TrainedClassifier::load(&job.model()).unwrap().logits(&["bolt"]).unwrap()[0].len(), 3);
        self.log
    }

    /// Kills the run once it has written `count` checkpoints and `delay` has gone by; false where it ended before.
    fn kill_after(mut self, count: usize, delay: Duration) -> bool {
        let lived = (0..count).all(|_| self.until("checkpoint step-"));
        sleep(delay);
        // A child that has ended on its own is still there to be signalled: nobody has waited for it.
        self.signal(Signal::SIGKILL);
        lived && !self.child.0.wait().unwrap().success()
    }
}

/// Kills the run several times at moments that `seed` chooses, then lets it end.
fn killed(changes: &Value, seed: u64) -> Job {
    let job = every_step(changes);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..2 {
        let delay = Duration::from_micros(random.random_range(0..15_000));
        assert!(Running::start(&job).kill_after(random.random_range(1..7), delay), "it ended before it was killed");
    }
    set(&job, changes, RARELY);
    let log = job.succeed();
    assert!(log.contains("going on from checkpoint step-"), "{log}");
    job
}

#[test]
fn a_run_that_is_killed_and_goes_on_ends_with_the_same_weights() {
    let expected = undisturbed(&json!({}));
    for seed in 1..4 {
        let job = killed(&json!({}), seed);
        assert!(weights(&job) == expected, "seed {seed}");
        assert_eq!(job.report().epochs.len(), 3);
        assert_eq!(checkpoints(&job).len(), 2, "the newest two are kept: {:?}", checkpoints(&job));
    }
}

#[test]
fn so_does_the_recurrent_baseline() {
    let settings = json!({ "model": "rnn", "seed": "5" });
    assert!(weights(&killed(&settings, 4)) == undisturbed(&settings));
}

#[test]
fn what_is_complete_is_not_trained_again() {
    let job = job(&json!({ "epochs": "1", "checkpoint_seconds": "0" }));
    job.succeed();
    assert_eq!(checkpoints(&job).len(), 1, "at the end of the epoch and not before");
    let (first, report) = (weights(&job), job.report());
    fs::remove_dir_all(job.model()).unwrap();
    // How often checkpoints are written may change.
    set(&job, &json!({ "epochs": "1" }), "7");
    let log = job.succeed();
    assert!(log.contains("8 steps and 1 epochs are done") && !log.contains("epoch 1/1 in"), "{log}");
    assert!(weights(&job) == first);
    let again = job.report();
    assert_eq!((again.validation, again.test, again.epochs), (report.validation, report.test, report.epochs));
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let job = Job::with_rows(Architecture::Bert, &short(&json!({ "epochs": "1", "checkpoint_seconds": "0.000001" })));
    let log = job.succeed();
    assert!(!log.contains("checkpoint step-") && !job.path("ml/checkpoints").exists(), "{log}");
}

/// The newest checkpoint of a run that was killed in its second epoch, and the one before.
fn two_checkpoints(job: &Job) -> [String; 2] {
    let killed = Running::start(job).kill_after(STEPS + 3, Duration::ZERO);
    assert!(killed);
    let mut found = checkpoints(job);
    // A kill between writing one and deleting the oldest leaves three.
    let (newest, before) = (found.pop().unwrap(), found.pop().unwrap());
    [before, newest]
}

#[test]
fn a_torn_checkpoint_is_named_and_the_one_before_used() {
    let expected = undisturbed(&json!({}));
    for file in ["mean.safetensors", "manifest.json"] {
        let job = every_step(&json!({}));
        let [before, newest] = two_checkpoints(&job);
        let path = job.path("ml/checkpoints").join(&newest).join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        set(&job, &json!({}), RARELY);
        let log = job.succeed();
        assert!(log.contains(&format!("checkpoint {newest} is not used, torn: {file}")), "{log}");
        assert!(log.contains(&format!("going on from checkpoint {before}")), "{log}");
        assert!(weights(&job) == expected);
    }
}

#[test]
fn a_foreign_checkpoint_is_named_left_alone_and_not_used() {
    let job = every_step(&json!({}));
    let [before, newest] = two_checkpoints(&job);
    let changes = json!({ "learning_rate": "0.002" });
    set(&job, &changes, RARELY);
    let log = job.succeed();
    for name in [&before, &newest] {
        let reason = "foreign: hyperparameter `learning_rate` was 0.003 and is 0.002";
        assert!(log.contains(&format!("checkpoint {name} is not used, {reason}")), "{log}");
        assert!(checkpoints(&job).contains(name), "it may be needed by whoever wrote it");
    }
    assert!(!log.contains("going on"));
    assert!(weights(&job) == undisturbed(&changes));

    // Other rows, and another encoder.
    let mut csv = job::rows();
    writeln!(csv, "white bolt,31161500").unwrap();
    job.write("ml/input/data/training/rows.csv", &csv);
    assert!(job.succeed().contains("foreign: trained on other data"));
    tiny_encoder::write(&job.path("encoder"), Architecture::Bert, 2);
    assert!(job.succeed().contains("foreign: begun from another pretrained encoder"));
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_no_failure() {
    let job = every_step(&json!({ "epochs": "1" }));
    job.write("ml/checkpoints/.partial", "a file where a folder belongs");
    let log = job.succeed();
    assert!(log.contains("no checkpoint step-00000001"), "{log}");
}

#[test]
fn sigterm_while_training_keeps_a_checkpoint_and_the_run_goes_on() {
    let settings = json!({ "warmup_ratio": "0.9" });
    let expected = undisturbed(&settings);
    let job = every_step(&settings);
    let mut running = Running::start(&job);
    assert!(running.until("checkpoint step-00000003"));
    let log = running.stop(&job);
    assert!(job.report().epochs.is_empty(), "in the warm-up of the first epoch: {log}");
    // From here on only signals write checkpoints, and the end.
    set(&job, &settings, RARELY);
    let mut running = Running::start(&job);
    assert!(running.until("epoch 1/3 in"));
    let log = running.stop(&job);
    assert_eq!(log.matches("checkpoint step-").count(), 2, "the one found and the one at SIGTERM: {log}");
    let seen = job.report().profile;
    assert!(seen.steps_before >= 3, "what was seen before the checkpoint is not in the report, and it says so");
    assert_eq!(seen.steps.rows[0][0], seen.steps_before as f64 + 1.0);
    job.succeed();
    assert!(weights(&job) == expected);
}

/// A CSV of `count` rows, each text its own.
fn many(count: usize) -> String {
    let mut csv = String::from("description,unspsc\n");
    for number in 0..count {
        let (text, code) = [("hex bolt", 31_161_500), ("frozen fish", 50_121_500), ("laptop", 43_211_503)][number % 3];
        writeln!(csv, "{text} steel no {number},{code}").unwrap();
    }
    csv
}

#[test]
fn sigterm_within_a_step_of_many_passes_leaves_a_model() {
    let job = job(&json!({ "epochs": "10000", "batch_size": "65536", "max_batch_tokens": "16" }));
    job.write("ml/input/data/training/rows.csv", &many(20_000));
    let log = Running::stop_at(&job, "begun at the centroids");
    assert!(!log.contains("epoch 1/10000 in"), "one step is an epoch, and takes long: {log}");
    assert!(job.report().test.is_missing() && job.report().validation.is_missing());
}

#[test]
fn sigterm_while_tokenising_leaves_a_model() {
    let job = job(&json!({ "epochs": "1" }));
    job.write("ml/input/data/training/rows.csv", &many(60_000));
    let log = Running::stop_at(&job, "channel training");
    assert!(log.contains("stopped while tokenising"), "{log}");
    assert!(checkpoints(&job).is_empty(), "there is nothing to go on from");
}

#[test]
fn sigterm_while_tokenising_again_leaves_the_best_model_so_far() {
    let job = job(&json!({ "epochs": "10000", "batch_size": "512", "checkpoint_seconds": "0" }));
    job.write("ml/input/data/training/rows.csv", &many(2_000));
    Running::stop_at(&job, "checkpoint step-");
    let (first, kept) = (weights(&job), checkpoints(&job));
    fs::remove_dir_all(job.model()).unwrap();
    // At once: before the last row is tokenised.
    let log = Running::stop_at(&job, "channel training");
    assert!(log.contains("stopped while tokenising"), "{log}");
    assert!(weights(&job) == first, "the weights of the best epoch: {log}");
    assert_eq!(checkpoints(&job), kept);
}

#[test]
fn sigterm_while_judging_leaves_a_model_and_the_run_goes_on() {
    let job = every_step(&json!({ "epochs": "1" }));
    job.write("ml/input/data/validation/rows.csv", &many(6_000));
    // The last step of the epoch: what follows is the validation split.
    let log = Running::stop_at(&job, "checkpoint step-00000009-epoch-00000");
    assert!(job.report().epochs.is_empty(), "it was not judged: {log}");
    set(&job, &json!({ "epochs": "1" }), RARELY);
    assert!(job.succeed().contains("9 steps and 0 epochs are done"));
    assert_eq!(job.report().epochs.len(), 1);
}
