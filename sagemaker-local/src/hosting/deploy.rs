//! The life of an endpoint: its model unpacked, its instances started, pinged, watched and stopped.

use std::fmt::Display;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;
use unspsc_contract::OptMl;

use super::ports::Port;
use super::record::{Container, EndpointStatus, Variant, VariantSummary};
use crate::archive;
use crate::error::ApiError;
use crate::folder::EndpointFolder;
use crate::platform::Platform;
use crate::process::{self, Launch, Process};
use crate::storage::{S3Uri, S3UriError};
use crate::store::ENDPOINT_STOPPED;
use crate::tasks::StopSignal;
use crate::time::Time;

/// SageMaker gives one `/ping` two seconds.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const PING_PAUSE: Duration = Duration::from_millis(100);
/// How often an instance is started anew when another program has taken the port that was free for it.
const PORT_ATTEMPTS: u32 = 3;
/// How much of the log's end a `FailureReason` quotes.
const TAIL_BYTES: u64 = 2048;
const TAIL_LINES: usize = 5;

/// What an endpoint is made of.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) variant: Variant,
    pub(super) container: Container,
}

/// Why an endpoint is no more.
#[derive(Debug)]
enum Over {
    /// Told so.
    Stopped,
    /// By itself; the text becomes its `FailureReason`.
    Failed(String),
}

impl<E: Display> From<E> for Over {
    fn from(error: E) -> Self {
        Self::Failed(format!("InternalServerError: {error}"))
    }
}

/// An instance, and the port that it was given.
type Instance = (Process, Port);

/// Runs the endpoint until it is deleted or fails, and keeps its record.
pub(super) async fn run(platform: &Platform, deployment: Deployment, stop: StopSignal) {
    let folder = platform.folder.endpoint(&deployment.name);
    let log_start = fs::metadata(folder.log()).map_or(0, |log| log.len());
    let live = Live { platform, folder, log_start, deployment };
    let over = live.serve(stop).await;
    let name = &live.deployment.name;
    platform.routes.remove(name);
    tracing::info!(endpoint = name, ?over, "endpoint is over");
    let recorded = live.record(|endpoint, now| match over {
        _ if endpoint.endpoint_status == EndpointStatus::Deleting => {}
        Over::Failed(reason) => endpoint.fail(&reason, now),
        Over::Stopped => endpoint.fail(ENDPOINT_STOPPED, now),
    });
    if let Err(error) = recorded {
        tracing::error!(endpoint = name, %error, "cannot record the end of the endpoint");
    }
    // The bucket has the model; a second copy only takes room.
    let _ = fs::remove_dir_all(OptMl::new(live.folder.opt_ml()).model());
}

struct Live<'a> {
    platform: &'a Platform,
    folder: EndpointFolder,
    /// Where the log begins that is not of an earlier endpoint of the same name.
    log_start: u64,
    deployment: Deployment,
}

impl Live<'_> {
    async fn serve(&self, mut stop: StopSignal) -> Over {
        let instances = tokio::select! {
            instances = self.start() => instances,
            // The instances that are up by then are killed as they are dropped.
            _ = stop.stopped() => return Over::Stopped,
        };
        match instances {
            Ok(instances) => self.watch(instances, stop).await,
            Err(over) => over,
        }
    }

    /// Brings all instances up, or none.
    async fn start(&self) -> Result<Vec<Instance>, Over> {
        self.unpack().await?;
        let mut instances = Vec::new();
        for _ in 0..self.deployment.variant.initial_instance_count {
            instances.push(self.launch().await?);
        }
        let own = self.deployment.variant.container_startup_health_check_timeout_in_seconds;
        let deadline = Instant::now() + own.map_or(self.platform.settings.ping_limit, Duration::from_secs);
        for instance in &mut instances {
            self.bring_up(instance, deadline).await?;
        }
        Ok(instances)
    }

    async fn unpack(&self) -> Result<(), Over> {
        let target = OptMl::new(self.folder.opt_ml()).model();
        let Some(url) = &self.deployment.container.model_data_url else {
            return Ok(tokio::fs::create_dir_all(target).await?);
        };
        let uri: S3Uri = url.parse().map_err(|error: S3UriError| Over::from(error))?;
        let gone = || Over::Failed(format!("Failed to download model data from {uri}: there is no such object."));
        let source = self.platform.storage.object(&uri).ok_or_else(gone)?;
        let unpacked = spawn_blocking(move || {
            // What a server that was killed has left would mix with the new model.
            let _ = fs::remove_dir_all(&target);
            archive::unpack(&source, &target)
        });
        let failed = |error| Over::Failed(format!("Failed to extract model data from {uri}: {error}"));
        unpacked.await?.map_err(failed)
    }

    /// Starts one instance on a port that was free a moment ago.
    async fn launch(&self) -> Result<Instance, Over> {
        let port = self.platform.ports.free()?;
        let own = [
            ("SAGEMAKER_BASE_DIR", self.folder.opt_ml().display().to_string()),
            ("SAGEMAKER_BIND_TO_PORT", port.number().to_string()),
            // In a container it listens to all; here whoever shares the network must not reach it.
            ("UNSPSC_HOST", "127.0.0.1".to_owned()),
        ];
        let asked = self.deployment.container.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let launch = Launch {
            program: &self.platform.settings.serve,
            word: "serve",
            environment: asked.chain(own.map(|(name, value)| (name.to_owned(), value))).collect(),
            log: self.folder.log(),
        };
        let process = self.platform.spawner.spawn(launch).await;
        Ok((process.map_err(|error| Over::Failed(format!("ClientError: {error}")))?, port))
    }

    /// Waits until the instance answers `/ping`; starts it anew if it ends because its port was taken.
    async fn bring_up(&self, instance: &mut Instance, deadline: Instant) -> Result<(), Over> {
        for attempt in 1.. {
            let (process, port) = &mut *instance;
            let status = tokio::select! {
                () = self.answers_ping(port.number()) => return Ok(()),
                status = process.wait() => status?,
                () = tokio::time::sleep_until(deadline) => return Err(self.failed("did not pass the ping health check")),
            };
            let port_taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).is_err();
            if !port_taken || attempt == PORT_ATTEMPTS {
                let end = process::describe(status);
                return Err(self.failed(&format!("ended before it passed the ping health check ({end})")));
            }
            *instance = self.launch().await?;
        }
        Ok(())
    }

    async fn answers_ping(&self, port: u16) {
        let url = format!("http://127.0.0.1:{port}/ping");
        loop {
            let answer = self.platform.http.get(&url).timeout(PING_TIMEOUT).send().await;
            if answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK) {
                return;
            }
            tokio::time::sleep(PING_PAUSE).await;
        }
    }

    /// Puts the endpoint in service until it is told to stop or one of its instances ends.
    async fn watch(&self, instances: Vec<Instance>, stop: StopSignal) -> Over {
        let Deployment { name, variant, container } = &self.deployment;
        let ports: Vec<u16> = instances.iter().map(|(_, port)| port.number()).collect();
        // The route comes first: whoever sees `InService` may invoke at once.
        self.platform.routes.insert(name, &variant.variant_name, &ports);
        let in_service = self.record(|endpoint, now| {
            endpoint.production_variants = vec![VariantSummary::in_service(variant, container, now)];
            endpoint.enter(EndpointStatus::InService, now);
        });
        if let Err(error) = in_service {
            return error.into();
        }
        tracing::info!(endpoint = name, ?ports, "endpoint is in service");
        let grace = self.platform.instance_grace();
        let mut watched = JoinSet::new();
        for (mut process, port) in instances {
            let mut stop = stop.clone();
            watched.spawn(async move {
                let _port = port;
                tokio::select! {
                    ended = process.wait() => Some(ended.map_or_else(|error| error.to_string(), process::describe)),
                    _ = stop.stopped() => {
                        // An instance that cannot be waited for is killed as it is dropped.
                        let _ = process.terminate(stop.grace(grace)).await;
                        None
                    }
                }
            });
        }
        while let Some(ended) = watched.join_next().await {
            self.platform.routes.remove(name);
            if let Ok(Some(end)) = ended {
                // The other instances are killed as the set is dropped.
                return self.failed(&format!("ended while in service ({end})"));
            }
        }
        Over::Stopped
    }

    /// A `FailureReason` that says what the container did: after its own error if its log ends with one, else with the
    /// log's last lines.
    fn failed(&self, what: &str) -> Over {
        let variant = &self.deployment.variant.variant_name;
        let did = format!("The primary container for production variant {variant} {what}.");
        let lines = tail(&self.folder.log(), self.log_start);
        let own = lines.last().and_then(|line| error_message(line));
        Over::Failed(match own {
            Some(error) => format!("{}. {did}", error.trim_end_matches('.')),
            None => format!("{did} Its last log lines: {}", lines.join(" | ")),
        })
    }

    fn record(&self, change: impl FnOnce(&mut super::Endpoint, Time)) -> Result<(), ApiError> {
        self.platform.store.update(|state| {
            if let Some(endpoint) = state.endpoints.get_mut(&self.deployment.name) {
                change(endpoint, self.platform.clock.now());
            }
            Ok(())
        })
    }
}

/// The last lines of a log, from the byte `start` on.
fn tail(log: &Path, start: u64) -> Vec<String> {
    let mut bytes = Vec::new();
    // A log that cannot be read has nothing to say.
    let _ = fs::File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES).max(start)))?;
        file.read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).map(|line| (*line).to_owned()).collect()
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
    fn the_tail_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert!(tail(&log, 0).is_empty());
        fs::write(&log, "one\n\ntwo\n").unwrap();
        assert_eq!(tail(&log, 0), ["one", "two"]);
        assert_eq!(tail(&log, 5), ["two"], "what an earlier endpoint wrote is none of its words");
        let lines: Vec<String> = (0..1000).map(|i| format!("line {i}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log, 0), ["line 995", "line 996", "line 997", "line 998", "line 999"]);
    }

    #[test]
    fn an_error_is_known_by_its_level() {
        let error = r#"{"timestamp":"2026-11-22T14:18:59Z","level":"ERROR","message":"config.json has no labels"}"#;
        assert_eq!(error_message(error).as_deref(), Some("config.json has no labels"));
        assert_eq!(error_message(r#"{"level":"INFO","message":"an ERROR was met"}"#), None);
        assert_eq!(error_message("model.safetensors is corrupt"), None);
    }
}
