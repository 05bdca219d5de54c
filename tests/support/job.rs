//! A `/opt/ml` tree for the real `train`, and helpers around it.

#![allow(dead_code, reason = "each test file needs some of them")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use unspsc_artifact::Architecture;
use unspsc_contract::{MAX_FAILURE_CHARS, TrainingReport};

use crate::tiny_encoder;

/// Three segments, one of them with two families, and what is bought of each.
pub(crate) const GOODS: [(&str, [&str; 3]); 4] = [
    ("31161500", ["bolt", "nut", "hex"]),
    ("50121500", ["fish", "pork", "frozen"]),
    ("31211500", ["paint", "white", "paint"]),
    ("43211503", ["laptop", "laptop", "laptop"]),
];

/// A `/opt/ml` tree with an encoder beside it.
pub(crate) struct Job {
    root: TempDir,
}

impl Job {
    /// A tree with hyperparameters and an encoder, and no data yet.
    pub(crate) fn new(architecture: Architecture, hyperparameters: &Value) -> Self {
        let job = Self { root: tempfile::tempdir().unwrap() };
        tiny_encoder::write(&job.path("encoder"), architecture, 1);
        job.write("ml/input/config/hyperparameters.json", &hyperparameters.to_string());
        job
    }

    /// The same with 160 rows that a small model can learn.
    pub(crate) fn with_rows(architecture: Architecture, hyperparameters: &Value) -> Self {
        let job = Self::new(architecture, hyperparameters);
        job.write("ml/input/data/training/rows.csv", &rows());
        job
    }

    /// A path in the root, beside the tree.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where the model is left.
    pub(crate) fn model(&self) -> PathBuf {
        self.path("ml/model")
    }

    /// Writes a file, its folders too.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `train train`, with no other environment than what a container is given.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command.arg("train").env_clear();
        command.env("SAGEMAKER_BASE_DIR", self.path("ml")).env("UNSPSC_ENCODER", self.path("encoder"));
        command
    }

    /// Runs the job to its end.
    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Runs the job, which has to succeed, and returns its log.
    pub(crate) fn succeed(&self) -> String {
        let output = self.run();
        let log = text(&output);
        assert!(output.status.success(), "{log}");
        assert!(!self.path("ml/output/failure").exists());
        log
    }

    /// Runs the job, which has to fail with `code`, and returns what it left in the failure file.
    pub(crate) fn fail(&self, code: i32) -> String {
        let output = self.run();
        let log = text(&output);
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(!self.model().join("model.safetensors").exists());
        let failure = fs::read_to_string(self.path("ml/output/failure")).unwrap();
        assert!(failure.len() <= MAX_FAILURE_CHARS && !failure.contains('\n'), "one sentence: {failure}");
        assert!(log.contains(&failure), "the log says what the file says: {log}");
        failure
    }

    /// The report for machines.
    pub(crate) fn report(&self) -> TrainingReport {
        serde_json::from_slice(&fs::read(self.path("ml/output/data/metrics.json")).unwrap()).unwrap()
    }
}

/// All that a program said.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// 160 descriptions, each of its own.
pub(crate) fn rows() -> String {
    let mut csv = String::from("description,unspsc\n");
    for (code, words) in GOODS {
        for number in 0..40 {
            let (first, second) = (words[number % 3], words[(number / 3) % 3]);
            writeln!(csv, "\"{first} {second}, steel no {number} of {}\",{code}", number * 7).unwrap();
        }
    }
    csv
}

/// Six epochs of small steps, with one name of the platform's own.
pub(crate) fn settings() -> Value {
    json!({ "epochs": "6", "batch_size": "\"8\"", "learning_rate": "0.003", "sagemaker_region": "\"us-east-1\"" })
}

/// [`settings`] with `changes`.
pub(crate) fn with(changes: &Value) -> Value {
    let mut settings = settings();
    settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    settings
}

/// What lies in `folder`.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A child that does not outlive the test.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
