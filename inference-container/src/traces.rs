//! Traces for OpenTelemetry: a span for each request of `/invocations`, and in it one for each stage that it went
//! through. Without a collector to send them to, nothing is recorded. No span holds a text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::metrics::Stage;

/// Who makes the spans.
const SCOPE: &str = "unspsc-serve";

/// Where below its address a collector takes spans: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>.
const PATH: &str = "/v1/traces";

/// How long a collector may take for spans, and those that are left at the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends spans to a collector until it is stopped.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends spans to the collector at `address`, in the background; unless that is empty or the standard's variables say no.
    /// Where it cannot be done that is logged: nobody should be without answers for want of traces.
    pub(crate) fn start(address: &str) -> Option<Self> {
        let says = |name, no: &str| std::env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case(no));
        if address.is_empty() || says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        match Self::to(address) {
            Ok(traces) => Some(traces),
            Err(error) => {
                let reason = error.to_string();
                // The address stays out, as it may hold a password.
                tracing::warn!(reason, "no traces are sent");
                None
            }
        }
    }

    fn to(address: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let is_plain = |uri: &Uri| uri.scheme_str() == Some("http") && uri.query().is_none() && !address.contains('@');
        let uri = address.parse::<Uri>().ok().filter(is_plain);
        uri.ok_or("use an address such as http://collector:4318, without a password or a query")?;
        let endpoint = format!("{}{PATH}", address.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(&endpoint)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(PATIENCE)
            .build()?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SCOPE);
        }
        let resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(provider))
    }

    /// Sends what is left.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// The collector, with whom the exporter's thread speaks; it has no runtime of its own.
#[derive(Debug)]
struct Collector {
    address: String,
    client: HyperClient,
    runtime: tokio::runtime::Runtime,
    /// Whether it took the last spans, so that only a change is logged.
    is_well: AtomicBool,
}

impl Collector {
    fn new(address: &str) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = HyperClient::with_default_connector(PATIENCE, None);
        Ok(Self { address: address.to_owned(), client, runtime, is_well: AtomicBool::new(true) })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outcome = self.runtime.block_on(self.client.send_bytes(request));
        let trouble = match &outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        let address = self.address.as_str();
        match (trouble, self.is_well.load(Ordering::Relaxed)) {
            (Some(reason), true) => {
                tracing::warn!(address, reason, "the collector does not take traces; they are lost");
            }
            (None, false) => tracing::info!(address, "the collector takes traces again"),
            _ => return outcome,
        }
        self.is_well.fetch_not(Ordering::Relaxed);
        outcome
    }
}

/// Begins the span of a request by `method` to `route`, in the trace of its caller where `headers` name one
/// (<https://www.w3.org/TR/trace-context/>).
pub(crate) fn begin(method: &Method, route: &'static str, request_id: &str, headers: &HeaderMap) -> Context {
    let caller = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let attributes = vec![
        KeyValue::new("http.request.method", method.to_string()),
        KeyValue::new("http.route", route),
        KeyValue::new("request_id", request_id.to_owned()),
    ];
    let name = SpanBuilder::from_name(format!("{method} {route}"));
    let span = name.with_kind(SpanKind::Server).with_attributes(attributes);
    let span = global::tracer(SCOPE).build_with_context(span, &caller);
    caller.with_span(span)
}

/// Ends the span of a request that was answered with `status` and our `code`.
pub(crate) fn end(request: &Context, status: StatusCode, code: &'static str) {
    let span = request.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if !status.is_success() {
        span.set_attribute(KeyValue::new("error.type", code));
    }
    if status.is_server_error() {
        span.set_status(Status::error(code));
    }
    span.end();
}

/// A stage of a request began then and took so long.
pub(crate) fn stage_took(request: &Context, stage: Stage, began: Instant, time: Duration) {
    let now = SystemTime::now();
    let began = now.checked_sub(began.elapsed()).unwrap_or(now);
    let span = SpanBuilder::from_name(stage.name()).with_start_time(began);
    global::tracer(SCOPE).build_with_context(span, request).end_with_timestamp(began + time);
}
