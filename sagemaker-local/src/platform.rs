//! What every operation works on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::folder::StateFolder;
use crate::hosting::asynchronous::Queues;
use crate::hosting::{Ports, Routes, Traffic};
use crate::process::Spawner;
use crate::settings::Settings;
use crate::storage::Storage;
use crate::store::Store;
use crate::tasks::{Grace, Tasks};

/// What every operation works on; one a server, shared by reference.
#[derive(Debug)]
pub(crate) struct Platform {
    /// What the server was started with; paths are absolute.
    pub(crate) settings: Settings,
    /// What time it is.
    pub(crate) clock: Clock,
    /// What goes wrong on demand.
    pub(crate) faults: Faults,
    /// Where things lie.
    pub(crate) folder: StateFolder,
    /// The records of all resources.
    pub(crate) store: Store,
    /// The buckets.
    pub(crate) storage: Storage,
    /// Starts children.
    pub(crate) spawner: Spawner,
    /// Reaches the instances of endpoints.
    pub(crate) http: reqwest::Client,
    /// Running jobs and endpoints.
    pub(crate) tasks: Tasks,
    /// Read by each call of S3 that is under way; who writes waits for all of them.
    pub(crate) calls: Arc<RwLock<()>>,
    /// Endpoints in service.
    pub(crate) routes: Routes,
    /// Asynchronous invocations that wait.
    pub(crate) queues: Queues,
    /// How often endpoints are invoked.
    pub(crate) traffic: Traffic,
    /// Ports that instances of endpoints have.
    pub(crate) ports: Ports,
}

impl Platform {
    /// SageMaker gives an instance 30 seconds between SIGTERM and SIGKILL.
    const INSTANCE_GRACE: Duration = Duration::from_secs(30);
    /// Whoever stops the whole platform waits for it at a terminal, so children get less time.
    const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

    /// Time between SIGTERM and SIGKILL for a training job.
    pub(crate) fn job_grace(&self) -> Grace {
        Grace { usual: self.settings.stop_grace, shutdown: self.settings.stop_grace.min(Self::SHUTDOWN_GRACE) }
    }

    /// Time between SIGTERM and SIGKILL for an instance of an endpoint.
    pub(crate) fn instance_grace(&self) -> Grace {
        Grace { usual: self.settings.stop_grace.min(Self::INSTANCE_GRACE), ..self.job_grace() }
    }
}
