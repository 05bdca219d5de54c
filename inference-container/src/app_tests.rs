//! The router with models that can be slow, full or broken at will; and with a real one from `tests/golden`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tower::ServiceExt as _;
use unspsc_artifact::{Artifact, TokenIds, Weights};
use unspsc_contract::files;
use unspsc_contract::invocation::{BatchResponse, ErrorBody, Outcome, Prediction};
use unspsc_engine::{Engine, EngineError, Logits, Precision};

use super::*;
use crate::classifier::Classifier;
use crate::metrics::Metrics;
use crate::queue::QueueLimits;
use crate::run::ServeError;
use crate::service::ServiceLimits;
use crate::testing::LIMITS;
use crate::worker::{self, Loaded, Model};

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/bert")
}

/// A model that does what a function says.
pub(super) struct Fake<F>(pub(super) F);

impl<F: FnMut(&[TokenIds]) -> Logits> Model for Fake<F> {
    fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError> {
        Ok((self.0)(batch))
    }
}

/// Twelve logits a text, as the classifier in `tests/golden` has.
pub(super) fn twelve(batch: &[TokenIds]) -> Logits {
    Logits::new(batch.iter().flat_map(|_| (0..12).map(|class| class as f32)).collect(), 12)
}

/// Room for `jobs` requests, forty tokens a run, and as much time as a test may need.
pub(super) fn limits(jobs: usize) -> ServiceLimits {
    let queue = QueueLimits { jobs: jobs.try_into().unwrap(), tokens: 1000, batch_tokens: 40 };
    ServiceLimits { queue, deadline: Duration::from_secs(60) }
}

pub(super) fn start<M: Model + 'static>(
    load: impl FnOnce() -> Result<(Classifier, M), ServeError> + Send + 'static,
    limits: ServiceLimits,
) -> (Service, oneshot::Receiver<ServeError>) {
    worker::start(load, limits, Arc::new(Metrics::new())).unwrap()
}

/// A service whose model is the function `classify`, ready to answer.
pub(super) async fn fake(
    classify: impl FnMut(&[TokenIds]) -> Logits + Send + 'static,
    limits: ServiceLimits,
) -> Service {
    let load = || Ok((Classifier::new(Artifact::load(&directory())?, None), Fake(classify)));
    let (service, failure) = start(load, limits);
    assert!(failure.await.is_err(), "loading failed");
    assert!(service.is_healthy().await);
    service
}

pub(super) async fn real() -> Service {
    let load = || {
        let artifact = Artifact::load(&directory())?;
        let weights = Weights::read(&directory().join(files::WEIGHTS))?;
        let engine = Engine::load(&artifact.config, &artifact.metadata, &weights, Precision::Int16, 1)?;
        Ok((Classifier::new(artifact, None), Loaded { engine, index: None }))
    };
    let (service, failure) = start(load, limits(8));
    assert!(failure.await.is_err(), "loading failed");
    service
}

pub(super) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    Request::builder().method(method).uri(path).body(body.into()).unwrap()
}

pub(super) async fn ask(service: &Service, request: Request) -> (StatusCode, HeaderMap, Vec<u8>) {
    let response = app(service.clone(), LIMITS, true).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

pub(super) async fn invoke<T: serde::de::DeserializeOwned>(service: &Service, body: &str) -> (u16, T) {
    let (status, _, body) = ask(service, request("POST", "/invocations", body.to_owned())).await;
    let text = String::from_utf8_lossy(&body);
    (status.as_u16(), serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {text}")))
}

pub(super) async fn ping(service: &Service) -> u16 {
    let (status, _, body) = ask(service, request("GET", "/ping", Body::empty())).await;
    assert!(body.is_empty());
    status.as_u16()
}

/// Waits until `condition` holds, and fails after ten seconds.
pub(super) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn a_description_is_classified() {
    let service = real().await;
    let (status, prediction): (_, Prediction) =
        invoke(&service, r#"{"description": "toner cartridge", "top_k": 3}"#).await;
    assert_eq!((status, prediction.top_k.len(), prediction.truncated), (200, 3, false));
    assert_eq!((&prediction.label, prediction.probability), {
        let first = &prediction.top_k[0];
        (&first.label, first.probability)
    });
    assert!(prediction.top_k.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
    assert!(prediction.title.is_some(), "the label is a segment, and those have titles");
    let (_, all): (_, Prediction) = invoke(&service, r#"{"description": "toner cartridge", "top_k": 20}"#).await;
    let total: f64 = all.top_k.iter().map(|candidate| candidate.probability).sum();
    assert!(all.top_k.len() == 12 && (total - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_batch_equals_its_items_and_keeps_bad_ones_apart() {
    let service = real().await;
    let long = "steel ".repeat(100);
    let body = serde_json::json!({"instances": ["bolt", {"description": "bread"}, 7, " ", {"text": "x"}, long, "nut"]});
    let (status, response): (_, BatchResponse) = invoke(&service, &body.to_string()).await;
    assert_eq!((status, response.predictions.len()), (200, 7));
    for (place, text) in [(0, "bolt"), (1, "bread"), (5, long.as_str()), (6, "nut")] {
        let body = serde_json::json!({"description": text}).to_string();
        let (_, alone): (_, Prediction) = invoke(&service, &body).await;
        let Outcome::Prediction(prediction) = &response.predictions[place] else { panic!("{text} failed") };
        assert_eq!((&prediction.label, prediction.truncated), (&alone.label, text.len() > 100));
        assert!((prediction.probability - alone.probability).abs() < 1e-5);
    }
    for (place, code) in [(2, "invalid_request"), (3, "empty_description"), (4, "invalid_request")] {
        let Outcome::Error(body) = &response.predictions[place] else { panic!("item {place} was classified") };
        assert_eq!((body.error.code.as_str(), &body.error.request_id), (code, &None));
    }
    let (status, response): (_, BatchResponse) = invoke(&service, r#"{"instances": [""]}"#).await;
    assert!(status == 200 && matches!(response.predictions[..], [Outcome::Error(_)]));
}

#[tokio::test]
async fn every_refusal_has_the_same_body() {
    let service = fake(twelve, limits(8)).await;
    let long = format!(r#"{{"description": "{}"}}"#, "a".repeat(5000));
    for (method, path, body, status, code) in [
        ("GET", "/nothing", "", 404, "not_found"),
        ("GET", "/invocations", "", 405, "method_not_allowed"),
        ("POST", "/ping", "", 405, "method_not_allowed"),
        ("POST", "/invocations", "", 400, "malformed_json"),
        ("POST", "/invocations", "{", 400, "malformed_json"),
        ("POST", "/invocations", "{}", 400, "invalid_request"),
        ("POST", "/invocations", r#"{"description": "\t\n"}"#, 400, "empty_description"),
        ("POST", "/invocations", r#"{"description": "a", "top_k": 21}"#, 400, "invalid_request"),
        ("POST", "/invocations", long.as_str(), 413, "payload_too_large"),
    ] {
        let (got, headers, answer) = ask(&service, request(method, path, body.to_owned())).await;
        let answer: ErrorBody = serde_json::from_slice(&answer).unwrap();
        assert_eq!((got.as_u16(), answer.error.code.as_str()), (status, code), "{method} {path} {body}");
        assert!(answer.error.request_id.is_some_and(|id| id.len() == 36));
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(headers.contains_key(header::ALLOW), status == 405);
    }
}

#[tokio::test]
async fn the_callers_notes_go_back() {
    let service = fake(twelve, limits(8)).await;
    for (value, body, echoed) in [
        ("trace=1; a", r#"{"description": "toner"}"#, true),
        ("trace=2", "nonsense", true),
        (&"x".repeat(1024), "{}", true),
        (&"x".repeat(1025), "{}", false),
        ("\u{e9}", "{}", false),
    ] {
        for note in NOTES {
            let mut request = request("POST", "/invocations", body);
            request.headers_mut().insert(&note, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let (_, headers, _) = ask(&service, request).await;
            assert_eq!(headers.get(&note).is_some_and(|got| got == value), echoed, "{note}: {value}");
        }
    }
}

#[tokio::test]
async fn ping_succeeds_only_between_warm_up_and_stop() {
    let (go, wait) = channel::<()>();
    let load = move || {
        wait.recv().unwrap();
        Ok((Classifier::new(Artifact::load(&directory())?, None), Fake(twelve)))
    };
    let (service, failure) = start(load, limits(1));
    assert_eq!(ping(&service).await, 503);
    let (status, body): (_, ErrorBody) = invoke(&service, r#"{"description": "toner"}"#).await;
    assert_eq!((status, body.error.code.as_str(), body.error.retry_after), (503, "not_ready", Some(1)));
    go.send(()).unwrap();
    assert!(failure.await.is_err());
    assert_eq!(ping(&service).await, 200);
    service.stop();
    assert_eq!(ping(&service).await, 503);
    let (status, _): (_, Prediction) = invoke(&service, r#"{"description": "toner"}"#).await;
    assert_eq!(status, 200, "what has arrived is answered");
}

#[tokio::test]
async fn a_model_that_fails_its_warm_up_is_never_ready() {
    for (wrong, part) in [
        ((|_| panic!("no such kernel")) as fn(&[TokenIds]) -> Logits, "the model panicked: no such kernel"),
        (|_| Logits::new(vec![0.0; 7], 7), "logits of another number"),
    ] {
        let load = move || Ok((Classifier::new(Artifact::load(&directory())?, None), Fake(wrong)));
        let (service, failure) = start(load, limits(1));
        let error: ServeError = failure.await.unwrap();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(ping(&service).await, 503);
    }
}
