//! What an OpenTelemetry collector is sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode as Status;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;

/// A trace and a span of a caller's own.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What has come to a collector.
type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector that answers with `status`: its address, and what it receives.
async fn collector(status: Status) -> (String, Received) {
    let received = Received::default();
    let to = Arc::clone(&received);
    let take = async move |body: Bytes| {
        to.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        status
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/v1/traces", post(take))).into_future());
    (address, received)
}

/// An attribute, as text.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let pair = span.attributes.iter().find(|pair| pair.key == key)?;
    Some(match pair.value.as_ref()?.value.as_ref()? {
        Attribute::StringValue(text) => text.clone(),
        Attribute::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

async fn stopped(server: Server) -> String {
    tokio::task::spawn_blocking(|| server.stop(Signal::SIGTERM).1).await.unwrap()
}

#[tokio::test]
async fn a_collector_gets_a_span_for_each_request_and_one_for_each_of_its_stages() {
    let (address, received) = collector(Status::OK).await;
    let base = base("bert");
    let mut command = serve(base.path());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address).env("OTEL_RESOURCE_ATTRIBUTES", "deployment=blue");
    let server = Server::start_with(&mut command);
    server.ready().await;
    let invocations = format!("{}/invocations", server.address);
    let request = reqwest::Client::new().post(invocations).header("traceparent", TRACEPARENT);
    let answer = request.json(&json!({"description": "secret toner"})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let refused = server.invoke(json!({"description": ""})).await.1;
    let log = stopped(server).await;

    let received = received.lock().unwrap();
    let resources: Vec<_> = received.iter().flat_map(|request| &request.resource_spans).collect();
    let of_service = &resources[0].resource.as_ref().unwrap().attributes;
    for (key, value) in [("service.name", "unspsc-serve"), ("deployment", "blue")] {
        let found = of_service.iter().any(|pair| pair.key == key && format!("{pair:?}").contains(value));
        assert!(found, "{key} is not {value}: {of_service:?}");
    }
    let spans: Vec<&Span> = resources.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect();
    let requests: Vec<&&Span> = spans.iter().filter(|span| span.name == "POST /invocations").collect();
    let [good, bad] = requests[..] else { panic!("{spans:?}") };
    let parent = u64::from_be_bytes(good.parent_span_id[..].try_into().unwrap());
    assert_eq!(parent, 0xb7ad_6b71_6920_3331, "the span is not the caller's child");
    assert_eq!(attribute(good, "http.response.status_code").unwrap(), "200");
    assert_eq!(attribute(good, "error.type"), None);
    for stage in ["prepare", "queue", "model"] {
        let span = spans.iter().find(|span| span.name == stage && span.trace_id == good.trace_id);
        let span = span.unwrap_or_else(|| panic!("no {stage} in {spans:?}"));
        assert_eq!(span.parent_span_id, good.span_id, "{stage}");
        assert!(good.start_time_unix_nano <= span.start_time_unix_nano, "{stage} begins before its request");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{stage} ends before it begins");
        assert!(span.end_time_unix_nano <= good.end_time_unix_nano, "{stage} ends after its request");
    }
    assert_ne!(bad.trace_id, good.trace_id);
    assert_eq!(attribute(bad, "http.response.status_code").unwrap(), "400");
    assert_eq!(attribute(bad, "error.type").unwrap(), "empty_description");
    assert_eq!(attribute(bad, "request_id").unwrap(), refused["error"]["request_id"]);
    assert!(!format!("{spans:?}").contains("secret"), "a text is in a span: {spans:?}");
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn every_record_of_a_stream_is_in_the_trace_of_its_request() {
    let (address, received) = collector(Status::OK).await;
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).args(["--collector", &address]));
    server.ready().await;
    let (status, answer) = server.send("text/plain", "*/*", "toner\n".repeat(5000)).await;
    assert_eq!((status, answer.lines().count()), (200, 5000));
    stopped(server).await;
    let received = received.lock().unwrap();
    let scopes = received.iter().flat_map(|request| &request.resource_spans).flat_map(|of| &of.scope_spans);
    let spans: Vec<&Span> = scopes.flat_map(|of| &of.spans).collect();
    let request = spans.iter().find(|span| span.name == "POST /invocations").unwrap();
    assert!(spans.iter().filter(|span| span.name == "prepare").count() > 1, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace_id == request.trace_id), "{spans:?}");
}

#[tokio::test]
async fn what_is_said_of_traces_never_costs_an_answer() {
    let (address, received) = collector(Status::OK).await;
    for (variables, warns) in [
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")][..], false),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318")], true),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], true),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@collector:4318")], true),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address), ("OTEL_SDK_DISABLED", "true")], false),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address), ("OTEL_TRACES_EXPORTER", "none")], false),
    ] {
        let base = base("bert");
        let server = Server::start_with(serve(base.path()).envs(variables.iter().copied()));
        server.ready().await;
        assert_eq!(server.invoke(json!({"description": "toner"})).await.0, 200);
        let log = stopped(server).await;
        assert_eq!(log.contains("no traces are sent"), warns, "{variables:?}: {log}");
        assert!(!log.contains("secret"), "a password is in the log: {log}");
    }
    assert!(received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_collector_that_takes_nothing_costs_nothing_but_one_line() {
    let (address, received) = collector(Status::INTERNAL_SERVER_ERROR).await;
    let base = base("bert");
    let mut command = serve(base.path());
    command.args(["--collector", &format!("{address}/")]).env("OTEL_BSP_SCHEDULE_DELAY", "10");
    let server = Server::start_with(&mut command);
    server.ready().await;
    let deadline = Instant::now() + PATIENCE;
    while received.lock().unwrap().len() < 2 {
        assert_eq!(server.invoke(json!({"description": "toner"})).await.0, 200);
        assert!(Instant::now() < deadline, "the collector is not asked again");
    }
    let log = stopped(server).await;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("collector")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(&address) && lines[0].contains("500"), "{log}");
}
