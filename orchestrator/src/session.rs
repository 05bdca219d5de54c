//! The platform that a verb works on, and what has to be undone when it ends early.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sagemaker_local::{LocalSageMaker, Runtime, Settings};
use serde_json::Value;

use crate::aws::{At, Clients};
use crate::deploy::TakenOff;
use crate::options::{PlatformArgs, typed, typed_or_set};
use crate::plan::Plan;
use crate::poll::Pace;
use crate::progress::{Progress, Step};
use crate::scratch::{self, Scratch};
use crate::undo::UndoList;

/// The variable that gives an address to every command.
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
/// The role that sagemaker-local takes.
const LOCAL_ROLE: &str = "arn:aws:iam::000000000000:role/local";
/// The bucket that is made on sagemaker-local.
const LOCAL_BUCKET: &str = "unspsc-local";
/// The image that sagemaker-local takes for one that serves.
const LOCAL_SERVE_IMAGE: &str = "unspsc-serve:local";
/// Here a job that is stopped writes to this machine's disk only and needs no two minutes for it.
const LOCAL_STOP_GRACE: Duration = Duration::from_secs(20);
/// How AWS is asked: a job of hours survives ten minutes without network.
const PACE: Pace = Pace { interval: Duration::from_secs(10), patience: Duration::from_secs(600) };
/// How this machine is asked, where what does not answer is gone.
const LOCAL_PACE: Pace = Pace { interval: Duration::from_millis(200), patience: Duration::from_secs(5) };

/// A connected platform.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) clients: Clients,
    pub(crate) progress: Progress,
    pub(crate) undo: UndoList,
    /// The scaling of an endpoint that is off while it is updated.
    pub(crate) taken_off: TakenOff,
    /// How to ask how something stands.
    pub(crate) pace: Pace,
    /// sagemaker-local, where it runs within this process.
    server: Option<LocalSageMaker>,
    /// The program that its training jobs run.
    train_program: Option<PathBuf>,
    /// The requests that are noted instead of sent.
    plan: Option<Arc<Plan>>,
    /// Where a plan keeps what is nobody's business afterwards.
    scratch: Option<Scratch>,
    /// Whether sagemaker-local answers, here or in another process.
    is_local: bool,
    role: Option<String>,
    bucket: Option<String>,
    /// Role and bucket that this very command has made, where none are set.
    made: OnceLock<(String, String)>,
    /// The address that was given, unless the environment would give it to the next command too.
    endpoint_url: Option<String>,
}

impl Session {
    /// Connects to AWS, to an address, or to a sagemaker-local that is started for it; with a `plan`, only to look.
    pub(crate) async fn open(args: &PlatformArgs, progress: Progress, plan: Option<Arc<Plan>>) -> anyhow::Result<Self> {
        scratch::clear_left_over();
        let scratch = plan.as_ref().map(|_| Scratch::new().context("cannot make a temporary folder")).transpose()?;
        let settings = if args.local { Some(settings(args, scratch.as_ref().map(Scratch::path))?) } else { None };
        let train_program = settings.as_ref().and_then(|settings| match &settings.runtime {
            Runtime::Process { train, .. } => Some(train.clone()),
            Runtime::Docker => None,
        });
        let server = match settings {
            Some(settings) => Some(LocalSageMaker::start(settings).await.context("cannot start sagemaker-local")?),
            None => None,
        };
        let endpoint_url = server.as_ref().map(LocalSageMaker::endpoint_url).or_else(|| args.endpoint_url.clone());
        let is_local = endpoint_url.as_deref().is_some_and(is_loopback);
        let at = match &endpoint_url {
            None => At::Aws,
            Some(url) if server.is_some() => At::Within(url),
            Some(url) => At::Address(url),
        };
        let clients = Clients::connect(at, args.region.as_deref(), is_local, plan.as_ref()).await?;
        Ok(Self {
            clients,
            progress,
            undo: UndoList::default(),
            taken_off: TakenOff::default(),
            pace: if is_local { LOCAL_PACE } else { PACE },
            server,
            train_program,
            plan,
            scratch,
            is_local,
            role: args.role.clone(),
            bucket: args.bucket.clone(),
            made: OnceLock::new(),
            endpoint_url: args
                .endpoint_url
                .clone()
                .filter(|url| std::env::var(ENDPOINT_URL).ok().as_ref() != Some(url)),
        })
    }

    /// `unspsc` with these arguments on the same platform, as a user would type it.
    pub(crate) fn command(&self, arguments: &str) -> String {
        let option =
            |name: &str, value: Option<String>| value.map(|value| format!(" {name} {value}")).unwrap_or_default();
        let config = option("--config", typed_or_set("--config", "UNSPSC_CONFIG"));
        let region = option("--region", typed("--region"));
        format!("unspsc {arguments}{config}{region}{}", option("--endpoint-url", self.endpoint_url.clone()))
    }

    /// Whether requests that change something are noted and not sent.
    pub(crate) fn is_plan(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether a plan has noted something already, so that what comes next depends on it.
    pub(crate) fn has_planned(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| !plan.is_empty())
    }

    /// Notes what a plan would do otherwise than by a request to AWS.
    pub(crate) fn plan(&self, service: &str, operation: &str, request: Value) {
        if let Some(plan) = &self.plan {
            plan.note_other(service, operation, request);
        }
    }

    /// The step of changing something; a plan, which only looks, says nothing of it.
    pub(crate) fn changing(&self, what: &str) -> Step {
        if self.is_plan() { Step::unseen() } else { self.progress.step(what) }
    }

    /// The same for so many bytes.
    pub(crate) fn sending(&self, what: &str, total: u64) -> Step {
        if self.is_plan() { Step::unseen() } else { self.progress.bytes(what, total) }
    }

    /// `folder`, or for a plan one that is deleted with it.
    pub(crate) fn writable<'a>(&'a self, folder: &'a Path) -> &'a Path {
        self.scratch.as_ref().map_or(folder, Scratch::path)
    }

    /// The program that runs as a training job, where this process runs it.
    pub(crate) fn train_program(&self) -> Option<&Path> {
        self.train_program.as_deref()
    }

    /// Whether sagemaker-local answers, here or in another process.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether endpoints end with this process.
    pub(crate) fn ends_with_process(&self) -> bool {
        self.server.is_some()
    }

    /// The role that jobs and endpoints run as.
    pub(crate) fn role(&self) -> anyhow::Result<&str> {
        let given = self.role.as_deref().or(self.made.get().map(|(role, _)| role.as_str()));
        self.setting(
            given,
            LOCAL_ROLE,
            "--role is needed on AWS: the ARN of SageMaker's execution role, which `unspsc infra up` makes and prints",
        )
    }

    /// The bucket for data and models.
    pub(crate) fn bucket(&self) -> anyhow::Result<&str> {
        let given = self.bucket.as_deref().or(self.made.get().map(|(_, bucket)| bucket.as_str()));
        self.setting(
            given,
            LOCAL_BUCKET,
            "--bucket is needed on AWS: a bucket in the same region, which `unspsc infra up` makes and prints",
        )
    }

    /// From now on works with this role and bucket where none are set.
    pub(crate) fn provide(&self, role: &str, bucket: &str) {
        // Whoever was first is of the same command.
        let _ = self.made.set((role.to_owned(), bucket.to_owned()));
    }

    /// The image that serves models.
    pub(crate) fn serve_image<'a>(&self, given: Option<&'a str>) -> anyhow::Result<&'a str> {
        let missing =
            "--serve-image is needed on AWS: the URI of the inference image in ECR, which `unspsc images push` prints";
        self.setting(given, LOCAL_SERVE_IMAGE, missing)
    }

    /// `given`, or on this machine `local`, or else an error that says `missing`.
    pub(crate) fn setting<'a>(
        &self,
        given: Option<&'a str>,
        local: &'a str,
        missing: &'static str,
    ) -> anyhow::Result<&'a str> {
        given.or(self.is_local.then_some(local)).context(missing)
    }

    /// Where to read a training job's log on AWS.
    pub(crate) fn console_log(&self, job: &str) -> Option<String> {
        let region = &self.clients.region;
        (!self.is_local).then(|| {
            format!(
                "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/\
             $252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3D{job}"
            )
        })
    }

    /// Stops what was started for this session.
    pub(crate) async fn close(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// How sagemaker-local is to run; what a plan only looks at, and what is not there, is made in `scratch`.
fn settings(args: &PlatformArgs, scratch: Option<&Path>) -> anyhow::Result<Settings> {
    let state = match scratch {
        Some(scratch) if !args.state.exists() => scratch.join("state"),
        _ => args.state.clone(),
    };
    let mut settings = Settings::new(state).context("cannot find the program's own folder")?;
    settings.stop_grace = LOCAL_STOP_GRACE;
    if let Runtime::Process { train, serve } = &settings.runtime
        && let Some(missing) = [train, serve].into_iter().find(|program| !program.is_file())
    {
        bail!("{} is missing: build it with `cargo build --release`", missing.display());
    }
    Ok(settings)
}

/// Whether the host of `url` is this machine.
fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses() {
        for url in ["http://127.0.0.1:4570", "http://localhost/", "https://[::1]:80/x", "localhost:1"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://localhost.example.com", "http://10.0.0.1:80", "https://example.com/?127.0.0.1"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
