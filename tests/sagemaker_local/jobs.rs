//! Training jobs.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::{BUCKET, Place, Server, gone, pid, until};

/// A program that does what `train` does, in little.
const TRAIN: &str = r#"
cd "$SAGEMAKER_BASE_DIR"
echo "$1 $TRAINING_JOB_NAME $GREETING" > output/data/report
cp input/data/training/rows.csv model/weights
cp input/config/hyperparameters.json model/
echo "train:loss=2.5;"
echo "train:loss=1.25;" >&2
"#;

/// A program that says that it runs, and then does `then`.
fn after_start(then: &str) -> String {
    format!("cd \"$SAGEMAKER_BASE_DIR\"\necho partial > model/weights\necho $$ > pid\n{then}")
}

/// The file of a job's archive as text.
fn archived(place: &Place, archive: &str, file: &str) -> String {
    let output = Command::new("tar").arg("-xzOf").arg(place.object(archive)).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn secondary(job: &Value) -> Vec<&str> {
    let transitions = job["SecondaryStatusTransitions"].as_array().unwrap();
    transitions.iter().map(|transition| transition["Status"].as_str().unwrap()).collect()
}

async fn running(place: &Place, server: &Server, name: &str, changes: Value) -> i32 {
    server.start_job(name, changes).await;
    pid(&place.state().join(format!("jobs/{name}/opt-ml/pid"))).await
}

#[tokio::test]
async fn a_job_turns_a_channel_into_a_model_and_metrics() {
    let place = Place::new(TRAIN, "");
    let server = place.start();
    server.start_job("good", json!({ "Environment": { "GREETING": "hello" } })).await;
    let job = server.finished_job("good").await;
    assert_eq!(job["TrainingJobStatus"], "Completed", "{job}");
    assert_eq!(secondary(&job), ["Starting", "Downloading", "Training", "Uploading", "Completed"]);
    let model = format!("s3://{BUCKET}/out/good/output/model.tar.gz");
    assert_eq!(job["ModelArtifacts"]["S3ModelArtifacts"], model);
    assert_eq!(job["FinalMetricDataList"][0]["Value"], 1.25);
    assert!(job["FinalMetricDataList"][0]["Timestamp"].is_number());
    assert_eq!(job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]);
    assert!(archived(&place, "out/good/output/model.tar.gz", "weights").starts_with("description,unspsc"));
    assert!(archived(&place, "out/good/output/model.tar.gz", "hyperparameters.json").contains("\"epochs\": \"2\""));
    assert_eq!(archived(&place, "out/good/output/output.tar.gz", "report"), "train good hello\n");
    let kept = |path: &str| place.state().join("jobs/good").join(path).exists();
    assert!(kept("job.log") && kept("opt-ml/output/data/report") && kept("opt-ml/input/config/hyperparameters.json"));
    assert!(!kept("opt-ml/model") && !kept("opt-ml/input/data/training"), "what a bucket has is there twice");
    server.terminate().await;
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let train = r#"
case "$TRAINING_JOB_NAME" in
    words) echo "no column unspsc in rows.csv" > "$SAGEMAKER_BASE_DIR/output/failure"; exit 3 ;;
    silent) exit 4 ;;
    killed) kill -SEGV $$ ;;
    link) ln -s /etc/passwd "$SAGEMAKER_BASE_DIR/model/link" ;;
esac"#;
    let place = Place::new(train, "");
    let server = place.start();
    for (name, reason) in [
        ("words", "AlgorithmError: no column unspsc in rows.csv, exit code: 3"),
        ("silent", "AlgorithmError: the program left no /opt/ml/output/failure, exit code: 4"),
        ("killed", "AlgorithmError: the program left no /opt/ml/output/failure, killed by SIGSEGV"),
        ("link", "ClientError: Artifact upload failed: "),
    ] {
        server.start_job(name, json!({})).await;
        let job = server.finished_job(name).await;
        assert_eq!((&job["TrainingJobStatus"], &job["SecondaryStatus"]), (&json!("Failed"), &json!("Failed")));
        assert!(job["FailureReason"].as_str().unwrap().starts_with(reason), "{job}");
    }
    server.terminate().await;
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named() {
    let place = Place::new("", "");
    std::fs::remove_file(place.folder.path().join("train")).unwrap();
    let server = place.start();
    server.start_job("missing", json!({})).await;
    let reason = server.finished_job("missing").await["FailureReason"].clone();
    assert!(reason.as_str().unwrap().starts_with("ClientError: cannot start"), "{reason}");
    server.terminate().await;
}

#[tokio::test]
async fn a_stopped_job_hears_sigterm_and_its_model_is_kept() {
    let tidy = "trap 'echo tidy > model/weights; exit 0' TERM\nwhile :; do sleep 0.05; done";
    let place = Place::new(&after_start(tidy), "");
    let server = place.start();
    let child = running(&place, &server, "tidy", json!({})).await;
    server.sagemaker("StopTrainingJob", json!({ "TrainingJobName": "tidy" })).await;
    let job = server.finished_job("tidy").await;
    assert_eq!((&job["TrainingJobStatus"], &job["SecondaryStatus"]), (&json!("Stopped"), &json!("Stopped")));
    assert_eq!(secondary(&job)[2..], ["Training", "Stopping", "Uploading", "Stopped"]);
    assert_eq!(archived(&place, "out/tidy/output/model.tar.gz", "weights"), "tidy\n");
    gone(child).await;
    let (code, message) = server.refused("StopTrainingJob", json!({ "TrainingJobName": "tidy" })).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(message, "The request was rejected because the training job is in status Stopped.");
    server.terminate().await;
}

#[tokio::test]
async fn a_job_that_ignores_sigterm_is_killed_with_its_children() {
    let stubborn = "trap '' TERM\nsleep 600 &\necho $! > grandchild\nwait";
    let place = Place::new(&after_start(stubborn), "");
    let server = place.start();
    let child = running(&place, &server, "stubborn", json!({})).await;
    let grandchild = pid(&place.state().join("jobs/stubborn/opt-ml/grandchild")).await;
    server.sagemaker("StopTrainingJob", json!({ "TrainingJobName": "stubborn" })).await;
    assert_eq!(server.finished_job("stubborn").await["TrainingJobStatus"], "Stopped");
    gone(child).await;
    gone(grandchild).await;
    server.terminate().await;
}

#[tokio::test]
async fn a_job_has_its_time_and_no_more() {
    let place = Place::new(&after_start("exec sleep 600"), "");
    let server = place.start();
    let changes = json!({ "StoppingCondition": { "MaxRuntimeInSeconds": 1 } });
    let child = running(&place, &server, "slow", changes).await;
    let job = server.finished_job("slow").await;
    assert_eq!((&job["TrainingJobStatus"], &job["SecondaryStatus"]), (&json!("Stopped"), &json!("MaxRuntimeExceeded")));
    assert!(place.object("out/slow/output/model.tar.gz").is_file());
    gone(child).await;
    server.terminate().await;
}

#[tokio::test]
async fn the_log_can_be_followed_while_the_job_runs() {
    let place = Place::new(&after_start("echo to stdout\necho to stderr >&2\nexec sleep 600"), "");
    let server = place.start();
    running(&place, &server, "chatty", json!({})).await;
    let log = place.state().join("jobs/chatty/job.log");
    until("the log fills", || std::fs::read_to_string(&log).is_ok_and(|log| log == "to stdout\nto stderr\n")).await;
    server.terminate().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_stands_in_the_failure_reason() {
    // The real program: `cargo test --workspace` builds it beside the server.
    let train = std::path::Path::new(env!("CARGO_BIN_EXE_sagemaker-local")).with_file_name("train");
    assert!(train.is_file(), "{} is missing: run `cargo build --release` first", train.display());
    let place = Place::new(&format!("exec '{}' \"$1\"", train.display()), "");
    let channel = |name: &str, prefix: &str| {
        let source = json!({ "S3DataType": "S3Prefix", "S3Uri": format!("s3://{BUCKET}/{prefix}/") });
        json!([{ "ChannelName": name, "DataSource": { "S3DataSource": source } }])
    };
    for (prefix, text) in [("empty", ""), ("header", "description,unspsc\n"), ("columns", "text,price\npens,3\n")] {
        std::fs::create_dir_all(place.object(prefix)).unwrap();
        std::fs::write(place.object(prefix).join("rows.csv"), text).unwrap();
    }
    let server = place.start();
    for (name, mut changes, words, code) in [
        ("unknown", json!({ "HyperParameters": { "epoch": "1" } }), "did you mean `epochs`?", 3),
        (
            "range",
            json!({ "HyperParameters": { "epochs": "0" } }),
            "hyperparameter `epochs` is `0`, allowed: 0.001 to 10000",
            3,
        ),
        ("channel", json!({ "InputDataConfig": channel("other", "in") }), "channel", 4),
        ("empty", json!({ "InputDataConfig": channel("train", "empty") }), "rows.csv is empty", 4),
        ("header", json!({ "InputDataConfig": channel("train", "header") }), "no rows", 4),
        (
            "columns",
            json!({ "InputDataConfig": channel("train", "columns") }),
            "no column `description` among `text`, `price`",
            4,
        ),
    ] {
        // Never looked at: data is read first.
        changes["Environment"] = json!({ "UNSPSC_ENCODER": "encoder" });
        server.start_job(name, changes).await;
        let job = server.finished_job(name).await;
        let reason = job["FailureReason"].as_str().unwrap_or_default();
        assert_eq!(job["TrainingJobStatus"], "Failed", "{name}: {job}");
        assert!(reason.starts_with("AlgorithmError: ") && reason.contains(words), "{name}: {reason}");
        assert!(reason.ends_with(&format!("exit code: {code}")) && !reason.trim().contains('\n'), "{name}: {reason}");
    }
    server.terminate().await;
}
