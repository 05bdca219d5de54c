//! `unspsc images`: from this machine's Docker Engine into ECR, where SageMaker finds images.

mod docker;
mod name;
mod repository;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::options::PushArgs;
use crate::poll;
use crate::progress::print;
use crate::session::Session;
use crate::undo::Started;

pub(crate) use docker::untag;
pub(crate) use name::LocalName;

use docker::{Image, Login, PLATFORM};
use repository::Held;

/// The form of manifests that all of SageMaker takes: hosting has refused OCI's (aws/amazon-sagemaker-feedback#180).
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What has been pushed is seen after this time at the latest.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// An image in its repository, by a name that never means another one.
struct Pinned {
    name: LocalName,
    reference: String,
}

/// Pushes images and prints the settings that name them.
pub(crate) async fn push(session: &Session, args: &PushArgs) -> anyhow::Result<()> {
    let mut images = Vec::new();
    for name in &args.images {
        let image = Image::find(name).await?;
        let platform = image.platform();
        if platform != PLATFORM {
            bail!(
                "{name} is of {platform}, and SageMaker's instances run {PLATFORM}: build it by `scripts/build-images` on such a \
                 machine, or with `docker build --platform {PLATFORM}`; nothing was pushed"
            );
        }
        images.push((name, image));
    }
    let mut login = None;
    let mut pinned = Vec::new();
    for (name, image) in &images {
        pinned.extend(in_repository(session, name, image, &mut login).await?);
    }
    if session.is_plan() {
        return Ok(());
    }
    session.progress.say("for unspsc.toml; a digest names this very image, whatever is pushed later:");
    print(settings(&pinned).trim_end())
}

/// Sees to it that the image is in its repository; nothing if that is only planned.
async fn in_repository(
    session: &Session,
    name: &LocalName,
    image: &Image,
    login: &mut Option<Login>,
) -> anyhow::Result<Option<Pinned>> {
    let (repository, tag) = (name.repository(), image.tag());
    let address = repository::ensure(session, repository).await?;
    let held = repository::find(session, repository, &tag).await?;
    if session.is_plan() {
        if held.is_none() {
            let request = json!({ "Image": name.as_str(), "Repository": repository, "Tag": tag });
            session.plan("docker", "push", request);
        }
        return Ok(None);
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
            send(session, login, name, image, &reference).await?
        }
    };
    if held.media_type.as_deref().is_some_and(|form| form != DOCKER_MANIFEST) {
        session.progress.say(&format!(
            "{name} has a manifest of OCI's form, which SageMaker's hosting may refuse: build it with \
             `docker buildx build --provenance=false --output type=docker` if it does"
        ));
    }
    Ok(Some(Pinned { name: name.clone(), reference: format!("{address}@{}", held.digest) }))
}

/// Pushes the image as `reference`, which is its name here for as long as that takes.
async fn send(
    session: &Session,
    login: &Login,
    name: &LocalName,
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
    let look = async || repository::find(session, name.repository(), &image.tag()).await;
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
fn settings(pinned: &[Pinned]) -> String {
    // Of `team/unspsc-serve` the last part says what it is.
    let is =
        |one: &Pinned, word: &str| one.name.repository().rsplit('/').next().is_some_and(|name| name.contains(word));
    let of = |word: &str| pinned.iter().filter(|one| is(one, word)).collect::<Vec<_>>();
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
    let others = pinned.iter().filter(|one| !["train", "serve"].iter().any(|word| is(one, word)));
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
        assert_eq!(settings(&pinned), expected);
    }
}
