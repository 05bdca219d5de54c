//! Batch transform: objects cut, answered and put together.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{BUCKET, Place, Server, gone};
use crate::stand_in;

/// A place whose `serve` is the stand-in.
pub(crate) fn place() -> Place {
    Place::new("", &stand_in::serve())
}

/// Puts `text` into the bucket as an object.
pub(crate) fn put(place: &Place, key: &str, text: impl AsRef<[u8]>) {
    let file = place.object(key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// The object `key` of the output, if there is one.
pub(crate) fn output(place: &Place, key: &str) -> Option<String> {
    std::fs::read_to_string(place.object("answers").join(key)).ok()
}

/// Puts the model `m` there, with weights and with `environment`.
pub(crate) async fn create_model(place: &Place, server: &Server, environment: Value) {
    place.pack_model();
    let container = json!({ "ModelDataUrl": format!("s3://{BUCKET}/model.tar.gz"), "Environment": environment });
    server.sagemaker("CreateModel", json!({ "ModelName": "m", "PrimaryContainer": container })).await;
}

/// A job over the objects below `batch/`, a record a request, with `changes`.
pub(crate) fn job(name: &str, changes: Value) -> Value {
    let mut request = json!({
        "TransformJobName": name,
        "ModelName": "m",
        "BatchStrategy": "SingleRecord",
        "TransformInput": input(json!({})),
        "TransformOutput": { "S3OutputPath": format!("s3://{BUCKET}/answers"), "AssembleWith": "Line" },
        "TransformResources": { "InstanceType": "ml.m5.large", "InstanceCount": 1 },
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

pub(crate) fn input(changes: Value) -> Value {
    let source = json!({ "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": format!("s3://{BUCKET}/batch/") } });
    let mut input = json!({ "DataSource": source, "SplitType": "Line" });
    input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    input
}

pub(crate) async fn finished(server: &Server, name: &str) -> Value {
    let over = |job: &Value| !["InProgress", "Stopping"].contains(&job["TransformJobStatus"].as_str().unwrap());
    server.poll("DescribeTransformJob", json!({ "TransformJobName": name }), over).await
}

/// Runs a job to its end: its description.
pub(crate) async fn transform(server: &Server, name: &str, changes: Value) -> Value {
    server.sagemaker("CreateTransformJob", job(name, changes)).await;
    finished(server, name).await
}

/// The lines of a job's stream whose name ends in `end`.
pub(crate) async fn log_lines(server: &Server, job: &str, end: &str) -> String {
    let group = "/aws/sagemaker/TransformJobs";
    let prefix = json!({ "logGroupName": group, "logStreamNamePrefix": format!("{job}/i-") });
    let (_, streams) = server.call("Logs_20140328.DescribeLogStreams", prefix).await;
    let names =
        streams["logStreams"].as_array().unwrap().iter().map(|stream| stream["logStreamName"].as_str().unwrap());
    let name = names.clone().find(|name| name.ends_with(end)).unwrap_or_else(|| panic!("{end}: {streams}"));
    let request = json!({ "logGroupName": group, "logStreamName": name, "startFromHead": true });
    let (_, events) = server.call("Logs_20140328.GetLogEvents", request).await;
    let lines = events["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned());
    lines.collect::<Vec<String>>().join("\n")
}

/// Nothing of a job that is over takes room, but for its logs.
pub(crate) fn is_tidy(place: &Place) -> bool {
    std::fs::read_dir(place.state().join("scratch")).is_ok_and(|mut left| left.next().is_none())
}

#[tokio::test]
async fn every_object_below_the_prefix_is_answered_in_the_order_of_its_records() {
    let (place, rows) = (place(), (0..500).map(|row| format!("row {row}\n")).collect::<String>());
    put(&place, "batch/rows.csv", &rows);
    put(&place, "batch/sub/more.csv", "model\nvariable\r\nvariable\n\nbatch");
    put(&place, "batch/empty.csv", "");
    let server = place.start();
    create_model(&place, &server, json!({ "GREETING": "of the model" })).await;
    let changes = json!({
        "MaxConcurrentTransforms": 8, "MaxPayloadInMB": 2, "Environment": { "GREETING": "of the job" },
        "Tags": [{ "Key": "team", "Value": "data" }],
    });
    let job = transform(&server, "good", changes).await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    let arn = "arn:aws:sagemaker:us-east-1:000000000000:transform-job/good";
    assert_eq!((&job["TransformJobArn"], &job["ModelName"]), (&json!(arn), &json!("m")));
    let times = ["CreationTime", "TransformStartTime", "TransformEndTime"].map(|time| job[time].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(output(&place, "rows.csv.out").unwrap(), rows);
    assert_eq!(output(&place, "empty.csv.out").unwrap(), "");
    assert_eq!(
        output(&place, "sub/more.csv.out").unwrap(),
        "the weights\nvariable\r\nof the job\nSAGEMAKER_BATCH=true SAGEMAKER_BATCH_STRATEGY=SINGLE_RECORD \
         SAGEMAKER_MAX_CONCURRENT_TRANSFORMS=8 SAGEMAKER_MAX_PAYLOAD_IN_MB=2\n",
        "a record is all before a line feed, and a line with nothing in it is none"
    );
    let summary = "[sagemaker logs]: MaxConcurrentTransforms=8, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD";
    assert_eq!(log_lines(&server, "good", "/data-log").await, summary);
    assert!(is_tidy(&place));
    let tags = server.sagemaker("ListTags", json!({ "ResourceArn": arn })).await;
    assert_eq!(tags["Tags"][0]["Value"], "data");
    let list = server.sagemaker("ListTransformJobs", json!({ "StatusEquals": "Completed" })).await;
    assert_eq!(list["TransformJobSummaries"][0]["TransformJobName"], "good");
    server.terminate().await;
}

#[tokio::test]
async fn as_many_requests_are_under_way_as_the_container_asks_for() {
    let place = place();
    // Each is answered when all of them have come, so fewer at a time would hang.
    put(&place, "batch/a.txt", "meet 1\nmeet 2\nmeet 3\nmeet 4\nmeet 5\nmeet 6\n");
    let server = place.start();
    let told =
        json!({ "MaxConcurrentTransforms": stand_in::TOGETHER, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 5 });
    create_model(&place, &server, json!({ "PARAMETERS": told.to_string() })).await;
    let mut request = job("asked", json!({}));
    request.as_object_mut().unwrap().remove("BatchStrategy");
    server.sagemaker("CreateTransformJob", request).await;
    let job = finished(&server, "asked").await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    assert_eq!(output(&place, "a.txt.out").unwrap(), "meet 1\nmeet 2\nmeet 3\nmeet 4\nmeet 5\nmeet 6\n");
    let log = log_lines(&server, "asked", "/data-log").await;
    assert!(log.ends_with("MaxConcurrentTransforms=3, MaxPayloadInMB=5, BatchStrategy=SINGLE_RECORD"), "{log}");
    // What the request says itself comes first.
    let own = json!({ "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1, "MaxConcurrentTransforms": 1 });
    put(&place, "batch/a.txt", "all in one\nrequest\n");
    assert_eq!(transform(&server, "own", own).await["TransformJobStatus"], "Completed");
    let log = log_lines(&server, "own", "/data-log").await;
    assert!(log.ends_with("MaxConcurrentTransforms=1, MaxPayloadInMB=1, BatchStrategy=MULTI_RECORD"), "{log}");
    server.terminate().await;
}

#[tokio::test]
async fn a_request_takes_as_many_records_as_fit_and_a_larger_record_fails_its_object() {
    let place = place();
    let row = format!("{}\n", "x".repeat(700_000));
    put(&place, "batch/rows.txt", row.repeat(3));
    put(&place, "batch/large.txt", "y".repeat(1_100_000));
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let changes = json!({ "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1 });
    let job = transform(&server, "large", changes.clone()).await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with(
            "ClientError: See job logs for more information. 1 of 2 objects failed; batch/large.txt: Too much data"
        ),
        "{reason}"
    );
    assert_eq!(output(&place, "rows.txt.out").unwrap(), row.repeat(3), "the other object is answered all the same");
    assert_eq!(output(&place, "large.txt.out"), None);
    assert!(log_lines(&server, "large", "/data-log").await.contains("test-bucket/batch/large.txt: Too much data"));

    // Whole objects, as they are read and however long they are.
    put(&place, "batch/rows.txt", format!("stream{}", "x".repeat(2_000_000)));
    put(&place, "batch/large.txt", "stream");
    let whole = json!({ "TransformInput": input(json!({ "SplitType": "None" })), "MaxPayloadInMB": 0 });
    assert_eq!(transform(&server, "stream", whole).await["TransformJobStatus"], "Completed");
    assert_eq!(output(&place, "rows.txt.out").unwrap(), "chunked 2000006\n");
    let whole = json!({ "TransformInput": input(json!({ "SplitType": "None" })), "MaxPayloadInMB": 1 });
    let reason = transform(&server, "whole", whole).await["FailureReason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("1 of 2 objects failed; batch/rows.txt:") && reason.contains("SplitType to Line"),
        "{reason}"
    );
    assert_eq!(output(&place, "large.txt.out").unwrap(), "whole 6\n");
    server.terminate().await;
}

#[tokio::test]
async fn packed_objects_are_unpacked_and_records_joined_with_their_answers() {
    let place = place();
    let mut gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(b"1,\"a, b\",x\n2,c,y\n").unwrap();
    put(&place, "batch/rows.csv.gz", gzip.wait_with_output().unwrap().stdout);
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let packed = input(json!({ "CompressionType": "Gzip", "ContentType": "text/csv" }));
    let joined = json!({
        "BatchStrategy": "MultiRecord",
        "TransformInput": packed,
        "TransformOutput": { "S3OutputPath": format!("s3://{BUCKET}/answers"), "AssembleWith": "Line", "Accept": "text/csv" },
        "DataProcessing": { "InputFilter": "$[1]", "JoinSource": "Input", "OutputFilter": "$[0,-1]" },
    });
    let job = transform(&server, "joined", joined).await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    assert_eq!(output(&place, "rows.csv.gz.out").unwrap(), "1,\"a, b\"\n2,c\n");
    put(&place, "batch/rows.csv.gz", "not packed");
    let damaged = json!({ "TransformInput": input(json!({ "CompressionType": "Gzip" })) });
    let job = transform(&server, "damaged", damaged).await;
    assert!(job["FailureReason"].as_str().unwrap().contains("the input cannot be read"), "{job}");
    server.terminate().await;
}

#[tokio::test]
async fn several_instances_share_the_objects_and_none_outlives_the_job() {
    let place = place();
    for number in 0..4 {
        put(&place, &format!("batch/{number}.txt"), "everyone\n");
    }
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let resources = json!({ "InstanceType": "ml.m5.large", "InstanceCount": stand_in::TOGETHER });
    let job = transform(&server, "three", json!({ "TransformResources": resources })).await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    let child = |number: u32| output(&place, &format!("{number}.txt.out")).unwrap().trim().parse::<i32>().unwrap();
    let children: std::collections::BTreeSet<i32> = (0..4).map(child).collect();
    assert_eq!(children.len(), stand_in::TOGETHER);
    for child in children {
        gone(child).await;
    }
    let streams = json!({ "logGroupName": "/aws/sagemaker/TransformJobs" });
    let (_, streams) = server.call("Logs_20140328.DescribeLogStreams", streams).await;
    assert_eq!(streams["logStreams"].as_array().unwrap().len(), 6, "a log and a data log each: {streams}");
    server.terminate().await;
}

#[tokio::test]
async fn the_real_program_answers_a_batch_as_it_is_told() {
    // `cargo test --workspace` builds it beside the server.
    let serve = std::path::Path::new(env!("CARGO_BIN_EXE_sagemaker-local")).with_file_name("serve");
    assert!(serve.is_file(), "{} is missing: run `cargo build --release` first", serve.display());
    let place = Place::new("", &format!("exec '{}' \"$1\"", serve.display()));
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/bert");
    let packed =
        Command::new("tar").arg("-C").arg(model).arg("-czf").arg(place.object("model.tar.gz")).arg(".").status();
    assert!(packed.unwrap().success());
    put(
        &place,
        "batch/rows.jsonl",
        "{\"description\":\"hex bolt\",\"id\":1}\n{\"description\":\"frozen fish\",\"id\":2}\n",
    );
    let server = place.start();
    let container = json!({ "ModelDataUrl": format!("s3://{BUCKET}/model.tar.gz") });
    server.sagemaker("CreateModel", json!({ "ModelName": "m", "PrimaryContainer": container })).await;
    let lines = "application/jsonlines";
    let mut request = job(
        "real",
        json!({
            "TransformInput": input(json!({ "ContentType": lines })),
            "TransformOutput": { "S3OutputPath": format!("s3://{BUCKET}/answers"), "AssembleWith": "Line", "Accept": lines },
            "DataProcessing": {
                "InputFilter": "$.description", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']",
            },
        }),
    );
    request.as_object_mut().unwrap().remove("BatchStrategy");
    server.sagemaker("CreateTransformJob", request).await;
    let job = finished(&server, "real").await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    let answers = output(&place, "rows.jsonl.out").unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    for (answer, id) in answers.iter().zip([1, 2]) {
        assert_eq!(answer["id"], id);
        assert!(answer["SageMakerOutput"].is_object() && answer["SageMakerOutput"].get("error").is_none(), "{answer}");
    }
    put(&place, "batch/rows.csv", "1,hex bolt\n2,\"nuts, steel\"\n");
    let mut csv = input(json!({ "ContentType": "text/csv" }));
    csv["DataSource"]["S3DataSource"]["S3Uri"] = json!(format!("s3://{BUCKET}/batch/rows.csv"));
    let output_path = format!("s3://{BUCKET}/answers");
    let joined = json!({
        "BatchStrategy": "MultiRecord",
        "TransformInput": csv,
        "TransformOutput": { "S3OutputPath": output_path, "AssembleWith": "Line", "Accept": "text/csv" },
        "DataProcessing": { "InputFilter": "$[1]", "JoinSource": "Input" },
    });
    let job = transform(&server, "table", joined).await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    let rows = output(&place, "rows.csv.out").unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    assert!(
        rows.len() == 2 && rows[0].starts_with("1,hex bolt,") && rows[1].starts_with("2,\"nuts, steel\","),
        "{rows:?}"
    );
    let log = log_lines(&server, "real", "/data-log").await;
    assert!(log.ends_with("MaxConcurrentTransforms=4, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"), "{log}");
    server.terminate().await;
}
