//! `unspsc lambda deploy` against moto's Lambda: the stack the first time, and then code, version, a text, alias and concurrency
//! in the order that works.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/python.rs"]
mod python;
#[path = "support/stacks.rs"]
mod stacks;
#[path = "support/unspsc.rs"]
mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use stacks::{Fault, Stacks, between};
use support::{texts, unspsc};
use tempfile::TempDir;

/// An account with the stack of bucket and role, an endpoint, and a package.
struct Ground {
    stacks: Stacks,
    folder: TempDir,
}

const DEPLOY: [&str; 6] = ["lambda", "deploy", "--endpoint", "catalogue", "--package", "bootstrap"];

impl Ground {
    fn new() -> Self {
        let ground = Self { stacks: Stacks::start(None), folder: tempfile::tempdir().unwrap() };
        ground.does(&["infra", "up", "--yes"]);
        ground.stacks.endpoint("catalogue");
        ground.program("one");
        ground.stacks.take();
        ground
    }

    /// A program for arm64 as far as its head goes.
    fn program(&self, text: &str) {
        let mut program = b"\x7fELF".to_vec();
        program.resize(64, 0);
        program[18] = 183;
        fs::write(self.folder.path().join("bootstrap"), [&program, text.as_bytes()].concat()).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = unspsc(words);
        command.args(["--endpoint-url", &self.stacks.url]).current_dir(&self.folder);
        command
    }

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

    /// `lambda deploy` with further words.
    fn deploys(&self, words: &[&str]) -> (String, String) {
        self.does(&[&DEPLOY[..], &["--yes"], words].concat())
    }

    fn planned(&self, words: &[&str]) -> Vec<Value> {
        let (out, _) = self.does(&[&["plan", "--json"], &DEPLOY[..], words].concat());
        serde_json::from_str(&out).unwrap()
    }

    /// The version that the alias leads to.
    fn live(&self) -> String {
        let answer = self.stacks.ask("lambda", "GET", "/2015-03-31/functions/unspsc-classify/aliases/live", "").1;
        serde_json::from_str::<Value>(&answer).unwrap()["FunctionVersion"].as_str().unwrap().to_owned()
    }

    fn configuration(&self, qualifier: &str) -> Value {
        let path = format!("/2015-03-31/functions/unspsc-classify/configuration?Qualifier={qualifier}");
        serde_json::from_str(&self.stacks.ask("lambda", "GET", &path, "").1).unwrap()
    }

    /// A parameter of the stack.
    fn parameter(&self, key: &str) -> String {
        let described = self.stacks.cloudformation("Action=DescribeStacks&StackName=unspsc-front");
        let rest = between(&described, &format!("<ParameterKey>{key}</ParameterKey>"), "</member>").to_owned();
        between(&rest, "<ParameterValue>", "</ParameterValue>").to_owned()
    }
}

fn operations(plan: &[Value]) -> Vec<&str> {
    plan.iter().map(|one| one["operation"].as_str().unwrap()).collect()
}

#[test]
fn the_first_time_a_stack_is_made_and_then_only_what_is_new_goes_live() {
    let ground = Ground::new();
    assert_eq!(operations(&ground.planned(&[])), ["PutObject", "CreateChangeSet", "ExecuteChangeSet"]);
    let (code, _, err) = ground.says(&DEPLOY);
    assert!(code == 1 && err.contains("confirm with --yes") && err.contains("AWS::Lambda::Function"), "{err}");
    assert_eq!(ground.stacks.status("unspsc-front"), "none");

    let (out, err) = ground.deploys(&[]);
    assert_eq!(out, "arn:aws:lambda:us-east-1:000000000000:function:unspsc-classify:live\n");
    for said in ["stack unspsc-front is new", "4 environments of unspsc-classify are ready", "unspsc-classify answers"]
    {
        assert!(err.contains(said), "`{said}` is not said: {err}");
    }
    assert_eq!((ground.live().as_str(), ground.parameter("MaximumInstances").as_str()), ("1", "2"));
    let key = ground.parameter("CodeKey");
    assert!(key.starts_with("unspsc/lambda/") && key.ends_with(".zip"), "{key}");

    // Nothing is new: it is looked at and asked, and that is all.
    ground.stacks.take();
    let (_, err) = ground.deploys(&[]);
    assert!(err.contains("nothing to change") && err.contains("is as it should be"), "{err}");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    assert_eq!(ground.planned(&[]), Vec::<Value>::new());

    // New code.
    ground.program("two");
    let plan = ground.planned(&[]);
    assert_eq!(operations(&plan), ["PutObject", "UpdateFunctionCode", "PublishVersion", "UpdateAlias"]);
    assert_eq!(plan[3]["request"]["FunctionName"], "unspsc-classify");
    ground.stacks.take();
    let (_, err) = ground.deploys(&[]);
    let asked = ground.stacks.take();
    let at = |name: &str| asked.iter().position(|one| one == name).unwrap_or_else(|| panic!("{name}: {asked:?}"));
    assert!(at("UpdateFunctionCode") < at("PublishVersion") && at("PublishVersion") < at("Invoke"), "{asked:?}");
    assert!(at("Invoke") < at("UpdateAlias") && !asked.contains(&"CreateChangeSet".to_owned()), "{asked:?}");
    assert!(err.contains("alias live of unspsc-classify leads to version 2"), "{err}");
    assert_eq!(ground.live(), "2");
    let (out, _) = ground.does(&["infra", "status"]);
    for said in
        ["leads to version 2", "with version 1; `lambda deploy` has moved the alias since", "4 of 4 environments"]
    {
        assert!(out.contains(said), "`{said}` is not shown: {out}");
    }

    // New settings: the stack is changed, and the alias is not taken back to the version that it was made with.
    let (_, err) = ground.deploys(&["--lambda-memory-mb", "512"]);
    assert!(err.contains("stack unspsc-front changes") && err.contains("Modify"), "{err}");
    assert_eq!(ground.parameter("LiveVersion"), "2");
    assert_eq!(ground.live(), "3");
    assert_eq!(ground.configuration("3")["MemorySize"], 512);
    assert_eq!(ground.configuration("2")["MemorySize"], 256);
}

#[test]
fn a_version_that_does_not_answer_never_goes_live() {
    let ground = Ground::new();
    ground.deploys(&[]);
    ground.program("two");
    ground.stacks.answers(|qualifier, event| {
        assert!(event["description"].is_string(), "{event}");
        if qualifier == "2" {
            return json!({ "statusCode": 400, "body": json!({ "error": { "message": "out of order" } }).to_string() });
        }
        json!({ "statusCode": 200, "body": "{}" })
    });
    let (code, _, err) = ground.says(&[&DEPLOY[..], &["--yes"]].concat());
    assert!(code == 1 && err.contains("version 2 of unspsc-classify does not answer"), "{err}");
    assert!(err.contains("the alias live stays where it is") && err.contains("out of order"), "{err}");
    assert_eq!(ground.live(), "1");
    let (out, _) = ground.does(&["infra", "status"]);
    assert!(out.contains("has code that the alias does not lead to"), "{out}");

    // The next comes back to the version that is published already.
    ground.stacks.answers(|_, _| json!({ "statusCode": 200, "body": "{}" }));
    ground.stacks.take();
    ground.deploys(&[]);
    assert_eq!(ground.stacks.changes(), ["PublishVersion", "UpdateAlias"]);
    assert_eq!(ground.live(), "2");
}

#[test]
fn faults_of_the_service_are_survived_and_concurrency_that_fails_is_explained() {
    let ground = Ground::new();
    for (operation, fault) in [
        ("ExecuteChangeSet", Fault::Throttled),
        ("GetFunctionConfiguration", Fault::Throttled),
        ("GetProvisionedConcurrencyConfig", Fault::Lost),
        ("GetAlias", Fault::Lost),
    ] {
        ground.stacks.fault(operation, fault);
    }
    ground.deploys(&[]);
    ground.program("two");
    for (operation, fault) in [
        ("UpdateFunctionCode", Fault::Throttled),
        ("PublishVersion", Fault::Lost),
        ("UpdateAlias", Fault::Lost),
        ("GetAlias", Fault::Throttled),
    ] {
        ground.stacks.fault(operation, fault);
    }
    ground.deploys(&[]);
    assert_eq!(ground.live(), "2");

    let says = r#""Status": "FAILED", "StatusReason": "FUNCTION_ERROR_INIT_FAILURE""#;
    let fails = || ground.stacks.fault("GetProvisionedConcurrencyConfig", Fault::Says(r#""Status": "READY""#, says));
    // It is asked for once more, which may be enough.
    fails();
    ground.stacks.take();
    ground.deploys(&[]);
    assert_eq!(ground.stacks.changes(), ["PutProvisionedConcurrencyConfig"]);
    // Of what is asked for once more the first look finds it under way.
    (0..3).for_each(|_| fails());
    let (code, _, err) = ground.says(&[&DEPLOY[..], &["--yes"]].concat());
    assert!(code == 1 && err.contains("FUNCTION_ERROR_INIT_FAILURE") && err.contains("what to do:"), "{err}");
}

#[test]
fn what_is_missing_or_wrong_is_told_before_anything_is_made() {
    let ground = Ground::new();
    let fails = |words: &[&str], says: &str| {
        let (code, _, err) = ground.says(&[&["lambda", "deploy", "--yes"], words].concat());
        assert!(code != 0 && err.contains(says), "`{says}` is not said: {err}");
    };
    fails(&["--endpoint", "catalogue", "--package", "absent"], "scripts/build-lambda");
    fails(&["--endpoint", "absent", "--package", "bootstrap"], "there is no endpoint absent");
    fails(&["--endpoint", "Catalogue"], "lower-case");
    fails(
        &["--endpoint", "catalogue", "--package", "bootstrap", "--architecture", "x86_64"],
        "was built for arm64, and the Lambda is to run on x86_64",
    );
    fs::write(ground.folder.path().join("bootstrap"), "#!/bin/sh\n").unwrap();
    fails(&["--endpoint", "catalogue", "--package", "bootstrap"], "no program for Linux");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
}

#[test]
fn a_lambda_of_which_nothing_is_kept_ready_goes_with_both_stacks() {
    let ground = Ground::new();
    ground.deploys(&["--provisioned-concurrency", "0"]);
    assert_eq!(ground.parameter("ProvisionedConcurrency"), "0");
    let (_, err) = ground.does(&["infra", "down", "--delete-data", "--yes"]);
    assert!(err.contains("gone: stack unspsc-front, stack unspsc-base"), "{err}");
    assert!(ground.stacks.is_empty());
}
