//! One instance: the program `serve` as a child process or a container, from its start to its end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::ports::Port;
use super::record::Container;
use crate::archive;
use crate::faults::{self, FaultKind};
use crate::logs::{Follower, tail};
use crate::platform::Platform;
use crate::process::{self, Launch, Process};
use crate::storage::{S3Uri, S3UriError};

/// SageMaker gives one `/ping` two seconds.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const PING_PAUSE: Duration = Duration::from_millis(100);
/// How often an instance is started anew when another program has taken the port that was free for it.
const PORT_ATTEMPTS: u32 = 3;
/// How often the times of an instance's log are noted.
const LOOK: Duration = Duration::from_millis(200);

/// What an instance runs as.
#[derive(Debug, Clone)]
pub(crate) struct InstanceSpec {
    /// The endpoint or the job that it works for, by which a fault knows it.
    pub(crate) owner: String,
    /// The image that its model names.
    pub(crate) image: String,
    /// What it sees as `/opt/ml`.
    pub(crate) opt_ml: PathBuf,
    /// What the request wants in its environment; the platform's own variables are added.
    pub(crate) environment: BTreeMap<String, String>,
    /// The file of its standard output and error.
    pub(crate) log: PathBuf,
    /// How long it may take to answer `/ping`.
    pub(crate) ping_limit: Duration,
}

/// Why there is no instance, as a part of a sentence or a whole one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoInstance {
    /// There is no machine.
    Capacity,
    /// The program cannot be started.
    Start(String),
    /// The program ended or did not answer; what it did, and its last words.
    Unhealthy(String, Words),
}

/// What an instance has logged last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// The message of its last line, if that is an error of `serve`.
    error: Option<String>,
    lines: Vec<String>,
}

impl NoInstance {
    /// The reason as a whole sentence, after the program's own words if it has left any.
    pub(crate) fn reason(&self, who: &str) -> String {
        match self {
            Self::Capacity => {
                "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please \
                               retry using a different ML instance type or after some time."
                    .to_owned()
            }
            Self::Start(error) => format!("ClientError: {error}"),
            Self::Unhealthy(what, words) => {
                let did = format!("{who} {what}.");
                match &words.error {
                    Some(error) => format!("{}. {did}", error.trim_end_matches('.')),
                    None => format!("{did} Its last log lines: {}", words.lines.join(" | ")),
                }
            }
        }
    }
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    process: Process,
    port: Port,
    spec: InstanceSpec,
    /// Where the log begins that is not of an earlier instance.
    log_start: u64,
    follower: Follower,
}

impl Instance {
    /// Starts an instance and returns when it answers `/ping`.
    pub(crate) async fn start(platform: &Platform, spec: InstanceSpec) -> Result<Self, NoInstance> {
        if platform.faults.strike(FaultKind::Capacity, &spec.owner).is_some() {
            return Err(NoInstance::Capacity);
        }
        let deadline = Instant::now() + spec.ping_limit;
        let slow = platform.faults.strike(FaultKind::SlowPing, &spec.owner).unwrap_or_default();
        for attempt in 1.. {
            let mut instance = Self::launch(platform, spec.clone()).await?;
            let port = instance.port.number();
            let status = tokio::select! {
                () = answers_ping(platform, port, slow) => return Ok(instance),
                status = instance.process.wait() => status.map_err(|error| NoInstance::Start(error.to_string()))?,
                never = follow(platform, &mut instance.follower) => match never {},
                () = tokio::time::sleep_until(deadline) => {
                    return Err(instance.unhealthy(platform, "did not pass the ping health check".to_owned()));
                }
            };
            let port_taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
            if !port_taken || attempt == PORT_ATTEMPTS {
                let end = process::describe(status);
                let what = format!("ended before it passed the ping health check ({end})");
                return Err(instance.unhealthy(platform, what));
            }
        }
        Err(NoInstance::Start("no port is free".to_owned()))
    }

    /// Starts one on a port that was free a moment ago.
    async fn launch(platform: &Platform, spec: InstanceSpec) -> Result<Self, NoInstance> {
        let start = |error: &dyn std::fmt::Display| NoInstance::Start(error.to_string());
        let port = platform.ports.free().map_err(|error| start(&error))?;
        if let Some(folder) = spec.log.parent() {
            fs::create_dir_all(folder).map_err(|error| start(&error))?;
        }
        let launch = Launch {
            word: "serve",
            image: &spec.image,
            opt_ml: &spec.opt_ml,
            port: Some(port.number()),
            // It has to be reached, and Docker publishes no port of a container without a network.
            is_offline: false,
            environment: spec.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            log: spec.log.clone(),
        };
        let log_start = fs::metadata(&spec.log).map_or(0, |log| log.len());
        let follower = Follower::new(spec.log.clone());
        let process = platform.spawner.spawn(launch).await.map_err(|error| start(&error))?;
        Ok(Self { process, port, follower, spec, log_start })
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns when the instance has ended by itself, or a fault has ended it; notes the times of its log meanwhile.
    pub(crate) async fn ended(&mut self, platform: &Platform) -> NoInstance {
        let crash = platform.faults.strike(FaultKind::Crash, &self.spec.owner);
        let status = tokio::select! {
            status = self.process.wait() => status,
            never = follow(platform, &mut self.follower) => match never {},
            () = faults::after(crash) => self.process.kill().await,
        };
        let end = status.map_or_else(|error| error.to_string(), process::describe);
        self.unhealthy(platform, format!("ended while in service ({end})"))
    }

    /// Has the instance end, and waits for it; what it says meanwhile has its times too.
    pub(crate) async fn terminate(&mut self, platform: &Platform, grace: impl Future<Output = ()>) {
        tokio::select! {
            // One that cannot be waited for is killed as it is dropped.
            _ = self.process.terminate(grace) => {}
            never = follow(platform, &mut self.follower) => match never {},
        }
        look(platform, &mut self.follower, true);
    }

    fn unhealthy(&mut self, platform: &Platform, what: String) -> NoInstance {
        look(platform, &mut self.follower, true);
        let lines = tail(&self.spec.log, self.log_start);
        let error = lines.last().and_then(|line| error_message(line));
        NoInstance::Unhealthy(what, Words { error, lines })
    }
}

/// Notes when the lines of `log` were seen, for as long as it is not dropped.
async fn follow(platform: &Platform, follower: &mut Follower) -> std::convert::Infallible {
    loop {
        look(platform, follower, false);
        tokio::time::sleep(LOOK).await;
    }
}

fn look(platform: &Platform, follower: &mut Follower, over: bool) {
    if let Err(error) = follower.new_lines(platform.clock.now(), over) {
        tracing::warn!(%error, "cannot note the times of a log");
    }
}

/// Returns when `/ping` is answered by 200, and not before `slow` is over.
async fn answers_ping(platform: &Platform, port: u16, slow: Duration) {
    let url = format!("http://127.0.0.1:{port}/ping");
    tokio::time::sleep(slow).await;
    loop {
        let answer = platform.http.get(&url).timeout(PING_TIMEOUT).send().await;
        if answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK) {
            return;
        }
        tokio::time::sleep(PING_PAUSE).await;
    }
}

/// Unpacks the model of `container` into the new folder `target`, which is made in any case.
///
/// # Errors
/// A sentence.
pub(crate) async fn unpack_model(platform: &Platform, container: &Container, target: PathBuf) -> Result<(), String> {
    let internal = |error: &dyn std::fmt::Display| format!("InternalServerError: {error}");
    let Some(url) = &container.model_data_url else {
        return tokio::fs::create_dir_all(target).await.map_err(|error: io::Error| internal(&error));
    };
    let uri: S3Uri = url.parse().map_err(|error: S3UriError| error.to_string())?;
    let gone = || format!("Failed to download model data from {uri}: there is no such object.");
    let source = platform.storage.object(&uri).ok_or_else(gone)?;
    let unpacked = spawn_blocking(move || {
        // What a server that was killed has left would mix with the new model.
        let _ = fs::remove_dir_all(&target);
        archive::unpack(&source, &target)
    });
    let unpacked = unpacked.await.map_err(|error| internal(&error))?;
    unpacked.map_err(|error| format!("Failed to extract model data from {uri}: {error}"))
}

/// What a line of `serve`'s log says if it is of the level ERROR: `{"level": "ERROR", "message": …}`.
fn error_message(line: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Line {
        level: String,
        message: String,
    }
    let line: Line = serde_json::from_str(line).ok()?;
    (line.level == "ERROR").then_some(line.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_level() {
        let error = r#"{"timestamp":"2026-11-22T14:18:59Z","level":"ERROR","message":"config.json has no labels"}"#;
        assert_eq!(error_message(error).as_deref(), Some("config.json has no labels"));
        assert_eq!(error_message(r#"{"level":"INFO","message":"an ERROR was met"}"#), None);
        assert_eq!(error_message("model.safetensors is corrupt"), None);
    }

    #[test]
    fn a_reason_begins_with_the_programs_own_error() {
        let words =
            |error: Option<&str>| Words { error: error.map(str::to_owned), lines: vec!["a".into(), "b".into()] };
        let ended = |error| NoInstance::Unhealthy("ended".to_owned(), words(error)).reason("The container");
        assert_eq!(ended(Some("no labels.")), "no labels. The container ended.");
        assert_eq!(ended(None), "The container ended. Its last log lines: a | b");
    }
}
