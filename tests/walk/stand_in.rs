//! A stand-in for `serve`: this very test program, started by a script as a server that has one answer.

use std::net::Ipv4Addr;

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// What becomes the stand-in, in a script.
pub(crate) fn serve() -> String {
    let program = std::env::current_exe().unwrap();
    format!("exec '{}' stand_in::runs_as_serve --exact --ignored --nocapture", program.display())
}

#[tokio::test]
#[ignore = "no test: the program that other tests start as `serve`"]
async fn runs_as_serve() {
    // Without a port it was not started as `serve`.
    let Ok(port) = std::env::var("SAGEMAKER_BIND_TO_PORT") else { return };
    let router = Router::new().route("/ping", get(|| async {})).route("/invocations", post(answer));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}

/// One prediction for a description, or one for each of several.
async fn answer(Json(asked): Json<Value>) -> Json<Value> {
    let prediction = json!({
        "label": "44103103", "title": "Toner", "level": "commodity", "probability": 0.9, "truncated": false, "needs_review": false,
        "top_k": [],
    });
    let Some(texts) = asked["instances"].as_array() else { return Json(prediction) };
    Json(json!({ "predictions": texts.iter().map(|_| prediction.clone()).collect::<Vec<_>>() }))
}
