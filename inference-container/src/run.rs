//! The life of the server: listen, load, serve, drain.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use unspsc_artifact::{Artifact, ArtifactError, Weights};
use unspsc_contract::{OptMl, files};
use unspsc_engine::{Engine, EngineError, Precision};

use crate::Options;
use crate::api_error::ApiError;
use crate::app::app;
use crate::classifier::Classifier;
use crate::connections;
use crate::index::Index;
use crate::memory;
use crate::metrics::{Metrics, ModelLabels};
use crate::stream::UNREAD;
use crate::traces::Traces;
use crate::worker::{self, Loaded};

/// SageMaker kills a container 30 seconds after SIGTERM; what is still running then is cut off a little earlier.
const DRAIN: Duration = Duration::from_secs(25);

/// Why `serve` cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no model directory, or one without a model.
    #[error("cannot load the model: there is none in {}: {found}", directory.display())]
    NoModel {
        /// Where it was looked for.
        directory: PathBuf,
        /// What is there instead, and the way out.
        found: String,
    },
    /// The model directory cannot be used.
    #[error("cannot load the model: {0}")]
    Artifact(#[from] ArtifactError),
    /// The weights cannot be used.
    #[error("cannot load the model: {0}")]
    Engine(#[from] EngineError),
    /// The model is loaded but does not work.
    #[error("the model failed its warm-up: {0}")]
    WarmUp(String),
    /// The kernel would end the process before the model is loaded.
    #[error(
        "cannot load the model: it needs about {needed} MiB of memory and the container may use {limit} MiB; give it more \
         (docker run --memory, another instance type, serverless memory)"
    )]
    Memory {
        /// MiB by an estimate.
        needed: u64,
        /// MiB.
        limit: u64,
    },
    /// The port is taken or not ours to take.
    #[error("cannot listen on {address}: {source}; choose another port with SAGEMAKER_BIND_TO_PORT")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The system refuses what a server needs.
    #[error("cannot run the server: {0}")]
    Server(std::io::Error),
}

impl From<ApiError> for ServeError {
    fn from(error: ApiError) -> Self {
        let reason = if let ApiError::Internal(detail) = error { detail } else { error.to_string() };
        Self::WarmUp(reason)
    }
}

/// Serves until SIGTERM or SIGINT, then finishes what it has begun.
///
/// # Errors
/// If the model cannot be loaded or the port not be listened on.
pub fn run(options: &Options) -> Result<(), ServeError> {
    let traces = options.collector.as_deref().and_then(Traces::start);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Thread)?;
    let outcome = runtime.block_on(serve(options));
    // A request that is still being tokenised after the time to drain must not hold up the exit.
    runtime.shutdown_background();
    if let Some(traces) = traces {
        traces.stop();
    }
    outcome
}

async fn serve(options: &Options) -> Result<(), ServeError> {
    let address = SocketAddr::new(options.host, options.port);
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(ServeError::Server)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(ServeError::Server)?;

    let (base, precision, threads) = (options.base_dir.clone(), options.precision, options.threads());
    let metrics = Arc::new(Metrics::new());
    let counting = Arc::clone(&metrics);
    let load = move || load(&OptMl::new(base), precision, threads, &counting);
    let (service, failure) = worker::start(load, options.service_limits(), metrics)?;
    let app = app(service.clone(), options.request_limits(), options.is_reachable());
    tracing::info!("listening on http://{address}");

    let (drain, draining) = oneshot::channel::<()>();
    // A client may send all of its body, for as long as a request may take, before it reads anything.
    let write_timeout = options.service_limits().deadline + UNREAD;
    let mut server = pin!(connections::serve(listener, app, write_timeout, async { drop(draining.await) }));
    let failure = async { if let Ok(error) = failure.await { error } else { std::future::pending().await } };
    tokio::select! {
        () = &mut server => return Ok(()),
        error = failure => return Err(error),
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("stopping: no further requests are taken, those in flight are answered");
    service.stop();
    drop(drain);
    if tokio::time::timeout(DRAIN, server).await.is_err() {
        tracing::warn!("stopped with requests in flight after {} seconds", DRAIN.as_secs());
    }
    Ok(())
}

/// Tells a folder without a model from one with a damaged model.
fn has_model(directory: &Path) -> Result<(), ServeError> {
    if directory.join(files::CONFIG).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(directory).map(|entries| {
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().display().to_string()).collect();
        names.sort();
        names
    });
    let found = match entries {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            format!("user {} may not read it: {error}", nix::unistd::getuid())
        }
        Err(error) => format!("{error}; mount the folder that holds the model's config.json there"),
        Ok(names) if names.is_empty() => {
            "the folder is empty; mount the one that holds the model's config.json there".to_owned()
        }
        Ok(names) if names.iter().any(|name| name.ends_with(".tar.gz")) => {
            format!("it holds {}; unpack the archive into it (tar -xzf), as SageMaker does", names.join(", "))
        }
        Ok(names) if directory.join("model").join(files::CONFIG).exists() => {
            format!("it holds {}; mount its folder `model` in its place", names.join(", "))
        }
        Ok(names) => format!("it holds {} and no {}", names.join(", "), files::CONFIG),
    };
    Err(ServeError::NoModel { directory: directory.to_owned(), found })
}

fn load(
    tree: &OptMl,
    precision: Precision,
    threads: usize,
    metrics: &Metrics,
) -> Result<(Classifier, Loaded), ServeError> {
    let started = Instant::now();
    let directory = tree.model();
    has_model(&directory)?;
    if let Ok(file) = fs::metadata(directory.join(files::WEIGHTS)) {
        memory::check(file.len(), precision)?;
    }
    let (artifact, engine) = Artifact::load_beside(&directory, |config, metadata| {
        let weights = Weights::read(&directory.join(files::WEIGHTS))?;
        Ok::<_, ServeError>(Engine::load(config, metadata, &weights, precision, threads)?)
    })?;
    let engine = engine?;
    let index = Index::load(&directory, &artifact)?.map(Arc::new);
    let model = ModelLabels {
        architecture: format!("{:?}", artifact.config.architecture),
        level: artifact.metadata.level.map_or("unknown", |level| level.as_str()),
        labels: artifact.metadata.label_names(&artifact.config).len() as u64,
        precision: engine.precision().to_string(),
        instructions: engine.instruction_set().to_string(),
        version: env!("CARGO_PKG_VERSION"),
    };
    metrics.model_is(&model);
    tracing::info!(
        model = %directory.display(),
        architecture = model.architecture,
        labels = model.labels,
        // `level` is the line's own.
        label_level = model.level,
        precision = model.precision,
        instructions = model.instructions,
        threads,
        index_entries = index.as_ref().map_or(0, |index| index.entries()),
        load_ms = started.elapsed().as_millis() as u64,
        "model loaded"
    );
    Ok((Classifier::new(artifact, index.clone()), Loaded { engine, index }))
}
