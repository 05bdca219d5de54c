//! The handle on a running local SageMaker.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::Clock;
use crate::faults::Faults;
use crate::folder::{FolderError, StateFolder};
use crate::platform::Platform;
use crate::process::Spawner;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::storage::{Storage, StorageError};
use crate::store::{Store, StoreError};
use crate::{leftovers, server};

/// How long requests under way may take to end once nothing runs behind them any more.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A running local SageMaker.
///
/// [`LocalSageMaker::stop`] ends it in order. Dropping it ends only the server: jobs and endpoints run until the runtime
/// ends; when the process ends, however it ends, the kernel kills what is left.
#[derive(Debug)]
pub struct LocalSageMaker {
    pub(crate) platform: Arc<Platform>,
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Why a local SageMaker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be made or another server holds it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The records cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of buckets cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; choose another port, or 0 for any free one")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// A setting is of no use.
    #[error("cannot use {}: {reason}", path.display())]
    Path {
        /// The path of the setting.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// No Docker Engine answers.
    #[error("no Docker Engine can be asked: {0}; start one, or run the programs themselves with --runtime process")]
    Docker(String),
    /// The HTTP client or the thread that starts children cannot be made.
    #[error("cannot set up {what}: {reason}")]
    SetUp {
        /// What was being made.
        what: &'static str,
        /// What went wrong.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LocalSageMaker {
    /// Opens the state folder, clears up after a server that was killed, and serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let settings = absolute(settings)?;
        settings.runtime.is_ready().await.map_err(StartError::Docker)?;
        let folder = StateFolder::open(&settings.state)?;
        kill_left_over(&folder, &settings.runtime).await;
        folder
            .clear_scratch()
            .map_err(|reason| StartError::SetUp { what: "the scratch folder", reason: reason.into() })?;
        let store = Store::open(folder.records())?;
        store.update(|state| {
            state.recover();
            Ok::<_, StoreError>(())
        })?;
        let listener = TcpListener::bind(settings.bind).await;
        let bind_error = |reason| StartError::Bind { address: settings.bind, reason };
        let listener = listener.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let platform = Arc::new(Platform {
            storage: Storage::open(folder.buckets())?,
            spawner: Spawner::start(folder.mark(), folder.scratch(), settings.runtime.clone()).map_err(|reason| {
                StartError::SetUp { what: "the thread that starts children", reason: reason.into() }
            })?,
            http: http_client()
                .map_err(|reason| StartError::SetUp { what: "the HTTP client", reason: reason.into() })?,
            tasks: crate::tasks::Tasks::default(),
            calls: Arc::default(),
            routes: crate::hosting::Routes::default(),
            ports: crate::hosting::Ports::default(),
            queues: crate::hosting::asynchronous::Queues::default(),
            traffic: crate::hosting::Traffic::default(),
            clock: Clock::default(),
            faults: Faults::new(settings.faults.clone(), settings.fault_seed),
            store,
            folder,
            settings,
        });
        let tracking = Arc::clone(&platform);
        platform.tasks.start("target-tracking".to_owned(), |mut stop| async move {
            tokio::select! {
                () = crate::scaling::tracker::run(tracking) => {}
                _ = stop.stopped() => {}
            }
        });
        let (shutdown, stopped) = oneshot::channel();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&platform), async move {
            // A dropped sender means the same as a sent word.
            let _ = stopped.await;
        }));
        tracing::info!(%address, state = %platform.folder.root().display(), "serving");
        Ok(Self { platform, address, shutdown, server })
    }

    /// The one URL of every service, such as `http://127.0.0.1:4570`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops serving, ends every job and endpoint, and returns when no child is left.
    pub async fn stop(self) {
        self.stop_unless(std::future::pending()).await;
    }

    /// Like [`LocalSageMaker::stop`], but kills at once what still runs when `hurry` is over; false if it came to that.
    pub async fn stop_unless(self, hurry: impl Future<Output = ()>) -> bool {
        let Self { platform, shutdown, mut server, .. } = self;
        // A server that is gone already hears nothing.
        let _ = shutdown.send(());
        let orderly = async {
            platform.tasks.stop_all().await;
            let drained = async {
                // Whatever became of it, it is over.
                let _ = (&mut server).await;
                // What a client has asked of S3 that has gone away meanwhile.
                drop(platform.calls.write().await);
            };
            // A request that hangs is broken off below.
            let _ = tokio::time::timeout(DRAIN_LIMIT, drained).await;
        };
        let in_order = tokio::select! {
            // Begun in any case, so that no task starts any more, and those that run are broken off with it.
            biased;
            () = orderly => true,
            () = hurry => false,
        };
        server.abort();
        kill_left_over(&platform.folder, &platform.settings.runtime).await;
        // A request that hangs may hold the platform beyond this point; the folder is free all the same.
        if let Err(error) = platform.folder.release() {
            tracing::warn!(%error, "cannot release the state folder");
        }
        in_order
    }
}

/// Kills what carries the folder's mark: processes on a thread that may sleep, then the containers that some of them were about.
async fn kill_left_over(folder: &StateFolder, runtime: &Runtime) {
    let mark = folder.mark().to_owned();
    if let Err(error) = spawn_blocking(move || leftovers::kill_all(&mark)).await {
        tracing::error!(%error, "the search for processes that were left behind broke off");
    }
    runtime.remove_left_over(folder.mark(), folder.root()).await;
}

fn absolute(mut settings: Settings) -> Result<Settings, StartError> {
    let mut paths = vec![&mut settings.state];
    if let Runtime::Process { train, serve } = &mut settings.runtime {
        paths.extend([train, serve]);
    }
    for path in paths {
        *path = std::path::absolute(&*path).map_err(|reason| StartError::Path { path: path.clone(), reason })?;
    }
    Ok(settings)
}

fn http_client() -> reqwest::Result<reqwest::Client> {
    // Instances listen on loopback: a proxy of the user's environment has no business there.
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}
