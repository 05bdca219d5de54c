//! What is going on, on standard error: live on a terminal, one line a step elsewhere.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Lines that stay, and a last line that moves where there is a terminal.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    /// Lines that wait while the user is asked something.
    held: Arc<Mutex<Option<Vec<String>>>>,
}

impl Progress {
    /// Draws on standard error.
    pub(crate) fn new() -> Self {
        Self { bars: MultiProgress::new(), held: Arc::default() }
    }

    /// Whether there is a terminal on which the last line moves.
    pub(crate) fn is_live(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// Writes a line that stays.
    pub(crate) fn say(&self, line: &str) {
        if let Some(held) = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            held.push(line.to_owned());
            return;
        }
        // A closed standard error is no reason to leave the work undone.
        let _ = if self.bars.is_hidden() { writeln!(io::stderr(), "{line}") } else { self.bars.println(line) };
    }

    /// Leaves the terminal to a question: nothing moves, and what is said waits.
    pub(crate) fn hold(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
        // What cannot be cleared stays above the question.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Goes on after [`Progress::hold`].
    pub(crate) fn go_on(&self) {
        self.bars.set_draw_target(ProgressDrawTarget::stderr());
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.into_iter().flatten().for_each(|line| self.say(&line));
    }

    /// Says `what` and keeps a spinner turning until the returned guard is dropped.
    pub(crate) fn step(&self, what: &str) -> Step {
        if self.bars.is_hidden() {
            self.say(what);
        }
        let bar = self.bars.add(ProgressBar::new_spinner().with_message(what.to_owned()));
        bar.enable_steady_tick(TICK);
        Step(bar)
    }

    /// Says `what` and shows how many of `total` bytes are done until the returned guard is dropped.
    pub(crate) fn bytes(&self, what: &str, total: u64) -> Step {
        self.bar(what, total, "{msg} {bar:30} {bytes}/{total_bytes}")
    }

    /// Says `what` and shows how many of `total` things are done until the returned guard is dropped.
    pub(crate) fn count(&self, what: &str, total: u64) -> Step {
        self.bar(what, total, "{msg} {bar:30} {human_pos}/{human_len}, {eta} left")
    }

    fn bar(&self, what: &str, total: u64, template: &str) -> Step {
        if self.bars.is_hidden() {
            self.say(what);
        }
        let bar = self.bars.add(ProgressBar::new(total).with_message(what.to_owned()));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Step(bar)
    }
}

/// Something under way; dropping it removes its line.
#[derive(Debug)]
pub(crate) struct Step(ProgressBar);

impl Step {
    /// One of which nobody is told.
    pub(crate) fn unseen() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Says how it stands.
    pub(crate) fn update(&self, message: String) {
        self.0.set_message(message);
    }

    /// Counts so many more as done.
    pub(crate) fn advance(&self, more: u64) {
        self.0.inc(more);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Whoever read standard output has had enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct Closed;

/// Writes a result line to standard output.
///
/// # Errors
/// [`Closed`] where nobody reads it any more.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").map_err(|error| unwritten("to standard output", &error))
}

/// The sentence for an output that takes no more.
pub(crate) fn unwritten(what: &str, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::anyhow!("cannot write {what}: {error}"),
    }
}
