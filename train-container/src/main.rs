//! `train`: the program that SageMaker starts as `docker run IMAGE train`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use train_container::{Options, run, wait_asleep};

fn main() -> ExitCode {
    let options = Options::parse();
    let colours = std::io::stdout().is_terminal();
    let waiting = wait_asleep();
    tracing_subscriber::fmt().with_ansi(colours).with_target(false).init();
    if let Err(error) = waiting {
        tracing::warn!("threads will spin while they wait: {error}");
    }
    match run(&options, &|name| std::env::var(name).ok()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
