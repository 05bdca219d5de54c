//! The command line.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use unspsc_contract::OptMl;

/// 25 MiB: SageMaker's limit for one real-time invocation is 25 MB, and nothing that it lets through is refused here.
const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

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

    /// Tokens that the model reads in one run, which bounds its memory; a single text may have more
    #[arg(long, env = "UNSPSC_MAX_BATCH_TOKENS", default_value_t = 2048)]
    pub max_batch_tokens: usize,

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
}
