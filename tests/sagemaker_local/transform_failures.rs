//! Batch transform: what can go wrong, what is stopped and what is refused.

use serde_json::{Value, json};

use crate::server::{Place, gone, pid, until};
use crate::stand_in;
use crate::transform::{create_model, finished, input, is_tidy, job, log_lines, output, place, put, transform};

#[tokio::test]
async fn a_bad_record_costs_its_object_and_the_job_which_says_why() {
    let place = place();
    put(&place, "batch/bad.txt", "one\nfail\nthree\n");
    put(&place, "batch/good.txt", "one\ntwo\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let job = transform(&server, "bad", json!({})).await;
    assert_eq!(job["TransformJobStatus"], "Failed", "{job}");
    assert_eq!(
        job["FailureReason"],
        "ClientError: See job logs for more information. 1 of 2 objects failed; batch/bad.txt: Bad HTTP status received \
         from algorithm: 422: cannot do that"
    );
    assert_eq!((output(&place, "good.txt.out").unwrap().as_str(), output(&place, "bad.txt.out")), ("one\ntwo\n", None));
    let log = log_lines(&server, "bad", "/data-log").await;
    let line = "[sagemaker logs]: test-bucket/batch/bad.txt:";
    assert!(
        log.contains(&format!(
            "{line} Bad HTTP status received from algorithm: 422\n{line} \n{line} Message:\n{line} cannot do that"
        )),
        "{log}"
    );
    assert!(is_tidy(&place));
    server.terminate().await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_not_more_often_than_asked_for() {
    let place = place();
    put(&place, "batch/a.txt", "flaky\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    // The stand-in refuses twice.
    let retries = |number: u32| json!({ "ModelClientConfig": { "InvocationsMaxRetries": number } });
    let job = transform(&server, "twice", retries(2)).await;
    assert_eq!(job["TransformJobStatus"], "Completed", "{job}");
    let job = transform(&server, "once", retries(1)).await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with("AlgorithmError: ") && reason.ends_with("Bad HTTP status received from algorithm: 503"),
        "{reason}"
    );
    put(&place, "batch/a.txt", "hang\n");
    let client = json!({ "InvocationsMaxRetries": 0, "InvocationsTimeoutInSeconds": 1 });
    let job = transform(&server, "slow", json!({ "ModelClientConfig": client })).await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(reason.contains("Unable to get response from algorithm: it took longer than 1 seconds"), "{reason}");
    server.terminate().await;
}

#[tokio::test]
async fn a_container_that_ends_fails_the_job_with_its_last_words() {
    let place = place();
    put(&place, "batch/a.txt", "one\ndie\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let job = transform(&server, "dies", json!({})).await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with("AlgorithmError: The model container ended while in service (exit code: 7)."),
        "{reason}"
    );
    assert_eq!(output(&place, "a.txt.out"), None);
    assert!(is_tidy(&place));
    server.terminate().await;

    let broken = Place::new("", "echo \"model.safetensors is corrupt\" >&2\nexit 2");
    put(&broken, "batch/a.txt", "one\n");
    let server = broken.start();
    create_model(&broken, &server, json!({})).await;
    let job = transform(&server, "corrupt", json!({})).await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(reason.contains("ended before it passed the ping health check (exit code: 2)"), "{reason}");
    assert!(reason.contains("model.safetensors is corrupt"), "{reason}");
    server.terminate().await;
}

#[tokio::test]
async fn a_job_that_is_stopped_leaves_no_process_and_no_output() {
    let place = Place::new("", &format!("echo $$ > \"$SAGEMAKER_BASE_DIR/pid\"\n{}", stand_in::serve()));
    put(&place, "batch/a.txt", "one\n");
    put(&place, "batch/b.txt", "hang\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    server.sagemaker("CreateTransformJob", job("long", json!({}))).await;
    let child = pid(&place.state().join("scratch/long/opt-ml/pid")).await;
    until("the first object is answered", || output(&place, "a.txt.out").is_some()).await;
    server.sagemaker("StopTransformJob", json!({ "TransformJobName": "long" })).await;
    let job = finished(&server, "long").await;
    assert_eq!(job["TransformJobStatus"], "Stopped", "{job}");
    assert!(job["TransformEndTime"].is_number() && job.get("FailureReason").is_none());
    assert_eq!((output(&place, "a.txt.out"), output(&place, "b.txt.out")), (None, None));
    gone(child).await;
    assert!(is_tidy(&place));
    let (code, message) = server.refused("StopTransformJob", json!({ "TransformJobName": "long" })).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(message, "The request was rejected because the transform job is in status Stopped.");
    server.terminate().await;
}

#[tokio::test]
async fn a_server_that_is_killed_takes_the_containers_along_and_the_next_one_clears_up() {
    let place = Place::new("", &format!("echo $$ > \"$SAGEMAKER_BASE_DIR/pid\"\n{}", stand_in::serve()));
    put(&place, "batch/a.txt", "hang\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    server.sagemaker("CreateTransformJob", job("long", json!({}))).await;
    let child = pid(&place.state().join("scratch/long/opt-ml/pid")).await;
    server.kill();
    gone(child).await;
    let server = place.start();
    let job = finished(&server, "long").await;
    assert_eq!(job["TransformJobStatus"], "Failed");
    assert_eq!(job["FailureReason"], "InternalServerError: the local platform was stopped while the job ran");
    assert!(!place.state().join("scratch").exists());
    server.terminate().await;
}

#[tokio::test]
async fn faults_on_demand_befall_transform_jobs() {
    let place = place();
    put(&place, "batch/a.txt", "");
    let server = place.start_with_faults(&["capacity:name=none", "crash:name=crashed", "full-disk:name=full"]);
    create_model(&place, &server, json!({})).await;
    for (name, words) in [
        ("none", "CapacityError: Unable to provision requested ML compute capacity"),
        ("crashed", "AlgorithmError: The model container ended while in service (killed by SIGKILL)"),
        (
            "full",
            "ClientError: See job logs for more information. 1 of 1 objects failed; batch/a.txt: the answers cannot be kept",
        ),
    ] {
        // One that is never answered, so that the crash comes first.
        put(&place, "batch/a.txt", if name == "crashed" { "hang" } else { "one" });
        let job = transform(&server, name, json!({})).await;
        let reason = job["FailureReason"].as_str().unwrap();
        assert!(reason.starts_with(words), "{name}: {reason}");
        assert_eq!(output(&place, "a.txt.out"), None, "{name}");
    }
    assert_eq!(transform(&server, "well", json!({})).await["TransformJobStatus"], "Completed");
    server.terminate().await;
}

/// Every change of a request is refused as `ValidationException`, with the words beside it.
async fn check_refusals(refusals: Vec<(Value, &str)>) {
    let place = place();
    put(&place, "batch/a.txt", "one\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    for (changes, words) in refusals {
        let (code, message) = server.refused("CreateTransformJob", job("job", changes)).await;
        assert_eq!(code, "ValidationException", "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
    server.terminate().await;
}

fn resources(count: u32) -> Value {
    json!({ "TransformResources": { "InstanceType": "ml.m5.large", "InstanceCount": count } })
}

fn source(kind: &str, uri: &str) -> Value {
    json!({ "TransformInput": { "DataSource": { "S3DataSource": { "S3DataType": kind, "S3Uri": uri } } } })
}

#[tokio::test]
async fn values_out_of_bounds_are_refused_in_the_words_of_aws() {
    let client = |changes: Value| json!({ "ModelClientConfig": changes });
    let batch = "failed to satisfy constraint: Member must satisfy enum value set: [MultiRecord, SingleRecord]";
    let long_path = format!("$.{}", "x".repeat(62));
    check_refusals(vec![
        (json!({ "TransformJobName": "a_b" }), "Value 'a_b' at 'transformJobName' failed to satisfy constraint"),
        (json!({ "BatchStrategy": "All" }), batch),
        (json!({ "MaxPayloadInMB": 101 }), "Value '101' at 'maxPayloadInMB' failed to satisfy constraint: Member must have value less than or equal to 100"),
        (json!({ "MaxPayloadInMB": -1 }), "greater than or equal to 0"),
        (json!({ "MaxPayloadInMB": 30, "MaxConcurrentTransforms": 4 }), "must not exceed 100 MB"),
        (client(json!({ "InvocationsTimeoutInSeconds": 3601 })), "'3601' at 'modelClientConfig.invocationsTimeoutInSeconds'"),
        (client(json!({ "InvocationsMaxRetries": 4 })), "Value '4' at 'modelClientConfig.invocationsMaxRetries'"),
        (resources(0), "Value '0' at 'transformResources.instanceCount'"),
        (json!({ "TransformInput": input(json!({ "CompressionType": "Zip" })) }), "'Zip' at 'transformInput.compressionType'"),
        (json!({ "DataProcessing": { "JoinSource": "Output" } }), "Value 'Output' at 'dataProcessing.joinSource'"),
        (json!({ "DataProcessing": { "InputFilter": long_path } }), "at 'dataProcessing.inputFilter' failed to satisfy"),
        (json!({ "Environment": { "A-B": "x" } }), "Value 'A-B' at 'environment'"),
        (json!({ "TransformOutput": null }), "invalid type: null"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_there_or_not_supported_is_refused_by_name() {
    check_refusals(vec![
        (json!({ "ModelName": "x" }), "Could not find model \"arn:aws:sagemaker:us-east-1:000000000000:model/x\"."),
        (resources(5), "InstanceCount above 4"),
        (
            source("ManifestFile", "s3://test-bucket/batch"),
            "the S3DataType ManifestFile of TransformInput; use S3Prefix",
        ),
        (source("S3Prefix", "s3://test-bucket/no"), "No S3 objects found under S3 URL \"s3://test-bucket/no\""),
        (source("S3Prefix", "batch"), "is no S3 address"),
        (
            json!({ "TransformInput": input(json!({ "SplitType": "TFRecord" })) }),
            "does not support the SplitType TFRecord",
        ),
        (json!({ "TransformOutput": { "S3OutputPath": "s3://no-bucket/out" } }), "s3://no-bucket/out does not exist"),
        (json!({ "DataProcessing": { "JoinSource": "Input" } }), "DataProcessing needs TransformInput.ContentType"),
        (json!({ "DataCaptureConfig": {} }), "does not support DataCaptureConfig"),
    ])
    .await;
}

#[tokio::test]
async fn a_job_is_known_by_a_name_that_is_given_once() {
    let place = place();
    put(&place, "batch/a.txt", "one\n");
    let server = place.start();
    create_model(&place, &server, json!({})).await;
    let missing = json!({ "TransformJobName": "x" });
    let (_, message) = server.refused("DescribeTransformJob", missing.clone()).await;
    assert_eq!(message, "Could not find requested job with name: x");
    let (_, message) = server.refused("StopTransformJob", missing).await;
    assert_eq!(message, "Could not find job to update with name: x");
    transform(&server, "job", json!({})).await;
    let (code, message) = server.refused("CreateTransformJob", job("job", json!({}))).await;
    assert_eq!(code, "ResourceInUse");
    assert!(message.ends_with("exists (arn:aws:sagemaker:us-east-1:000000000000:transform-job/job)"), "{message}");
    server.terminate().await;
}
