//! The command line.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use unspsc_contract::OptMl;

/// 25 MiB: SageMaker's limit for one real-time invocation is 25 MB, and nothing that it lets through is refused here.
const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

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

    /// Longest request body
    #[arg(long, env = "UNSPSC_MAX_BODY_BYTES", default_value_t = DEFAULT_MAX_BODY_BYTES)]
    pub max_body_bytes: usize,

    /// Most candidates that a request may ask for
    #[arg(long, env = "UNSPSC_MAX_TOP_K", default_value_t = 100)]
    pub max_top_k: usize,

    /// Requests that may wait for the model; further ones are answered with 503 at once
    #[arg(long, env = "UNSPSC_QUEUE_CAPACITY", default_value = "256")]
    pub queue_capacity: NonZeroUsize,

    /// Tokens that may wait for the model; more are answered with 503 at once, but a request alone may have any number
    #[arg(long, env = "UNSPSC_QUEUE_TOKENS", default_value_t = DEFAULT_QUEUE_TOKENS)]
    pub queue_tokens: usize,

    /// Seconds that an answer may take once its texts are tokenised; requests that cannot be answered in time get 503 at
    /// once [default: 55, and 595 in a batch transform job, below SageMaker's 60 and 600]
    #[arg(long, env = "UNSPSC_DEADLINE_SECS")]
    pub deadline_secs: Option<NonZeroU64>,

    /// Tokens that the model reads in one run, which bounds its memory; a single text may have more
    #[arg(long, env = "UNSPSC_MAX_BATCH_TOKENS", default_value_t = 2048)]
    pub max_batch_tokens: usize,

    /// The platform's word that this is a batch transform job
    #[arg(long, env = "SAGEMAKER_BATCH", hide = true, value_parser = FalseyValueParser::new())]
    pub batch: bool,

    /// The platform's word that this is a container of an inference pipeline
    #[arg(long, env = "SAGEMAKER_SAFE_PORT_RANGE", hide = true)]
    pub safe_port_range: Option<String>,

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

    /// How long an answer may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let usual = if self.batch { 595 } else { 55 };
        Duration::from_secs(self.deadline_secs.map_or(usual, NonZeroU64::get))
    }

    /// Whether anybody but the platform can reach the port: not in a batch transform job and not in a pipeline, where
    /// the platform alone speaks to the container.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.batch && self.safe_port_range.is_none()
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
        assert!(Options::try_parse_from(["serve", "--queue-capacity", "0"]).is_err());
    }

    #[test]
    fn the_platform_says_who_asks_and_how_long_it_waits() {
        for (arguments, deadline, reachable) in [
            (&["serve"][..], 55, true),
            (&["serve", "--batch"], 595, false),
            (&["serve", "--batch", "--deadline-secs", "7"], 7, false),
            (&["serve", "--safe-port-range", "9000-9100"], 55, false),
        ] {
            let options = Options::try_parse_from(arguments).unwrap();
            assert_eq!((options.deadline().as_secs(), options.is_reachable()), (deadline, reachable), "{arguments:?}");
        }
    }
}
