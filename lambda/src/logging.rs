//! The log: one JSON object a line on standard error, which Lambda takes to CloudWatch.

use std::env;
use std::panic::{PanicHookInfo, set_hook};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lambda's own setting, which a function has whose log format is JSON.
const LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// Logs from now on. A line of an invocation has Lambda's id of it as `span.request_id`.
pub(crate) fn start() {
    let level = env::var(LEVEL).map_or(LevelFilter::INFO, |level| level_of(&level));
    // Of others only what went wrong: at their finest they show events and requests whole.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("bootstrap", level);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).json();
    let log = log.flatten_event(true).with_span_list(false).with_filter(filter);
    tracing_subscriber::registry().with(log).init();
    set_hook(Box::new(log_panic));
}

fn level_of(word: &str) -> LevelFilter {
    if word.eq_ignore_ascii_case("fatal") { LevelFilter::ERROR } else { word.parse().unwrap_or(LevelFilter::INFO) }
}

/// A panic's place; its message stays out, as it may quote a text.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_words_are_levels() {
        for (word, level) in [("DEBUG", LevelFilter::DEBUG), ("FATAL", LevelFilter::ERROR), ("loud", LevelFilter::INFO)]
        {
            assert_eq!(level_of(word), level);
        }
    }
}
