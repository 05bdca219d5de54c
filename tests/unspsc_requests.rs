//! What `unspsc` asks of AWS, judged by others: recorded by a proxy, held against botocore's model of the services
//! (`tests/clients/judge.py`), against golden files, against what `unspsc plan` says, and taken by two platforms: by
//! sagemaker-local and by moto.
//!
//! Each line of [`steps::STEPS`] is one command and one golden file. With `UNSPSC_GOLDEN=write` the files are written anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/docker_stand_in.rs"]
mod docker_stand_in;
#[path = "unspsc_requests/judge.rs"]
mod judge;
#[path = "support/made.rs"]
mod made;
#[path = "unspsc_requests/moto.rs"]
mod moto;
#[path = "support/place.rs"]
mod place;
#[path = "support/python.rs"]
mod python;
#[path = "support/recorder.rs"]
mod recorder;
#[path = "support/stacks.rs"]
mod stacks;
#[path = "sagemaker_local/stand_in.rs"]
mod stand_in;
#[path = "unspsc_requests/steps.rs"]
mod steps;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::collections::{BTreeSet, BinaryHeap};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use docker_stand_in::DOCKER;
use judge::Judge;
use made::{BUCKET, TRAIN, completed};
use moto::Moto;
use place::{Place, rest, signal, until};
use recorder::Recorder;
use serde_json::{Value, json};
use stacks::{Stacks, program};
use steps::{DATA, ENCODER, IMAGES, KINDS, STACKS, STEPS, Step};
use support::texts;

/// What the last step stops.
const ENDLESS: [&str; 6] =
    ["train", DATA, "--job-name=endless", "--model=rnn", "--hyperparameter=epochs=10000", "--on-interrupt=leave"];

/// Operations of the golden files that moto does not have.
const MOTO_LACKS: [&str; 6] = [
    "application-autoscaling:DescribeScalingActivities",
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
    "sagemaker:StopHyperParameterTuningJob",
    "sagemaker:StopTrainingJob",
    "sagemaker:StopTransformJob",
    "sagemaker:UpdateEndpoint",
];

/// What would stand in the settings of a user of AWS.
const SETTINGS: &str = r#"
[platform]
role = "arn:aws:iam::000000000000:role/unspsc"
bucket = "unspsc-000000000000"

[training]
train-image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unspsc-train:0.1.0"
spot = true
hyperparameter = { epochs = 1 }
tag = { team = "catalogue" }

[serving]
serve-image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unspsc-serve:0.1.0"
"#;

/// A folder with all that the steps read.
fn prepared() -> Place {
    let place = Place::new();
    fs::write(place.path("unspsc.toml"), SETTINGS).unwrap();
    let large = place.path("large");
    fs::create_dir_all(&large).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(place.path("encoder").join(file), large.join(file)).unwrap();
    }
    let weights = fs::OpenOptions::new().write(true).open(large.join("model.safetensors")).unwrap();
    weights.set_len(40 * 1024 * 1024).unwrap();
    place
}

fn encoded(body: &Value) -> String {
    BASE64_STANDARD.encode(body.to_string())
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/requests/{name}.json"))
}

fn golden(name: &str) -> Vec<Value> {
    let path = file(name);
    let text = fs::read(&path).unwrap_or_else(|_| panic!("{}: UNSPSC_GOLDEN=write writes it", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// Compares with the golden file, or writes it.
fn matches_golden(name: &str, requests: &[Value]) {
    if std::env::var("UNSPSC_GOLDEN").is_ok_and(|what| what == "write") {
        fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        fs::write(file(name), serde_json::to_string_pretty(requests).unwrap() + "\n").unwrap();
    }
    assert_same(name, &golden(name), requests);
}

fn assert_same(name: &str, expected: &[Value], requests: &[Value]) {
    for (number, (expected, request)) in expected.iter().zip(requests).enumerate() {
        assert_eq!(expected, request, "{name}: request {number} is another than that of the golden file");
    }
    let operations = |requests: &[Value]| requests.iter().map(operation).collect::<Vec<_>>().join("\n");
    assert_eq!(operations(expected), operations(requests), "{name}");
}

fn operation(request: &Value) -> String {
    format!("{}:{}", request["service"].as_str().unwrap(), request["operation"].as_str().unwrap())
}

/// Those that change something.
fn changing(requests: &[Value]) -> Vec<Value> {
    let reads = |request: &&Value| {
        let operation = request["operation"].as_str().unwrap();
        !["Describe", "Get", "Head", "List"].iter().any(|beginning| operation.starts_with(beginning))
    };
    requests.iter().filter(reads).cloned().collect()
}

/// A platform with a recorder before it.
struct Recorded<'a> {
    place: &'a Place,
    recorder: Recorder,
    judge: Judge,
    /// The job of the first step.
    job: String,
    /// What the program gets besides.
    environment: Vec<(&'static str, String)>,
}

impl<'a> Recorded<'a> {
    fn new(place: &'a Place, platform: &str) -> Self {
        Self {
            place,
            recorder: Recorder::before(platform),
            judge: Judge::new(),
            job: String::new(),
            environment: Vec::new(),
        }
    }

    fn command(&self, before: &[&str], words: &[&str]) -> Command {
        let words: Vec<String> = words.iter().map(|word| word.replace("JOB", &self.job)).collect();
        let mut command = support::unspsc(before);
        command.current_dir(&self.place.folder).args(words).args(["--endpoint-url", &self.recorder.url]);
        // A user of AWS has them, and moto takes any.
        command.envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Takes the step; what was done differs from what was planned where the platform makes it end otherwise than with `code`.
    fn take(&mut self, step: &Step, code: i32) -> Taken {
        let plan = step.is_planned.then(|| {
            let (out, err) = texts(&self.command(&["plan", "--json"], step.command).output().unwrap());
            serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{}: {out}{err}", step.name))
        });
        for request in plan.iter().flat_map(|plan| plan.as_array().unwrap()) {
            if self.job.is_empty() && request["operation"] == "CreateTrainingJob" {
                self.job = request["request"]["TrainingJobName"].as_str().unwrap().to_owned();
            }
        }
        let looked = self.recorder.take();
        let output = self.command(&[], step.command).output().unwrap();
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{}: {out}{err}", step.name);
        let plan = plan.as_ref().filter(|_| code == step.code);
        let judged = self.judge.hears(&self.recorder.take(), plan, &looked);
        assert_eq!(judged["faults"], json!([]), "{}", step.name);
        let list = |name: &str| judged[name].as_array().unwrap().clone();
        Taken { said: out + &err, requests: list("requests"), answers: list("answers") }
    }
}

/// What a step has come to, without any fault.
struct Taken {
    said: String,
    /// As golden files have them.
    requests: Vec<Value>,
    /// How they were answered.
    answers: Vec<Value>,
}

/// Takes the steps on sagemaker-local, all of whose answers are as they should be.
fn as_recorded(recorded: &mut Recorded<'_>, steps: &[Step]) {
    for step in steps {
        if step.name == "stop" {
            let (child, lines) = until(&mut recorded.command(&ENDLESS, &[]), "epoch 1/");
            signal(&child, "INT");
            assert_eq!(rest(child, lines).0, Some(5));
            recorded.recorder.take();
        }
        matches_golden(step.name, &recorded.take(step, step.code).requests);
    }
}

/// Makes the jobs of [`KINDS`].
fn make_kinds(place: &Place, url: &str) {
    made::train(url, "job", "5");
    completed(url, "TrainingJob", "job");
    made::tune(url, "tuned", &["3", "7"], 1, None);
    made::tune(url, "tuning", &["endless"], 1, None);
    made::transform(place, url, "batch", "one\ntwo\n");
    made::transform(place, url, "endless", "hang\n");
    completed(url, "HyperParameterTuningJob", "tuned");
    completed(url, "TransformJob", "batch");
}

#[test]
fn requests_are_those_of_the_golden_files_and_of_the_plan_and_botocore_finds_no_fault() {
    let place = prepared();
    let platform = place.platform(&[]);
    as_recorded(&mut Recorded::new(&place, &platform.url), STEPS);
    platform.stop();
    fs::create_dir_all(place.path(&format!("state/s3/{BUCKET}"))).unwrap();
    let platform = place.platform_of_scripts(TRAIN, &stand_in::serve());
    make_kinds(&place, &platform.url);
    as_recorded(&mut Recorded::new(&place, &platform.url), KINDS);
    platform.stop();
}

#[test]
fn images_are_pushed_by_requests_of_the_golden_files() {
    let (place, moto) = (Place::new(), Moto::start());
    place.script("docker", DOCKER);
    fs::write(place.path("push"), "").unwrap();
    let mut recorded = Recorded::new(&place, &moto.url);
    recorded.environment = vec![("MOTO", moto.url.clone()), ("PATH", before_path(&place))];
    for step in IMAGES {
        let taken = recorded.take(step, step.code);
        let (code, words) = step.moto;
        assert!(code == step.code && taken.said.contains(words), "{}: {}", step.name, taken.said);
        matches_golden(step.name, &taken.requests);
    }
    let output = recorded.command(&[], &["images", "push", "--name", "cat"]).output().unwrap();
    assert!(texts(&output).0.contains("amazonaws.com/cat-serve@sha256:"), "{output:?}");
    // What is printed is written into the settings as well, in the place of what stood there.
    fs::write(place.path("unspsc.toml"), "[training]\nspot = true  # mine\ntrain-image = \"old\"\n").unwrap();
    let mut saved = Vec::new();
    for _ in 0..2 {
        let output = recorded.command(&[], &["images", "push", "--save"]).output().unwrap();
        assert!(output.status.success() && texts(&output).1.contains("written to unspsc.toml"), "{output:?}");
        saved.push(fs::read_to_string(place.path("unspsc.toml")).unwrap());
    }
    assert!(
        saved[0].starts_with("[training]\nspot = true  # mine\ntrain-image = \"123456789012.dkr.ecr."),
        "{saved:?}"
    );
    assert!(saved[0].contains("unspsc-serve@sha256:") && saved[0] == saved[1], "{saved:?}");
}

#[test]
fn stacks_are_changed_by_requests_of_the_golden_files() {
    let (place, stacks) = (Place::new(), Stacks::start(None));
    stacks.endpoint("catalogue", "other", false);
    for (name, text) in [("bootstrap", "one"), ("other", "two")] {
        fs::write(place.path(name), program(183, text)).unwrap();
    }
    let mut recorded = Recorded::new(&place, &stacks.url);
    for step in STACKS {
        if step.name == "lambda-deploy-again" {
            // As of an alias that somebody has made anew.
            let path = "/2019-09-30/functions/unspsc-classify/provisioned-concurrency?Qualifier=live";
            assert_eq!(stacks.ask("lambda", "DELETE", path, "").0, 204);
        }
        if step.name == "logs-lambda" {
            stacks.log("/aws/lambda/unspsc-classify", "2026/11/30/[3]0", "a line that the test has written");
        }
        let taken = recorded.take(step, step.code);
        assert!(taken.said.contains(step.moto.1), "{}: {}", step.name, taken.said);
        matches_golden(step.name, &taken.requests);
    }
    let output = recorded.command(&[], &["logs", "nowhere-classify"]).output().unwrap();
    assert!(!output.status.success() && texts(&output).1.contains("there is no job"), "{output:?}");
}

/// The path to programs with those of the place before all others.
fn before_path(place: &Place) -> String {
    format!("{}:{}", place.folder.path().display(), std::env::var("PATH").unwrap())
}

#[test]
fn the_judge_finds_what_the_model_forbids() {
    let request = |operation: &str, body: &Value| {
        let headers = json!({ "x-amz-target": format!("SageMaker.{operation}") });
        json!({ "method": "POST", "target": "/", "headers": headers, "body": encoded(body), "status": 200 })
    };
    let s3 = |target: &str| json!({ "method": "PUT", "target": target, "headers": {}, "body": "", "status": 200 });
    let describe = |name: &str| request("DescribeTrainingJob", &json!({ "TrainingJobName": name }));
    let mut judge = Judge::new();
    let mut faults = |request: &Value, plan: Option<&Value>| judge.faults(request, plan);
    assert!(faults(&describe("job"), None).is_empty());
    for (request, fault) in [
        (request("DescribeTrainingJob", &json!({})), "Missing required parameter"),
        (request("DescribeModel", &json!({ "ModelName": 1 })), "Invalid type for parameter ModelName"),
        (request("ListModels", &json!({ "Colour": "red" })), "Colour is no member"),
        (request("ListModels", &json!({ "SortBy": "Colour" })), "none of the values that the model has"),
        (request("ListModels", &json!({ "MaxResults": 0 })), "valid min value: 1"),
        (request("ListModels", &json!({ "MaxResults": 101 })), "at most 100"),
        (request("MakeModel", &json!({})), "MakeModel"),
        (describe("a_b"), "is not of the form"),
        (describe(&"x".repeat(64)), "at most 63"),
        (s3("/bucket/key?x-id=PutObject&colour=red"), "no parameter colour"),
        (s3("/bucket/key?colours"), "s3 knows no PUT"),
    ] {
        let said = faults(&request, None);
        assert!(said.contains(fault), "{fault} is not in {said}");
    }
    let create = json!({ "ModelName": "m" });
    let plan = |request: Value| json!([{ "service": "sagemaker", "operation": "CreateModel", "request": request }]);
    assert!(faults(&request("CreateModel", &create), Some(&plan(create.clone()))).is_empty());
    let said = faults(&request("CreateModel", &create), Some(&plan(json!({ "ModelName": "n" }))));
    assert!(said.starts_with("planned: ") && said.contains("made: "), "{said}");
    assert!(faults(&describe("job"), Some(&plan(create))).contains("made: nothing"));
}

/// Takes the steps on moto; notes in `answered` what it answers, well or not.
fn on_moto(recorded: &mut Recorded<'_>, moto: &Moto, steps: &[Step], answered: &mut BTreeSet<String>) {
    for step in steps {
        if step.name == "stop" {
            assert_eq!(recorded.command(&ENDLESS, &[]).output().unwrap().status.code(), Some(1));
            recorded.recorder.take();
        }
        let (code, words) = step.moto;
        let taken = recorded.take(step, code);
        assert!(taken.said.contains(words), "{}: {}", step.name, taken.said);
        let mut made = changing(&taken.requests);
        if step.name == "deploy-update" {
            // What moto does not have is asked for again, as after any fault.
            made.dedup();
        }
        let expected = changing(&golden(step.name));
        // What is over on moto needs no stop, and a verb that an answer ends has made less than was planned.
        if step.name == "destroy-all" {
            // What was not updated has other names, and moto an order of its own.
            let sorted =
                |requests: &[Value]| requests.iter().map(operation).collect::<BinaryHeap<_>>().into_sorted_vec();
            assert_eq!(sorted(&made), sorted(&expected), "{}", step.name);
        } else if code == step.code && step.command[0] != "stop" {
            // moto has a place of its own for asynchronous answers.
            let kept = |requests: Vec<Value>| {
                requests.into_iter().filter(|one| one["operation"] != "DeleteObject").collect::<Vec<Value>>()
            };
            assert_same(step.name, &kept(expected), &kept(made));
        } else {
            // It may clear up what it has made, and put back the scaling that it took off.
            let is_clearing = |request: &&Value| {
                let operation = request["operation"].as_str().unwrap();
                ["Delete", "RegisterScalable", "PutScaling"].iter().any(|beginning| operation.starts_with(beginning))
            };
            let mut rest = expected.iter();
            let stray = made
                .iter()
                .filter(|request| !is_clearing(request))
                .find(|request| !rest.any(|expected| expected == *request));
            assert_eq!(stray, None, "{}: not in the golden file, or not in this place", step.name);
        }
        answered.extend(taken.answers.iter().filter(|answer| answer["status"].as_u64() < Some(500)).map(operation));
        if step.name == "train" {
            for archive in ["model", "output"] {
                moto.put(recorded.place, &format!("unspsc/{}/output/{archive}.tar.gz", recorded.job));
            }
            moto.log(&recorded.job, "a line that the test has written");
        }
    }
}

#[test]
fn moto_takes_the_same_requests_and_what_it_answers_otherwise_than_aws_is_known() {
    let place = prepared();
    // moto runs nothing: what the job would leave comes from here.
    let platform = place.platform(&[]);
    let (code, _, err) = platform.verb("train", &[DATA, ENCODER]);
    assert_eq!(code, 0, "{err}");
    platform.stop();
    let (moto, mut answered) = (Moto::start(), BTreeSet::new());
    moto.predicts();
    let mut recorded = Recorded::new(&place, &moto.url);
    on_moto(&mut recorded, &moto, STEPS, &mut answered);
    let moto = Moto::start();
    make_kinds(&place, &moto.url);
    on_moto(&mut Recorded::new(&place, &moto.url), &moto, KINDS, &mut answered);

    let steps = STEPS.iter().chain(KINDS);
    let all: BTreeSet<String> = steps.flat_map(|step| golden(step.name)).map(|one| operation(&one)).collect();
    let lacking = Moto::lacking(&all);
    assert_eq!(lacking.lines().collect::<Vec<_>>(), MOTO_LACKS, "what moto has now can be taken off the list");
    // It comes after an UpdateEndpoint that has succeeded.
    let untried = all.iter().filter(|one| !answered.contains(*one) && *one != "sagemaker:DeleteTags");
    let untried = untried.filter(|one| !MOTO_LACKS.contains(&one.as_str()));
    assert_eq!(untried.collect::<Vec<_>>(), Vec::<&String>::new(), "moto has them and was not asked");
}
