//! `unspsc infra` against moto's CloudFormation: shown first, followed, repeated, explained, taken down.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/ground.rs"]
mod ground;
#[path = "support/python.rs"]
mod python;
#[path = "support/stacks.rs"]
mod stacks;
#[path = "support/unspsc.rs"]
mod support;

use std::fs;

use ground::Ground;
use serde_json::{Value, json};
use stacks::{ACCOUNT, BUCKET, Fault};
use support::{texts, unspsc};

#[test]
fn a_stack_is_planned_shown_made_and_left_alone_when_it_is_as_it_should_be() {
    let ground = Ground::new();
    let (out, _) = ground.does(&["plan", "--json", "infra", "up"]);
    let plan: Vec<Value> = serde_json::from_str(&out).unwrap();
    let operations: Vec<&str> = plan.iter().map(|one| one["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["CreateChangeSet", "ExecuteChangeSet"], "{out}");
    assert_eq!(plan[0]["request"]["StackName"], "unspsc-base");
    let name = json!({ "ParameterKey": "Name", "ParameterValue": "unspsc" });
    assert!(plan[0]["request"]["Parameters"].as_array().unwrap().contains(&name), "{out}");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new(), "a plan only looks");

    // Without a terminal nobody can be asked, and nothing stays of what was asked of CloudFormation.
    let err = ground.fails(&["infra", "up"], "confirm with --yes");
    assert!(err.contains("Bucket") && err.contains("AWS::S3::Bucket"), "what would be done is shown: {err}");
    assert_eq!(ground.stacks.status("unspsc-base"), "none");
    assert!(ground.stacks.is_empty());

    let (out, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("written to unspsc.toml"), "{err}");
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
    ground.does(&["infra", "up", "--yes", "--save"]);
    let saved = fs::read_to_string(ground.folder.path().join("unspsc.toml")).unwrap();
    let named = settings.replace("[platform]\n", "[platform]\nname = \"unspsc\"\n");
    assert_eq!(saved, format!("# mine\n\n{named}"));
    let (out, err) = ground.does(&["infra", "up", "--yes", "--config", "/proc/absent/unspsc.toml"]);
    assert!(
        out == settings && err.contains("which cannot be written") && err.contains("policy/unspsc-operator"),
        "{err}"
    );

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
    // A name that was typed is one that the next command has to be told, whatever the settings say.
    let (_, err) = ground.does(&["down", "--yes"]);
    assert!(err.contains("`unspsc down --delete-data --yes --endpoint-url"), "{err}");
    fs::write(ground.folder.path().join("mine.toml"), "").unwrap();
    let (_, err) = ground.does(&["down", "--yes", "--config", "mine.toml"]);
    assert!(err.contains("`unspsc down --delete-data --yes --config mine.toml --endpoint-url"), "{err}");
    let of_variable = ground.command(&["down", "--yes"]).env("UNSPSC_NAME", "unspsc").output().unwrap();
    assert!(texts(&of_variable).1.contains("--yes --name unspsc --endpoint-url"), "{of_variable:?}");
    let (_, err) = ground.does(&["down", "--yes", "--name", "unspsc"]);
    assert!(err.contains("`unspsc down --delete-data --yes --name unspsc --endpoint-url"), "{err}");
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
    (0..3).for_each(|_| ground.stacks.fault("DescribeStacks", busy.clone()));
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("is CREATE_IN_PROGRESS, which is followed") && err.contains("nothing to change"), "{err}");

    let stuck = Fault::Says("<StackStatus>CREATE_COMPLETE", "<StackStatus>UPDATE_ROLLBACK_FAILED");
    (0..2).for_each(|_| ground.stacks.fault("DescribeStacks", stuck.clone()));
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

#[test]
fn nothing_goes_that_something_works_by() {
    let ground = Ground::new();
    ground.does(&["infra", "up", "--yes"]);
    let (_, err) = ground.does(&["infra", "up", "--yes", "--name", "dog", "--config", "dog.toml"]);
    assert!(err.contains("written to dog.toml"), "{err}");
    for (endpoint, role, is_ours) in
        [("ours", "unspsc-execution", true), ("theirs", "unspsc-execution", false), ("dogs", "dog-execution", true)]
    {
        ground.stacks.endpoint(endpoint, role, is_ours);
    }
    ground.stacks.take();
    for words in [&["infra", "down", "--yes", "--delete-data"][..], &["down", "--yes", "--delete-data"]] {
        let err =
            ground.fails(words, "stack unspsc-base is in use by endpoint ours, endpoint theirs, through its role");
        assert!(err.contains("nothing was deleted; first `unspsc destroy --endpoint ours --endpoint-url"), "{err}");
        assert!(err.contains("ask whoever has made endpoint theirs, which was not this program"), "{err}");
    }
    // Its role cannot be told any more, and is needed all the same.
    ground.stacks.sagemaker("DeleteEndpointConfig", &json!({ "EndpointConfigName": "ours" }));
    ground.fails(&["infra", "down", "--yes"], "stack unspsc-base is in use by endpoint ours, endpoint theirs");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());

    // What works by the stack of another name holds up that one alone.
    ground.does(&["destroy", "--endpoint", "ours", "--yes"]);
    ground.stacks.sagemaker("DeleteEndpoint", &json!({ "EndpointName": "theirs" }));
    let (_, err) = ground.does(&["down", "--yes", "--delete-data"]);
    let others = "still runs, and is paid for: endpoint dogs";
    assert!(err.contains("nothing of --name unspsc is left; what else") && err.contains(others), "{err}");
    assert_eq!(ground.stacks.status("unspsc-base"), "none");
    ground.fails(&["down", "--name", "dog", "--yes", "--delete-data"], "stack dog-base is in use by endpoint dogs");
    // It holds nothing, and stays nevertheless.
    let (_, err) = ground.does(&["down", "--name", "dog", "--yes"]);
    assert!(err.contains("stack dog-base stays, which is in use by endpoint dogs"), "{err}");
    assert_eq!(ground.stacks.status("dog-base"), "CREATE_COMPLETE");
    let (_, err) = ground.does(&["down", "--yes"]);
    assert!(err.contains("there is no stack unspsc-front, no endpoint unspsc and no stack unspsc-base;"), "{err}");
}

#[test]
fn a_stack_in_review_is_only_taken_from_who_has_begun_it() {
    let ground = Ground::new();
    ground.stacks.review("unspsc-base", "theirs");
    for words in [&["infra", "up", "--yes"][..], &["infra", "down", "--yes"]] {
        ground.fails(words, "was not made by this program: choose another --name");
    }
    assert_eq!(ground.stacks.status("unspsc-base"), "REVIEW_IN_PROGRESS");
    // What a run that was killed has left.
    ground.stacks.review("dog-base", "unspsc-change-0123456789");
    ground.does(&["infra", "up", "--yes", "--name", "dog"]);
    assert_eq!(ground.stacks.status("dog-base"), "CREATE_COMPLETE");
}

#[test]
fn what_a_deletion_has_left_goes_only_if_that_is_said() {
    let ground = Ground::new();
    ground.does(&["infra", "up", "--yes"]);
    ground.stacks.take();
    let failed = Fault::Says("<StackStatus>CREATE_COMPLETE", "<StackStatus>DELETE_FAILED");
    (0..2).for_each(|_| ground.stacks.fault("DescribeStacks", failed.clone()));
    ground.fails(&["infra", "up"], "with what it still holds: confirm with --yes");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    (0..2).for_each(|_| ground.stacks.fault("DescribeStacks", failed.clone()));
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("stack unspsc-base is DELETE_FAILED") && err.contains("is deleted and made anew"), "{err}");
    // What it had made itself is made anew with it.
    assert!(!err.contains("is there already") && err.contains("ServeRepository"), "{err}");
}

#[test]
fn a_stack_that_is_stuck_can_still_be_deleted() {
    let ground = Ground::new();
    ground.does(&["infra", "up", "--yes"]);
    let stuck = Fault::Says("<StackStatus>CREATE_COMPLETE", "<StackStatus>UPDATE_ROLLBACK_FAILED");
    ground.stacks.fault("DescribeStacks", stuck);
    ground.does(&["down", "--yes"]);
    assert!(ground.stacks.is_empty());
}

#[test]
fn repositories_that_are_there_stay_outside_of_the_stack() {
    let ground = Ground::new();
    let target = "AmazonEC2ContainerRegistry_V20150921.CreateRepository";
    ground.stacks.carry_out("ecr", target, &json!({ "repositoryName": "unspsc-serve" }));
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("repository unspsc-serve is there already: the stack does without one of its own"), "{err}");
    assert!(err.contains("TrainCpuRepository") && !err.contains("ServeRepository"), "{err}");
    let (_, err) = ground.does(&["infra", "up", "--yes"]);
    assert!(err.contains("nothing to change"), "{err}");
    let (_, err) = ground.does(&["infra", "down", "--yes", "--delete-data"]);
    assert!(
        err.contains("gone: stack unspsc-base; repository unspsc-serve, which the stack has not made, stays"),
        "{err}"
    );
}
