//! What refusals look like on the wire.

use serde_json::{Value, json};

use crate::server::{BUCKET, Place};

fn job(changes: Value) -> Value {
    let mut request = json!({
        "TrainingJobName": "job",
        "RoleArn": "arn:aws:iam::000000000000:role/local",
        "AlgorithmSpecification": { "TrainingImage": "train", "TrainingInputMode": "File" },
        "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
        "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

#[tokio::test]
async fn refusals_have_the_codes_and_words_of_aws() {
    let place = Place::new("", "");
    let server = place.start();
    let channel = |uri: &str| {
        let source = json!({ "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": uri } });
        json!({ "InputDataConfig": [{ "ChannelName": "training", "DataSource": source }] })
    };
    let algorithm = |mode: &str, regex: &str| {
        let metric = json!([{ "Name": "m", "Regex": regex }]);
        json!({ "AlgorithmSpecification": { "TrainingInputMode": mode, "MetricDefinitions": metric } })
    };
    for (operation, request, words) in [
        ("CreateTrainingJob", job(json!({ "TrainingJobName": "a_b" })), "Value 'a_b' at 'trainingJobName' failed"),
        ("CreateTrainingJob", job(json!({ "ResourceConfig": { "InstanceCount": 2 } })), "InstanceCount"),
        ("CreateTrainingJob", job(channel("s3://test-bucket/nothing")), "No S3 objects found under S3 URL"),
        ("CreateTrainingJob", job(channel("s3://no-bucket/in")), "No S3 objects found under S3 URL"),
        ("CreateTrainingJob", job(channel("s3://test-bucket/../..")), "no S3 address"),
        ("CreateTrainingJob", job(algorithm("File", "(")), "metric m is invalid"),
        ("CreateTrainingJob", json!({ "TrainingJobName": "job" }), "missing field `AlgorithmSpecification`"),
        ("DescribeTrainingJob", json!({ "TrainingJobName": "x" }), "Requested resource not found."),
        ("StopTrainingJob", json!({ "TrainingJobName": "x" }), "Requested resource not found."),
        ("DescribeModel", json!({ "ModelName": "x" }), "Could not find model \"arn:aws:sagemaker:"),
        ("DeleteModel", json!({ "ModelName": "x" }), "Could not find model \"arn:aws:sagemaker:"),
        ("DescribeEndpointConfig", json!({ "EndpointConfigName": "x" }), "Could not find endpoint configuration"),
        ("DeleteEndpoint", json!({ "EndpointName": "x" }), "Could not find endpoint \"arn:aws:sagemaker:"),
        (
            "CreateEndpoint",
            json!({ "EndpointName": "e", "EndpointConfigName": "x" }),
            "Could not find endpoint configuration",
        ),
        (
            "CreateModel",
            json!({ "ModelName": "m", "PrimaryContainer": { "ModelDataUrl": "s3://test-bucket/no.tar.gz" } }),
            "Could not find model data at s3://test-bucket/no.tar.gz.",
        ),
    ] {
        let (code, message) = server.refused(operation, request).await;
        assert_eq!(code, "ValidationException", "{operation}: {message}");
        assert!(message.contains(words), "{operation}: {message}");
    }
    server.terminate().await;
}

#[tokio::test]
async fn a_name_is_given_once() {
    let place = Place::new("", "");
    let server = place.start();
    server.sagemaker("CreateTrainingJob", job(json!({}))).await;
    let (code, message) = server.refused("CreateTrainingJob", job(json!({}))).await;
    assert_eq!(code, "ResourceInUse");
    assert!(
        message.contains("already exists (arn:aws:sagemaker:us-east-1:000000000000:training-job/job)"),
        "{message}"
    );
    let model = json!({ "ModelName": "m", "PrimaryContainer": { "Image": "serve" } });
    server.sagemaker("CreateModel", model.clone()).await;
    let (_, message) = server.refused("CreateModel", model).await;
    assert!(message.starts_with("Cannot create already existing model"), "{message}");
    let jobs = server.sagemaker("ListTrainingJobs", json!({ "MaxResults": 1 })).await;
    assert_eq!(jobs["TrainingJobSummaries"][0]["TrainingJobName"], "job");
    server.terminate().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_signed_is_refused() {
    let place = Place::new("", "");
    let server = place.start();
    let (status, answer) = server.call("SageMaker.CreateCompilationJob", json!({})).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("UnknownOperationException")));
    let (status, answer) = server.call("DynamoDB_20120810.ListTables", json!({})).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("UnknownOperationException")));

    let unsigned = server.client().post(&server.url).header("x-amz-target", "SageMaker.ListModels").body("{}");
    let response = unsigned.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (403, &"MissingAuthenticationTokenException".parse().unwrap())
    );
    let object = format!("{}/{BUCKET}/in/rows.csv", server.url);
    let response = server.client().get(object).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains("<Code>AccessDenied</Code>"));

    let broken = server.post("/").header("x-amz-target", "SageMaker.ListModels").body("{");
    assert_eq!(broken.send().await.unwrap().headers()["x-amzn-errortype"], "SerializationException");
    let huge = server.post("/").header("x-amz-target", "SageMaker.ListModels").body(vec![b' '; 5 << 20]);
    // The server may close the connection before it has read what is too much.
    assert!(huge.send().await.map_or(true, |response| response.status() == 413));
    server.terminate().await;
}
