//! The router when there is more to do than the model can, when it fails, and when callers leave.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use prometheus_parse::LineInfo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use unspsc_artifact::{Artifact, TokenIds};
use unspsc_contract::invocation::{BatchResponse, ErrorBody, Outcome, Prediction};
use unspsc_engine::Logits;

use super::tests::{Fake, ask, directory, eventually, fake, invoke, limits, ping, request, start, twelve};
use super::*;
use crate::classifier::Classifier;
use crate::service::ServiceLimits;
use crate::testing::LIMITS;

/// What `/metrics` says, by name with labels, as a parser of Prometheus' format reads it; histograms by `_count`.
async fn metrics(service: &Service) -> HashMap<String, f64> {
    use prometheus_parse::Value::{Counter, Gauge, Histogram, Untyped};
    let (status, headers, body) = ask(service, request("GET", "/metrics", Body::empty())).await;
    assert_eq!(status, 200);
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(body).unwrap();
    assert!(text.lines().all(|line| LineInfo::parse(line) != LineInfo::Ignored), "{text}");
    let lines = text.lines().map(|line| Ok(line.to_owned())).collect::<Vec<_>>();
    let samples = prometheus_parse::Scrape::parse(lines.into_iter()).unwrap().samples;
    let sample = |sample: prometheus_parse::Sample| match sample.value {
        Counter(value) | Gauge(value) | Untyped(value) => {
            let mut labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.sort();
            Some((format!("{} {}", sample.metric, labels.join(",")).trim().to_owned(), value))
        }
        Histogram(_) | prometheus_parse::Value::Summary(_) => None,
    };
    samples.into_iter().filter_map(sample).collect()
}

/// Panics on any batch with a text of more than twenty tokens, and on all once `broken` is set.
fn fragile(broken: Arc<Mutex<bool>>) -> impl FnMut(&[TokenIds]) -> Logits + Send {
    move |batch| {
        assert!(!*broken.lock().unwrap(), "broken for good");
        assert!(batch.iter().all(|text| text.ids.len() <= 20), "a secret detail");
        twelve(batch)
    }
}

const GOOD: &str = r#"{"description": "toner"}"#;

/// What a thread has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs for the rest of this thread's life.
    fn begin(self) {
        let log = tracing_subscriber::fmt().with_writer(move || self.clone()).finish();
        std::mem::forget(tracing::subscriber::set_default(log));
    }

    fn count(&self, part: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(part).count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_kept_from_others_and_health_follows_the_model() {
    let broken = Arc::new(Mutex::new(false));
    let service = fake(fragile(Arc::clone(&broken)), limits(8)).await;
    let bad = format!(r#"{{"description": "{}"}}"#, "a b c d e f g h i j k ".repeat(3));
    let (first, second, third) = tokio::join!(
        invoke::<Prediction>(&service, GOOD),
        invoke::<ErrorBody>(&service, &bad),
        invoke::<Prediction>(&service, GOOD)
    );
    assert_eq!((first.0, second.0, third.0), (200, 500, 200));
    assert_eq!(second.1.error.code, "model_failure");
    assert!(!second.1.error.message.contains("secret"));
    let mixed = serde_json::json!({"instances": ["a", "b", "c ".repeat(30), "d", "e"]}).to_string();
    let (status, response): (_, BatchResponse) = invoke(&service, &mixed).await;
    for (place, outcome) in response.predictions.iter().enumerate() {
        let Outcome::Error(body) = outcome else { continue };
        assert_eq!((status, place, body.error.code.as_str()), (200, 2, "model_failure"));
    }
    assert!(matches!(response.predictions[2], Outcome::Error(_)));
    assert_eq!(ping(&service).await, 200, "it answers again");

    *broken.lock().unwrap() = true;
    for _ in 0..3 {
        let (status, body): (_, ErrorBody) = invoke(&service, GOOD).await;
        assert_eq!((status, body.error.code.as_str()), (500, "model_failure"));
        assert_eq!(ping(&service).await, 503);
    }
    *broken.lock().unwrap() = false;
    assert_eq!(ping(&service).await, 200, "a ping finds out that the model works again");
    assert_eq!(invoke::<Prediction>(&service, GOOD).await.0, 200);

    *broken.lock().unwrap() = true;
    assert_eq!(invoke::<ErrorBody>(&service, GOOD).await.0, 500);
    *broken.lock().unwrap() = false;
    assert_eq!(invoke::<Prediction>(&service, GOOD).await.0, 200, "so does a request");
    assert_eq!(ping(&service).await, 200);
}

#[tokio::test]
async fn a_broken_model_is_logged_once_and_so_is_its_recovery() {
    let (log, broken) = (Log::default(), Arc::new(Mutex::new(false)));
    let (logged, model) = (log.clone(), Fake(fragile(Arc::clone(&broken))));
    let load = move || {
        logged.begin();
        Ok((Classifier::new(Artifact::load(&directory())?, None), model))
    };
    let (service, failure) = start(load, limits(8));
    assert!(failure.await.is_err(), "loading failed");
    for times in 1..=2 {
        *broken.lock().unwrap() = true;
        for _ in 0..5 {
            assert_eq!(invoke::<ErrorBody>(&service, GOOD).await.0, 500);
        }
        assert_eq!(ping(&service).await, 503);
        *broken.lock().unwrap() = false;
        assert_eq!(ping(&service).await, 200);
        assert_eq!(log.count("the model does not work"), times);
        assert_eq!(log.count("broken for good"), times);
        assert_eq!(log.count("the model works again"), times);
    }
}

/// A model that says when it starts a run and with which lengths, and waits for leave to end it.
struct Gate {
    started: Receiver<Vec<usize>>,
    leave: Sender<()>,
}

impl Gate {
    /// The warm-up passes by itself.
    async fn new(limits: ServiceLimits) -> (Service, Self) {
        let (say, started) = channel();
        let (leave, wait) = channel();
        let mut warm = false;
        let classify = move |batch: &[TokenIds]| {
            if std::mem::replace(&mut warm, true) {
                say.send(batch.iter().map(|text| text.ids.len()).collect()).unwrap();
                wait.recv().unwrap();
            }
            twelve(batch)
        };
        (fake(classify, limits).await, Self { started, leave })
    }

    /// Token counts of the texts of the run that has started.
    async fn started(&self) -> Vec<usize> {
        let mut run = None;
        eventually("a run", async || {
            run = self.started.try_recv().ok();
            run.is_some()
        })
        .await;
        run.unwrap()
    }

    fn let_it_end(&self) {
        self.leave.send(()).unwrap();
    }
}

/// Sends a description in the background.
fn send(service: &Service, description: &str) -> tokio::task::JoinHandle<StatusCode> {
    let (service, body) = (service.clone(), format!(r#"{{"description": "{description}"}}"#));
    tokio::spawn(async move { ask(&service, request("POST", "/invocations", body)).await.0 })
}

/// Waits until who left is seen to have left.
async fn until_one_waits(service: &Service) {
    let waits_alone = async || {
        // Like a new request, which looks who is still there.
        let _ = service.check_room(service.deadline());
        service.waiting() == 1
    };
    eventually("the end of who left", waits_alone).await;
}

async fn until_waiting(service: &Service, requests: usize) {
    eventually("a queue of that length", async || service.waiting() == requests).await;
}

#[tokio::test]
async fn a_full_queue_answers_at_once_and_who_left_costs_nothing() {
    let (service, gate) = Gate::new(limits(2)).await;
    let running = send(&service, "a");
    assert_eq!(gate.started().await.len(), 1);
    // The model is busy: two may wait, the third is refused while the model still runs.
    let (leaving, waiting) = (send(&service, "a a a a a"), send(&service, "a a"));
    until_waiting(&service, 2).await;
    let (status, body) = invoke::<ErrorBody>(&service, r#"{"description": "b"}"#).await;
    assert_eq!((status, body.error.code.as_str(), body.error.retry_after), (503, "overloaded", Some(1)));
    assert_eq!(ping(&service).await, 200);
    leaving.abort();
    assert!(leaving.await.is_err());
    until_one_waits(&service).await;
    let instead = send(&service, "b b b");
    until_waiting(&service, 2).await;
    gate.let_it_end();
    assert_eq!(running.await.unwrap(), 200);
    assert_eq!(gate.started().await, [4, 5], "the text of the caller who left is not run, the shortest is first");
    gate.let_it_end();
    assert_eq!((waiting.await.unwrap(), instead.await.unwrap()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(metrics(&service).await["unspsc_abandoned_requests_total"], 1.0);
}

#[tokio::test]
async fn a_queue_with_too_many_tokens_is_full_too() {
    let mut limits = limits(9);
    limits.queue.tokens = 30;
    let (service, gate) = Gate::new(limits).await;
    let running = send(&service, "a");
    gate.started().await;
    let waiting = send(&service, &"a ".repeat(25));
    until_waiting(&service, 1).await;
    let (status, body) = invoke::<ErrorBody>(&service, r#"{"description": "b b b"}"#).await;
    assert_eq!((status, body.error.code.as_str()), (503, "overloaded"));
    gate.let_it_end();
    gate.started().await;
    gate.let_it_end();
    assert_eq!((running.await.unwrap(), waiting.await.unwrap()), (StatusCode::OK, StatusCode::OK));
}

/// The list of the tests below: `texts` texts of ten tokens each.
fn list(texts: usize) -> String {
    serde_json::json!({ "instances": vec!["a a a a a a a a"; texts] }).to_string()
}

#[tokio::test]
async fn a_long_list_fills_the_runs_and_leaves_others_their_turn() {
    let (service, gate) = Gate::new(limits(4)).await;
    let asked = service.clone();
    let whole = tokio::spawn(async move { invoke::<BatchResponse>(&asked, &list(10)).await });
    assert_eq!(gate.started().await, [10; 4]);
    let between = send(&service, "a");
    until_waiting(&service, 2).await;
    for expected in [vec![3, 10, 10, 10], vec![10; 3]] {
        gate.let_it_end();
        assert_eq!(gate.started().await, expected);
    }
    gate.let_it_end();
    assert_eq!(between.await.unwrap(), 200);
    let (status, response) = whole.await.unwrap();
    assert_eq!((status, response.predictions.len()), (200, 10));
    assert!(response.predictions.iter().all(|outcome| matches!(outcome, Outcome::Prediction(_))));
}

/// A model that takes ten milliseconds a token, or as good as.
async fn slow(deadline: Duration) -> Service {
    let classify = |batch: &[TokenIds]| {
        let tokens: usize = batch.iter().map(|text| text.ids.len()).sum();
        std::thread::sleep(Duration::from_millis(10) * tokens.try_into().unwrap());
        twelve(batch)
    };
    fake(classify, ServiceLimits { deadline, ..limits(8) }).await
}

#[tokio::test]
async fn a_deadline_that_cannot_be_met_is_refused_at_once() {
    let service = slow(Duration::from_secs(4)).await;
    // Forty tokens, a full run: now the rate is known, and at most 100 tokens a second.
    assert_eq!(invoke::<BatchResponse>(&service, &list(4)).await.0, 200);
    let (status, body): (_, ErrorBody) = invoke(&service, &list(60)).await;
    assert_eq!((status, body.error.code.as_str()), (503, "deadline_exceeded"));
    assert_eq!(body.error.retry_after, None, "six seconds of work never fit into four");
    let seen = metrics(&service).await;
    assert_eq!(seen["unspsc_requests_total code=deadline_exceeded,route=/invocations,status=503"], 1.0);
    assert_eq!(invoke::<Prediction>(&service, GOOD).await.0, 200, "what is short enough is answered");
}

#[tokio::test]
async fn who_has_waited_too_long_is_told_and_not_run() {
    let (service, gate) = Gate::new(ServiceLimits { deadline: Duration::from_secs(1), ..limits(8) }).await;
    let running = send(&service, "a");
    gate.started().await;
    let (status, body): (_, ErrorBody) = invoke(&service, r#"{"description": "a a a"}"#).await;
    assert_eq!((status, body.error.code.as_str(), body.error.retry_after), (503, "deadline_exceeded", Some(1)));
    assert_eq!(running.await.unwrap(), 503);
    gate.let_it_end();
    let next = send(&service, "a a");
    assert_eq!(gate.started().await, [4], "the one in between was not run");
    gate.let_it_end();
    assert_eq!(next.await.unwrap(), 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_not_run() {
    let (service, gate) = Gate::new(limits(8)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = app(service.clone(), LIMITS, true);
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let post = async |description: &str| {
        let body = format!(r#"{{"description": "{description}"}}"#);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /invocations HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream
    };
    let _running = post("a").await;
    gate.started().await;
    let leaving = post("a a a a a").await;
    until_waiting(&service, 1).await;
    let _waiting = post("a a").await;
    until_waiting(&service, 2).await;
    drop(leaving);
    until_one_waits(&service).await;
    gate.let_it_end();
    assert_eq!(gate.started().await, [4]);
    gate.let_it_end();
    assert_eq!(metrics(&service).await["unspsc_abandoned_requests_total"], 1.0);
    server.abort();
}

#[tokio::test]
async fn metrics_count_what_was_sent() {
    let service = fake(twelve, limits(8)).await;
    for body in [GOOD, GOOD, "{", r#"{"instances": ["a a", "", "b"]}"#] {
        ask(&service, request("POST", "/invocations", body)).await;
    }
    ask(&service, request("GET", "/secret/words", Body::empty())).await;
    let seen = metrics(&service).await;
    for (sample, value) in [
        ("unspsc_requests_total code=ok,route=/invocations,status=200", 3.0),
        ("unspsc_requests_total code=malformed_json,route=/invocations,status=400", 1.0),
        ("unspsc_requests_total code=not_found,route=other,status=404", 1.0),
        ("unspsc_queue_requests", 0.0),
        ("unspsc_queue_tokens", 0.0),
        ("unspsc_abandoned_requests_total", 0.0),
    ] {
        assert_eq!(seen.get(sample), Some(&value), "{sample}: {seen:?}");
    }
}

#[tokio::test]
async fn metrics_are_not_there_where_nobody_can_reach_them() {
    use tower::ServiceExt as _;
    let service = fake(twelve, limits(8)).await;
    let closed = app(service, LIMITS, false).oneshot(request("GET", "/metrics", Body::empty())).await.unwrap();
    assert_eq!(closed.status(), 404);
}
