//! `train`: the program that SageMaker starts as `docker run IMAGE train`.

use std::io::IsTerminal;
use std::process::ExitCode;

use train_container::{Options, TrainError, is_watched, run, watch};

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let colours = std::io::stdout().is_terminal();
    tracing_subscriber::fmt().with_ansi(colours).with_target(false).init();
    let code = start(&options).unwrap_or_else(|error| error.exit_code());
    ExitCode::from(code)
}

/// Trains in the process that is watched, and watches in the other.
fn start(options: &Options) -> Result<u8, TrainError> {
    if !is_watched()? {
        return watch(options);
    }
    run(options, &|name| std::env::var(name).ok()).map(|()| 0)
}
