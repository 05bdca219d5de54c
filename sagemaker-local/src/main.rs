//! The binary: options in, exit code out.

mod options;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let options = options::Options::parse();
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&options.log)).with_writer(std::io::stderr).init();
    match options::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
