//! `unspsc infra` against moto's CloudFormation: shown first, followed, repeated, explained, taken down.

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
use stacks::{ACCOUNT, BUCKET, Fault, Stacks};
use support::{texts, unspsc};
use tempfile::TempDir;

/// A moto and a folder to work in.
struct Ground {
    stacks: Stacks,
    folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        Self { stacks: Stacks::start(None), folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = unspsc(words);
        command.args(["--endpoint-url", &self.stacks.url]).current_dir(&self.folder);
        command
    }

    /// Its exit code, standard output and standard error.
    fn says(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), out, err)
    }

    /// What it says, where it succeeds.
    fn does(&self, words: &[&str]) -> (String, String) {
        let (code, out, err) = self.says(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        (out, err)
    }

    /// What it says, where it fails.
    fn fails(&self, words: &[&str], says: &str) -> String {
        let (code, out, err) = self.says(words);
        assert!(code == 1 && err.contains(says), "`{says}` is not said: {out}{err}");
        err
    }

    fn put(&self, key: &str) {
        let (status, answer) = self.stacks.ask("s3", "PUT", &format!("/{BUCKET}/{key}"), "abc");
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn a_stack_is_planned_shown_made_and_left_alone_when_it_is_as_it_should_be() {
    let ground = Ground::new();
    let (out, _) = ground.does(&["plan", "--json", "infra", "up"]);
    let plan: Vec<Value> = serde_json::from_str(&out).unwrap();
    let operations: Vec<&str> = plan.iter().map(|one| one["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["CreateChangeSet", "ExecuteChangeSet"], "{out}");
    assert_eq!(plan[0]["request"]["StackName"], "unspsc-base");
    assert_eq!(plan[0]["request"]["Parameters"], json!([{ "ParameterKey": "Name", "ParameterValue": "unspsc" }]));
    assert_eq!(ground.stacks.changes(), Vec::<String>::new(), "a plan only looks");

    // Without a terminal nobody can be asked, and nothing stays of what was asked of CloudFormation.
    let err = ground.fails(&["infra", "up"], "confirm with --yes");
    assert!(err.contains("Bucket") && err.contains("AWS::S3::Bucket"), "what would be done is shown: {err}");
    assert_eq!(ground.stacks.status("unspsc-base"), "none");
    assert!(ground.stacks.is_empty());

    let (out, err) = ground.does(&["infra", "up", "--yes"]);
    let role = format!("arn:aws:iam::{ACCOUNT}:role/unspsc-execution");
    let settings = format!("[platform]\nregion = \"us-east-1\"\nrole = \"{role}\"\nbucket = \"{BUCKET}\"\n");
    assert_eq!(out, settings, "{err}");
    assert_eq!(fs::read_to_string(ground.folder.path().join("unspsc.toml")).unwrap(), settings);
    for said in ["stack unspsc-base is new:", "CREATE_COMPLETE AWS::S3::Bucket Bucket", "policy/unspsc-operator"] {
        assert!(err.contains(said), "`{said}` is not said: {err}");
    }
    assert_eq!(ground.stacks.status("unspsc-base"), "CREATE_COMPLETE");

    // They are settings now, and the same command has nothing to do.
    ground.stacks.take();
    let (out, err) = ground.does(&["infra", "up", "--yes"]);
    assert_eq!(out, settings);
    assert!(err.contains("nothing to change") && err.contains("the settings are those of the stack"), "{err}");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    let (out, _) = ground.does(&["plan", "infra", "up"]);
    assert_eq!(out, "nothing to change\n");

    // What stands in a file of the user's is not replaced.
    fs::write(ground.folder.path().join("unspsc.toml"), "# mine\n").unwrap();
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("yours and stays as it is"), "{err}");
    assert_eq!(fs::read_to_string(ground.folder.path().join("unspsc.toml")).unwrap(), "# mine\n");

    let (out, _) = ground.does(&["infra", "status"]);
    for said in ["unspsc-base", "CREATE_COMPLETE", "unspsc-front", "not there", BUCKET, &role] {
        assert!(out.contains(said), "`{said}` is not shown: {out}");
    }
}

#[test]
fn what_holds_something_is_only_deleted_if_that_is_said() {
    let ground = Ground::new();
    let (_, err) = ground.does(&["infra", "down"]);
    assert!(err.contains("nothing is there"), "{err}");
    ground.does(&["infra", "up", "--yes"]);
    ground.put("unspsc/data/rows.csv");
    ground.stacks.take();
    let err = ground.fails(&["infra", "down", "--yes"], "--delete-data");
    assert!(err.contains(&format!("bucket {BUCKET} with 1 object")), "{err}");
    ground.fails(&["infra", "down", "--delete-data"], "confirm with --yes");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    let (out, _) = ground.does(&["plan", "infra", "down", "--delete-data"]);
    assert!(out.contains("DeleteObjects") && out.contains("DeleteStack"), "{out}");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());

    let (_, err) = ground.does(&["infra", "down", "--delete-data", "--yes"]);
    assert!(err.contains("gone: stack unspsc-base"), "{err}");
    assert_eq!(ground.stacks.status("unspsc-base"), "none");
    assert!(ground.stacks.is_empty());
}

#[test]
fn a_stack_that_could_not_be_made_is_explained_and_made_anew() {
    let ground = Ground::new();
    // Somebody has the bucket already.
    let (status, _) = ground.stacks.ask("s3", "PUT", &format!("/{BUCKET}"), "");
    assert_eq!(status, 200);
    let err = ground.fails(&["infra", "up", "--yes"], "stack unspsc-base is ROLLBACK_COMPLETE");
    assert!(err.contains("CREATE_FAILED AWS::S3::Bucket Bucket") && err.contains("makes it anew"), "{err}");
    let (out, _) = ground.does(&["infra", "status"]);
    assert!(out.contains("ROLLBACK_COMPLETE"), "{out}");

    ground.stacks.ask("s3", "DELETE", &format!("/{BUCKET}"), "");
    ground.stacks.take();
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("it is deleted and made anew"), "{err}");
    assert_eq!(ground.stacks.changes(), ["DeleteStack", "CreateChangeSet", "ExecuteChangeSet"]);
    assert_eq!(ground.stacks.status("unspsc-base"), "CREATE_COMPLETE");
}

#[test]
fn throttling_and_lost_answers_are_survived_and_what_is_under_way_is_followed() {
    let ground = Ground::new();
    for (operation, fault) in [
        ("DescribeStacks", Fault::Throttled),
        ("CreateChangeSet", Fault::Lost),
        ("DescribeChangeSet", Fault::Throttled),
        ("DescribeStackEvents", Fault::Lost),
        ("ExecuteChangeSet", Fault::Lost),
    ] {
        ground.stacks.fault(operation, fault);
    }
    ground.does(&["infra", "up", "--yes"]);
    assert_eq!(ground.stacks.status("unspsc-base"), "CREATE_COMPLETE");

    let busy = Fault::Says("<StackStatus>CREATE_COMPLETE", "<StackStatus>CREATE_IN_PROGRESS");
    ground.stacks.fault("DescribeStacks", busy.clone());
    ground.stacks.fault("DescribeStacks", busy);
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("is CREATE_IN_PROGRESS, which is followed") && err.contains("nothing to change"), "{err}");

    let stuck = Fault::Says("<StackStatus>CREATE_COMPLETE", "<StackStatus>UPDATE_ROLLBACK_FAILED");
    ground.stacks.fault("DescribeStacks", stuck);
    let err = ground.fails(&["infra", "up", "--yes"], "continue-update-rollback --stack-name unspsc-base");
    assert!(err.contains("a change failed, and so did taking it back"), "{err}");
}

#[test]
fn a_stack_of_somebody_elses_is_left_alone() {
    let ground = Ground::new();
    let template = "Resources: {Queue: {Type: AWS::SQS::Queue}}";
    ground.stacks.cloudformation(&format!("Action=CreateStack&StackName=unspsc-base&TemplateBody={template}"));
    ground.fails(&["infra", "up", "--yes"], "was not made by this program: choose another --name");
    ground.fails(&["infra", "down", "--yes"], "was not made by this program");
    assert_eq!(ground.stacks.status("unspsc-base"), "CREATE_COMPLETE");
    let (_, err) = ground.does(&["infra", "up", "--yes", "--name", "catalogue"]);
    assert!(err.contains("stack catalogue-base is new"), "{err}");
}

#[test]
fn a_service_with_an_address_of_its_own_is_asked_there() {
    let ground = Ground::new();
    let output = unspsc(["infra", "status"])
        .current_dir(&ground.folder)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL_CLOUDFORMATION", &ground.stacks.url)
        .output()
        .unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success() && out.contains("not there"), "{out}{err}");
    assert_eq!(ground.stacks.take(), ["DescribeStacks", "DescribeStacks"]);
}
