//! A stand-in for `serve`: this very test program, started by a script as a server that answers each text with itself.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::place::Place;

/// How often it was asked.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Makes the script that becomes the stand-in, and an artifact for it; returns the script and the artifact's address.
pub(crate) fn prepare(place: &Place) -> (String, String) {
    let program = std::env::current_exe().unwrap();
    let script = place.path("stand-in");
    let call = "stand_in_serve::runs_as_serve --exact --ignored --nocapture";
    std::fs::write(&script, format!("#!/bin/sh\nexec '{}' {call}\n", program.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bucket = place.path("state/s3/unspsc-local");
    std::fs::create_dir_all(&bucket).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(place.path("encoder")).arg("-czf").arg(bucket.join("model.tar.gz")).arg("config.json");
    assert!(tar.status().unwrap().success());
    (script.to_str().unwrap().to_owned(), "s3://unspsc-local/model.tar.gz".to_owned())
}

#[tokio::test]
#[ignore = "no test: the program that other tests start as `serve`"]
async fn runs_as_serve() {
    // Without a port it was not started as `serve`.
    let Ok(port) = std::env::var("SAGEMAKER_BIND_TO_PORT") else { return };
    let router = Router::new().route("/ping", get(|| async {})).route("/invocations", post(answer));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
    axum::serve(listener, router.layer(DefaultBodyLimit::disable())).await.unwrap();
}

async fn answer(headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let number = ASKED.fetch_add(1, Ordering::SeqCst);
    let body = std::str::from_utf8(&body).unwrap();
    let is_lines = headers["content-type"] == "application/jsonlines";
    let texts: Vec<String> = if is_lines {
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    } else {
        serde_json::from_value(serde_json::from_str::<Value>(body).unwrap()["instances"].take()).unwrap()
    };
    let has = |text: &str| texts.iter().any(|other| other == text);
    if has("busy") && number == 0 {
        let error = json!({ "error": { "code": "overloaded", "message": "busy", "retry_after": 0 } });
        return (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    }
    if has("poison") {
        return (StatusCode::INTERNAL_SERVER_ERROR, "out of order".to_owned());
    }
    if has("hang") {
        std::future::pending::<()>().await;
    }
    // Later ones first.
    tokio::time::sleep(std::time::Duration::from_millis(if number.is_multiple_of(2) { 30 } else { 0 })).await;
    let answers: Vec<Value> = texts.iter().map(|text| answered(text)).collect();
    if is_lines {
        return (StatusCode::OK, answers.iter().map(|answer| format!("{answer}\n")).collect());
    }
    (StatusCode::OK, json!({ "predictions": answers }).to_string())
}

fn answered(text: &str) -> Value {
    if text.is_empty() {
        return json!({ "error": { "code": "empty_description", "message": "it is empty" } });
    }
    json!({
        "label": "50000000", "title": format!("title of {text}"), "level": "segment", "probability": 0.5,
        "truncated": false, "needs_review": false, "top_k": [],
    })
}
