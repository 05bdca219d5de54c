//! The server's own life: nothing outlives it, and what it has finished is still there when it comes back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::server::{Place, Server, gone, pid, runs};
use crate::stand_in;

/// Ends at once for jobs called `quick`, else runs until it is killed, with a child of its own.
const TRAIN: &str = r#"
[ "$TRAINING_JOB_NAME" = quick ] && exit 0
sleep 600 &
echo $! > "$SAGEMAKER_BASE_DIR/grandchild"
echo $$ > "$SAGEMAKER_BASE_DIR/pid"
wait"#;
const SERVE: &str = "echo $$ > \"$SAGEMAKER_BASE_DIR/pid\"\nexec sleep 600";

async fn with_everything_running(place: &Place) -> (Server, [i32; 3]) {
    let server = place.start();
    server.start_job("quick", json!({})).await;
    server.finished_job("quick").await;
    server.start_job("long", json!({})).await;
    create_endpoint(&server).await;
    let state = place.state();
    let job = pid(&state.join("jobs/long/opt-ml/pid")).await;
    let grandchild = pid(&state.join("jobs/long/opt-ml/grandchild")).await;
    (server, [job, grandchild, pid(&state.join("endpoints/e/1/v/pid")).await])
}

async fn create_endpoint(server: &Server) {
    let container = json!({ "Image": "serve:latest" });
    server.sagemaker("CreateModel", json!({ "ModelName": "m", "PrimaryContainer": container })).await;
    let variant = json!({ "VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1 });
    server
        .sagemaker("CreateEndpointConfig", json!({ "EndpointConfigName": "c", "ProductionVariants": [variant] }))
        .await;
    server.sagemaker("CreateEndpoint", json!({ "EndpointName": "e", "EndpointConfigName": "c" })).await;
}

async fn check_restart(place: &Place) {
    let server = place.start();
    assert_eq!(server.finished_job("quick").await["TrainingJobStatus"], "Completed");
    let job = server.finished_job("long").await;
    assert_eq!(job["TrainingJobStatus"], "Failed");
    assert_eq!(job["FailureReason"], "InternalServerError: the local platform was stopped while the job ran");
    let endpoint = server.endpoint_when_made("e").await;
    assert_eq!(endpoint["EndpointStatus"], "Failed");
    assert!(endpoint["FailureReason"].as_str().unwrap().contains("the local platform was stopped"));
    server.terminate().await;
}

#[tokio::test]
async fn a_server_that_is_killed_takes_its_children_along_and_remembers_what_was_over() {
    let place = Place::new(TRAIN, SERVE);
    let (server, [job, grandchild, instance]) = with_everything_running(&place).await;
    server.kill();
    gone(job).await;
    gone(instance).await;
    check_restart(&place).await;
    // The kernel kills children and not their children; the next server does.
    gone(grandchild).await;
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_leaves_no_process() {
    let place = Place::new(TRAIN, SERVE);
    let (server, children) = with_everything_running(&place).await;
    server.terminate().await;
    for child in children {
        assert!(!runs(child), "{child} is still there");
    }
    check_restart(&place).await;
}

/// Ignores SIGTERM, and has a child in a session of its own.
const STUBBORN: &str = r#"
trap '' TERM
setsid sleep 600 &
echo $! > "$SAGEMAKER_BASE_DIR/grandchild"
echo $$ > "$SAGEMAKER_BASE_DIR/pid"
wait"#;

#[tokio::test]
async fn a_server_that_is_asked_to_stop_waits_no_longer_for_what_was_being_stopped_before() {
    let place = Place::new(STUBBORN, &format!("trap '' TERM\n{}", stand_in::serve()));
    let server = place.start_patient();
    server.start_job("stubborn", json!({})).await;
    create_endpoint(&server).await;
    let job = pid(&place.state().join("jobs/stubborn/opt-ml/pid")).await;
    assert_eq!(server.endpoint_when_made("e").await["EndpointStatus"], "InService");
    server.sagemaker("StopTrainingJob", json!({ "TrainingJobName": "stubborn" })).await;
    server.sagemaker("DeleteEndpoint", json!({ "EndpointName": "e" })).await;
    let asked = Instant::now();
    server.terminate().await;
    // The job had 120 seconds from its own stop and the endpoint 30; the platform gives 10.
    assert!(asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
    assert!(!runs(job));
}

#[tokio::test]
async fn a_second_signal_kills_what_still_runs_and_what_that_has_left_behind() {
    let place = Place::new(STUBBORN, "");
    let server = place.start_patient();
    server.start_job("stubborn", json!({})).await;
    let folder = place.state().join("jobs/stubborn/opt-ml");
    let (job, grandchild) = (pid(&folder.join("pid")).await, pid(&folder.join("grandchild")).await);
    let asked = Instant::now();
    // Two different ones, since the kernel makes one of two equal ones that wait.
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGINT);
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(10), "the second signal was not heard");
    assert!(!runs(job) && !runs(grandchild));
}

#[tokio::test]
async fn a_server_whose_folder_was_deleted_is_no_prey_of_the_next_one() {
    let place = Place::new("echo $$ > \"$SAGEMAKER_BASE_DIR/pid\"\nexec sleep 600", "");
    let first = place.start();
    first.start_job("theirs", json!({})).await;
    let job = pid(&place.state().join("jobs/theirs/opt-ml/pid")).await;
    std::fs::remove_dir_all(place.state()).unwrap();
    let second = place.start();
    assert!(runs(job), "the start of the second server killed a job of the first");
    second.terminate().await;
    assert!(runs(job), "the end of the second server killed a job of the first");
    first.kill();
    gone(job).await;
}

#[tokio::test]
async fn two_servers_never_share_a_folder() {
    let place = Place::new("", "");
    let server = place.start();
    let second = place.command(1).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("another sagemaker-local uses the state folder"), "{words}");
    server.terminate().await;
}
