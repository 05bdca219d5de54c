//! Endpoints: deployment, invocation, scaling records, deletion, and what can go wrong.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::server::{BUCKET, LIMIT, Place, Server, gone, pid, until};
use crate::stand_in;

/// Puts a model into the bucket and an endpoint `e` on it, with `instances`.
pub(crate) async fn deploy(place: &Place, server: &Server, instances: u32) {
    place.pack_model();
    let container = json!({
        "Image": "serve:latest",
        "ModelDataUrl": format!("s3://{BUCKET}/model.tar.gz"),
        "Environment": { "GREETING": "hello" },
    });
    let role = "arn:aws:iam::000000000000:role/local";
    server
        .sagemaker("CreateModel", json!({ "ModelName": "m", "PrimaryContainer": container, "ExecutionRoleArn": role }))
        .await;
    let variant = json!({
        "VariantName": "v", "ModelName": "m", "InitialInstanceCount": instances, "InstanceType": "ml.m5.large",
    });
    server
        .sagemaker("CreateEndpointConfig", json!({ "EndpointConfigName": "c", "ProductionVariants": [variant] }))
        .await;
    let made = server.sagemaker("CreateEndpoint", json!({ "EndpointName": "e", "EndpointConfigName": "c" })).await;
    assert_eq!(made["EndpointArn"], "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e");
}

pub(crate) async fn invoke(server: &Server, body: &'static str) -> reqwest::Response {
    let request = server.post("/endpoints/e/invocations").header("content-type", "application/json");
    request.header("x-amzn-sagemaker-custom-attributes", "trace=1").body(body).send().await.unwrap()
}

pub(crate) async fn text(server: &Server, body: &'static str) -> String {
    invoke(server, body).await.text().await.unwrap()
}

/// The processes behind the endpoint, of which there are so many.
pub(crate) async fn instances(server: &Server, number: usize) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let asking = async {
        while found.len() < number {
            found.insert(text(server, "pid").await.parse().unwrap());
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap();
    found
}

pub(crate) async fn delete(server: &Server) {
    server.sagemaker("DeleteEndpoint", json!({ "EndpointName": "e" })).await;
    server.deleted_endpoint("e").await;
}

fn scaled(changes: Value) -> Value {
    let mut request = json!({
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

pub(crate) async fn scaling(server: &Server, operation: &str, changes: Value) -> (u16, Value) {
    server.call(&format!("AnyScaleFrontendService.{operation}"), scaled(changes)).await
}

#[tokio::test]
async fn an_endpoint_answers_until_it_is_deleted() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 1).await;
    let endpoint = server.endpoint_when_made("e").await;
    assert_eq!(endpoint["EndpointStatus"], "InService", "{endpoint}");
    assert_eq!(endpoint["ProductionVariants"][0]["CurrentInstanceCount"], 1);

    let response = invoke(&server, "hello").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-amzn-invoked-production-variant"], "v");
    assert_eq!(response.headers()["x-amzn-sagemaker-custom-attributes"], "trace=1");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(text(&server, "model").await, "the weights");
    assert_eq!(text(&server, "variable").await, "hello");

    let child = text(&server, "pid").await.parse().unwrap();
    server.sagemaker("DeleteEndpoint", json!({ "EndpointName": "e" })).await;
    gone(child).await;
    let (code, message) = server.deleted_endpoint("e").await;
    assert_eq!(code, "ValidationException");
    assert_eq!(message, "Could not find endpoint \"arn:aws:sagemaker:us-east-1:000000000000:endpoint/e\".");
    let response = invoke(&server, "hello").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (400, &"ValidationError".parse().unwrap())
    );
    server.terminate().await;
}

#[tokio::test]
async fn a_containers_error_reaches_the_caller_as_a_model_error() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    let response = invoke(&server, "fail").await;
    assert_eq!(response.status(), 424);
    assert_eq!(response.headers()["x-amzn-errortype"], "ModelError");
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["OriginalStatusCode"], &body["OriginalMessage"]), (&json!(422), &json!("cannot do that")));
    let message = body["Message"].as_str().unwrap();
    assert!(
        message.starts_with("Received client error (422) from primary with message \"cannot do that\""),
        "{message}"
    );
    server.terminate().await;
}

#[tokio::test]
async fn each_instance_is_a_process_and_one_that_dies_is_replaced() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 2).await;
    let endpoint = server.endpoint_when_made("e").await;
    assert_eq!(endpoint["ProductionVariants"][0]["CurrentInstanceCount"], 2, "{endpoint}");
    let before = instances(&server, 2).await;
    let dies = *before.first().unwrap();
    kill(Pid::from_raw(dies), Signal::SIGKILL).unwrap();
    gone(dies).await;
    // Once that is noticed the other one answers, and the endpoint stays in service. An invocation in between may meet the end of a
    // connection.
    server.endpoint_when("e", |endpoint| endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 1).await;
    assert_eq!(text(&server, "hello").await, "hello");
    let back = |endpoint: &Value| endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 2;
    assert_eq!(server.endpoint_when("e", back).await["EndpointStatus"], "InService");
    let after = instances(&server, 2).await;
    assert!(!after.contains(&dies) && after.intersection(&before).count() == 1, "{before:?} became {after:?}");
    delete(&server).await;
    for child in after {
        gone(child).await;
    }
    server.terminate().await;
}

#[tokio::test]
async fn an_endpoint_none_of_whose_instances_is_up_is_unavailable() {
    // Comes up once, and never again.
    let once = format!(
        "[ -e \"$SAGEMAKER_BASE_DIR/was\" ] && exit 1\ntouch \"$SAGEMAKER_BASE_DIR/was\"\n{}",
        stand_in::serve()
    );
    let place = Place::new("", &once);
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    let only = *instances(&server, 1).await.first().unwrap();
    kill(Pid::from_raw(only), Signal::SIGKILL).unwrap();
    server.endpoint_when("e", |endpoint| endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 0).await;
    let response = invoke(&server, "hello").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (503, &"ServiceUnavailable".parse().unwrap())
    );
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn an_instance_that_ends_before_it_answers_fails_the_endpoint_with_its_last_words() {
    let place = Place::new("", "echo \"model.safetensors is corrupt\" >&2\nexit 2");
    let server = place.start();
    deploy(&place, &server, 1).await;
    let endpoint = server.endpoint_when_made("e").await;
    assert_eq!(endpoint["EndpointStatus"], "Failed");
    let reason = endpoint["FailureReason"].as_str().unwrap();
    assert!(reason.contains("exit code: 2") && reason.contains("model.safetensors is corrupt"), "{reason}");
    server.terminate().await;
}

#[tokio::test]
async fn what_a_container_logs_as_its_error_comes_first() {
    let log = r#"echo '{"level":"INFO","message":"loading the model"}' >&2
        echo '{"level":"ERROR","message":"model.safetensors is cut short"}' >&2
        exit 1"#;
    let place = Place::new("", log);
    let server = place.start();
    deploy(&place, &server, 1).await;
    assert_eq!(
        server.endpoint_when_made("e").await["FailureReason"],
        "model.safetensors is cut short. The primary container for production variant v ended before it passed the ping \
         health check (exit code: 1)."
    );
    server.terminate().await;
}

#[tokio::test]
async fn an_instance_that_never_answers_ping_is_given_up_and_killed() {
    let place = Place::new("", "echo $$ > \"$SAGEMAKER_BASE_DIR/pid\"\nexec sleep 600");
    let server = place.start_with_ping_limit(1);
    deploy(&place, &server, 1).await;
    let child = pid(&place.state().join("endpoints/e/1/v/pid")).await;
    let (_, message) = server.refused("DeleteEndpoint", json!({ "EndpointName": "e" })).await;
    assert!(message.starts_with("Cannot update in-progress endpoint"), "{message}");
    let endpoint = server.endpoint_when_made("e").await;
    assert_eq!(endpoint["EndpointStatus"], "Failed");
    assert!(endpoint["FailureReason"].as_str().unwrap().contains("did not pass the ping health check"), "{endpoint}");
    gone(child).await;
    server.terminate().await;
}

#[tokio::test]
async fn scaling_records_are_kept_described_and_go_with_the_endpoint() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    let (status, answer) =
        scaling(&server, "RegisterScalableTarget", json!({ "MinCapacity": 1, "MaxCapacity": 4 })).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("ValidationException")), "{answer}");
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;

    let (status, answer) =
        scaling(&server, "RegisterScalableTarget", json!({ "MinCapacity": 1, "MaxCapacity": 4 })).await;
    assert_eq!(status, 200, "{answer}");
    let metric = json!({ "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance" });
    let policy = json!({
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": { "TargetValue": 25.0, "PredefinedMetricSpecification": metric },
    });
    let (status, made) = scaling(&server, "PutScalingPolicy", policy).await;
    assert_eq!((status, made["Alarms"].as_array().unwrap().len()), (200, 2), "{made}");
    let (_, targets) = scaling(&server, "DescribeScalableTargets", json!({})).await;
    assert_eq!(targets["ScalableTargets"][0]["MaxCapacity"], 4);
    assert_eq!(targets["ScalableTargets"][0]["SuspendedState"]["DynamicScalingInSuspended"], false);
    let (_, policies) = scaling(&server, "DescribeScalingPolicies", json!({})).await;
    assert_eq!(policies["ScalingPolicies"][0]["PolicyARN"], made["PolicyARN"]);
    let kept = &policies["ScalingPolicies"][0]["TargetTrackingScalingPolicyConfiguration"];
    assert_eq!((&kept["TargetValue"], &kept["ScaleInCooldown"]), (&json!(25.0), &json!(300)));

    assert_eq!(scaling(&server, "DeleteScalingPolicy", json!({ "PolicyName": "p" })).await.0, 200);
    let (status, answer) = scaling(&server, "DeleteScalingPolicy", json!({ "PolicyName": "p" })).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("ObjectNotFoundException")));
    server.sagemaker("DeleteEndpoint", json!({ "EndpointName": "e" })).await;
    let records = place.state().join("state.json");
    let empty = || {
        let text: Value = serde_json::from_slice(&std::fs::read(&records).unwrap()).unwrap();
        text["scalable_targets"] == json!({}) && text["endpoints"] == json!({})
    };
    until("the records go", empty).await;
    server.terminate().await;
}
