//! `serve`: the program that SageMaker starts as `docker run IMAGE serve`.

use std::process::ExitCode;

use clap::Parser;
use inference_container::{Options, run, start_logging};

fn main() -> ExitCode {
    let options = Options::parse();
    start_logging(&options.log);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
