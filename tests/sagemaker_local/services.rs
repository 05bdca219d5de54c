//! What surrounds SageMaker: logs, tags, the caller's identity; and faults on demand.

use serde_json::{Value, json};

use crate::endpoints::{delete, deploy, invoke};
use crate::server::{BUCKET, Place, Server, until};
use crate::stand_in;

async fn logs(server: &Server, operation: &str, body: Value) -> (u16, Value) {
    server.call(&format!("Logs_20140328.{operation}"), body).await
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_jobs_log_is_read_through_the_api_while_it_runs() {
    let place = Place::new(
        "echo one\necho two >&2\nwhile [ ! -e \"$SAGEMAKER_BASE_DIR/go\" ]; do sleep 0.05; done\necho three",
        "",
    );
    let server = place.start();
    server.start_job("job", json!({})).await;
    let group = "/aws/sagemaker/TrainingJobs";
    let wanted = json!({ "logGroupName": group, "logStreamNamePrefix": "job/" });
    let (_, streams) = logs(&server, "DescribeLogStreams", wanted).await;
    let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap().to_owned();
    assert!(stream.starts_with("job/algo-1-"), "{stream}");
    let events = async |token: Option<&str>| {
        let request = json!({
            "logGroupName": group, "logStreamName": stream, "startFromHead": true, "nextToken": token,
        });
        logs(&server, "GetLogEvents", request).await.1
    };
    let mut answer = events(None).await;
    while messages(&answer).len() < 2 {
        answer = events(None).await;
    }
    assert_eq!(messages(&answer), ["one", "two"]);
    let token = answer["nextForwardToken"].as_str().unwrap().to_owned();
    assert!(messages(&events(Some(&token)).await).is_empty());
    std::fs::write(place.state().join("jobs/job/opt-ml/go"), "").unwrap();
    server.finished_job("job").await;
    let rest = events(Some(&token)).await;
    assert_eq!(messages(&rest), ["three"]);
    assert!(rest["events"][0]["timestamp"].as_i64().unwrap() >= answer["events"][0]["timestamp"].as_i64().unwrap());

    let (status, answer) = logs(&server, "GetLogEvents", json!({ "logGroupName": group, "logStreamName": "x" })).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("ResourceNotFoundException")));
    let (status, answer) = logs(&server, "DescribeLogStreams", json!({ "logGroupName": "x" })).await;
    assert_eq!((status, &answer["message"]), (400, &json!("The specified log group does not exist.")));
    server.terminate().await;
}

#[tokio::test]
async fn an_instance_has_a_stream_of_its_own_that_outlives_the_endpoint() {
    let script = format!("trap 'echo \"I go\"; exit 0' TERM\necho \"I greet\"\n({}) &\nwait", stand_in::serve());
    let place = Place::new("", &script);
    let server = place.start();
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    server.advance(3600).await;
    delete(&server).await;
    let group = "/aws/sagemaker/Endpoints/e";
    let (_, groups) = logs(&server, "DescribeLogGroups", json!({ "logGroupNamePrefix": "/aws/sagemaker/End" })).await;
    assert_eq!(groups["logGroups"][0]["logGroupName"], group);
    let by_time = json!({ "logGroupName": group, "orderBy": "LastEventTime", "descending": true });
    let (_, streams) = logs(&server, "DescribeLogStreams", by_time).await;
    let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap();
    assert!(stream.starts_with("v/i-"), "{stream}");
    let (_, answer) = logs(&server, "GetLogEvents", json!({ "logGroupName": group, "logStreamName": stream })).await;
    let at = |message: &str| {
        let mut events = answer["events"].as_array().unwrap().iter();
        events.find(|event| event["message"] == message).unwrap_or_else(|| panic!("{answer}"))["timestamp"].as_i64()
    };
    assert!(at("I go").unwrap() - at("I greet").unwrap() >= 3_600_000, "each line has its own time: {answer}");
    server.terminate().await;
}

#[tokio::test]
async fn tags_come_with_a_resource_are_changed_and_go_with_it() {
    let place = Place::new("", "");
    let server = place.start();
    let arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m";
    let tags = json!([{ "Key": "team", "Value": "data" }]);
    let model = json!({ "ModelName": "m", "PrimaryContainer": { "Image": "serve" }, "Tags": tags });
    server.sagemaker("CreateModel", model).await;
    assert!(server.sagemaker("DescribeModel", json!({ "ModelName": "m" })).await.get("Tags").is_none());
    let more = json!([{ "Key": "cost", "Value": "7" }, { "Key": "team", "Value": "ml" }]);
    server.sagemaker("AddTags", json!({ "ResourceArn": arn, "Tags": more })).await;
    server.sagemaker("DeleteTags", json!({ "ResourceArn": arn, "TagKeys": ["cost"] })).await;
    let listed = server.sagemaker("ListTags", json!({ "ResourceArn": arn })).await;
    assert_eq!(listed["Tags"], json!([{ "Key": "team", "Value": "ml" }]));
    server.sagemaker("DeleteModel", json!({ "ModelName": "m" })).await;
    assert_eq!(server.refused("ListTags", json!({ "ResourceArn": arn })).await.0, "ValidationException");
    server.terminate().await;
}

#[tokio::test]
async fn the_caller_is_told_who_it_is() {
    let place = Place::new("", "");
    let server = place.start();
    let form = |action: &str| {
        let form = format!("Action={action}&Version=2011-06-15");
        server.post("/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8").body(form).send()
    };
    let text = form("GetCallerIdentity").await.unwrap().text().await.unwrap();
    assert!(text.contains("<Account>000000000000</Account>"), "{text}");
    assert_eq!(form("AssumeRole").await.unwrap().status(), 400);
    server.terminate().await;
}

/// Keeps what it has reached in its folder of checkpoints, and is through when it has been started twice.
const RESUMES: &str = r#"
cd "$SAGEMAKER_BASE_DIR"
grep -q /opt/ml/checkpoints input/config/checkpointconfig.json || exit 9
if [ -e checkpoints/first ]; then cp checkpoints/first model/weights; exit 0; fi
echo "the first half" > checkpoints/first
echo "train:loss=2.5;"
sleep 600"#;

#[tokio::test]
async fn a_spot_job_that_loses_its_instance_goes_on_from_its_checkpoint() {
    let place = Place::new(RESUMES, "");
    let server = place.start_with_faults(&["spot-interruption:name=spot,after-secs=1.5"]);
    let spot = json!({
        "EnableManagedSpotTraining": true,
        "StoppingCondition": { "MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200 },
        "CheckpointConfig": { "S3Uri": format!("s3://{BUCKET}/checkpoints/spot") },
    });
    server.start_job("spot", spot).await;
    until("the checkpoint is in S3", || place.object("checkpoints/spot/first").is_file()).await;
    let job = server.finished_job("spot").await;
    assert_eq!(job["TrainingJobStatus"], "Completed", "{job}");
    let statuses: Vec<&str> = job["SecondaryStatusTransitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|transition| transition["Status"].as_str().unwrap())
        .collect();
    let [first, second] = [
        ["Starting", "Downloading", "Training", "Interrupted"].as_slice(),
        &["Starting", "Downloading", "Training", "Uploading", "Completed"],
    ];
    assert_eq!(statuses, [first, second].concat());
    assert!(job["BillableTimeInSeconds"].as_i64().unwrap() <= job["TrainingTimeInSeconds"].as_i64().unwrap());
    assert_eq!(job["FinalMetricDataList"][0]["Value"], 2.5, "what the first instance said counts");
    server.terminate().await;
}

#[tokio::test]
async fn a_job_without_a_machine_is_started_again_as_often_as_it_may_be() {
    let place = Place::new("exit 0", "");
    let server = place.start_with_faults(&["capacity:name=again,times=2", "capacity:name=never,times=2"]);
    server.start_job("again", json!({ "RetryStrategy": { "MaximumRetryAttempts": 2 } })).await;
    assert_eq!(server.finished_job("again").await["TrainingJobStatus"], "Completed");
    server.start_job("never", json!({ "RetryStrategy": { "MaximumRetryAttempts": 1 } })).await;
    let job = server.finished_job("never").await;
    assert!(job["FailureReason"].as_str().unwrap().starts_with("CapacityError: "), "{job}");
    server.terminate().await;
}

#[tokio::test]
async fn containers_crash_and_disks_fill_on_demand() {
    let place = Place::new(
        "[ \"$TRAINING_JOB_NAME\" = crashes ] && sleep 600\ntouch \"$SAGEMAKER_BASE_DIR/model/weights\"",
        &stand_in::serve(),
    );
    let server = place.start_with_faults(&["crash:name=crashes", "full-disk:name=full", "crash:name=e,after-secs=0.1"]);
    for (name, reason) in [("crashes", "killed by SIGKILL"), ("full", "no storage space")] {
        server.start_job(name, json!({})).await;
        let job = server.finished_job(name).await;
        assert!(job["FailureReason"].as_str().unwrap().contains(reason), "{job}");
    }
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    server.endpoint_when("e", |endpoint| endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 0).await;
    server.endpoint_when("e", |endpoint| endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 1).await;
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn operations_are_refused_fail_and_lose_their_answer_on_demand() {
    let place = Place::new("", &stand_in::serve());
    let server = place.start_with_faults(&[
        "throttle:operation=ListModels",
        "error:operation=ListModels",
        "lost-response:operation=CreateModel",
        "throttle:operation=InvokeEndpoint",
    ]);
    assert_eq!(
        server.refused("ListModels", json!({})).await,
        ("ThrottlingException".to_owned(), "Rate exceeded".to_owned())
    );
    assert_eq!(server.call("SageMaker.ListModels", json!({})).await.0, 500);
    assert_eq!(server.call("SageMaker.ListModels", json!({})).await.0, 200);
    let model = json!({ "ModelName": "lost", "PrimaryContainer": { "Image": "serve" } }).to_string();
    let sent = server.post("/").header("x-amz-target", "SageMaker.CreateModel").body(model).send().await;
    let read = match sent {
        Ok(response) => response.bytes().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(read.is_err(), "the answer came");
    assert_eq!(server.sagemaker("DescribeModel", json!({ "ModelName": "lost" })).await["ModelName"], "lost");
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    assert_eq!(invoke(&server, "hello").await.status(), 400);
    assert_eq!(invoke(&server, "hello").await.status(), 200);
    delete(&server).await;
    let unknown = place.command(1).args(["--fault", "storm"]).output().unwrap();
    let words = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && words.contains("`storm` is none of throttle"), "{words}");
    server.terminate().await;
}
