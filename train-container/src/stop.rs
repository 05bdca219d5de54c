//! SIGTERM as a flag that loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

use crate::TrainError;

/// Whether the job was asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that SIGTERM raises. Called before the process has a second thread: threads inherit the blocked signal,
    /// and one thread alone waits for it.
    ///
    /// # Errors
    /// If the system refuses the signal mask or the thread.
    pub(crate) fn at_sigterm() -> Result<Self, TrainError> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        let refused = |what: &str, error: &dyn std::fmt::Display| TrainError::System(format!("{what}: {error}"));
        signals.thread_block().map_err(|error| refused("to block SIGTERM", &error))?;
        let stop = Self::default();
        let flag = stop.clone();
        let wait = move || {
            if signals.wait().is_ok() {
                tracing::warn!("SIGTERM: stopping");
                flag.request();
            }
        };
        let thread = std::thread::Builder::new().name("sigterm".into()).spawn(wait);
        thread.map_err(|error| refused("a thread", &error))?;
        Ok(stop)
    }

    /// Raises the flag.
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is up.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
