//! What a container is on this machine: a program, or a container of the Docker Engine.
//!
//! With Docker the child is the program `docker run` in the foreground. It passes signals on and ends with the container's exit
//! code, so that whatever waits for a child waits for a container. It cannot pass SIGKILL on: there the container is
//! removed by its name. Every container bears the mark of the state folder as a label, by which the next server finds it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::{getgid, getuid};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::process::{Launch, OWNER};

/// The label by which containers of a server are known; its value is the mark of the state folder.
const LABEL: &str = "sagemaker-local.state";
/// The file of the state folder that says that there may be containers.
const USED: &str = "docker";
/// The port that SageMaker asks a container at.
const CONTAINER_PORT: u16 = 8080;
/// What a program gets of the server's own environment; all else would make a run depend on the caller's shell.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "UNSPSC_ENCODER"];

/// What runs as a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// Two programs of this machine, whatever image a request names.
    Process {
        /// Runs as a training job, with the one argument `train`.
        train: PathBuf,
        /// Runs as an instance of an endpoint or of a transform job, with the one argument `serve`.
        serve: PathBuf,
    },
    /// Containers of the images that requests name, which the Docker Engine must have.
    Docker,
}

/// A container by its name, and what is there for its sake.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    /// Its environment, which is nobody's business: the arguments of a program can be read by all users.
    environment: NamedTempFile,
}

impl Runtime {
    /// The program to start, and the container that it starts in its turn.
    pub(crate) fn command(
        &self,
        launch: &Launch<'_>,
        mark: &OsStr,
        scratch: &Path,
    ) -> io::Result<(Command, Option<Container>)> {
        Ok(match self {
            Self::Process { train, serve } => {
                (program(if launch.word == "train" { train } else { serve }, launch, mark), None)
            }
            Self::Docker => {
                let name = format!("sagemaker-local-{}", uuid::Uuid::new_v4().simple());
                let container = Container { name, environment: environment(launch, scratch)? };
                let mut command = Command::new("docker");
                command.args(arguments(launch, &container, mark)).env(OWNER, mark);
                (command, Some(container))
            }
        })
    }

    /// What is started, for an error.
    pub(crate) fn name(&self, word: &str) -> PathBuf {
        match self {
            Self::Process { train, serve } => if word == "train" { train } else { serve }.clone(),
            Self::Docker => PathBuf::from("docker"),
        }
    }

    /// Asks the Docker Engine, where one is needed, whether it is there.
    ///
    /// # Errors
    /// What `docker` says.
    pub(crate) async fn is_ready(&self) -> Result<(), String> {
        if *self == Self::Docker {
            docker(&["version", "--format", "{{.Server.Version}}"]).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// Removes every container that bears `mark`, where this server or one before it on the same folder used Docker.
    pub(crate) async fn remove_left_over(&self, mark: &OsStr, folder: &Path) {
        let used = folder.join(USED);
        if *self == Self::Docker {
            if let Err(error) = std::fs::write(&used, "") {
                tracing::warn!(%error, "cannot note in the state folder that Docker is used");
            }
        } else if !used.exists() {
            return;
        }
        let filter = format!("label={LABEL}={}", mark.display());
        let removed = async {
            let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).await?;
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if ids.is_empty() {
                Ok(String::new())
            } else {
                docker(&[&["rm", "--force"], ids.as_slice()].concat()).await
            }
        };
        match removed.await {
            Err(error) => tracing::warn!(error, "cannot remove containers that were left behind"),
            // Nothing is left that the next start would have to look for.
            Ok(_) if *self != Self::Docker => {
                if let Err(error) = std::fs::remove_file(&used) {
                    tracing::warn!(%error, "cannot note in the state folder that Docker is not used any more");
                }
            }
            Ok(_) => {}
        }
    }
}

impl Container {
    /// Removes it, whether it runs, has gone by itself, as it does at its end, or is going.
    pub(crate) async fn remove(&self) {
        if let Err(error) = docker(&["rm", "--force", &self.name]).await
            && !["No such container", "already in progress"].iter().any(|words| error.contains(words))
        {
            tracing::warn!(container = self.name, error, "cannot remove a container");
        }
    }

    /// Removes it without waiting, where nobody can wait.
    pub(crate) fn remove_soon(&self) {
        let mut command = std::process::Command::new("docker");
        command.args(["rm", "--force", &self.name]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The thread waits for `docker`, so that it leaves no zombie; what fails is found by its label later.
        std::thread::spawn(move || command.status());
    }
}

/// A program in the place of a container.
fn program(path: &Path, launch: &Launch<'_>, mark: &OsStr) -> Command {
    let mut command = Command::new(path);
    command.arg(launch.word).env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.env("SAGEMAKER_BASE_DIR", launch.opt_ml);
    if let Some(port) = launch.port {
        // In a container it listens to all; here whoever shares the network must not reach it.
        command.env("SAGEMAKER_BIND_TO_PORT", port.to_string()).env("UNSPSC_HOST", "127.0.0.1");
    }
    command.env(OWNER, mark);
    command
}

/// The arguments of `docker`. The container may write to `/opt/ml` and `/tmp` alone, and as the user of this server, who
/// has to clear it away.
fn arguments(launch: &Launch<'_>, container: &Container, mark: &OsStr) -> Vec<OsString> {
    let mut label = OsString::from(format!("{LABEL}="));
    label.push(mark);
    // A field of a CSV line for Docker.
    let mount =
        format!("type=bind,\"source={}\",target=/opt/ml", launch.opt_ml.display().to_string().replace('"', "\"\""));
    let mut arguments: Vec<OsString> =
        ["run", "--rm", "--pull", "never", "--name", &container.name, "--label"].map(OsString::from).into();
    arguments.push(label);
    let user = format!("{}:{}", getuid(), getgid());
    let rest = [
        "--user",
        &user,
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--mount",
        &mount,
    ];
    arguments.extend(rest.map(OsString::from));
    let network = match launch.port {
        Some(port) => ["--publish".to_owned(), format!("127.0.0.1:{port}:{CONTAINER_PORT}")],
        None => ["--network".to_owned(), if launch.is_offline { "none" } else { "bridge" }.to_owned()],
    };
    arguments.extend(network.map(OsString::from));
    arguments.push("--env-file".into());
    arguments.push(container.environment.path().into());
    // An image of that name with a dash in front would be an option.
    arguments.extend(["--", launch.image, launch.word].map(OsString::from));
    arguments
}

/// Variables as a file of `scratch` that only this user reads, and which goes also where this server is killed.
fn environment(launch: &Launch<'_>, scratch: &Path) -> io::Result<NamedTempFile> {
    std::fs::create_dir_all(scratch)?;
    let mut file = NamedTempFile::new_in(scratch)?;
    for (name, value) in &launch.environment {
        if name.contains(['\n', '=']) || value.contains('\n') {
            let error =
                format!("docker takes no line break in the variable {name}: leave it away, or use --runtime process");
            return Err(io::Error::other(error));
        }
        writeln!(file, "{name}={value}")?;
    }
    Ok(file)
}

/// What `docker` answers, or what it says against it.
async fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("cannot start `docker`: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(launch: &Launch<'_>) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let environment = environment(launch, scratch.path()).unwrap();
        assert_eq!(environment.path().parent(), Some(scratch.path()));
        let container = Container { name: "c".to_owned(), environment };
        assert_eq!(std::fs::read_to_string(container.environment.path()).unwrap(), "A=b c\n");
        let arguments = arguments(launch, &container, OsStr::new("/state"));
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_container_is_confined() {
        let environment = vec![("A".to_owned(), "b c".to_owned())];
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut launch = Launch {
            word: "train",
            image: "i:1",
            opt_ml: Path::new("/s/a,b"),
            port: None,
            is_offline: true,
            environment,
            log,
        };
        let train = line(&launch);
        for part in [
            "--label sagemaker-local.state=/state",
            "--read-only --tmpfs /tmp --cap-drop ALL",
            "type=bind,\"source=/s/a,b\",target=/opt/ml",
            "--network none --env-file /",
            " -- i:1 train",
        ] {
            assert!(train.contains(part), "{part} is not in {train}");
        }
        assert!(!train.contains("b c"), "{train}");
        launch.is_offline = false;
        assert!(line(&launch).contains("--network bridge"));
        (launch.port, launch.word) = (Some(4000), "serve");
        assert!(line(&launch).contains("--publish 127.0.0.1:4000:8080") && line(&launch).ends_with("-- i:1 serve"));
    }
}
