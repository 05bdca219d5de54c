//! What a local SageMaker is started with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::Fault;
use crate::runtime::Runtime;

/// What a local SageMaker is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Folder that keeps buckets, jobs, endpoints and records; made if missing. One server at a time holds it.
    pub state: PathBuf,
    /// What runs as a container.
    pub runtime: Runtime,
    /// Address to listen on; port 0 takes any free port.
    pub bind: SocketAddr,
    /// Time between SIGTERM and SIGKILL for a job that is stopped.
    pub stop_grace: Duration,
    /// Time within which all instances of a new endpoint must answer `/ping`.
    pub ping_limit: Duration,
    /// What goes wrong on demand.
    pub faults: Vec<Fault>,
    /// Seed of the chances in `faults`.
    pub fault_seed: u64,
}

impl Settings {
    /// SageMaker gives a stopped job 120 seconds.
    pub const STOP_GRACE: Duration = Duration::from_secs(120);
    /// SageMaker gives a new endpoint 8 minutes to answer `/ping`.
    pub const PING_LIMIT: Duration = Duration::from_secs(480);
    /// The seed of chances where none is given.
    pub const FAULT_SEED: u64 = 17;

    /// The usual settings: programs beside the running one, any free port on loopback, SageMaker's times.
    ///
    /// # Errors
    /// When the system does not tell where the running program lies.
    pub fn new(state: impl Into<PathBuf>) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            state: state.into(),
            runtime: Runtime::Process {
                train: program.with_file_name("train"),
                serve: program.with_file_name("serve"),
            },
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            stop_grace: Self::STOP_GRACE,
            ping_limit: Self::PING_LIMIT,
            faults: Vec::new(),
            fault_seed: Self::FAULT_SEED,
        })
    }
}
