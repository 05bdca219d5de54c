//! Chaos: random verbs on a platform where random things go wrong, `unspsc` killed at random moments, then `destroy`.
//!
//! Whatever happened, nothing may be left that costs money: no endpoint, configuration, model, scaling or unfinished upload, no
//! job that runs, no process, no temporary file; and no artifact of a completed job may be lost. Everything is drawn from a
//! seed; a failure names it. `scripts/chaos` makes 200 runs, `cargo test` a few.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use place::{Place, Platform, wait};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Runs that `cargo test` makes.
const FEW: u64 = 3;
/// Runs that are under way at the same time.
const AT_ONCE: usize = 2;
/// How often `destroy` may be repeated where a fault was stronger than its retries.
const DESTROYS: usize = 4;
/// Where an artifact lies that no job of the run has made.
const ARTIFACT: &str = "s3://unspsc-local/unspsc/earlier/output/model.tar.gz";

/// The verbs, each with its arguments.
const VERBS: [&str; 18] = [
    "train --data data.csv --output out --model rnn --hyperparameter epochs=1",
    "train --data data.csv --output out --model rnn --hyperparameter epochs=3 --spot",
    "train --data data.csv --output out --encoder encoder --hyperparameter epochs=1 --job-name job",
    "tune --data data.csv --output out --model rnn --hyperparameter epochs=1 --search learning_rate=0.001..0.01 \
     --strategy random --max-jobs 2 --parallel-jobs 2",
    "deploy --artifact ARTIFACT --endpoint first",
    "deploy --artifact ARTIFACT --endpoint first --serve-instance ml.m5.xlarge",
    "deploy --artifact ARTIFACT --endpoint first --max-instances 2 --scale-by concurrency",
    "deploy --artifact ARTIFACT --endpoint third --async",
    "deploy --job job --endpoint second",
    "invoke --endpoint first rice",
    "batch --artifact ARTIFACT --data data.csv --output coded.csv",
    "run --data data.csv --output out --encoder encoder --hyperparameter epochs=1 rice",
    "status",
    "status first",
    "logs job",
    "stop job",
    "plan train --data data.csv --output out --model rnn",
    "destroy --endpoint first --yes",
];

/// Operations that faults befall.
const OPERATIONS: &[&str] = &[
    "CreateTrainingJob",
    "DescribeTrainingJob",
    "StopTrainingJob",
    "ListTrainingJobs",
    "CreateHyperParameterTuningJob",
    "DescribeHyperParameterTuningJob",
    "StopHyperParameterTuningJob",
    "ListTrainingJobsForHyperParameterTuningJob",
    "CreateTransformJob",
    "DescribeTransformJob",
    "StopTransformJob",
    "CreateModel",
    "DescribeModel",
    "DeleteModel",
    "ListModels",
    "CreateEndpointConfig",
    "DescribeEndpointConfig",
    "DeleteEndpointConfig",
    "ListEndpointConfigs",
    "CreateEndpoint",
    "DescribeEndpoint",
    "UpdateEndpoint",
    "DeleteEndpoint",
    "ListEndpoints",
    "RegisterScalableTarget",
    "PutScalingPolicy",
    "DeleteScalingPolicy",
    "DeregisterScalableTarget",
    "ListTags",
    "AddTags",
    "PutObject",
    "GetObject",
    "HeadObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "InvokeEndpoint",
    "GetLogEvents",
];

/// What ends `unspsc` early.
const SIGNALS: [&str; 3] = ["KILL", "TERM", "INT"];

/// Rules of faults, as `sagemaker-local` takes them.
fn faults(draw: &mut ChaCha8Rng) -> Vec<String> {
    (0..draw.random_range(0..6)).map(|_| fault(draw)).collect()
}

fn fault(draw: &mut ChaCha8Rng) -> String {
    let (times, skip) = (draw.random_range(1..4), draw.random_range(0..3));
    let of_api = ["throttle", "error", "lost-response", "lost-response"].choose(draw).unwrap();
    let operation = OPERATIONS.choose(draw).unwrap();
    let after = draw.random_range(0..1500);
    match draw.random_range(0..10) {
        0 => format!("spot-interruption:after-secs=0.{after:04},times={times}"),
        1 => format!("capacity:times={times},skip={skip}"),
        2 => format!("crash:after-secs=0.{after:04},times={times},skip={skip}"),
        3 => "slow-ping:after-secs=1".to_owned(),
        4 => format!("full-disk:times=1,skip={skip}"),
        5 => format!("{of_api}:chance=0.1,times={}", times * 5),
        _ => format!("{of_api}:operation={operation},times={times},skip={skip}"),
    }
}

/// How often a verb has ended with an exit code, or by SIGKILL.
type Endings = BTreeMap<(String, Option<i32>), usize>;

/// The parts of one run, and the story of it.
struct Run<'a> {
    place: &'a Place,
    platform: Platform<'a>,
    draw: ChaCha8Rng,
    endings: &'a Mutex<Endings>,
    story: String,
}

/// One run; what it does wrong.
fn run(seed: u64, model: &Path, endings: &Mutex<Endings>) -> Result<(), String> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let place = Place::new();
    for folder in ["temporary", "state/s3/unspsc-local/unspsc/earlier/output"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    fs::copy(model, place.path("state/s3/unspsc-local/unspsc/earlier/output/model.tar.gz")).unwrap();
    if draw.random_bool(0.3) {
        // Goes up in parts.
        let weights = fs::File::options().write(true).open(place.path("encoder/model.safetensors")).unwrap();
        weights.set_len(36 * 1024 * 1024).unwrap();
    }
    let faults = faults(&mut draw);
    let mut options = vec!["--fault-seed".to_owned(), seed.to_string()];
    options.extend(faults.iter().flat_map(|fault| ["--fault".to_owned(), fault.clone()]));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let platform = place.platform_with(&options);
    let story = format!("faults: {faults:#?}\n");
    let mut run = Run { place: &place, platform, draw, endings, story };
    let outcome = run.all();
    let Run { platform, story, .. } = run;
    outcome.and_then(|()| nothing_is_left(&place)).map_err(|problem| format!("seed {seed}: {problem}\n{story}"))?;
    platform.stop();
    Ok(())
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), String> {
        for _ in 0..self.draw.random_range(2..7) {
            let verb = VERBS.choose(&mut self.draw).unwrap().replace("ARTIFACT", ARTIFACT);
            let verb: Vec<&str> = verb.split(' ').collect();
            let kill = self.draw.random_bool(0.5).then(|| {
                // Most verbs take less than a second, and some of them several.
                let pause = self.draw.random_range(0.0f64..1.6).powi(2);
                (*SIGNALS.choose(&mut self.draw).unwrap(), Duration::from_secs_f64(pause))
            });
            self.verb(&verb, kill)?;
        }
        for _ in 0..DESTROYS {
            if self.verb(&["destroy", "--all", "--yes"], None)? == Some(0) {
                return Ok(());
            }
        }
        Err(format!("`destroy --all` has failed {DESTROYS} times"))
    }

    /// Runs a verb, which a signal may end; its exit code.
    fn verb(&mut self, verb: &[&str], kill: Option<(&str, Duration)>) -> Result<Option<i32>, String> {
        let mut command = match verb {
            ["plan", verb, arguments @ ..] => self.platform.plan(verb, arguments),
            [verb, arguments @ ..] => self.platform.command(verb, arguments),
            [] => return Ok(None),
        };
        // Pipes could fill up while nobody reads them.
        let log = |name: &str| fs::File::create(self.place.path(name)).unwrap();
        command
            .env("TMPDIR", self.place.path("temporary"))
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"));
        let child = command.spawn().unwrap();
        if let Some((name, pause)) = kill {
            std::thread::sleep(pause);
            // It may have ended by itself.
            let _ = Command::new("kill")
                .args([&format!("-{name}"), &child.id().to_string()])
                .stderr(Stdio::null())
                .status();
        }
        let code = wait(child).status.code();
        let said = fs::read_to_string(self.place.path("stderr")).unwrap_or_default();
        let killed = kill.map(|(name, pause)| format!(" (SIG{name} after {pause:?})")).unwrap_or_default();
        let _ = writeln!(self.story, "$ unspsc {}{killed}\n{said}=> {code:?}", verb.join(" "));
        *self.endings.lock().unwrap().entry((verb[0].to_owned(), code)).or_default() += 1;
        // 101 is a panic.
        let is_known = matches!(code, None | Some(0 | 1 | 3 | 4 | 5 | 130 | 143));
        if is_known && !said.contains("panicked") { Ok(code) } else { Err(format!("{verb:?} ended with {code:?}")) }
    }
}

/// What may cost money or space, or is missing.
fn nothing_is_left(place: &Place) -> Result<(), String> {
    let records: Value = serde_json::from_slice(&fs::read(place.path("state/state.json")).unwrap()).unwrap();
    for kind in ["models", "endpoint_configs", "endpoints", "scalable_targets", "scaling_policies"] {
        let left = &records[kind];
        if left.as_object().is_some_and(|left| !left.is_empty()) || left.as_array().is_some_and(|left| !left.is_empty())
        {
            return Err(format!("{kind} are left: {left:#}"));
        }
    }
    let jobs = [
        ("training_jobs", "TrainingJobStatus"),
        ("tuning_jobs", "HyperParameterTuningJobStatus"),
        ("transform_jobs", "TransformJobStatus"),
    ];
    for (kind, status) in jobs {
        for (name, job) in records[kind].as_object().into_iter().flatten() {
            let status = job[status].as_str().unwrap_or("nothing");
            if !["Completed", "Failed", "Stopped"].contains(&status) {
                return Err(format!("{name} is {status}"));
            }
            if let (Some(uri), "Completed") = (job["ModelArtifacts"]["S3ModelArtifacts"].as_str(), status) {
                whole(place, uri)?;
            }
        }
    }
    whole(place, ARTIFACT)?;
    let left = [files(&place.path("temporary")), uploads(place), drafts(place)].concat();
    if !left.is_empty() {
        return Err(format!("files are left: {left:?}"));
    }
    let processes = place.processes();
    if processes.is_empty() { Ok(()) } else { Err(format!("processes run: {processes:?}")) }
}

/// Reads an archive to its end.
fn whole(place: &Place, uri: &str) -> Result<(), String> {
    let path = place.path("state/s3").join(uri.trim_start_matches("s3://"));
    let read = fs::File::open(path).and_then(|file| GzDecoder::new(file).read_to_end(&mut Vec::new()));
    read.map(drop).map_err(|error| format!("the artifact {uri} is lost: {error}"))
}

/// Names of all files in `folder`.
fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path().display().to_string()).collect()
}

/// Parts of uploads that were neither completed nor aborted: `s3s-fs` keeps them beside the buckets, under such names.
fn uploads(place: &Place) -> Vec<String> {
    files(&place.path("state/s3")).into_iter().filter(|name| name.contains("upload")).collect()
}

/// Files that were to become others, beside them.
fn drafts(place: &Place) -> Vec<String> {
    let (mut folders, mut drafts) = (vec![place.path("")], Vec::new());
    while let Some(folder) = folders.pop() {
        for name in files(&folder) {
            let path = Path::new(&name);
            if path.is_dir() {
                folders.push(path.to_owned());
            } else if name.ends_with(".part")
                || path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".tmp"))
            {
                drafts.push(name);
            }
        }
    }
    drafts
}

/// The artifact of a real job with a tiny encoder, made once.
fn model(place: &Place) -> std::path::PathBuf {
    let platform = place.platform(&[]);
    let (code, _, err) = platform
        .verb("train", &[place::TRAINING.as_slice(), &["--hyperparameter", "epochs=1", "--job-name", "job"]].concat());
    assert_eq!(code, 0, "{err}");
    platform.stop();
    place.path("state/s3/unspsc-local/unspsc/job/output/model.tar.gz")
}

/// Makes `runs` runs from the seed `first` on.
fn runs(first: u64, runs: u64) {
    let place = Place::new();
    let (model, next, problems) = (model(&place), AtomicU64::new(0), Mutex::new(Vec::new()));
    let endings = Mutex::default();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= runs {
                return;
            }
            if let Err(problem) = run(first + number, &model, &endings) {
                eprintln!("{problem}");
                problems.lock().unwrap().push(first + number);
            }
            if (number + 1) % 10 == 0 {
                eprintln!("{} of {runs} runs", number + 1);
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let mut problems = problems.into_inner().unwrap();
    problems.sort_unstable();
    for ((verb, code), count) in endings.into_inner().unwrap() {
        eprintln!("{verb:8} {count:4} times {}", code.map_or("killed".to_owned(), |code| format!("exit code {code}")));
    }
    assert!(problems.is_empty(), "{} of {runs} runs failed, seeds {problems:?}", problems.len());
}

#[test]
fn a_few_runs_leave_nothing() {
    runs(1, FEW);
}

/// Started by `scripts/chaos`.
#[test]
#[ignore = "takes minutes: scripts/chaos"]
fn as_many_runs_as_asked_for_leave_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    runs(number("CHAOS_SEED").unwrap_or(1), number("CHAOS_RUNS").unwrap_or(200));
}
