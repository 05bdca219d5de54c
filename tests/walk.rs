//! The whole walk on the platforms of this machine: SageMaker, its scaling, its logs and S3 by sagemaker-local, CloudFormation, IAM,
//! ECR and Lambda by moto. Up, interrupted in each step and resumed; down, until nothing is left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/docker_stand_in.rs"]
mod docker_stand_in;
#[allow(dead_code, reason = "its failures are of other tests")]
#[path = "support/lambda.rs"]
mod lambda;
#[path = "support/made.rs"]
mod made;
#[path = "support/place.rs"]
mod place;
#[path = "support/python.rs"]
mod python;
#[path = "support/stacks.rs"]
mod stacks;
#[path = "walk/stand_in.rs"]
mod stand_in;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use docker_stand_in::DOCKER;
use lambda::Lambda;
use place::{LIMIT, Place, Platform, beside_unspsc, rest, signal, until};
use serde_json::{Value, json};
use stacks::{BUCKET, Fault, Stacks, program};
use support::{texts, unspsc};

/// Trials whose objective is what their batch size says; the first waits for the file `trial`.
const TRAIN: &str = r#"
size=$(hyperparameter batch_size)
until [ -e ../../../../trial ]; do sleep 0.05; done
echo "epoch 1/1: train:loss=0.500000; validation:loss=1.500000; validation:balanced_accuracy=0.$size;"
echo "test, 9 rows: test:accuracy=0.250000; test:balanced_accuracy=0.2$size;"
echo weights > model/weights"#;

const UP: [&str; 14] = [
    "up",
    "--yes",
    "--data=data.csv",
    "--encoder=encoder",
    "--output=out",
    "--strategy=random",
    "--search=batch_size=32,64",
    "--max-jobs=2",
    "--price-per-hour=0.736",
    "--package=bootstrap",
    "--architecture=x86_64",
    "--max-instances=2",
    "--target-invocations=50",
    "--checkpoints=false",
];

/// Both platforms.
struct Walk<'a> {
    place: &'a Place,
    platform: Platform<'a>,
    stacks: Stacks,
}

impl<'a> Walk<'a> {
    fn new(place: &'a Place) -> Self {
        place.script("docker", DOCKER);
        let waits = format!("until [ -e '{}' ]; do sleep 0.05; done", place.path("serving").display());
        place.script("serve", &format!("{waits}\n{}", stand_in::serve()));
        fs::write(place.path("bootstrap"), program(62, "")).unwrap();
        let platform = place.platform_of(TRAIN, &["--serve", "serve"]);
        let stacks = Stacks::start(Some(&platform.url));
        let walk = Self { place, platform, stacks };
        walk.lambda_asks_the_endpoint();
        walk
    }

    /// The real program, as Lambda starts it with what the stack says; the text of the last step waits for the file `last`.
    fn lambda_asks_the_endpoint(&self) {
        let (bootstrap, log) = (beside_unspsc("bootstrap"), self.place.path("lambda.log"));
        let variables = [("UNSPSC_ENDPOINT", "unspsc"), ("AWS_ENDPOINT_URL", &self.platform.url)];
        let (lambda, last) = (Lambda::start(&bootstrap, &log, &variables), self.place.path("last"));
        self.stacks.answers(move |_, event| {
            let is_last = event["description"].as_str().unwrap().contains("sandwiches");
            while is_last && !last.exists() {
                std::thread::sleep(Duration::from_millis(50));
            }
            lambda.invoke(&event)
        });
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = unspsc(words);
        command.current_dir(&self.place.folder).env("AWS_ENDPOINT_URL", &self.platform.url);
        for service in ["CLOUDFORMATION", "LAMBDA", "ECR", "S3"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), &self.stacks.url);
        }
        let path = format!("{}:{}", self.place.folder.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("MOTO", &self.stacks.url);
        command
    }

    /// Its exit code, standard output and standard error.
    fn says(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), out, err)
    }

    fn does(&self, words: &[&str]) -> (String, String) {
        let (code, out, err) = self.says(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        (out, err)
    }

    /// Goes up until `words` are said and `reached` holds, is interrupted there, and says which step that was.
    fn interrupted(&self, words: &str, step: usize, reached: impl Fn(&Self) -> bool) -> String {
        let (child, lines) = until(&mut self.command(&UP), words);
        let begin = Instant::now();
        while !reached(self) {
            assert!(begin.elapsed() < LIMIT, "step {step} never comes so far");
            std::thread::sleep(Duration::from_millis(50));
        }
        signal(&child, "INT");
        let (code, said) = rest(child, lines);
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains(&format!("ended in step {step} of 6")) && said.contains("goes on there"), "{said}");
        said
    }

    fn has_asked(&self, operation: &str) -> bool {
        self.stacks.take().iter().any(|one| one == operation)
    }

    fn go(&self, name: &str) {
        fs::write(self.place.path(name), "").unwrap();
    }

    /// Names of endpoints.
    fn endpoints(&self) -> Vec<String> {
        let listed = made::ask(&self.platform.url, "ListEndpoints", &json!({}));
        let names = listed["Endpoints"].as_array().unwrap().iter();
        names.map(|one| one["EndpointName"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn up_is_resumed_after_an_interrupt_in_each_step_and_down_leaves_nothing() {
    let place = Place::new();
    let walk = Walk::new(&place);

    let (out, err) = walk.does(&[&["plan"], &UP[..]].concat());
    assert!(
        out.contains("CreateChangeSet") && err.contains("the other 5 steps need what this one makes"),
        "{out}{err}"
    );
    assert_eq!(walk.stacks.changes(), Vec::<String>::new());

    // The stack is made, and whoever asked for it never hears of it.
    walk.stacks.fault("ExecuteChangeSet", Fault::Mute);
    let said = walk.interrupted("stack unspsc-base is new", 1, |walk| walk.has_asked("carried out"));
    assert!(said.contains("stack unspsc-base goes on at CloudFormation"), "{said}");

    walk.interrupted("pushing unspsc-train-gpu", 2, |_| true);
    walk.go("push");

    walk.interrupted("was created", 3, |_| true);
    walk.go("trial");

    // An endpoint that is being created cannot be deleted before its container is up, or is given up.
    let serving = place.path("serving");
    let comes_up = move || {
        std::thread::sleep(Duration::from_secs(1));
        fs::write(serving, "").unwrap();
    };
    let is_created = |walk: &Walk<'_>| !walk.endpoints().is_empty();
    std::thread::scope(|scope| {
        walk.interrupted("step 4 of 6: endpoint unspsc", 4, |walk| {
            let is_created = is_created(walk);
            if is_created {
                scope.spawn(comes_up.clone());
            }
            is_created
        });
    });
    assert_eq!(walk.endpoints(), Vec::<String>::new(), "an endpoint that nobody waits for costs money");

    walk.stacks.fault("ExecuteChangeSet", Fault::Mute);
    walk.interrupted("stack unspsc-front is new", 5, |walk| walk.has_asked("carried out"));
    assert_eq!(walk.endpoints(), ["unspsc"]);

    walk.interrupted("step 6 of 6", 6, |_| true);
    walk.go("last");

    let (out, err) = walk.does(&UP);
    assert!(out.contains("44103103") && out.ends_with(":function:unspsc-classify:live\n"), "{out}");
    for said in [
        "step 1 of 6: bucket, repositories, role and policy (paid for what is stored)",
        "unspsc-serve:latest is in",
        "has completed already",
        "step 3 of 6: a model (2 trials at most on ml.g4dn.xlarge, 0.736 dollars an hour each, paid while it trains)",
        "step 4 of 6: endpoint unspsc (1 to 2 instances ml.m5.large, paid by the hour until `unspsc down`)",
        "4 environments of 256 MB kept ready, paid by the hour",
    ] {
        assert!(err.contains(said), "`{said}` is not said: {err}");
    }
    assert!(!err.contains("ended in step"), "{err}");
    walk.stacks.take();
    walk.does(&UP);
    assert_eq!(walk.stacks.changes(), Vec::<String>::new(), "what is there is left alone");

    down(&walk);
    let Walk { platform, stacks, .. } = walk;
    // The Lambda's program ends.
    stacks.answers(|_, _| Value::Null);
    platform.stop();
}

#[test]
fn up_looks_for_all_that_it_needs_before_it_makes_anything() {
    let place = Place::new();
    let walk = Walk::new(&place);
    let fails = |words: &[&str], says: &str| {
        let (code, _, err) = walk.says(&[&UP[..], words].concat());
        assert!(code == 1 && err.contains(says), "`{says}` is not said: {err}");
    };
    fails(&["--async"], "leave it out");
    let instead = |option: &str, other: &[&'static str]| {
        let rest = UP.iter().filter(|word| !word.starts_with(option)).copied();
        let (code, _, err) = walk.says(&rest.chain(other.iter().copied()).collect::<Vec<_>>());
        assert_eq!(code, 1, "{err}");
        err
    };
    let err = instead("--package", &["--package=absent"]);
    assert!(err.contains("there is no absent: build it with `scripts/build-lambda --x86-64`"), "{err}");
    let err = instead("--data", &["--data=absent.csv"]);
    assert!(err.contains("--data absent.csv does not exist"), "{err}");
    let gone = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unspsc-serve@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    fails(
        &["--train-image", gone, "--serve-image", gone],
        "and ECR has none: push it anew with `unspsc images push IMAGE --save",
    );
    let err = instead("--encoder", &[]);
    assert!(err.contains("the image unspsc-train-gpu holds no encoder: give"), "{err}");
    place.script("docker", "echo 'Error response from daemon: No such image: x' >&2; exit 1");
    fails(&[], "there is no image unspsc-train-gpu:latest on this machine");
    assert_eq!(walk.stacks.changes(), Vec::<String>::new());
    let Walk { platform, stacks, .. } = walk;
    stacks.answers(|_, _| Value::Null);
    platform.stop();
}

/// First what costs by the hour, then all of it.
fn down(walk: &Walk<'_>) {
    let (code, _, err) = walk.says(&["down"]);
    assert!(code == 1 && err.contains("confirm with --yes"), "{err}");
    let (_, err) = walk.does(&["infra", "status"]);
    assert_eq!(walk.endpoints(), ["unspsc"], "{err}");
    let (_, err) = walk.does(&["down", "--yes"]);
    assert!(err.contains("nothing is left that costs by the hour; stack unspsc-base stays, with bucket"), "{err}");
    assert_eq!(walk.endpoints(), Vec::<String>::new());
    assert_eq!(
        (walk.stacks.status("unspsc-front"), walk.stacks.status("unspsc-base").as_str()),
        ("none".to_owned(), "CREATE_COMPLETE")
    );
    assert!(walk.place.path(&format!("state/s3/{BUCKET}/unspsc")).is_dir(), "data and models stay");

    // A job of this program by another role, whose model comes into the bucket.
    let job = json!({
        "TrainingJobName": "other",
        "AlgorithmSpecification": { "TrainingImage": "train:latest", "TrainingInputMode": "File" },
        "RoleArn": made::ROLE,
        "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/other") },
        "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
        "HyperParameters": { "batch_size": "8" },
        "Tags": [{ "Key": "unspsc:managed-by", "Value": "unspsc" }],
    });
    fs::remove_file(walk.place.path("trial")).unwrap();
    made::ask(&walk.platform.url, "CreateTrainingJob", &job);
    let (code, _, err) = walk.says(&["down", "--yes", "--delete-data"]);
    assert!(
        code == 1 && err.contains("stack unspsc-base is in use by training job other, which runs, through"),
        "{err}"
    );
    assert!(err.contains("first `unspsc stop other`"), "{err}");
    walk.does(&["stop", "other"]);

    let (_, err) = walk.does(&["down", "--yes", "--delete-data"]);
    assert!(err.contains("nothing is left") && !err.contains("stays"), "{err}");
    assert!(walk.stacks.is_empty());
    let (out, _) = walk.does(&["destroy", "--all", "--dry-run"]);
    assert_eq!(out, "nothing to take down\n");
    let left =
        Command::new("find").arg(walk.place.path(&format!("state/s3/{BUCKET}"))).args(["-type", "f"]).output().unwrap();
    assert_eq!(texts(&left).0, "");
    walk.does(&["down", "--yes"]);
}
