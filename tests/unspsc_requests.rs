//! What `unspsc` asks of AWS, judged by others: recorded by a proxy, held against botocore's model of the services
//! (`tests/clients/judge.py`), against golden files, against what `unspsc plan` says, and taken by two platforms: by
//! sagemaker-local and by moto.
//!
//! Each line of [`STEPS`] is one command and one golden file. With `UNSPSC_GOLDEN=write` the files are written anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

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
use judge::Judge;
use made::{BUCKET, TRAIN, completed};
use moto::Moto;
use place::{Place, rest, signal, until};
use recorder::Recorder;
use serde_json::{Value, json};
use stacks::Stacks;
use support::texts;

/// One command, and what becomes of it.
struct Step {
    /// The name of its golden file.
    name: &'static str,
    /// `JOB` stands for the job of the first step.
    command: &'static [&'static str],
    /// Its exit code on sagemaker-local.
    code: i32,
    /// Whether `unspsc plan` has the verb, and has to say before what is then done.
    is_planned: bool,
    /// Its exit code on moto and what it says there.
    moto: (i32, &'static str),
}

const fn planned(name: &'static str, command: &'static [&'static str], code: i32, moto: (i32, &'static str)) -> Step {
    Step { name, command, code, is_planned: true, moto }
}

const fn read(name: &'static str, command: &'static [&'static str], moto: (i32, &'static str)) -> Step {
    Step { name, command, code: 0, is_planned: false, moto }
}

const DATA: &str = "--data=data.csv";
const ENCODER: &str = "--encoder=encoder";
/// Three parts; the job fails on it, which is all the same here.
const LARGE: &str = "--encoder=large";

/// In the order in which they are given; each finds what those before it have left.
const STEPS: &[Step] = &[
    // Whatever is asked for is Completed at once on moto, and leaves nothing in S3: the test puts it there afterwards.
    planned("train", &["train", DATA, ENCODER], 0, (1, "NoSuchKey")),
    planned("train-again", &["train", DATA, ENCODER], 0, (0, "has completed already")),
    planned(
        "train-on-demand",
        &[
            "train",
            DATA,
            "--model=rnn",
            "--spot=false",
            "--checkpoints=false",
            "--keep-alive-secs=600",
            "--max-retries=0",
        ],
        0,
        (1, "NoSuchKey"),
    ),
    planned("train-in-parts", &["train", DATA, LARGE], 3, (1, "NoSuchKey")),
    read("status", &["status"], (0, "Completed")),
    read("status-job", &["status", "JOB"], (0, "100.0000")),
    read("logs-job", &["logs", "JOB"], (0, "algo-1-1 a line that the test has written")),
    planned("deploy", &["deploy", "--job=JOB", "--endpoint=catalogue"], 0, (0, "in service")),
    planned("deploy-again", &["deploy", "--job=JOB", "--endpoint=catalogue"], 0, (0, "in service")),
    planned(
        "deploy-serverless",
        &["deploy", "--job=JOB", "--endpoint=serverless", "--serverless"],
        0,
        (0, "serverless"),
    ),
    // Its smoke test goes through S3, which no plan tells.
    read("deploy-async", &["deploy", "--job=JOB", "--endpoint=asynchronous", "--async"], (0, "in service")),
    read("invoke", &["invoke", "--endpoint=catalogue", "--depth=class", "rice and beans"], (0, "Food")),
    planned("batch", &["batch", "--job=JOB", DATA, "--output=coded.csv"], 0, (1, "are not below")),
    planned(
        "tune",
        &[
            "tune",
            DATA,
            "--model=rnn",
            "--search=learning_rate=0.001..0.01:log",
            "--strategy=random",
            "--max-jobs=2",
            "--parallel-jobs=2",
        ],
        0,
        (1, "ListTrainingJobsForHyperParameterTuningJob"),
    ),
    read("status-endpoint", &["status", "catalogue"], (0, "scaling activities cannot be told")),
    planned("destroy", &["destroy", "--endpoint=catalogue", "--yes"], 0, (0, "gone: endpoint catalogue")),
    planned("destroy-again", &["destroy", "--endpoint=catalogue", "--yes"], 0, (0, "nothing is there")),
    planned("deploy-other", &["deploy", "--job=JOB", "--endpoint=updated"], 0, (0, "in service")),
    // moto has no UpdateEndpoint.
    planned(
        "deploy-update",
        &[
            "deploy",
            "--job=JOB",
            "--endpoint=updated",
            "--serve-instance=ml.m5.xlarge",
            "--rollout=canary",
            "--rollout-wait-secs=0",
            "--rollback-alarm=errors",
            "--scale-by=concurrency",
        ],
        0,
        (1, "UpdateEndpoint"),
    ),
    planned("stop", &["stop", "endless"], 0, (0, "is Completed already")),
    planned("destroy-all", &["destroy", "--all", "--yes"], 0, (0, "gone: everything")),
];

/// The same for jobs that others have made, where the containers are scripts.
const KINDS: &[Step] = &[
    // moto has no list of trials.
    read("status-tuning", &["status", "tuned"], (1, "ListTrainingJobsForHyperParameterTuningJob")),
    read("logs-tuning", &["logs", "tuned"], (1, "ListTrainingJobsForHyperParameterTuningJob")),
    read("status-transform", &["status", "batch"], (0, "Completed")),
    read("logs-transform", &["logs", "batch"], (0, "has logged nothing")),
    planned("stop-tuning", &["stop", "tuning"], 0, (0, "is Completed already")),
    planned("stop-transform", &["stop", "endless"], 0, (0, "is Completed already")),
];

/// The same for images, which moto alone has a place for; they are those of [`DOCKER`].
const IMAGES: &[Step] = &[
    planned("images-push", &["images", "push"], 0, (0, "serve-image")),
    planned("images-push-again", &["images", "push"], 0, (0, "already")),
];

/// A stand-in for `docker`, for the addresses that moto gives lead to AWS. What it pushes moto has afterwards.
const DOCKER: &str = r#"
case "$1 $2" in
"image inspect")
    id=$(printf %s "$6" | sha256sum | cut -d' ' -f1)
    echo '{"Id":"sha256:'"$id"'","Os":"linux","Architecture":"amd64","RepoTags":[]}' ;;
"login --username") read -r password || test -n "$password" ;;
"push "*)
    name=${2#*/} tag=${2#*:} form=application/vnd.docker.distribution.manifest.v2+json
    manifest='{\"schemaVersion\":2,\"mediaType\":\"'$form'\",\"config\":{\"digest\":\"'$tag'\"},\"layers\":[]}'
    curl --silent --fail --noproxy '*' --aws-sigv4 aws:amz:us-east-1:ecr --user local:local \
        --header 'Content-Type: application/x-amz-json-1.1' \
        --header 'X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.PutImage' \
        --data '{"repositoryName":"'"${name%:*}"'","imageTag":"'$tag'","imageManifest":"'"$manifest"'"}' "$MOTO" ;;
esac"#;

/// Stacks, and the Lambda before an endpoint, on moto alone.
const STACKS: &[Step] = &[
    planned("infra-up", &["infra", "up", "--yes"], 0, (0, "")),
    planned("infra-up-again", &["infra", "up", "--yes"], 0, (0, "nothing to change")),
    planned("lambda-deploy", LAMBDA, 0, (0, "")),
    planned("lambda-deploy-same", LAMBDA, 0, (0, "nothing to change")),
    planned("lambda-deploy-again", OTHER_CODE, 0, (0, "leads to version 2")),
    planned("lambda-deploy-settings", OTHER_SETTINGS, 0, (0, "leads to version 3")),
    read("infra-status", &["infra", "status"], (0, "leads to version 3")),
    planned("infra-down", &["infra", "down", "--yes", "--delete-data"], 0, (0, "gone")),
];
const LAMBDA: &[&str] = &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=bootstrap"];
const OTHER_CODE: &[&str] = &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=other"];
const OTHER_SETTINGS: &[&str] =
    &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=other", "--lambda-memory-mb=512"];

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
    let mut recorded = Recorded::new(&place, &moto.url);
    recorded.environment = vec![("MOTO", moto.url.clone()), ("PATH", before_path(&place))];
    for step in IMAGES {
        let taken = recorded.take(step, step.code);
        let (code, words) = step.moto;
        assert!(code == step.code && taken.said.contains(words), "{}: {}", step.name, taken.said);
        matches_golden(step.name, &taken.requests);
    }
}

#[test]
fn stacks_are_changed_by_requests_of_the_golden_files() {
    let (place, stacks) = (Place::new(), Stacks::start(None));
    stacks.endpoint("catalogue");
    for (name, text) in [("bootstrap", "one"), ("other", "two")] {
        let mut program = b"\x7fELF".to_vec();
        program.resize(64, 0);
        program[18] = 183;
        fs::write(place.path(name), [&program, text.as_bytes()].concat()).unwrap();
    }
    let mut recorded = Recorded::new(&place, &stacks.url);
    for step in STACKS {
        if step.name == "lambda-deploy-again" {
            // As of an alias that somebody has made anew.
            let path = "/2019-09-30/functions/unspsc-classify/provisioned-concurrency?Qualifier=live";
            assert_eq!(stacks.ask("lambda", "DELETE", path, "").0, 204);
        }
        let taken = recorded.take(step, step.code);
        assert!(taken.said.contains(step.moto.1), "{}: {}", step.name, taken.said);
        matches_golden(step.name, &taken.requests);
    }
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
