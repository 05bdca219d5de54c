//! What `unspsc train` says and does where AWS refuses, and where it is interrupted in an upload.
//!
//! A stand-in answers in AWS's own words, which a real platform on this machine has no reason to use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/unspsc.rs"]
mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use support::{texts, unspsc};

/// Far above what any of this takes; only a hang meets it.
const LIMIT: Duration = Duration::from_secs(60);

/// What the stand-in says and hears.
#[derive(Debug, Default)]
struct StandIn {
    /// Code and message of its answer to CreateTrainingJob.
    refusal: (&'static str, String),
    /// Requests to S3 that change something, as method, path and query.
    heard: Mutex<Vec<String>>,
    /// How long CreateTrainingJob takes that is not refused.
    takes: Duration,
    /// How far it has come: 1 while it is carried out, 2 once the job is there.
    created: AtomicU8,
}

impl StandIn {
    fn hears(&self, words: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|request| request.contains(words))
    }
}

/// Serves until the process ends; returns its address.
fn serve(stand_in: &Arc<StandIn>) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(stand_in));
    std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
    url
}

async fn answer(State(stand_in): State<Arc<StandIn>>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let refuse = |code: &str, message: &str| {
        let body = json!({ "__type": code, "message": message }).to_string();
        (StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.1")], body).into_response()
    };
    match target.as_deref() {
        Some("SageMaker.CreateTrainingJob") if stand_in.takes > Duration::ZERO => {
            // Also where nobody waits for the answer.
            let creation = tokio::spawn(async move {
                stand_in.created.store(1, Ordering::SeqCst);
                tokio::time::sleep(stand_in.takes).await;
                stand_in.created.store(2, Ordering::SeqCst);
            });
            creation.await.unwrap();
            return json!({ "TrainingJobArn": "arn" }).to_string().into_response();
        }
        Some("SageMaker.DescribeTrainingJob") if stand_in.created.load(Ordering::SeqCst) == 2 => {
            return json!({ "TrainingJobArn": "arn", "TrainingJobStatus": "InProgress" }).to_string().into_response();
        }
        Some("SageMaker.CreateTrainingJob") => return refuse(stand_in.refusal.0, &stand_in.refusal.1),
        Some(_) => return refuse("ValidationException", "Requested resource not found."),
        None => {}
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if method == "HEAD" {
        return StatusCode::NOT_FOUND.into_response();
    }
    stand_in.heard.lock().unwrap().push(format!("{method} {uri}"));
    if to_bytes(request.into_body(), usize::MAX).await.is_err() {
        // Whoever sent it has been interrupted.
        return StatusCode::BAD_REQUEST.into_response();
    }
    let query = uri.query().unwrap_or_default();
    if method == "POST" && query.contains("uploads") {
        let xml = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>";
        return xml.into_response();
    }
    if method == "PUT" && query.contains("partNumber") {
        // For as long as anybody waits for it.
        std::future::pending::<()>().await;
    }
    if method == "DELETE" { StatusCode::NO_CONTENT.into_response() } else { StatusCode::OK.into_response() }
}

/// `train` on the stand-in, in a folder with data.
fn train(folder: &tempfile::TempDir, url: &str, more: &[&str]) -> Command {
    let mut csv = "description,unspsc\n".to_owned();
    for number in 0..40 {
        csv += &format!("rice and beans {number},50221101\ntoner cartridge {number},44103103\n");
    }
    fs::write(folder.path().join("data.csv"), csv).unwrap();
    let mut command = unspsc(["train", "--data", "data.csv", "--output", "out", "--endpoint-url", url]);
    command.current_dir(folder).args(more);
    command
}

/// What is said where CreateTrainingJob is refused so.
fn said(code: &'static str, message: &str) -> String {
    let stand_in = Arc::new(StandIn { refusal: (code, message.to_owned()), ..StandIn::default() });
    let folder = tempfile::tempdir().unwrap();
    let output = train(&folder, &serve(&stand_in), &["--model", "rnn"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    texts(&output).1
}

#[test]
fn a_denied_request_names_action_resource_and_what_to_add() {
    let job = "arn:aws:sagemaker:eu-central-1:123456789012:training-job/x";
    let caller = "arn:aws:sts::123456789012:assumed-role/dev/me";
    let err = said(
        "AccessDeniedException",
        &format!(
            "User: {caller} is not authorized to perform: sagemaker:CreateTrainingJob on resource: {job} because no \
             identity-based policy allows the sagemaker:CreateTrainingJob action"
        ),
    );
    let denied = format!("CreateTrainingJob was denied: {caller} may not sagemaker:CreateTrainingJob on {job}");
    assert!(err.contains(&denied), "{err}");
    let statement = format!(r#"{{"Effect":"Allow","Action":"sagemaker:CreateTrainingJob","Resource":"{job}"}}"#);
    assert!(err.ends_with(&format!("what to do: add to a policy of {caller}: {statement}\n")), "{err}");
}

#[test]
fn a_quota_of_zero_is_explained() {
    let err = said(
        "ResourceLimitExceeded",
        "The account-level service limit 'ml.g4dn.xlarge for training job usage' is 0 Instances, with current utilization \
         of 0 Instances and a request delta of 1 Instances. Please contact AWS support to request an increase for this limit.",
    );
    assert!(
        err.contains("(ResourceLimitExceeded)\nwhat to do: the account's quota for this instance type is 0"),
        "{err}"
    );
    assert!(!err.contains("stopping early"), "what was refused needs not be taken down: {err}");
}

#[test]
fn a_job_that_is_left_while_it_is_being_created_runs_and_a_second_signal_does_not_wait() {
    // Far longer than anybody waits who has given a second signal.
    for (takes, signals) in [(Duration::from_secs(2), 1), (LIMIT * 2, 2)] {
        let stand_in = Arc::new(StandIn { takes, ..StandIn::default() });
        let folder = tempfile::tempdir().unwrap();
        let mut command = train(&folder, &serve(&stand_in), &["--model", "rnn", "--on-interrupt", "leave"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        while stand_in.created.load(Ordering::SeqCst) == 0 {
            assert!(begin.elapsed() < LIMIT && child.try_wait().unwrap().is_none(), "it was not asked for");
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..signals {
            let kill = format!("kill -INT {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(500));
        }
        let output = child.wait_with_output().unwrap();
        let (_, err) = texts(&output);
        assert!(output.status.code() == Some(5) && err.contains("still runs"), "{err}");
        assert!(!err.contains("taken down") && begin.elapsed() < LIMIT, "{err}");
        assert_eq!(stand_in.created.load(Ordering::SeqCst), if signals == 1 { 2 } else { 1 });
    }
}

#[test]
fn an_upload_that_is_interrupted_is_aborted() {
    let stand_in = Arc::new(StandIn::default());
    let (folder, url) = (tempfile::tempdir().unwrap(), serve(&stand_in));
    fs::create_dir(folder.path().join("encoder")).unwrap();
    for (name, bytes) in [("config.json", 2), ("tokenizer.json", 2), ("model.safetensors", 40 * 1024 * 1024)] {
        fs::File::create(folder.path().join("encoder").join(name)).unwrap().set_len(bytes).unwrap();
    }
    let mut command = train(&folder, &url, &["--encoder", "encoder"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !stand_in.hears("partNumber=") {
        assert!(begin.elapsed() < LIMIT && child.try_wait().unwrap().is_none(), "no part was sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("model.safetensors is taken down"), "{err}");
    let aborted = stand_in.heard.lock().unwrap().iter().any(|request| {
        request.starts_with("DELETE ") && request.contains("model.safetensors") && request.contains("uploadId=id")
    });
    assert!(aborted, "{:?}", stand_in.heard);
}

#[test]
fn an_image_without_an_encoder_is_not_trained_with_before_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unspsc-train-gpu@sha256:0";
    for verb in ["train", "tune"] {
        let words = [verb, "--endpoint-url=http://127.0.0.1:1", "--train-image", image, "--data=absent.csv"];
        let output = unspsc(words).current_dir(&folder).output().unwrap();
        let (_, err) = texts(&output);
        assert!(
            output.status.code() == Some(1) && err.contains("the image unspsc-train-gpu holds no encoder: give"),
            "{err}"
        );
    }
}
