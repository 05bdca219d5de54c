//! Endpoints that serve and get another content: how it gets there, and how the old one comes back.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ground::{Ground, LIMIT, artifact, rest, until};

#[test]
fn a_canary_waits_and_the_old_model_is_cleared_away_afterwards() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &["--min-instances", "2"]).0, 0);
    let canary =
        ["--min-instances", "2", "--rollout", "canary", "--rollout-percent", "50", "--rollout-wait-secs", "900"];
    let artifact = artifact("two");
    let planned = ground.unspsc(&[&["plan"], Ground::deploying(&artifact, &canary).as_slice()].concat()).1;
    for operation in ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint", "DeleteEndpointConfig", "DeleteModel"] {
        assert!(planned.contains(&format!("sagemaker {operation} ")), "{operation} is not in {planned}");
    }
    assert_eq!(ground.served(), crate::ground::artifact("one"), "a plan changes nothing");
    let mut command = ground.unspsc_at(&ground.url, &Ground::deploying(&artifact, &canary));
    let (child, lines) = until(&mut command, "endpoint e: Updating");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ground.endpoint()["EndpointStatus"], "Updating", "the canary is watched for a quarter of an hour");
    let config = &ground.endpoint()["LastDeploymentConfig"]["BlueGreenUpdatePolicy"];
    assert_eq!(
        config["TrafficRoutingConfiguration"],
        json!({
            "Type": "CANARY", "WaitIntervalInSeconds": 900, "CanarySize": { "Type": "CAPACITY_PERCENT", "Value": 50 },
        })
    );
    assert_eq!(config["TerminationWaitInSeconds"], 900);
    let (code, said) = rest(child, lines, || ground.advance(900));
    assert!(code == Some(0) && said.contains("is two") && said.contains("2 to 4 instances"), "{said}");
    ground.assert_tidy("two", "after a canary");
    assert_eq!(ground.endpoint()["ProductionVariants"][0]["DesiredInstanceCount"], 2, "as many as scaling had made it");
    assert_eq!(ground.scaling().len(), 2);
}

#[test]
fn the_endpoint_of_another_stack_is_left_as_it_is() {
    let ground = Ground::new(&[]);
    let role = |name: &str| format!("--role=arn:aws:iam::000000000000:role/{name}-execution");
    assert_eq!(ground.deploy("one", &[&role("cat")]).0, 0);
    let (code, _, err) = ground.deploy("two", &[&role("dog")]);
    assert!(code == 1 && err.contains("role/cat-execution, which is the role of another stack"), "{err}");
    ground.assert_tidy("one", "after the endpoint of another stack");
    // A role that no stack has made is the caller's business.
    assert_eq!(ground.deploy("two", &["--role=arn:aws:iam::000000000000:role/own"]).0, 0);
    ground.assert_tidy("two", "after another role");
}

#[test]
fn an_alarm_takes_the_update_back_and_nothing_of_it_stays() {
    let ground = Ground::new(&["alarm:name=errors"]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let alarm = ["--rollback-alarm", "errors", "--rollout-wait-secs", "0"];
    let (code, out, err) = ground.deploy("two", &alarm);
    assert!(code == 1 && out.is_empty(), "{err}");
    assert!(err.contains("the update of endpoint e was taken back: One or more alarms"), "{err}");
    assert!(err.contains("its former model serves as before"), "{err}");
    ground.assert_tidy("one", "after an alarm");
    assert_eq!(ground.scaling().len(), 2);
    let (code, _, err) = ground.deploy("two", &alarm);
    assert!(code == 0, "the alarm is silent again: {err}");
    ground.assert_tidy("two", "after the second try");
}

#[test]
fn a_model_that_does_not_answer_or_come_up_gives_way_to_the_former_one() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    // On other instances, so that scaling has to be taken off and put back.
    let (code, _, err) = ground.deploy("bad", &["--serve-instance", "ml.c5.large", "--max-instances", "2"]);
    assert!(code == 1 && err.contains("failed the smoke test") && err.contains("out of order"), "{err}");
    assert!(err.contains("error: endpoint e serves its former model again"), "{err}");
    assert!(!err.contains("taken down"), "an endpoint that was there before stays: {err}");
    ground.assert_tidy("one", "after a smoke test that failed");
    assert_eq!(ground.scaling(), ["endpoint/e/variant/AllTraffic 1 to 4", "e-invocations 25.0"], "as it was");
    let (code, _, err) = ground.deploy("dead", &[]);
    assert!(code == 1 && err.contains("was taken back: "), "{err}");
    ground.assert_tidy("one", "after a container that did not come up");
    let (code, _, err) = ground.deploy("two", &["--serve-instance", "ml.c5.large", "--max-instances", "2"]);
    assert!(code == 0 && err.contains("does not scale while"), "{err}");
    ground.assert_tidy("two", "after a change of the instance type");
    assert_eq!(ground.scaling(), ["endpoint/e/variant/AllTraffic 1 to 2", "e-invocations 25.0"]);
}

#[test]
fn an_update_that_is_left_goes_on_and_is_come_back_to() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let linear = ["--rollout", "linear", "--rollout-percent", "50", "--rollout-wait-secs", "600"];
    let artifact = artifact("bad");
    let deploying = Ground::deploying(&artifact, &linear);
    let (child, lines) = until(&mut ground.unspsc_at(&ground.url, &deploying), "endpoint e: Updating");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let (code, said) = rest(child, lines, || {});
    assert!(code == Some(143) && said.contains("the update of endpoint e goes on without this command"), "{said}");
    assert_eq!(ground.names().map(|names| names.len()), [1, 2, 2], "both are in use");
    let begin = Instant::now();
    while ground.endpoint()["EndpointStatus"] != "InService" {
        assert!(begin.elapsed() < LIMIT, "{}", ground.endpoint());
        ground.advance(600);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ground.served(), artifact, "nobody has asked the new model yet");
    let (code, _, err) = ground.unspsc(&deploying);
    assert!(code == 1 && err.contains("error: endpoint e serves its former model again"), "{err}");
    ground.assert_tidy("one", "the way back was known to the second run");
}

#[test]
fn scaling_that_is_off_for_an_update_comes_back_with_each_error_and_what_is_of_others_stays() {
    let faults = ["error:operation=DeregisterScalableTarget,times=20", "error:operation=UpdateEndpoint,times=200"];
    let other = json!({
        "PolicyName": "mine", "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 7.0,
            "PredefinedMetricSpecification": { "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance" },
        },
    });
    let sorted = |ground: &Ground| {
        let mut scaling = ground.scaling();
        scaling.sort();
        scaling
    };
    let as_it_was = ["e-invocations 25.0", "endpoint/e/variant/AllTraffic 1 to 4", "mine 7.0"];
    for faults in [&faults[..1], &faults[1..], &[]] {
        let ground = Ground::new(faults);
        assert_eq!(ground.deploy("one", &[]).0, 0);
        ground.ask("AnyScaleFrontendService.PutScalingPolicy", &other).unwrap();
        assert_eq!(sorted(&ground), as_it_was);
        let (code, _, err) = ground.deploy("two", &["--serve-instance", "ml.c5.large"]);
        assert_eq!(code == 0, faults.is_empty(), "{err}");
        assert!(err.contains("does not scale while"), "{err}");
        assert_eq!(sorted(&ground), as_it_was, "{faults:?}: {err}");
    }
}

#[test]
fn scaling_that_is_off_for_an_update_comes_back_with_a_signal() {
    // Also where the tags of the endpoint cannot be read then, which are asked for three times before.
    let faults = ["error:operation=UpdateEndpoint,times=200", "error:operation=ListTags,skip=3,times=200"];
    for faults in [&faults[..1], &faults] {
        let ground = Ground::new(faults);
        assert_eq!(ground.deploy("one", &[]).0, 0);
        let before = ground.scaling();
        let artifact = artifact("two");
        let deploying = Ground::deploying(&artifact, &["--serve-instance", "ml.c5.large"]);
        let (child, lines) = until(&mut ground.unspsc_at(&ground.url, &deploying), "does not scale while");
        let begin = Instant::now();
        while !ground.scaling().is_empty() {
            assert!(begin.elapsed() < LIMIT, "it was not taken off");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let (code, said) = rest(child, lines, || {});
        assert_eq!(code, Some(143), "{said}");
        assert_eq!(said.contains("ListTags"), faults.len() == 2, "{said}");
        assert_eq!(ground.scaling(), before, "{said}");
        assert_eq!(ground.served(), crate::ground::artifact("one"));
    }
}

/// What is registered of the endpoint, as the service describes it.
fn targets(ground: &Ground) -> Value {
    let all = json!({ "ServiceNamespace": "sagemaker" });
    ground.ask("AnyScaleFrontendService.DescribeScalableTargets", &all).unwrap()["ScalableTargets"].clone()
}

#[test]
fn what_somebody_has_suspended_stays_so_on_other_instances() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let suspended = json!({
        "DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": false,
    });
    let target = json!({
        "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "SuspendedState": suspended,
    });
    ground.ask("AnyScaleFrontendService.RegisterScalableTarget", &target).unwrap();
    let (code, _, err) = ground.deploy("two", &["--serve-instance", "ml.c5.large", "--max-instances", "2"]);
    assert!(code == 0 && err.contains("does not scale while"), "{err}");
    let targets = targets(&ground);
    assert_eq!((&targets[0]["SuspendedState"], &targets[0]["MaxCapacity"]), (&suspended, &json!(2)));
}

#[test]
fn what_has_become_serverless_is_not_registered_again_at_a_signal() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let artifact = artifact("mute");
    let deploying = Ground::deploying(&artifact, &["--serverless"]);
    let (child, lines) = until(&mut ground.unspsc_at(&ground.url, &deploying), "asking endpoint e");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let (code, said) = rest(child, lines, || {});
    assert_eq!(code, Some(143), "{said}");
    assert_eq!(ground.served(), artifact);
    assert_eq!(ground.scaling(), Vec::<String>::new(), "{said}");
}

#[test]
fn an_archive_that_cannot_be_looked_at_is_not_taken_for_another() {
    let ground = Ground::new(&["error:operation=HeadObject,skip=1,times=3"]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let before = ground.names();
    let (code, _, err) = ground.deploy("one", &[]);
    assert!(code == 1 && err.contains(&format!("cannot look at {}: HeadObject", artifact("one"))), "{err}");
    assert_eq!(ground.deploy("one", &[]).0, 0);
    assert_eq!(ground.names(), before);
}

#[test]
fn another_archive_at_the_same_place_is_deployed() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let before = ground.names();
    assert_eq!(ground.deploy("one", &[]).0, 0);
    assert_eq!(ground.names(), before, "the same archive changes nothing");
    ground.overwrite("one", "two");
    let (code, _, err) = ground.deploy("one", &[]);
    assert!(code == 0 && err.contains("is two"), "{err}");
    ground.assert_tidy("one", "after another archive");
    assert_ne!(ground.names(), before);
}

#[test]
fn an_endpoint_of_somebody_elses_is_left_alone() {
    let ground = Ground::new(&[]);
    let container = json!({ "Image": "i", "ModelDataUrl": artifact("one") });
    let role = "arn:aws:iam::000000000000:role/local";
    ground.sagemaker(
        "CreateModel",
        &json!({ "ModelName": "m", "PrimaryContainer": container, "ExecutionRoleArn": role }),
    );
    let variant =
        json!({ "VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large" });
    ground.sagemaker("CreateEndpointConfig", &json!({ "EndpointConfigName": "c", "ProductionVariants": [variant] }));
    ground.sagemaker("CreateEndpoint", &json!({ "EndpointName": "e", "EndpointConfigName": "c" }));
    let (code, _, err) = ground.deploy("two", &[]);
    assert!(code == 1 && err.contains("endpoint e was not made by this program"), "{err}");
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
    assert!(code == 1 && err.contains("endpoint e was not made by this program"), "{err}");
    assert_eq!(ground.names(), [["e"], ["c"], ["m"]]);
}
