//! A stand-in for `serve`: this very test program, started by a script as a server.

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::json;

/// A script that becomes the stand-in.
pub(crate) fn serve() -> String {
    let program = std::env::current_exe().unwrap();
    format!("#!/bin/sh\nexec '{}' stand_in::runs_as_serve --exact --ignored --nocapture\n", program.display())
}

/// Does as the file `behaviour` of its model says: `bad` fails, `mute` never answers, `dead` does not come up, anything else is the
/// label of every answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: the program that other tests start as `serve`"]
async fn runs_as_serve() {
    // Without a port it was not started as `serve`.
    let Ok(port) = std::env::var("SAGEMAKER_BIND_TO_PORT") else { return };
    let base = std::env::var("SAGEMAKER_BASE_DIR").unwrap();
    let behaviour = std::fs::read_to_string(format!("{base}/model/behaviour")).unwrap();
    if behaviour == "dead" {
        std::process::exit(1);
    }
    let answer = post(async move || {
        let prediction = json!({
            "label": behaviour, "title": null, "level": null, "probability": 0.9, "truncated": false,
            "needs_review": false, "top_k": [],
        });
        if behaviour == "mute" {
            std::future::pending::<()>().await;
        }
        match behaviour.as_str() {
            "bad" => (StatusCode::INTERNAL_SERVER_ERROR, "out of order".to_owned()),
            _ => (StatusCode::OK, json!({ "predictions": [prediction] }).to_string()),
        }
    });
    let router = Router::new().route("/ping", get(|| async {})).route("/invocations", answer);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}
