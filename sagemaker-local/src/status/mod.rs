//! The page at `/`: jobs and endpoints as they are, with their logs and reports, for a person at this machine.
//!
//! A browser does not sign, so what the page reads asks for no key; it changes nothing. That a page of another site reads it is prevented by the
//! browser, and that such a site lets its own name point here by [`check_host`].

mod snapshot;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path as FilePath;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use unspsc_contract::{OptMl, files};
use unspsc_page::LivePage;

use crate::error::ApiError;
use crate::host::check_host;
use crate::names;
use crate::platform::Platform;

/// How much of a log's end is shown.
const LOG_BYTES: u64 = 512 * 1024;

static PAGE: LazyLock<LivePage> =
    LazyLock::new(|| LivePage::new(include_str!("page.html"), include_str!("page.css"), include_str!("page.js")));

/// The routes beside the page itself, which shares `/` with S3.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    // No bucket has such a name.
    Router::new()
        .route("/_local/status", get(status))
        .route("/_local/log", get(log))
        .route("/_local/reports/{job}", get(report))
}

/// Answers with the page.
pub(crate) fn page(headers: &HeaderMap) -> Response {
    shown(headers, || Ok(answer("text/html; charset=utf-8", &PAGE.policy, PAGE.html.clone())))
}

async fn status(State(platform): State<Arc<Platform>>, headers: HeaderMap) -> Response {
    shown(&headers, || {
        let snapshot = platform.store.read(|state| snapshot::take(state, &platform));
        Ok(answer("application/json", NOTHING, snapshot.to_string()))
    })
}

/// Which log.
#[derive(Debug, Deserialize)]
struct Stream {
    group: String,
    stream: String,
}

async fn log(State(platform): State<Arc<Platform>>, headers: HeaderMap, Query(wanted): Query<Stream>) -> Response {
    shown(&headers, || {
        let file = platform.store.read(|state| {
            let streams = state.log_streams.get(&wanted.group)?;
            streams.get(&wanted.stream).map(|stream| platform.folder.root().join(&stream.file))
        });
        let file = file.ok_or_else(|| not_found("There is no such log."))?;
        Ok(answer("text/plain; charset=utf-8", NOTHING, end_of(&file).unwrap_or_default()))
    })
}

async fn report(State(platform): State<Arc<Platform>>, headers: HeaderMap, Path(job): Path<String>) -> Response {
    shown(&headers, || {
        names::check("trainingJobName", &job)?;
        let page = OptMl::new(platform.folder.job(&job).opt_ml()).output_data().join(files::REPORT);
        let html = std::fs::read_to_string(page).map_err(|_| not_found("The job has left no report."))?;
        // A report is what a container wrote: it is looked at, and nothing in it runs.
        Ok(answer("text/html; charset=utf-8", "default-src 'none'; style-src 'unsafe-inline'; sandbox", html))
    })
}

/// What needs nothing may load nothing.
const NOTHING: &str = "default-src 'none'";

fn answer(kind: &'static str, policy: &str, body: String) -> Response {
    let headers: [(HeaderName, String); 4] = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_SECURITY_POLICY, policy.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, body).into_response()
}

fn shown(headers: &HeaderMap, show: impl FnOnce() -> Result<Response, ApiError>) -> Response {
    check_host(headers).and_then(|()| show()).unwrap_or_else(IntoResponse::into_response)
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}

/// The end of a file, from the beginning of a line on.
fn end_of(file: &FilePath) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    let start = file.metadata()?.len().saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if start == 0 { &*text } else { text.split_once('\n').map_or(&*text, |(_, rest)| rest) };
    Ok(whole.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_shown_from_a_whole_line_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::write(&file, "short\n").unwrap();
        assert_eq!(end_of(&file).unwrap(), "short\n");
        let line = format!("{}\n", "x".repeat(1000));
        std::fs::write(&file, line.repeat(1000)).unwrap();
        let text = end_of(&file).unwrap();
        assert!(text.len() as u64 <= LOG_BYTES && text.starts_with('x') && text.lines().all(|line| line.len() == 1000));
    }
}
