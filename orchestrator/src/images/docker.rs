//! The Docker Engine, driven by the program `docker`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::aws::ServiceError;
use crate::denial::Denial;
use crate::scratch::Scratch;

use super::name::LocalName;
use super::repository::Token;

/// What SageMaker's instances run.
pub(super) const PLATFORM: &str = "linux/amd64";
/// The variable that says where the settings of `docker` are.
const CONFIG: &str = "DOCKER_CONFIG";
/// The variable that names the folder with the certificates for an engine by TLS.
const CERTIFICATES: &str = "DOCKER_CERT_PATH";

/// An image as the engine describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    /// Digest of what it consists of.
    id: String,
    os: String,
    architecture: String,
    /// All its names here; `null` of an image that has none.
    repo_tags: Option<Vec<String>>,
    /// Only where the engine keeps images as registries do.
    descriptor: Option<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
}

impl Image {
    /// The image that has this name here.
    pub(super) async fn find(name: &LocalName) -> anyhow::Result<Self> {
        let inspect = ["image", "inspect", "--format", "{{json .}}", "--", name.as_str()];
        let text = match answer(Command::new("docker").args(inspect)).await {
            Err(error) if error.to_string().to_lowercase().contains("no such image") => bail!(
                "there is no image {name} on this machine: `scripts/build-images` makes those of this project, `scripts/build-images \
                 train-gpu` that for GPUs, and `docker image ls` lists what is here"
            ),
            text => text.with_context(|| format!("cannot look at {name}"))?,
        };
        let image: Self = serde_json::from_str(&text).with_context(|| format!("cannot understand {name}"))?;
        // Docker takes the beginning of an id for a name.
        if [image.id.as_str(), image.digits()].iter().any(|id| id.starts_with(name.as_str())) {
            bail!("{name} is the id of an image: give it by its name, which is the repository's too");
        }
        Ok(image)
    }

    /// Operating system and processor.
    pub(super) fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }

    /// Its tag in the registry. No `sha256-`: a tag that begins so is about another image, by the rules of registries.
    pub(super) fn tag(&self) -> String {
        format!("id-{}", self.digits())
    }

    /// Whether it has the name `reference` here.
    pub(super) fn is_called(&self, reference: &str) -> bool {
        self.repo_tags.iter().flatten().any(|tag| tag == reference)
    }

    /// Gives it the name `reference`.
    pub(super) async fn name(&self, reference: &str) -> anyhow::Result<()> {
        answer(Command::new("docker").args(["tag", &self.id, reference])).await.map(drop)
    }

    fn digits(&self) -> &str {
        self.id.split_once(':').map_or(&self.id, |(_, digits)| digits)
    }

    /// Whether it is a list of images, to which a build adds who made it and how.
    fn is_list(&self) -> bool {
        let lists = ["index", "manifest.list"];
        self.descriptor.as_ref().is_some_and(|one| lists.iter().any(|list| one.media_type.contains(list)))
    }
}

/// Takes a name off an image.
pub(crate) async fn untag(reference: &str) -> anyhow::Result<()> {
    match answer(Command::new("docker").args(["image", "rm", "--no-prune", "--", reference])).await {
        Err(error) if error.to_string().to_lowercase().contains("no such image") => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Settings of `docker` in which it is logged in at a registry; the user's own know nothing of it.
#[derive(Debug)]
pub(super) struct Login {
    folder: PathBuf,
    _scratch: Scratch,
}

impl Login {
    /// Logs in at the registry of the repository at `address`.
    pub(super) async fn new(address: &str, token: &Token) -> anyhow::Result<Self> {
        let registry = address.split_once('/').map_or(address, |(registry, _)| registry);
        let scratch = Scratch::new().context("cannot make a temporary folder")?;
        let login = Self { folder: scratch.path().join("docker"), _scratch: scratch };
        login.prepare(registry).context("cannot write settings of `docker` into a temporary folder")?;
        let mut command = login.docker();
        command.args(["login", "--username", &token.user, "--password-stdin", registry]);
        let said = answer_to(&mut command, Some(token.password.as_bytes())).await;
        said.with_context(|| format!("`docker login {registry}` failed"))?;
        Ok(login)
    }

    /// Pushes what is called `reference` here; its progress goes to standard error.
    pub(super) async fn push(&self, image: &Image, reference: &str) -> anyhow::Result<()> {
        let mut command = self.docker();
        command.arg("push");
        if image.is_list() {
            command.args(["--platform", PLATFORM]);
        }
        let progress = std::io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
        command.arg(reference).stdin(Stdio::null()).stdout(progress).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().context("cannot start `docker`")?;
        let output = child.wait_with_output().await.context("cannot wait for `docker`")?;
        if output.status.success() { Ok(()) } else { Err(failure("docker push", &output.stderr)) }
    }

    /// The folder's files, which only this user reads.
    fn prepare(&self, registry: &str) -> std::io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        // With an entry in `auths` the password goes into this file: without one `docker` looks for a key ring of the user.
        let mut config = json!({ "auths": { registry: {} } });
        if let Some(own) = own_config() {
            // The engine that the user has chosen may be another than the default.
            symlink(own.join("contexts"), self.folder.join("contexts"))?;
            if let Some(context) = current_context(&own) {
                config["currentContext"] = context;
            }
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(self.folder.join("config.json"));
        file?.write_all(config.to_string().as_bytes())
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env(CONFIG, &self.folder);
        // Where the certificates of an engine by TLS lie, if nothing else is said: beside the user's settings.
        if std::env::var_os(CERTIFICATES).is_none_or(|folder| folder.is_empty())
            && let Some(own) = own_config()
        {
            command.env(CERTIFICATES, own);
        }
        command
    }
}

/// The folder with the user's settings of `docker`.
fn own_config() -> Option<PathBuf> {
    let named = std::env::var_os(CONFIG).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = named.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    std::path::absolute(folder).ok()
}

/// The context that the settings in `folder` choose; what cannot be read there `docker` has complained about before.
fn current_context(folder: &Path) -> Option<Value> {
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).ok()?).ok()?;
    config.get("currentContext").cloned()
}

/// What `docker` answers.
async fn answer(command: &mut Command) -> anyhow::Result<String> {
    answer_to(command, None).await
}

/// What `docker` answers to `input`.
async fn answer_to(command: &mut Command, input: Option<&[u8]>) -> anyhow::Result<String> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot start `docker`, which has to be installed")?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Where it has ended before it read, it says why.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await.context("cannot wait for `docker`")?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(failure("docker", &output.stderr))
    }
}

/// Why `operation` failed, as it has said on standard error; a registry's denial is AWS's sentence.
fn failure(operation: &'static str, said: &[u8]) -> anyhow::Error {
    let said = String::from_utf8_lossy(said);
    if said.contains("not authorized to perform") {
        return ServiceError::Denied { operation, denial: Denial::parse(said.trim()) }.into();
    }
    // Warnings stand before.
    let last = said.trim().lines().last().unwrap_or("it says nothing");
    anyhow!("{operation}: {}", last.trim_start_matches("Error response from daemon: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(more: &str) -> Image {
        let text = format!(r#"{{"Id":"sha256:0a1b","Os":"linux","Architecture":"arm64","Size":1{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_the_engine_says_of_an_image_is_understood() {
        let of_old = image(r#","RepoTags":["a:1"]"#);
        assert_eq!((of_old.platform(), of_old.tag()), ("linux/arm64".to_owned(), "id-0a1b".to_owned()));
        assert!(of_old.is_called("a:1") && !of_old.is_called("a:2") && !of_old.is_list());
        let descriptor = |kind: &str| image(&format!(r#","RepoTags":null,"Descriptor":{{"mediaType":"{kind}"}}"#));
        assert!(descriptor("application/vnd.oci.image.index.v1+json").is_list());
        assert!(descriptor("application/vnd.docker.distribution.manifest.list.v2+json").is_list());
        assert!(!descriptor("application/vnd.docker.distribution.manifest.v2+json").is_list());
    }

    #[test]
    fn a_denial_of_the_registry_names_the_action() {
        let said = "denied: User: arn:aws:iam::1:user/me is not authorized to perform: ecr:InitiateLayerUpload on resource: \
                    arn:aws:ecr:eu-central-1:1:repository/unspsc-serve because no identity-based policy allows it\n";
        let error = failure("docker push", said.as_bytes());
        assert!(error.to_string().contains("arn:aws:iam::1:user/me may not ecr:InitiateLayerUpload"), "{error}");
        assert!(crate::causes::advice(&error).is_some_and(|advice| advice.contains("\"Allow\"")), "{error}");
        let said = "WARNING! x\nError response from daemon: Get \"https://r/v2/\": EOF\n";
        assert_eq!(failure("docker", said.as_bytes()).to_string(), "docker: Get \"https://r/v2/\": EOF");
    }
}
