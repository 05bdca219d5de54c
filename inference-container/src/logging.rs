//! The log, on standard error: one JSON object a line for machines, plain text where a person reads along.

use std::io::IsTerminal as _;
use std::panic::{PanicHookInfo, set_hook};

use tracing_subscriber::EnvFilter;

use crate::worker;

/// Logs what `filter` lets through, in the syntax of [`EnvFilter`], from now on. A line of a request has its id as
/// `span.request_id`.
pub fn start_logging(filter: &str) {
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).with_ansi(true).init();
    } else {
        log.with_target(false).json().flatten_event(true).with_span_list(false).init();
    }
    set_hook(Box::new(log_panic));
}

/// A panic's place; its message stays out, as it may quote a text. The model's panics may come with each request: its
/// thread reports them once, and here they are for whoever looks closely.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    if name == worker::THREAD || name.starts_with("engine-") {
        tracing::debug!(thread = name, place, "panicked");
    } else {
        tracing::error!(thread = name, place, "panicked");
    }
}
