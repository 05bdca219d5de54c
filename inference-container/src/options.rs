//! The command line.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use unspsc_contract::OptMl;
use unspsc_contract::invocation::{BatchStrategy, ExecutionParameters};
use unspsc_engine::Precision;

use crate::media::Media;
use crate::queue::QueueLimits;
use crate::request::RequestLimits;
use crate::service::ServiceLimits;

/// SageMaker's limit for one real-time invocation, in MB. A MB is counted as 1 MiB, so that nothing that the platform
/// lets through is refused here.
const REAL_TIME_PAYLOAD_MB: usize = 25;

/// SageMaker's limit for one request of batch transform, and for all that are under way at a time, in MB.
const BATCH_PAYLOAD_MB: usize = 100;

/// SageMaker's own default for one request of batch transform, in MB.
const DEFAULT_BATCH_PAYLOAD_MB: usize = 6;

/// Enough that one request is read while another is in the model.
const DEFAULT_CONCURRENT_TRANSFORMS: usize = 4;

/// SageMaker gives up on a real-time invocation after 60 seconds; our own answer comes before.
const REAL_TIME_DEADLINE: Duration = Duration::from_secs(55);

/// The longest that batch transform can be told to wait for one request is 3,600 seconds; what it has been told, nobody
/// tells us.
const BATCH_DEADLINE: Duration = Duration::from_secs(3595);

/// A list of 20,000 purchase lines of a dozen tokens, or what two processors read in about a minute.
const DEFAULT_QUEUE_TOKENS: usize = 1 << 18;

/// Serves a UNSPSC classifier as a SageMaker endpoint: GET /ping and POST /invocations.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "serve", version)]
pub struct Options {
    /// The word that SageMaker appends to the command; it changes nothing
    #[arg(value_name = "serve", value_parser = ["serve"], hide_possible_values = true)]
    pub command: Option<String>,

    /// Folder that holds the tree SageMaker mounts; the model directory is `model` in it
    #[arg(long, env = "SAGEMAKER_BASE_DIR", default_value = OptMl::ROOT)]
    pub base_dir: PathBuf,

    /// Address to listen on
    #[arg(long, env = "UNSPSC_HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,

    /// Port to listen on; 0 takes a free one, which the log names
    #[arg(long, env = "SAGEMAKER_BIND_TO_PORT", default_value_t = 8080)]
    pub port: u16,

    /// Threads that compute [default: one for each processor]
    #[arg(long, env = "UNSPSC_THREADS")]
    pub threads: Option<NonZeroUsize>,

    /// Arithmetic of the model's dense layers: float32 as trained, int16 faster and as good, int8 faster again and less
    /// exact (without vector instructions for it: int16)
    #[arg(long, env = "UNSPSC_PRECISION", default_value_t = Precision::Int16)]
    pub precision: Precision,

    /// Longest request body, decompressed [default: 25 MiB; in batch transform its payload limit]
    #[arg(long, env = "UNSPSC_MAX_BODY_BYTES")]
    pub max_body_bytes: Option<usize>,

    /// Probability, 0 to 1, under which an answer says `needs_review` unless the request has a threshold or a precision
    /// of its own [default: the model's own, by precision; 0.5 for a model that has none]
    #[arg(long, env = "UNSPSC_REVIEW_THRESHOLD", value_parser = probability)]
    pub review_threshold: Option<f64>,

    /// Form of the answer where a request accepts any [default: that of the request]
    #[arg(long, env = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT")]
    pub(crate) default_accept: Option<Media>,

    /// This is a batch transform job; the platform says so
    #[arg(long, env = "SAGEMAKER_BATCH", value_parser = FalseyValueParser::new())]
    pub batch: bool,

    /// Longest request of batch transform in MB; 0 is the platform's largest, 100 [default: 6]
    #[arg(long, env = "SAGEMAKER_MAX_PAYLOAD_IN_MB", value_parser = payload)]
    pub max_payload_in_mb: Option<usize>,

    /// Whether a request of batch transform holds one record or many
    #[arg(long, env = "SAGEMAKER_BATCH_STRATEGY", default_value = "MULTI_RECORD", value_parser = strategy)]
    pub batch_strategy: BatchStrategy,

    /// Requests of batch transform that may be under way at a time [default: 4, within 100 MB for all]
    #[arg(long, env = "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS")]
    pub max_concurrent_transforms: Option<NonZeroUsize>,

    /// Most candidates that a request may ask for
    #[arg(long, env = "UNSPSC_MAX_TOP_K", default_value_t = 100)]
    pub max_top_k: usize,

    /// Requests that may wait for the model; further ones are answered with 503 at once
    #[arg(long, env = "UNSPSC_QUEUE_CAPACITY", default_value = "256")]
    pub queue_capacity: NonZeroUsize,

    /// Tokens that may wait for the model; more are answered with 503 at once, but a request alone may have any number
    #[arg(long, env = "UNSPSC_QUEUE_TOKENS", default_value_t = DEFAULT_QUEUE_TOKENS)]
    pub queue_tokens: usize,

    /// Seconds that a request may take; one that cannot be answered in time is answered with 503 at once [default: 55;
    /// in batch transform 3595]
    #[arg(long, env = "UNSPSC_DEADLINE_SECS")]
    pub deadline_secs: Option<NonZeroU64>,

    /// Tokens that the model reads in one run, which bounds its memory; a single text may have more
    #[arg(long, env = "UNSPSC_MAX_BATCH_TOKENS", default_value_t = 2048)]
    pub max_batch_tokens: usize,

    /// The platform's word that this is a container of an inference pipeline
    #[arg(long, env = "SAGEMAKER_SAFE_PORT_RANGE", hide = true)]
    pub safe_port_range: Option<String>,

    /// OpenTelemetry collector that takes traces by OTLP over plain HTTP, such as `http://collector:4318`; the standard's
    /// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER count too. One that cannot be used is warned of
    /// and not used [default: no traces]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub collector: Option<String>,

    /// What to log, such as `info` or `warn,inference_container=debug`
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
}

impl Options {
    /// Threads that compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// Whether anybody but the platform can reach the port: not in a batch transform job and not in a pipeline, where
    /// the platform alone speaks to the container.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.batch && self.safe_port_range.is_none()
    }

    /// How much may wait and run, and how long a request may take.
    pub(crate) fn service_limits(&self) -> ServiceLimits {
        let (jobs, tokens) = (self.queue_capacity, self.queue_tokens);
        let queue = QueueLimits { jobs, tokens, batch_tokens: self.max_batch_tokens };
        let usual = if self.batch { BATCH_DEADLINE } else { REAL_TIME_DEADLINE };
        ServiceLimits { queue, deadline: self.deadline_secs.map_or(usual, |secs| Duration::from_secs(secs.get())) }
    }

    /// What requests may ask for.
    pub(crate) fn request_limits(&self) -> RequestLimits {
        let default_mb = match self.max_payload_in_mb {
            _ if !self.batch => REAL_TIME_PAYLOAD_MB,
            None | Some(0) => BATCH_PAYLOAD_MB,
            Some(payload) => payload,
        };
        RequestLimits {
            max_body_bytes: self.max_body_bytes.unwrap_or(default_mb << 20),
            max_top_k: self.max_top_k,
            review_threshold: self.review_threshold,
            default_accept: self.default_accept,
            execution: self.execution_parameters(),
        }
    }

    /// What batch transform is told: what the platform has set for the job, and our own defaults for the rest.
    fn execution_parameters(&self) -> ExecutionParameters {
        let max_payload_in_mb = self.batch_payload_mb();
        let together = DEFAULT_CONCURRENT_TRANSFORMS.min(BATCH_PAYLOAD_MB / max_payload_in_mb).max(1);
        ExecutionParameters {
            max_concurrent_transforms: self.max_concurrent_transforms.map_or(together, NonZeroUsize::get),
            batch_strategy: self.batch_strategy,
            max_payload_in_mb,
        }
    }

    fn batch_payload_mb(&self) -> usize {
        match self.max_payload_in_mb {
            None => DEFAULT_BATCH_PAYLOAD_MB,
            Some(0) => BATCH_PAYLOAD_MB,
            Some(payload) => payload,
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "use a number from 0 to 1".to_owned())
}

fn payload(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= BATCH_PAYLOAD_MB);
    number.ok_or_else(|| format!("use a whole number from 0 to {BATCH_PAYLOAD_MB}"))
}

/// As the platform writes it in requests (`MultiRecord`) and in variables (`MULTI_RECORD`).
fn strategy(text: &str) -> Result<BatchStrategy, String> {
    match text.replace('_', "").to_ascii_lowercase().as_str() {
        "singlerecord" => Ok(BatchStrategy::SingleRecord),
        "multirecord" => Ok(BatchStrategy::MultiRecord),
        _ => Err("use SINGLE_RECORD or MULTI_RECORD".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
        assert!(Options::try_parse_from(["serve", "serve", "--port", "0"]).is_ok());
        assert!(Options::try_parse_from(["serve", "train"]).is_err());
        for (option, value) in [
            ("--queue-capacity", "0"),
            ("--deadline-secs", "0"),
            ("--review-threshold", "1.5"),
            ("--default-accept", "text/html"),
            ("--max-payload-in-mb", "101"),
            ("--batch-strategy", "ALL"),
            ("--precision", "int4"),
        ] {
            assert!(Options::try_parse_from(["serve", option, value]).is_err(), "{option} {value}");
        }
    }

    fn limits(arguments: &[&str]) -> RequestLimits {
        Options::try_parse_from(["serve"].iter().chain(arguments)).unwrap().request_limits()
    }

    #[test]
    fn a_batch_job_has_other_limits_than_an_endpoint() {
        let endpoint = limits(&[]);
        assert_eq!(endpoint.max_body_bytes, 25 << 20);
        let unset = limits(&["--batch"]);
        assert_eq!(unset.max_body_bytes, 100 << 20);
        assert_eq!((unset.execution.max_payload_in_mb, unset.execution.max_concurrent_transforms), (6, 4));
        for (payload, megabytes, together) in [("0", 100, 1), ("40", 40, 2), ("100", 100, 1)] {
            let job = limits(&["--batch", "--max-payload-in-mb", payload]);
            assert_eq!(job.max_body_bytes, megabytes << 20, "{payload}");
            let told = (job.execution.max_payload_in_mb, job.execution.max_concurrent_transforms);
            assert_eq!(told, (megabytes, together), "{payload}");
        }
        assert_eq!(limits(&["--batch", "--max-body-bytes", "7"]).max_body_bytes, 7);
        let set = limits(&["--batch-strategy", "SingleRecord", "--max-concurrent-transforms", "16"]).execution;
        assert_eq!((set.batch_strategy, set.max_concurrent_transforms), (BatchStrategy::SingleRecord, 16));
    }

    #[test]
    fn the_platform_says_who_asks_and_how_long_it_waits() {
        for (arguments, deadline, reachable) in [
            (&["serve"][..], 55, true),
            (&["serve", "--batch"], 3595, false),
            (&["serve", "--batch", "--deadline-secs", "7"], 7, false),
            (&["serve", "--safe-port-range", "9000-9100"], 55, false),
        ] {
            let options = Options::try_parse_from(arguments).unwrap();
            let found = (options.service_limits().deadline.as_secs(), options.is_reachable());
            assert_eq!(found, (deadline, reachable), "{arguments:?}");
        }
    }
}
