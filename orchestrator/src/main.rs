//! `unspsc`: prepares data, trains, deploys and asks a UNSPSC classifier, on SageMaker or on this machine.

mod app;
mod augment;
mod aws;
mod deploy;
mod destroy;
mod download;
mod evaluate;
mod explore;
mod follow;
mod interrupt;
mod invoke;
mod options;
mod pipeline;
mod poll;
mod prepare;
mod progress;
mod report;
mod session;
mod storage;
mod tables;
mod train;
mod undo;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

/// A file that is being written when the program is interrupted gets this long to be finished.
const LAST_WRITES: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = options::Cli::parse();
    let filter = EnvFilter::new(&cli.log);
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    let outcome = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(app::run(cli.command));
        runtime.shutdown_timeout(LAST_WRITES);
        outcome
    });
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Nothing is left to tell of a closed standard error.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    error.downcast_ref().map_or(ExitCode::FAILURE, interrupt::Interrupted::exit_code)
}
