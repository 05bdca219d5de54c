//! ECR: the repository of an image, what it holds, and the token to push with.

use anyhow::{Context as _, bail};
use aws_sdk_ecr::types::{ImageIdentifier, ImageScanningConfiguration, ImageTagMutability, Tag};
use aws_smithy_types::base64;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use crate::aws::{ServiceError, failed};
use crate::content::{MANAGED_BY, VERSION};
use crate::session::Session;

/// An image in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Digest of its manifest.
    pub(super) digest: String,
    /// The manifest's form.
    pub(super) media_type: Option<String>,
}

/// What `docker login` asks for. No `Debug`: nobody else has to know.
pub(super) struct Token {
    pub(super) user: String,
    pub(super) password: String,
}

/// The address of the repository `name`, which is created where it is not there; nothing if that is only planned.
pub(super) async fn ensure(session: &Session, name: &str) -> anyhow::Result<Option<String>> {
    if let Some(address) = look(session, name).await? {
        return Ok(Some(address));
    }
    let created = match create(session, name).await {
        Ok(address) if session.is_plan() => return Ok(address),
        // It is there after all: the answer got lost, or somebody else was faster.
        Err(error) if error.is_taken() || error.is_transient() => look(session, name).await?.ok_or(error)?,
        outcome => outcome?.with_context(|| format!("ECR names no address of the new repository {name}"))?,
    };
    session.progress.say(&format!("repository {name} is created: tags immutable, scanned on push"));
    Ok(Some(created))
}

/// Whether there is a repository `name`.
pub(crate) async fn is_there(session: &Session, name: &str) -> Result<bool, ServiceError> {
    Ok(look(session, name).await?.is_some())
}

/// The address of the repository `name`, if it is there.
async fn look(session: &Session, name: &str) -> Result<Option<String>, ServiceError> {
    let found = session.clients.ecr.describe_repositories().repository_names(name).send().await;
    match found.map_err(failed("DescribeRepositories")) {
        Err(error) if error.is_missing() => Ok(None),
        found => Ok(found?.repositories().iter().find_map(|one| one.repository_uri().map(str::to_owned))),
    }
}

/// Creates the repository `name` and returns its address.
async fn create(session: &Session, name: &str) -> Result<Option<String>, ServiceError> {
    let scanning = ImageScanningConfiguration::builder().scan_on_push(true).build();
    let request = session.clients.ecr.create_repository().repository_name(name);
    let request = request.image_tag_mutability(ImageTagMutability::Immutable).image_scanning_configuration(scanning);
    let tags = [MANAGED_BY, (VERSION, env!("CARGO_PKG_VERSION"))];
    // Only a tag without key or value cannot be built.
    let tags = tags.iter().flat_map(|(key, value)| Tag::builder().key(*key).value(*value).build());
    let request = request.set_tags(Some(tags.collect()));
    let created = request.send().await.map_err(failed("CreateRepository"))?;
    Ok(created.repository().and_then(|one| one.repository_uri()).map(str::to_owned))
}

/// The image that has `tag` in the repository `name`, if there is one.
pub(super) async fn find(session: &Session, name: &str, tag: &str) -> Result<Option<Held>, ServiceError> {
    let request = session.clients.ecr.describe_images().repository_name(name);
    let request = request.image_ids(ImageIdentifier::builder().image_tag(tag).build());
    let found = match request.send().await.map_err(failed("DescribeImages")) {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    let held = found.image_details().iter().find_map(|one| {
        let media_type = one.image_manifest_media_type().map(str::to_owned);
        Some(Held { digest: one.image_digest()?.to_owned(), media_type })
    });
    Ok(held)
}

/// Whether the repository `name` of the account has the image with this digest.
pub(super) async fn holds(session: &Session, account: &str, name: &str, digest: &str) -> Result<bool, ServiceError> {
    let request = session.clients.ecr.describe_images().registry_id(account).repository_name(name);
    let request = request.image_ids(ImageIdentifier::builder().image_digest(digest).build());
    match request.send().await.map_err(failed("DescribeImages")) {
        Err(error) if error.is_missing() => Ok(false),
        found => found.map(|found| !found.image_details().is_empty()),
    }
}

/// A token to push with, for some hours.
pub(super) async fn token(session: &Session) -> anyhow::Result<Token> {
    let request = session.clients.ecr.get_authorization_token().send();
    // Whatever is logged otherwise: at `trace` the SDK writes the answer down.
    let answer = request.with_subscriber(NoSubscriber::default()).await.map_err(failed("GetAuthorizationToken"))?;
    let token = answer.authorization_data().iter().find_map(|data| data.authorization_token());
    let decoded = token.and_then(|token| String::from_utf8(base64::decode(token).ok()?).ok());
    let Some((user, password)) = decoded.as_deref().and_then(|decoded| decoded.split_once(':')) else {
        bail!("ECR's answer to GetAuthorizationToken has no token that could be read");
    };
    Ok(Token { user: user.to_owned(), password: password.to_owned() })
}
