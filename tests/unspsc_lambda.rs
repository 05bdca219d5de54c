//! `unspsc lambda deploy` against moto's Lambda: the stack the first time, and then code, version, a text, alias and concurrency
//! in the order that works.

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

use ground::{DEPLOY, Ground};
use serde_json::{Value, json};
use stacks::Fault;

fn operations(plan: &[Value]) -> Vec<&str> {
    plan.iter().map(|one| one["operation"].as_str().unwrap()).collect()
}

#[test]
fn the_first_time_a_stack_is_made_and_then_only_what_is_new_goes_live() {
    let ground = Ground::with_endpoint();
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
    for said in [
        "asks endpoint catalogue; arm64, 256 MB; 4 to 16 environments are kept ready; alarms tell nobody; texts are not logged",
        "leads to version 2",
        "with version 1; `lambda deploy` has moved the alias since",
        "4 of 4 environments",
    ] {
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
    let ground = Ground::with_endpoint();
    ground.deploys(&[]);
    ground.program("two");
    ground.stacks.answers(|qualifier, event| {
        assert!(event["description"].is_string(), "{event}");
        if qualifier == "2" {
            return json!({ "statusCode": 400, "body": json!({ "error": { "message": "out of order" } }).to_string() });
        }
        json!({ "statusCode": 200, "body": "{}" })
    });
    let err = ground.deploy_fails(&[], "version 2 of unspsc-classify does not answer");
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
    let ground = Ground::with_endpoint();
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
    let err = ground.deploy_fails(&[], "FUNCTION_ERROR_INIT_FAILURE");
    assert!(err.contains("what to do:"), "{err}");
}

#[test]
fn what_is_missing_or_wrong_is_told_before_anything_is_made() {
    let ground = Ground::with_endpoint();
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
    ground.program("one");
    let answers_into_a_bucket = Fault::Says(r#""EndpointName""#, r#""AsyncInferenceConfig": {}, "EndpointName""#);
    ground.stacks.fault("DescribeEndpoint", answers_into_a_bucket);
    fails(&["--endpoint", "catalogue", "--package", "bootstrap"], "answers into a bucket (--async)");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    fails(&["--endpoint", "catalogue", "--package", "bootstrap", "--name", "absent"], "`unspsc infra up --name absent");
    ground.stacks.endpoint("dogs", "dog-execution", true);
    fails(&["--endpoint", "dogs", "--package", "bootstrap"], "role/dog-execution, which is the role of another stack");
    // The settings are those of the stack unspsc-base.
    ground.does(&["infra", "up", "--yes", "--name", "dog"]);
    ground.stacks.take();
    fails(
        &["--endpoint", "catalogue", "--package", "bootstrap", "--name", "dog"],
        "the settings have role arn:aws:iam::000000000000:role/unspsc-execution and stack dog-base has",
    );
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
}

#[test]
fn an_option_that_is_given_nowhere_stays_as_it_is() {
    let ground = Ground::with_endpoint();
    let topic = "arn:aws:sns:us-east-1:000000000000:alarms";
    ground.deploys(&["--provisioned-concurrency=0", "--lambda-memory-mb=512", "--alarm-topic", topic]);
    ground.stacks.take();
    let (_, err) = ground.deploys(&[]);
    assert!(err.contains("nothing to change"), "{err}");
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
    assert_eq!(
        (ground.parameter("ProvisionedConcurrency"), ground.parameter("AlarmTopicArn")),
        ("0".into(), topic.into())
    );
    // Not asked, but what would become of it is shown.
    let (code, _, err) = ground.says(&[&DEPLOY[..], &["--alarm-topic=none", "--provisioned-concurrency=2"]].concat());
    assert!(code == 1 && err.contains("parameter") && err.contains("then"), "{err}");
    let row = |key: &str| err.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {err}"));
    assert!(
        row("AlarmTopicArn").contains(topic)
            && row("ProvisionedConcurrency").split_whitespace().eq(["ProvisionedConcurrency", "0", "2"]),
        "{err}"
    );
    assert!(!err.contains("CodeKey") && !err.contains("MemorySize"), "{err}");
    ground.deploys(&["--alarm-topic=none"]);
    assert_eq!((ground.parameter("AlarmTopicArn").as_str(), ground.parameter("MemorySize").as_str()), ("", "512"));
}

#[test]
fn a_change_that_is_taken_back_leaves_the_alias_where_it_was() {
    let ground = Ground::with_endpoint();
    ground.deploys(&[]);
    ground.program("two");
    ground.deploys(&[]);
    assert_eq!((ground.live().as_str(), ground.parameter("LiveVersion").as_str()), ("2", ""));
    // CloudFormation takes the alias back to the version that the stack has led it to last.
    let err =
        ground.deploy_fails(&["--alarm-topic=arn:aws:sns:us-east-1:000000000000:absent"], "UPDATE_ROLLBACK_COMPLETE");
    assert!(err.contains("alias live of unspsc-classify leads to version 2"), "{err}");
    assert_eq!(ground.live(), "2");
}

#[test]
fn callers_are_answered_while_another_endpoint_takes_the_place_of_the_first() {
    let ground = Ground::with_endpoint();
    ground.deploys(&[]);
    ground.stacks.endpoint("second", "other", false);
    let to_second = ["lambda", "deploy", "--yes", "--endpoint", "second", "--package", "bootstrap"];
    // As long as the alias leads to a version that asks the first, that may be asked.
    ground.stacks.answers(|_, _| json!({ "statusCode": 500, "body": "out of order" }));
    ground.fails(&to_second, "version 2 of unspsc-classify does not answer");
    assert_eq!((ground.live().as_str(), ground.parameter("FormerEndpointName").as_str()), ("1", "catalogue"));
    let (out, _) = ground.does(&["infra", "status"]);
    assert!(out.contains("asks endpoint catalogue until `lambda deploy` has led it to second"), "{out}");
    ground.stacks.answers(|_, _| json!({ "statusCode": 200, "body": "{}" }));
    let (_, err) = ground.does(&to_second);
    assert!(err.contains("nothing asks endpoint catalogue any more"), "{err}");
    assert_eq!((ground.live().as_str(), ground.parameter("FormerEndpointName").as_str()), ("2", ""));
    ground.stacks.take();
    ground.does(&to_second);
    assert_eq!(ground.stacks.changes(), Vec::<String>::new());
}

#[test]
fn code_that_lambda_could_not_take_is_given_once_more() {
    let ground = Ground::with_endpoint();
    ground.deploys(&[]);
    ground.stacks.take();
    let failed = Fault::Says(r#""LastUpdateStatus": "Successful""#, r#""LastUpdateStatus": "Failed""#);
    // The first look is at the version that the alias leads to.
    (0..2).for_each(|_| ground.stacks.fault("GetFunctionConfiguration", failed.clone()));
    ground.deploys(&[]);
    assert_eq!(ground.stacks.changes().first().map(String::as_str), Some("UpdateFunctionCode"));
}

#[test]
fn down_takes_the_endpoint_that_the_lambda_asks() {
    let ground = Ground::with_endpoint();
    ground.stacks.endpoint("mine", "unspsc-execution", true);
    ground.does(&["lambda", "deploy", "--yes", "--endpoint", "mine", "--package", "bootstrap"]);
    ground.fails(
        &["down", "--yes", "--endpoint", "absent"],
        "the Lambda asks endpoint mine, and there is no endpoint absent",
    );
    let (_, err) = ground.does(&["down", "--yes", "--name", "other"]);
    assert!(err.contains("and is paid for: endpoint mine, stack unspsc-front"), "{err}");
    let (_, err) = ground.does(&["down", "--yes", "--delete-data"]);
    assert!(
        err.contains("step 2 of 3: endpoint mine") && err.contains("nothing is left that costs by the hour"),
        "{err}"
    );
    assert!(ground.stacks.is_empty());
}

#[test]
fn a_lambda_of_which_nothing_is_kept_ready_goes_with_both_stacks() {
    let ground = Ground::with_endpoint();
    ground.deploys(&["--provisioned-concurrency", "0"]);
    assert_eq!(ground.parameter("ProvisionedConcurrency"), "0");
    let (_, err) = ground.does(&["infra", "down", "--delete-data", "--yes"]);
    assert!(err.contains("gone: stack unspsc-front, stack unspsc-base"), "{err}");
    assert!(ground.stacks.is_empty());
}
