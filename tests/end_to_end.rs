//! The main job with the real programs: `unspsc` starts sagemaker-local, which runs `train` and `serve`.
//!
//! The encoder is a tiny one with random weights, so that each job takes seconds. `train` and `serve` have to lie
//! beside `unspsc`: `cargo build --release` puts them there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/unspsc.rs"]
mod support;
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::{texts, unspsc};
use unspsc_artifact::Architecture;

/// Far above what any of this takes; only a hang meets it.
const LIMIT: Duration = Duration::from_secs(120);

/// What `train` and `run` are told about the data.
const TRAINING: [&str; 6] = ["--data", "data.csv", "--encoder", "encoder", "--output", "out"];

/// A folder of its own with data and an encoder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        for program in ["train", "serve", "sagemaker-local"] {
            let path = beside_unspsc(program);
            assert!(path.is_file(), "{} is missing: run `cargo build --release` first", path.display());
        }
        let folder = tempfile::tempdir().unwrap();
        tiny_encoder::write(&folder.path().join("encoder"), Architecture::Bert, 1);
        let mut csv = "description,unspsc\n".to_owned();
        for number in 0..40 {
            csv += &format!("rice and beans {number},50221101\ntoner cartridge {number},44103103\n");
        }
        fs::write(folder.path().join("data.csv"), csv).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `train` or `run` on a platform within the process.
    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = self.on(&["--local", "--state", "state"], verb);
        command.args(TRAINING).args(more);
        command
    }

    /// Any verb on any platform.
    fn on(&self, platform: &[&str], verb: &str) -> Command {
        let mut command = unspsc([verb]);
        command.current_dir(&self.folder).args(platform);
        command
    }

    /// Processes that were started with this folder in their command line or environment.
    fn processes(&self) -> Vec<String> {
        let marker = self.folder.path().to_string_lossy().into_owned();
        let mentions =
            |path: PathBuf| fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&marker));
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok().map(|entry| entry.path()));
        all.filter(|process| ["cmdline", "environ"].iter().any(|file| mentions(process.join(file))))
            .map(|process| process.display().to_string())
            .collect()
    }
}

/// A program of the same build.
fn beside_unspsc(program: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_unspsc")).with_file_name(program)
}

/// Sends `name` to `child`.
fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Waits for the end of `child`, which must come within [`LIMIT`].
fn wait(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("unspsc did not end within {LIMIT:?}: {:?}", texts(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn from_data_to_answers_and_nothing_is_left_running() {
    let place = Place::new();
    let texts_asked = ["rice and beans for the canteen", "toner cartridge magenta"];
    let output = place.command("run", &["--hyperparameter", "epochs=2"]).args(texts_asked).output().unwrap();
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
    let mut server = Command::new(beside_unspsc("sagemaker-local"));
    server.current_dir(&place.folder).args(["--state", "state", "--port", "0", "--log", "error"]);
    let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.find_map(|line| line.strip_prefix("export AWS_ENDPOINT_URL=").map(str::to_owned)).unwrap();
    let verb = |verb: &str, arguments: &[&str]| {
        let output = place.on(&["--endpoint-url", &url], verb).args(arguments).output().unwrap();
        (output.status.success(), texts(&output))
    };
    let named = ["--job-name", "job", "--hyperparameter", "epochs=1"];
    let (done, shown) = verb("train", &[TRAINING.as_slice(), &named].concat());
    assert!(done && shown.0.contains("next: unspsc deploy --job job"), "{shown:?}");
    let (done, shown) = verb("train", &[TRAINING.as_slice(), &named].concat());
    assert!(!done && shown.1.contains("training job job exists"), "a name was taken twice: {shown:?}");
    let (done, shown) = verb("deploy", &["--job", "job", "--endpoint", "first"]);
    assert!(done && shown.0 == "first\n", "{shown:?}");
    let (done, shown) = verb("deploy", &["--job", "job", "--endpoint", "first"]);
    assert!(!done && shown.1.contains("endpoint first exists"), "{shown:?}");
    let (done, shown) = verb("invoke", &["--endpoint", "first", "--json", "rice", "toner"]);
    let answer: serde_json::Value = serde_json::from_str(&shown.0).unwrap();
    assert!(done && answer["predictions"].as_array().is_some_and(|answers| answers.len() == 2), "{shown:?}");
    let (done, shown) = verb("invoke", &["--endpoint", "first", "rice", "\u{7}"]);
    assert!(!done && shown.1.contains("1 of 2 descriptions could not be classified"), "{shown:?}");
    for _ in 0..2 {
        let (done, shown) = verb("destroy", &["--endpoint", "first", "--yes"]);
        assert!(done, "{shown:?}");
    }
    let (done, shown) = verb("invoke", &["--endpoint", "first", "rice"]);
    assert!(!done && shown.1.contains("InvokeEndpoint was refused"), "{shown:?}");
    signal(&server, "TERM");
    assert!(wait(server).status.success());
    assert_eq!(place.processes(), Vec::<String>::new());
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
    let output = place.command("train", &[]).output().unwrap();
    let (_, err) = texts(&output);
    let error = err.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(error.starts_with("error: training job unspsc-encoder-") && error.contains("failed: "), "{err}");
    assert!(words.iter().all(|word| error.contains(word)), "{err}");
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_leaves_no_process_and_can_be_repeated() {
    let place = Place::new();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut command = place.command("run", &["--hyperparameter", "epochs=10000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let training = lines.by_ref().map(Result::unwrap).find(|line| line.contains(": Training"));
        assert!(training.is_some(), "the job never began");
        signal(&child, name);
        // The pipe has to be read, or the program would wait for that when it says goodbye.
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert_eq!(wait(child).status.code(), Some(code), "{rest:?}");
        assert_eq!(place.processes(), Vec::<String>::new());
    }
    let output = place.command("run", &["--hyperparameter", "epochs=1"]).output().unwrap();
    assert!(output.status.success(), "{:?}", texts(&output));
}
