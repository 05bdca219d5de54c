//! The running jobs and endpoints: one task each, which can be told to stop and be waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

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

/// How long a child may take to end once it was told to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    /// Counted from when it was told.
    pub(crate) usual: Duration,
    /// Counted from when the whole platform stops, if that comes before the other is over.
    pub(crate) shutdown: Duration,
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

    /// Returns when somebody has nudged the task, or has told it to stop, since the last call.
    pub(crate) async fn nudged(&mut self) {
        if self.0.changed().await.is_err() {
            // The platform was dropped: `now` says so, and nobody will nudge again.
            std::future::pending::<()>().await;
        }
    }

    /// Returns when a child that has just been told to end has had its time.
    pub(crate) async fn grace(&mut self, grace: Grace) {
        let shutdown = async {
            // As above.
            let _ = self.0.wait_for(|stop| *stop == Stop::Platform).await;
            sleep(grace.shutdown).await;
        };
        tokio::select! {
            () = sleep(grace.usual) => {}
            () = shutdown => {}
        }
    }
}

#[derive(Debug, Default)]
struct Running {
    /// By key, such as `training-job/NAME`.
    stops: HashMap<String, watch::Sender<Stop>>,
    tasks: JoinSet<()>,
    /// The platform stops: nothing starts any more.
    closed: bool,
}

/// The tasks that run.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Running>);

impl Tasks {
    /// Starts what `work` makes under `key`; [`Tasks::finished`] is its last word.
    ///
    /// Once the platform stops it does nothing: what then has a record and no task is ended by the next server.
    pub(crate) fn start<F>(&self, key: String, work: impl FnOnce(StopSignal) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The lock is held while the task starts, so that it cannot report its end before it is listed.
        let mut running = self.lock();
        if running.closed {
            return;
        }
        // Those that are over take room until they are looked at.
        while let Some(over) = running.tasks.try_join_next() {
            report(over);
        }
        let (stop, signal) = watch::channel(Stop::No);
        running.stops.insert(key, stop);
        running.tasks.spawn(work(StopSignal(signal)));
    }

    /// Takes `key` off the list.
    pub(crate) fn finished(&self, key: &str) {
        self.lock().stops.remove(key);
    }

    /// Tells the task to stop; false if none runs under `key`.
    pub(crate) fn stop(&self, key: &str) -> bool {
        self.lock().stops.get(key).is_some_and(|stop| stop.send(Stop::Requested).is_ok())
    }

    /// Has the task under `key` look again at what is wanted of it.
    pub(crate) fn nudge(&self, key: &str) {
        if let Some(stop) = self.lock().stops.get(key) {
            stop.send_modify(|_| ());
        }
    }

    /// Tells every task that the platform stops, and waits for all of them; no other starts after it.
    ///
    /// Dropped before its end, it breaks them off.
    pub(crate) async fn stop_all(&self) {
        let (stops, mut tasks) = {
            let mut running = self.lock();
            running.closed = true;
            (std::mem::take(&mut running.stops), std::mem::take(&mut running.tasks))
        };
        for stop in stops.values() {
            // A task that has just ended hears nothing.
            let _ = stop.send(Stop::Platform);
        }
        while let Some(over) = tasks.join_next().await {
            report(over);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(over: Result<(), JoinError>) {
    if let Err(error) = over {
        tracing::error!(%error, "a task broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(20);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A task that was told to stop and has an hour for it, or less if the platform stops.
    async fn slow(mut stop: StopSignal) {
        stop.stopped().await;
        stop.grace(Grace { usual: HOUR, shutdown: Duration::from_millis(1) }).await;
    }

    #[tokio::test]
    async fn the_platforms_stop_is_heard_by_a_task_that_is_already_stopping() {
        let tasks = Tasks::default();
        tasks.start("one".to_owned(), slow);
        assert!(tasks.stop("one"));
        tokio::task::yield_now().await;
        timeout(LIMIT, tasks.stop_all()).await.expect("it took its hour");
    }

    #[tokio::test]
    async fn a_grace_ends_by_itself() {
        let (_stop, signal) = watch::channel(Stop::Requested);
        let grace = Grace { usual: Duration::from_millis(1), shutdown: HOUR };
        timeout(LIMIT, StopSignal(signal).grace(grace)).await.expect("the hour was waited for");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_breaks_the_tasks_off_and_none_starts_after_it() {
        let (tasks, alive) = (Tasks::default(), Arc::new(()));
        let held = Arc::clone(&alive);
        tasks.start("one".to_owned(), |_| async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        assert!(timeout(Duration::from_millis(1), tasks.stop_all()).await.is_err());
        let gone = async {
            while Arc::strong_count(&alive) > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, gone).await.expect("the task still runs");
        let (begun, begins) = oneshot::channel();
        tasks.start("late".to_owned(), |_| async move {
            let _ = begun.send(());
        });
        assert!(begins.await.is_err());
    }
}
