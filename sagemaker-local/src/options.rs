//! The options of the binary, and what it does with them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use sagemaker_local::{Fault, LocalSageMaker, Runtime, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Answers the SageMaker, Application Auto Scaling and S3 APIs on this machine: jobs and endpoints run as child
/// processes, buckets are folders, everything is kept in one state folder.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Folder that keeps buckets, jobs, endpoints and records; made if missing
    #[arg(long, env = "SAGEMAKER_LOCAL_STATE", value_name = "DIR")]
    state: PathBuf,
    /// Port to listen on; 0 takes any free one
    #[arg(long, env = "SAGEMAKER_LOCAL_PORT", default_value_t = 4570)]
    port: u16,
    /// Address to listen on; whoever reaches it may start jobs on this machine
    #[arg(long, env = "SAGEMAKER_LOCAL_BIND", default_value = "127.0.0.1", value_name = "IP")]
    bind: IpAddr,
    /// What runs as a container: `process`, two programs of this machine whatever image is named, or `docker`, the images that
    /// requests name, which the Docker Engine must have
    #[arg(
        long,
        env = "SAGEMAKER_LOCAL_RUNTIME",
        value_name = "WHAT",
        default_value = "process",
        hide_possible_values = true
    )]
    runtime: RuntimeKind,
    /// Program that a training job runs, as `PROGRAM train` [default: `train` beside this program]
    #[arg(long, env = "SAGEMAKER_LOCAL_TRAIN", value_name = "PROGRAM")]
    train: Option<PathBuf>,
    /// Program that an endpoint's instance runs, as `PROGRAM serve` [default: `serve` beside this program]
    #[arg(long, env = "SAGEMAKER_LOCAL_SERVE", value_name = "PROGRAM")]
    serve: Option<PathBuf>,
    /// Seconds between SIGTERM and SIGKILL for a job that is stopped; SageMaker gives 120
    #[arg(long, env = "SAGEMAKER_LOCAL_STOP_GRACE_SECS", default_value_t = Settings::STOP_GRACE.as_secs())]
    stop_grace_secs: u64,
    /// Seconds within which all instances of a new endpoint must answer /ping; SageMaker gives 480
    #[arg(long, env = "SAGEMAKER_LOCAL_PING_LIMIT_SECS", default_value_t = Settings::PING_LIMIT.as_secs())]
    ping_limit_secs: u64,
    /// What is to go wrong, such as throttle:operation=CreateModel,times=2; may be repeated. Kinds: throttle, error, lost-response
    /// (with operation), spot-interruption, capacity, crash, slow-ping, alarm, full-disk (with name and after-secs); all with times,
    /// skip and chance
    #[arg(long, value_name = "RULE")]
    fault: Vec<Fault>,
    /// Seed of the chances in --fault
    #[arg(long, value_name = "N", default_value_t = Settings::FAULT_SEED)]
    fault_seed: u64,
    /// What to log on standard error, in the syntax of tracing's `EnvFilter`
    #[arg(long, env = "SAGEMAKER_LOCAL_LOG", default_value = "info,s3s=off,s3s_fs=off")]
    pub(crate) log: String,
}

/// What runs as a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuntimeKind {
    Process,
    Docker,
}

/// Serves until SIGINT or SIGTERM, then stops every child; a second signal kills those that still run and is an error.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let state = options.state.clone();
    if !options.fault.is_empty() {
        tracing::info!(rules = options.fault.len(), seed = options.fault_seed, "faults on demand");
    }
    let local = LocalSageMaker::start(settings(options)?).await?;
    let url = local.endpoint_url();
    println!("# sagemaker-local listens on {url}, state in {}", state.display());
    println!("export AWS_ENDPOINT_URL={url}");
    println!("export AWS_ACCESS_KEY_ID={}", sagemaker_local::ACCESS_KEY);
    println!("export AWS_SECRET_ACCESS_KEY={}", sagemaker_local::SECRET_KEY);
    println!("export AWS_DEFAULT_REGION={}", sagemaker_local::REGION);
    signalled(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal kills what still runs");
    let in_order = local.stop_unless(signalled(&mut interrupt, &mut terminate)).await;
    anyhow::ensure!(in_order, "a second signal came: what still ran was killed");
    Ok(())
}

fn settings(options: Options) -> anyhow::Result<Settings> {
    let defaults = Settings::new(options.state).context("cannot find the folder of this program")?;
    let runtime = match (options.runtime, defaults.runtime) {
        (RuntimeKind::Docker, _) if options.train.is_some() || options.serve.is_some() => {
            anyhow::bail!(
                "--train and --serve name programs for --runtime process: leave them away with --runtime docker"
            )
        }
        (RuntimeKind::Process, Runtime::Process { train, serve }) => {
            Runtime::Process { train: options.train.unwrap_or(train), serve: options.serve.unwrap_or(serve) }
        }
        _ => Runtime::Docker,
    };
    Ok(Settings {
        runtime,
        bind: SocketAddr::new(options.bind, options.port),
        stop_grace: Duration::from_secs(options.stop_grace_secs),
        ping_limit: Duration::from_secs(options.ping_limit_secs),
        faults: options.fault,
        fault_seed: options.fault_seed,
        state: defaults.state,
    })
}

async fn signalled(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
