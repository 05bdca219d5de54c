//! `unspsc images`: from this machine's Docker Engine into ECR, where SageMaker finds images.

mod docker;
mod name;
mod repository;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::aws::ServiceError;
use crate::options::PushArgs;
use crate::poll;
use crate::progress::print;
use crate::session::Session;
use crate::settings;
use crate::undo::Started;

pub(crate) use docker::untag;
pub(crate) use name::LocalName;
pub(crate) use repository::is_there as is_repository;

use docker::{Image, Login, PLATFORM};
use repository::Held;

/// The form of manifests that all of SageMaker takes: hosting has refused OCI's (aws/amazon-sagemaker-feedback#180).
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What has been pushed is seen after this time at the latest.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// An image in its repository, by a name that never means another one.
pub(crate) struct Pinned {
    name: LocalName,
    pub(crate) reference: String,
}

impl AsRef<LocalName> for Pinned {
    fn as_ref(&self) -> &LocalName {
        &self.name
    }
}

impl Pinned {
    fn new(name: &LocalName, address: &str, held: &Held) -> Self {
        Self { name: name.clone(), reference: format!("{address}@{}", held.digest) }
    }
}

/// The prefix of this project's images, which the repositories of a stack of another name do not have.
const OURS: &str = "unspsc";

/// Pushes images and prints the settings that name them.
pub(crate) async fn push(session: &Session, args: &PushArgs, config: Option<&Path>) -> anyhow::Result<()> {
    let pinned = bring(session, &args.images, &args.stack.name).await?;
    if session.is_plan() {
        return Ok(());
    }
    let keys = [("training", "train-image", "train"), ("serving", "serve-image", "serve")];
    let image = |(table, key, word)| Some((table, key, first(&pinned, word)?.reference.clone()));
    let set: Vec<_> = keys.into_iter().filter_map(image).collect();
    if args.save && !set.is_empty() {
        let path = settings::set(config, &set)?;
        session
            .progress
            .say(&format!("written to {}; a digest names this very image, whatever is pushed later:", path.display()));
    } else {
        session.progress.say(
            "for unspsc.toml, or written there with --save; a digest names this very image, whatever is pushed later:",
        );
    }
    print(lines(&pinned).trim_end())
}

/// Refuses images that are not on this machine, or that SageMaker's instances cannot run.
pub(crate) async fn check(names: &[LocalName]) -> anyhow::Result<()> {
    look(names).await.map(drop)
}

/// Refuses an image of the caller's ECR that is not there any more; of one elsewhere nothing can be told. What is advised has the option
/// `name`.
pub(crate) async fn check_pushed(session: &Session, reference: &str, name: &str) -> anyhow::Result<()> {
    let parts = reference.split_once('/').and_then(|(host, rest)| Some((host, rest.split_once('@')?)));
    let Some((host, (repository, digest))) = parts.filter(|(host, _)| host.contains(".dkr.ecr.")) else {
        return Ok(());
    };
    let account = host.split('.').next().unwrap_or_default();
    match repository::holds(session, account, repository, digest).await {
        Ok(false) => bail!(
            "the settings name the image {reference}, and ECR has none: push it anew with `{}`, or leave the setting away",
            session.command(&format!("images push IMAGE --save{name}"))
        ),
        Ok(true) | Err(ServiceError::Denied { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn look(names: &[LocalName]) -> anyhow::Result<Vec<Image>> {
    let mut images = Vec::new();
    for name in names {
        let image = Image::find(name).await?;
        let platform = image.platform();
        if platform != PLATFORM {
            bail!(
                "{name} is of {platform}, and SageMaker's instances run {PLATFORM}: build it by `scripts/build-images` on such a \
                 machine, or with `docker build --platform {PLATFORM}`; nothing was pushed"
            );
        }
        images.push(image);
    }
    Ok(images)
}

/// Sees to it that the images are in ECR, this project's in repositories whose names begin with `name`; none come of it in
/// a plan.
pub(crate) async fn bring(session: &Session, names: &[LocalName], name: &str) -> anyhow::Result<Vec<Pinned>> {
    let images = look(names).await?;
    let mut login = None;
    let mut pinned = Vec::new();
    for (local, image) in names.iter().zip(&images) {
        let repository = match local.repository().strip_prefix(OURS).filter(|rest| rest.starts_with('-')) {
            Some(rest) => format!("{name}{rest}"),
            None => local.repository().to_owned(),
        };
        pinned.extend(in_repository(session, local, &repository, image, &mut login).await?);
    }
    Ok(pinned)
}

/// The first of the images whose name says that it is one that trains (`train`) or serves (`serve`).
pub(crate) fn first<'a, T: AsRef<LocalName>>(images: &'a [T], word: &str) -> Option<&'a T> {
    images.iter().find(|one| is_of(one, word))
}

/// Whether the last part of its name, as of `team/unspsc-serve`, says that it is that.
fn is_of(image: &impl AsRef<LocalName>, word: &str) -> bool {
    image.as_ref().repository().rsplit('/').next().is_some_and(|name| name.contains(word))
}

/// Sees to it that the image is in its repository; nothing if that is only planned.
async fn in_repository(
    session: &Session,
    name: &LocalName,
    repository: &str,
    image: &Image,
    login: &mut Option<Login>,
) -> anyhow::Result<Option<Pinned>> {
    let tag = image.tag();
    let address = repository::ensure(session, repository).await?;
    let held = repository::find(session, repository, &tag).await?;
    if session.is_plan() {
        let pinned = address.zip(held).map(|(address, held)| Pinned::new(name, &address, &held));
        if pinned.is_none() {
            let request = json!({ "Image": name.as_str(), "Repository": repository, "Tag": tag });
            session.plan("docker", "push", request);
        }
        return Ok(pinned);
    }
    let address = address.with_context(|| format!("ECR names no address of the repository {repository}"))?;
    let reference = format!("{address}:{tag}");
    let held = match held {
        Some(held) => {
            session.progress.say(&format!("{name} is in {address} already"));
            if image.is_called(&reference) {
                // A run that was killed has left it.
                session.undo.note(Started::Tag(reference));
            }
            held
        }
        None => {
            let login = match login {
                Some(login) => login,
                None => login.insert(Login::new(&address, &repository::token(session).await?).await?),
            };
            send(session, login, (name, repository), image, &reference).await?
        }
    };
    if held.media_type.as_deref().is_some_and(|form| form != DOCKER_MANIFEST) {
        session.progress.say(&format!(
            "{name} has a manifest of OCI's form, which SageMaker's hosting may refuse: build it with \
             `docker buildx build --provenance=false --output type=docker` if it does"
        ));
    }
    Ok(Some(Pinned::new(name, &address, &held)))
}

/// Pushes the image as `reference`, which is its name here for as long as that takes.
async fn send(
    session: &Session,
    login: &Login,
    (name, repository): (&LocalName, &str),
    image: &Image,
    reference: &str,
) -> anyhow::Result<Held> {
    let tagged = Started::Tag(reference.to_owned());
    session.undo.note(tagged.clone());
    image.name(reference).await?;
    session.progress.say(&format!("pushing {name} as {reference}"));
    let pushed = login.push(image, reference).await;
    // Where that fails it is tried again in the end, and said.
    if docker::untag(reference).await.is_ok() {
        session.undo.settle(&tagged);
    }
    let look = async || repository::find(session, repository, &image.tag()).await;
    if let Err(error) = pushed {
        // It is there after all: the answer got lost, or somebody else was faster.
        let again = || format!("cannot push {name}; what has arrived is not sent again, so run the same command again");
        return match look().await {
            Ok(Some(held)) => Ok(held),
            _ => Err(error).with_context(again),
        };
    }
    let seen = tokio::time::timeout(SEEN_WITHIN, poll::until(session.pace, look)).await;
    Ok(seen.with_context(|| format!("{reference} was pushed, and ECR does not know it: run the same command again"))??)
}

/// The images as lines of unspsc.toml. Of several for one key the first is set.
fn lines(pinned: &[Pinned]) -> String {
    let of = |word: &str| pinned.iter().filter(|one| is_of(*one, word)).collect::<Vec<_>>();
    let mut text = String::new();
    for (table, key, verbs, images) in [
        ("training", "train-image", "train, tune, run", of("train")),
        ("serving", "serve-image", "deploy, batch, run", of("serve")),
    ] {
        for (number, image) in images.iter().enumerate() {
            let begin = if number == 0 { format!("[{table}]  # {verbs}\n") } else { "# ".to_owned() };
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{begin}{key} = \"{}\"", image.reference);
        }
    }
    let others = pinned.iter().filter(|one| !["train", "serve"].iter().any(|word| is_of(*one, word)));
    others.for_each(|one| text += &format!("# {}\n", one.reference));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_set_once() {
        let pinned = ["unspsc-train-cpu", "trainers/unspsc-serve", "unspsc-train-gpu", "other"]
            .map(|name| Pinned { name: name.parse().unwrap(), reference: format!("r/{name}@sha256:0") });
        let expected = "[training]  # train, tune, run\ntrain-image = \"r/unspsc-train-cpu@sha256:0\"\n\
                        # train-image = \"r/unspsc-train-gpu@sha256:0\"\n[serving]  # deploy, batch, run\n\
                        serve-image = \"r/trainers/unspsc-serve@sha256:0\"\n# r/other@sha256:0\n";
        assert_eq!(lines(&pinned), expected);
    }
}
