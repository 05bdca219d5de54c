//! A stand-in for `serve`: this very test program, started by a script as a server.

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::TRANSFER_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tokio::sync::Barrier;

/// How many requests that say `meet` are answered together, and how many processes that are told `everyone`.
pub(crate) const TOGETHER: usize = 3;

static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(TOGETHER));
/// How often `flaky` was asked.
static FLAKY: AtomicUsize = AtomicUsize::new(0);

/// A script that becomes the stand-in.
pub(crate) fn serve() -> String {
    let program = std::env::current_exe().unwrap();
    format!("exec '{}' stand_in::runs_as_serve --exact --ignored --nocapture", program.display())
}

/// Answers `/ping`, `/execution-parameters` with the variable PARAMETERS if that is set, and `/invocations` with what it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: the program that other tests start as `serve`"]
async fn runs_as_serve() {
    // Without a port it was not started as `serve`.
    let Ok(port) = std::env::var("SAGEMAKER_BIND_TO_PORT") else { return };
    let mut router = Router::new().route("/ping", get(|| async {})).route("/invocations", post(answer));
    if let Ok(parameters) = std::env::var("PARAMETERS") {
        router = router.route("/execution-parameters", get(|| async { parameters }));
    }
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
        b"broken" => (StatusCode::INTERNAL_SERVER_ERROR, back, Bytes::from_static(b"out of order")),
        b"flaky" if FLAKY.fetch_add(1, Ordering::SeqCst) < 2 => (StatusCode::SERVICE_UNAVAILABLE, back, Bytes::new()),
        b"die" => std::process::exit(7),
        b"hang" => std::future::pending().await,
        b"everyone" => (StatusCode::OK, back, when_everyone_is_asked().await.into()),
        b"type" => {
            let kind = headers.get("content-type").map(|value| Bytes::copy_from_slice(value.as_bytes()));
            (StatusCode::OK, back, kind.unwrap_or_default())
        }
        b"pid" => (StatusCode::OK, back, std::process::id().to_string().into()),
        b"model" => {
            let base = std::env::var("SAGEMAKER_BASE_DIR").unwrap();
            (StatusCode::OK, back, std::fs::read(format!("{base}/model/weights")).unwrap().into())
        }
        b"variable" => (StatusCode::OK, back, std::env::var("GREETING").unwrap_or_default().into()),
        b"batch" => (StatusCode::OK, back, batch_variables().into()),
        body if body.starts_with(b"meet") => {
            MEETING.wait().await;
            (StatusCode::OK, back, Bytes::copy_from_slice(body))
        }
        // An object in one piece, however long: how it came.
        body if body.starts_with(b"stream") => {
            let how = headers.get(TRANSFER_ENCODING).map_or("whole", |value| value.to_str().unwrap());
            (StatusCode::OK, back, format!("{how} {}", body.len()).into())
        }
        _ => (StatusCode::OK, back, body),
    }
}

/// The process id, when as many processes as [`TOGETHER`] have been asked for theirs.
async fn when_everyone_is_asked() -> String {
    let (own, base) = (std::process::id().to_string(), std::env::var("SAGEMAKER_BASE_DIR").unwrap());
    let asked = std::path::Path::new(&base).join("asked");
    std::fs::create_dir_all(&asked).unwrap();
    std::fs::write(asked.join(&own), "").unwrap();
    while std::fs::read_dir(&asked).unwrap().count() < TOGETHER {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    own
}

/// What batch transform has set.
fn batch_variables() -> String {
    let variables = std::env::vars().filter(|(name, _)| name.starts_with("SAGEMAKER_") && name.contains("BATCH"));
    let payload = std::env::vars().filter(|(name, _)| name.starts_with("SAGEMAKER_MAX_"));
    let mut lines: Vec<String> = variables.chain(payload).map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    lines.join(" ")
}
