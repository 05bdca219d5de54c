//! A stand-in for `serve`: this very test program, started by a script as a server.

use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};

/// A script that becomes the stand-in.
pub(crate) fn serve() -> String {
    let program = std::env::current_exe().unwrap();
    format!("exec '{}' stand_in::runs_as_serve --exact --ignored --nocapture", program.display())
}

/// Answers `/ping`, and `/invocations` with what it was sent.
#[tokio::test]
#[ignore = "no test: the program that other tests start as `serve`"]
async fn runs_as_serve() {
    // Without a port it was not started as `serve`.
    let Ok(port) = std::env::var("SAGEMAKER_BIND_TO_PORT") else { return };
    let router = Router::new().route("/ping", get(|| async {})).route("/invocations", post(answer));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}

async fn answer(headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap, Bytes) {
    let custom = "x-amzn-sagemaker-custom-attributes";
    let mut back = HeaderMap::new();
    for name in ["content-type", custom] {
        if let Some(value) = headers.get(name) {
            back.insert(name, value.clone());
        }
    }
    match &body[..] {
        b"fail" => (StatusCode::UNPROCESSABLE_ENTITY, back, Bytes::from_static(b"cannot do that")),
        b"pid" => (StatusCode::OK, back, std::process::id().to_string().into()),
        b"model" => {
            let base = std::env::var("SAGEMAKER_BASE_DIR").unwrap();
            (StatusCode::OK, back, std::fs::read(format!("{base}/model/weights")).unwrap().into())
        }
        b"variable" => (StatusCode::OK, back, std::env::var("GREETING").unwrap_or_default().into()),
        _ => (StatusCode::OK, back, body),
    }
}
