//! Jobs that somebody else has made by the API, on a platform whose containers are scripts.

#![allow(dead_code, reason = "each test file needs some of them")]

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{LIMIT, Place};

/// A stand-in for `train`: says its score, and with `mode` other than a number fails or runs until it is stopped.
pub(crate) const TRAIN: &str = r#"
cd "$SAGEMAKER_BASE_DIR"
mode=$(sed -n 's/.*"mode": "\([^"]*\)".*/\1/p' input/config/hyperparameters.json)
case "$mode" in
fail) echo "row 3 has no label"; echo "AlgorithmError: row 3 has no label" > output/failure; exit 1 ;;
endless*) echo "endless begins"; exec sleep 600 ;;
*) echo "score=0.$mode;"; echo weights > model/weights ;;
esac"#;
/// The bucket of the requests below.
pub(crate) const BUCKET: &str = "jobs";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/local";

fn ours() -> Value {
    json!([{ "Key": "unspsc:managed-by", "Value": "unspsc" }])
}

/// What training jobs and trials are asked for.
fn definition() -> Value {
    json!({
        "AlgorithmSpecification": {
            "TrainingImage": "train:latest",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{ "Name": "score", "Regex": "score=([0-9.]+);" }],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
        "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
    })
}

/// Starts a training job.
pub(crate) fn train(url: &str, name: &str, mode: &str) {
    let mut request = definition();
    request["TrainingJobName"] = name.into();
    request["HyperParameters"] = json!({ "mode": mode });
    request["Tags"] = ours();
    ask(url, "CreateTrainingJob", &request);
}

/// A trial for each mode, `parallel` at a time; begun where `parent` ended.
pub(crate) fn tune(url: &str, name: &str, modes: &[&str], parallel: usize, parent: Option<&str>) {
    let mut request = json!({
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Grid",
            "HyperParameterTuningJobObjective": { "Type": "Maximize", "MetricName": "score" },
            "ResourceLimits": { "MaxParallelTrainingJobs": parallel },
            "ParameterRanges": { "CategoricalParameterRanges": [{ "Name": "mode", "Values": modes }] },
            "RandomSeed": 3,
        },
        "TrainingJobDefinition": definition(),
        "Tags": ours(),
    });
    if let Some(parent) = parent {
        let parents = json!([{ "HyperParameterTuningJobName": parent }]);
        request["WarmStartConfig"] =
            json!({ "ParentHyperParameterTuningJobs": parents, "WarmStartType": "TransferLearning" });
        request["HyperParameterTuningJobConfig"]["Strategy"] = "Random".into();
        request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] = modes.len().into();
    }
    ask(url, "CreateHyperParameterTuningJob", &request);
}

/// A job over the rows below `batch/`; its model has what [`train`] left as `job`.
pub(crate) fn transform(place: &Place, url: &str, name: &str, rows: &str) {
    let model = json!({ "ModelDataUrl": format!("s3://{BUCKET}/out/job/output/model.tar.gz") });
    let model = json!({ "ModelName": name, "PrimaryContainer": model, "ExecutionRoleArn": ROLE });
    ask(url, "CreateModel", &model);
    let input = place.path(&format!("state/s3/{BUCKET}/{name}"));
    fs::create_dir_all(&input).unwrap();
    fs::write(input.join("rows.txt"), rows).unwrap();
    let source = json!({ "S3DataType": "S3Prefix", "S3Uri": format!("s3://{BUCKET}/{name}/") });
    let request = json!({
        "TransformJobName": name,
        "ModelName": name,
        "BatchStrategy": "SingleRecord",
        "MaxPayloadInMB": 6,
        "TransformInput": {
            "DataSource": { "S3DataSource": source }, "ContentType": "text/plain", "SplitType": "Line",
        },
        "TransformOutput": { "S3OutputPath": format!("s3://{BUCKET}/answers"), "AssembleWith": "Line" },
        "TransformResources": { "InstanceType": "ml.m5.large", "InstanceCount": 1 },
        "Tags": ours(),
    });
    ask(url, "CreateTransformJob", &request);
}

/// What SageMaker answers to `operation`, which has to succeed.
pub(crate) fn ask(url: &str, operation: &str, request: &Value) -> Value {
    call(url, &format!("SageMaker.{operation}"), request)
}

/// The answer of any service that speaks JSON.
pub(crate) fn call(url: &str, target: &str, request: &Value) -> Value {
    let service = if target.starts_with("Logs") { "logs" } else { "sagemaker" };
    let key = format!("AWS4-HMAC-SHA256 Credential=local/20261122/us-east-1/{service}/aws4_request, Signature=0");
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.post(url).header("x-amz-target", target).header("authorization", key);
        let answer = sent.body(request.to_string()).send().await.unwrap();
        let (is_success, text) = (answer.status().is_success(), answer.text().await.unwrap());
        assert!(is_success, "{target}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked)
}

/// Asks until the job has completed.
pub(crate) fn completed(url: &str, kind: &str, name: &str) {
    let begin = Instant::now();
    let request = json!({ format!("{kind}Name"): name });
    while ask(url, &format!("Describe{kind}"), &request)[format!("{kind}Status")] != "Completed" {
        assert!(begin.elapsed() < LIMIT, "{name} never completes");
        std::thread::sleep(Duration::from_millis(50));
    }
}
