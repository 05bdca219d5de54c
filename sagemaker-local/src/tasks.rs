//! The running jobs and endpoints: one task each, which can be told to stop and be waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a running job or endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Go on.
    No,
    /// A caller asked for this one to be stopped or deleted.
    Requested,
    /// The whole platform stops.
    Platform,
}

/// A task's ear for [`Stop`].
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Stop>);

impl StopSignal {
    /// What has been said so far.
    pub(crate) fn now(&self) -> Stop {
        if self.0.has_changed().is_err() { Stop::Platform } else { *self.0.borrow() }
    }

    /// Returns once anything but [`Stop::No`] has been said.
    pub(crate) async fn stopped(&mut self) -> Stop {
        // A sender that is gone means that the platform was dropped.
        self.0.wait_for(|stop| *stop != Stop::No).await.map_or(Stop::Platform, |stop| *stop)
    }
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<Stop>,
    task: JoinHandle<()>,
}

/// The tasks by key, such as `training-job/NAME`.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<HashMap<String, Running>>);

impl Tasks {
    /// Starts what `work` makes under `key`; [`Tasks::finished`] is its last word.
    pub(crate) fn start<F>(&self, key: String, work: impl FnOnce(StopSignal) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, signal) = watch::channel(Stop::No);
        // The lock is held while the task starts, so that it cannot report its end before it is listed.
        let mut tasks = self.lock();
        let task = tokio::spawn(work(StopSignal(signal)));
        tasks.insert(key, Running { stop, task });
    }

    /// Takes `key` off the list.
    pub(crate) fn finished(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Tells the task to stop; false if none runs under `key`.
    pub(crate) fn stop(&self, key: &str) -> bool {
        self.lock().get(key).is_some_and(|running| running.stop.send(Stop::Requested).is_ok())
    }

    /// Tells every task that the platform stops, and waits for all of them.
    pub(crate) async fn stop_all(&self) {
        let running: Vec<Running> = self.lock().drain().map(|(_, running)| running).collect();
        for one in &running {
            // A task that has just ended hears nothing.
            let _ = one.stop.send(Stop::Platform);
        }
        for one in running {
            if let Err(error) = one.task.await {
                tracing::error!(%error, "a task broke off");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
