//! Scaling and updates of endpoints in service, on a clock that is put ahead.

use serde_json::{Value, json};

use crate::endpoints::{delete, deploy, instances, invoke, scaling, text};
use crate::server::{BUCKET, Place, Server, gone};
use crate::stand_in;

/// Long enough for SageMaker's alarm of three minutes, and for the one of fifteen.
const HIGH_MINUTES: u64 = 3;
const LOW_MINUTES: u64 = 15;

fn count(endpoint: &Value) -> (Option<u64>, Option<&str>) {
    (endpoint["ProductionVariants"][0]["CurrentInstanceCount"].as_u64(), endpoint["EndpointStatus"].as_str())
}

async fn register(server: &Server, min: u32, metric: &str, target: f64) {
    let metric = json!({ "PredefinedMetricSpecification": { "PredefinedMetricType": metric } });
    register_by(server, min, metric, target).await;
}

async fn register_by(server: &Server, min: u32, metric: Value, target: f64) {
    let (status, answer) =
        scaling(server, "RegisterScalableTarget", json!({ "MinCapacity": min, "MaxCapacity": 4 })).await;
    assert_eq!(status, 200, "{answer}");
    let mut tracking = json!({ "TargetValue": target, "ScaleOutCooldown": 30, "ScaleInCooldown": 300 });
    tracking.as_object_mut().unwrap().extend(metric.as_object().unwrap().clone());
    let policy = json!({
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    });
    let (status, answer) = scaling(server, "PutScalingPolicy", policy).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn load_adds_instances_and_quiet_takes_them_away() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    register(&server, 1, "SageMakerVariantInvocationsPerInstance", 25.0).await;
    // The tracker begins to look.
    server.advance(10).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    // Twice the target: a datapoint that counted again once there are two would make four of them.
    for _ in 0..HIGH_MINUTES + 1 {
        for _ in 0..50 {
            assert_eq!(invoke(&server, "hello").await.status(), 200);
        }
        server.advance(60).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    server.endpoint_when("e", |endpoint| count(endpoint) == (Some(2), Some("InService"))).await;
    let all = instances(&server, 2).await;
    for _ in 0..5 {
        server.advance(10).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(count(&server.endpoint_when("e", |_| true).await), (Some(2), Some("InService")));
    for _ in 0..LOW_MINUTES + 7 {
        server.advance(60).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.endpoint_when("e", |endpoint| count(endpoint) == (Some(1), Some("InService"))).await;
    let left = instances(&server, 1).await;
    for child in all.difference(&left) {
        gone(*child).await;
    }
    let (_, answer) = scaling(&server, "DescribeScalingActivities", json!({})).await;
    let activities = answer["ScalingActivities"].as_array().unwrap();
    let told: Vec<&str> = activities.iter().map(|activity| activity["Description"].as_str().unwrap()).collect();
    assert_eq!(told, ["Setting desired instance count to 1.", "Setting desired instance count to 2."]);
    assert!(activities.iter().all(|activity| activity["StatusCode"] == "Successful"), "{answer}");
    assert!(activities[1]["Cause"].as_str().unwrap().contains("AlarmHigh"), "{answer}");
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn a_backlog_of_asynchronous_invocations_adds_instances() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    let variant = json!({
        "VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    });
    let output = json!({ "OutputConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") } });
    let config = json!({ "EndpointConfigName": "c2", "ProductionVariants": [variant], "AsyncInferenceConfig": output });
    server.sagemaker("CreateEndpointConfig", config).await;
    server.sagemaker("UpdateEndpoint", json!({ "EndpointName": "e", "EndpointConfigName": "c2" })).await;
    server.endpoint_when("e", |endpoint| endpoint["EndpointConfigName"] == "c2").await;
    let backlog = json!({ "CustomizedMetricSpecification": {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{ "Name": "EndpointName", "Value": "e" }],
        "Statistic": "Average",
    } });
    register_by(&server, 1, backlog, 2.0).await;
    std::fs::write(place.object("in/hang"), "hang").unwrap();
    // One more than an instance gets at a time: what waits counts too.
    for _ in 0..5 {
        let order = server.post("/endpoints/e/async-invocations");
        let order = order.header("x-amzn-sagemaker-inputlocation", format!("s3://{BUCKET}/in/hang"));
        assert_eq!(order.send().await.unwrap().status(), 202);
    }
    server.advance(10).await;
    for _ in 0..HIGH_MINUTES + 1 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        server.advance(60).await;
    }
    server.endpoint_when("e", |endpoint| count(endpoint) == (Some(3), Some("InService"))).await;
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn a_target_with_a_higher_minimum_starts_instances_at_once() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    register(&server, 2, "SageMakerVariantConcurrentRequestsPerModelHighResolution", 5.0).await;
    server.endpoint_when("e", |endpoint| count(endpoint) == (Some(2), Some("InService"))).await;
    let (status, answer) = scaling(&server, "RegisterScalableTarget", json!({ "MaxCapacity": 5 })).await;
    assert_eq!(status, 400, "{answer}");
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn an_instance_for_which_there_is_no_machine_fails_the_change_and_not_the_endpoint() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start_with_faults(&["capacity:name=e,skip=1,times=100"]);
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    let wanted = json!([{ "VariantName": "v", "DesiredInstanceCount": 2 }]);
    let change = json!({ "EndpointName": "e", "DesiredWeightsAndCapacities": wanted });
    server.sagemaker("UpdateEndpointWeightsAndCapacities", change).await;
    let endpoint = server.endpoint_when("e", |endpoint| endpoint["EndpointStatus"] == "InService").await;
    assert!(endpoint["FailureReason"].as_str().unwrap().contains("InsufficientInstanceCapacity"), "{endpoint}");
    assert_eq!(endpoint["ProductionVariants"][0]["DesiredInstanceCount"], 1);
    assert_eq!(text(&server, "hello").await, "hello");
    delete(&server).await;
    server.terminate().await;
}

/// A second model and a configuration `c2` of it, whose instances greet otherwise.
async fn second_config(server: &Server, greeting: &str) {
    let container = json!({ "Image": "serve:latest", "Environment": { "GREETING": greeting } });
    server.sagemaker("CreateModel", json!({ "ModelName": "m2", "PrimaryContainer": container })).await;
    let variant = json!({
        "VariantName": "v", "ModelName": "m2", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    });
    let config = json!({ "EndpointConfigName": "c2", "ProductionVariants": [variant] });
    server.sagemaker("CreateEndpointConfig", config).await;
}

#[tokio::test]
async fn an_update_moves_the_traffic_in_steps_and_keeps_the_number_of_instances() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start();
    deploy(&place, &server, 2).await;
    server.endpoint_when_made("e").await;
    let before = instances(&server, 2).await;
    second_config(&server, "new").await;
    let canary = json!({
        "Type": "CANARY", "WaitIntervalInSeconds": 600, "CanarySize": { "Type": "CAPACITY_PERCENT", "Value": 50 },
    });
    let update = json!({
        "EndpointName": "e",
        "EndpointConfigName": "c2",
        "RetainAllVariantProperties": true,
        "DeploymentConfig": { "BlueGreenUpdatePolicy": { "TrafficRoutingConfiguration": canary } },
    });
    server.sagemaker("UpdateEndpoint", update.clone()).await;
    let (_, message) = server.refused("UpdateEndpoint", update).await;
    assert!(message.starts_with("Cannot update in-progress endpoint"), "{message}");
    // Both fleets answer while the canary is watched.
    let both = async {
        let mut greetings = std::collections::BTreeSet::new();
        while greetings.len() < 2 {
            greetings.insert(text(&server, "variable").await);
        }
        greetings
    };
    let both = tokio::time::timeout(crate::server::LIMIT, both).await.unwrap();
    assert_eq!(both.into_iter().collect::<Vec<_>>(), ["hello", "new"]);
    assert_eq!(server.endpoint_when("e", |_| true).await["EndpointStatus"], "Updating");
    server.advance(600).await;
    let endpoint = server.endpoint_when("e", |endpoint| endpoint["EndpointStatus"] == "InService").await;
    assert_eq!((&endpoint["EndpointConfigName"], count(&endpoint).0), (&json!("c2"), Some(2)), "{endpoint}");
    for child in before {
        gone(child).await;
    }
    assert_eq!(text(&server, "variable").await, "new");
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn an_update_is_taken_back_when_an_alarm_rings_or_the_new_container_does_not_start() {
    let place = Place::new("", &format!("[ \"$GREETING\" = broken ] && exit 1\n{}", stand_in::serve()));
    let server = place.start_with_faults(&["alarm:name=too-many-errors"]);
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    second_config(&server, "new").await;
    let policy = json!({ "AutoRollbackConfiguration": { "Alarms": [{ "AlarmName": "too-many-errors" }] } });
    let update = json!({ "EndpointName": "e", "EndpointConfigName": "c2", "DeploymentConfig": policy });
    server.sagemaker("UpdateEndpoint", update).await;
    let endpoint = server.endpoint_when("e", |endpoint| endpoint["EndpointStatus"] == "InService").await;
    assert!(endpoint["FailureReason"].as_str().unwrap().contains("too-many-errors"), "{endpoint}");
    assert_eq!((&endpoint["EndpointConfigName"], text(&server, "variable").await.as_str()), (&json!("c"), "hello"));

    for (operation, name) in [("DeleteEndpointConfig", "EndpointConfigName"), ("DeleteModel", "ModelName")] {
        let second = if name == "ModelName" { "m2" } else { "c2" };
        server.sagemaker(operation, json!({ name: second })).await;
    }
    second_config(&server, "broken").await;
    server.sagemaker("UpdateEndpoint", json!({ "EndpointName": "e", "EndpointConfigName": "c2" })).await;
    let broken = |endpoint: &Value| {
        endpoint["EndpointStatus"] == "InService"
            && endpoint["FailureReason"].as_str().unwrap_or("").contains("ended before")
    };
    assert_eq!(server.endpoint_when("e", broken).await["EndpointConfigName"], "c");
    assert_eq!(text(&server, "variable").await, "hello");
    delete(&server).await;
    server.terminate().await;
}
