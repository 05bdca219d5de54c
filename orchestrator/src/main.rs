//! `unspsc`: prepares data, trains, deploys and asks a UNSPSC classifier, on SageMaker or on this machine.

mod app;
mod artifact;
mod attempt;
mod augment;
mod aws;
mod batch;
mod causes;
mod coded;
mod confirm;
mod content;
mod denial;
mod deploy;
mod destroy;
mod download;
mod evaluate;
mod exit;
mod explore;
mod follow;
mod images;
mod infra;
mod interrupt;
mod invoke;
mod kinds;
mod lambda;
mod leave;
mod logs;
mod options;
mod pipeline;
mod plan;
mod poll;
mod prepare;
mod progress;
mod report;
mod scratch;
mod session;
mod settings;
mod stacks;
mod status;
mod stop;
mod storage;
mod tables;
mod train;
mod tune;
mod undo;
mod upload;
mod walk;
mod whole;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};
use tracing_subscriber::EnvFilter;

use options::{Cli, Command};
use progress::Closed;

/// A file that is being written when the program is interrupted gets this long to be finished.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// The exit code for a command line or settings that cannot be used; clap has the same.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command = settings::unless_empty(Cli::command());
    let settings = settings::apply(command.clone(), &arguments);
    let definition = settings.as_ref().map_or(command, Clone::clone);
    let cli = Cli::from_arg_matches(&definition.get_matches_from(arguments)).unwrap_or_else(|error| error.exit());
    let filter = EnvFilter::new(&cli.log);
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    let outcome = match (&cli.command, settings) {
        // Whatever stands in the file now, or does not.
        (Command::Init(args), _) => settings::init(&Cli::command(), cli.config.as_deref(), args),
        // It is going to be written.
        (command, Err(error)) if error.is_missing() && command.writes_settings() => {
            // Whoever has mistyped its name sees it.
            let _ = writeln!(std::io::stderr(), "{error}: no setting is taken from there");
            run(cli.command, cli.config)
        }
        (_, Err(error)) => {
            complain(&error.into());
            return ExitCode::from(USAGE);
        }
        (_, Ok(_)) => run(cli.command, cli.config),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    complain(&error);
    exit::code(&error)
}

fn run(command: Command, config: Option<PathBuf>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(app::run(command, config));
    runtime.shutdown_timeout(LAST_WRITES);
    outcome
}

/// Says what went wrong, and what to do about it where that is known.
fn complain(error: &anyhow::Error) {
    // Of `unspsc status | head` there is nothing to say.
    if error.is::<Closed>() {
        return;
    }
    // Nothing is left to tell of a closed standard error.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    if let Some(advice) = causes::advice(error) {
        let _ = writeln!(std::io::stderr(), "what to do: {advice}");
    }
}
