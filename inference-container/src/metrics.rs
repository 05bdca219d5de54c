//! What `/metrics` shows, in Prometheus' text format; the table of names is in `docs/operations.md`.
//!
//! There is no share of padding among them: the engine lays texts end to end and pads nothing.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Upper bounds in seconds: from the shortest run of a small model to the platform's limit for an invocation.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Where a request's time goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// Reading the body and tokenising.
    Prepare,
    /// Waiting for the model, until the request's first run.
    Queue,
    /// One run of the model, whatever is in it.
    Model,
    /// Searching the title index for the texts of one run, and joining what it finds with the head's outputs.
    Search,
}

impl Stage {
    /// As metrics and traces call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Queue => "queue",
            Self::Model => "model",
            Self::Search => "search",
        }
    }
}

/// One answer, as counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ModelLabels {
    pub(crate) architecture: String,
    pub(crate) level: &'static str,
    pub(crate) labels: u64,
    pub(crate) precision: String,
    pub(crate) instructions: String,
    pub(crate) version: &'static str,
}

/// All metrics of the process; each can be counted on from any thread.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
    stage_seconds: Family<StageLabels, Histogram>,
    batch_texts: Histogram,
    batch_tokens: Histogram,
    queue_requests: Gauge,
    queue_tokens: Gauge,
    abandoned: Counter,
    model: Family<ModelLabels, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("unspsc"),
            requests: Family::default(),
            request_seconds: seconds(),
            stage_seconds: Family::new_with_constructor(seconds),
            batch_texts: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            batch_tokens: Histogram::new(exponential_buckets(8.0, 2.0, 12)),
            queue_requests: Gauge::default(),
            queue_tokens: Gauge::default(),
            abandoned: Counter::default(),
            model: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Answers by route, status and error code", self.requests.clone());
        let help = "Time from the head of an invocation to its answer";
        registry.register("request_seconds", help, self.request_seconds.clone());
        let help = "Time of invocations by stage; `model` and `search` are of one run, which many may share";
        registry.register("stage_seconds", help, self.stage_seconds.clone());
        registry.register("batch_texts", "Texts of one run of the model", self.batch_texts.clone());
        registry.register("batch_tokens", "Tokens of one run of the model", self.batch_tokens.clone());
        registry.register("queue_requests", "Requests that wait for the model", self.queue_requests.clone());
        registry.register("queue_tokens", "Tokens that wait for the model", self.queue_tokens.clone());
        let help = "Requests whose callers left while they waited, so that the model did not run them";
        registry.register("abandoned_requests", help, self.abandoned.clone());
        registry.register("model_info", "What is served; always 1", self.model.clone());
    }

    /// Counts an answer. `code` is `ok` or the error's.
    pub(crate) fn answered(&self, route: &'static str, status: u16, code: &'static str) {
        self.requests.get_or_create(&RequestLabels { route, status, code }).inc();
    }

    /// Counts the time of a whole invocation.
    pub(crate) fn invocation_took(&self, time: Duration) {
        self.request_seconds.observe(time.as_secs_f64());
    }

    /// Counts the time of a stage.
    pub(crate) fn stage_took(&self, stage: Stage, time: Duration) {
        self.stage_seconds.get_or_create(&StageLabels { stage: stage.name() }).observe(time.as_secs_f64());
    }

    /// Counts what one run of the model had in it.
    pub(crate) fn ran(&self, texts: usize, tokens: usize) {
        self.batch_texts.observe(texts as f64);
        self.batch_tokens.observe(tokens as f64);
    }

    /// States what waits now.
    pub(crate) fn queue_is(&self, requests: usize, tokens: usize) {
        self.queue_requests.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.queue_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    /// Counts requests whose callers left.
    pub(crate) fn abandoned(&self, requests: usize) {
        self.abandoned.inc_by(requests as u64);
    }

    /// States what is served.
    pub(crate) fn model_is(&self, model: &ModelLabels) {
        self.model.get_or_create(model).set(1);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// Never in practice: a string takes any text.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
