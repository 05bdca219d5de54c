//! What of a stack holds something that nobody can make anew: the bucket and the repositories of images.

use std::fmt;

use anyhow::Context as _;
use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::aws::failed;
use crate::session::Session;
use crate::stacks::Stack;
use crate::tables::count;

/// Images that ECR deletes at a time.
const IMAGES: usize = 100;

/// A bucket or a repository of the stack.
#[derive(Debug)]
pub(crate) struct Store {
    kind: Kind,
    name: String,
    /// How much is in it, of a bucket as far as its first page tells.
    holds: usize,
    is_more: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bucket,
    Repository,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, noun) = match self.kind {
            Kind::Bucket => ("bucket", "object"),
            Kind::Repository => ("repository", "image"),
        };
        let more = if self.is_more { "more than " } else { "" };
        let plural = if self.holds == 1 && !self.is_more { "" } else { "s" };
        write!(f, "{what} {} with {more}{} {noun}{plural}", self.name, count(self.holds))
    }
}

/// Those of the stack that are there.
pub(crate) async fn of(session: &Session, stack: &Stack) -> anyhow::Result<Vec<Store>> {
    let request = session.clients.cloudformation.list_stack_resources().stack_name(&stack.id);
    let (mut pages, mut stores) = (request.into_paginator().send(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("ListStackResources"))?;
        for resource in page.stack_resource_summaries() {
            let kind = match resource.resource_type() {
                Some("AWS::S3::Bucket") => Kind::Bucket,
                Some("AWS::ECR::Repository") => Kind::Repository,
                _ => continue,
            };
            if let Some(name) = resource.physical_resource_id() {
                stores.extend(look(session, kind, name).await?);
            }
        }
    }
    Ok(stores)
}

/// Names of buckets and of repositories.
pub(super) fn names(stores: &[Store]) -> (Vec<String>, Vec<String>) {
    let of = |kind| stores.iter().filter(|store| store.kind == kind).map(|store| store.name.clone()).collect();
    (of(Kind::Bucket), of(Kind::Repository))
}

async fn look(session: &Session, kind: Kind, name: &str) -> anyhow::Result<Option<Store>> {
    let (holds, is_more) = match kind {
        Kind::Bucket => {
            let Some(page) = versions(session, name, (None, None)).await? else { return Ok(None) };
            (identifiers(&page)?.len(), page.is_truncated() == Some(true))
        }
        Kind::Repository => {
            let Some(images) = images(session, name).await? else { return Ok(None) };
            (images.len(), false)
        }
    };
    Ok(Some(Store { kind, name: name.to_owned(), holds, is_more }))
}

impl Store {
    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.holds == 0
    }

    /// Deletes all that is in it.
    pub(super) async fn clear(&self, session: &Session) -> anyhow::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let _step = session.changing(&format!("emptying {self}"));
        let cleared = match self.kind {
            Kind::Bucket => clear_bucket(session, &self.name).await,
            Kind::Repository => clear_repository(session, &self.name).await,
        };
        cleared.with_context(|| format!("cannot empty {self}"))
    }
}

/// Deletes all versions of all objects, page by page.
async fn clear_bucket(session: &Session, bucket: &str) -> anyhow::Result<()> {
    let mut from = (None, None);
    loop {
        let Some(page) = versions(session, bucket, from).await? else { return Ok(()) };
        let objects = identifiers(&page)?;
        if !objects.is_empty() {
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
            let request = session.clients.s3.delete_objects().bucket(bucket).delete(delete);
            let answer = request.send().await.map_err(failed("DeleteObjects"))?;
            if let Some(error) = answer.errors().first() {
                let (key, why) = (error.key().unwrap_or_default(), error.message().unwrap_or("no reason given"));
                anyhow::bail!("{key} cannot be deleted: {why}");
            }
        }
        if page.is_truncated() != Some(true) {
            return Ok(());
        }
        from = (page.next_key_marker().map(str::to_owned), page.next_version_id_marker().map(str::to_owned));
    }
}

/// A page of the versions of objects, deleted ones included; nothing if there is no such bucket.
async fn versions(
    session: &Session,
    bucket: &str,
    (key, version): (Option<String>, Option<String>),
) -> anyhow::Result<Option<ListObjectVersionsOutput>> {
    let request = session.clients.s3.list_object_versions().bucket(bucket);
    let answer = request.set_key_marker(key).set_version_id_marker(version).send().await;
    match answer.map_err(failed("ListObjectVersions")) {
        Err(error) if error.is_missing() => Ok(None),
        answer => Ok(Some(answer.with_context(|| format!("cannot look into bucket {bucket}"))?)),
    }
}

fn identifiers(page: &ListObjectVersionsOutput) -> anyhow::Result<Vec<ObjectIdentifier>> {
    let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
    let markers = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
    let identifier = |(key, version): (Option<&str>, Option<&str>)| {
        let key = key.context("S3 lists an object without a key")?;
        anyhow::Ok(ObjectIdentifier::builder().key(key).set_version_id(version.map(str::to_owned)).build()?)
    };
    versions.chain(markers).map(identifier).collect()
}

/// The images of a repository; nothing if there is none of that name.
async fn images(session: &Session, repository: &str) -> anyhow::Result<Option<Vec<ImageIdentifier>>> {
    let request = session.clients.ecr.list_images().repository_name(repository);
    let (mut pages, mut images) = (request.into_paginator().send(), Vec::new());
    while let Some(page) = pages.next().await {
        match page.map_err(failed("ListImages")) {
            Err(error) if error.is_missing() => return Ok(None),
            page => images.extend_from_slice(page?.image_ids()),
        }
    }
    Ok(Some(images))
}

async fn clear_repository(session: &Session, repository: &str) -> anyhow::Result<()> {
    let images = images(session, repository).await?.unwrap_or_default();
    for images in images.chunks(IMAGES) {
        let request = session.clients.ecr.batch_delete_image().repository_name(repository);
        let answer = request.set_image_ids(Some(images.to_vec())).send().await.map_err(failed("BatchDeleteImage"))?;
        if let Some(failure) = answer.failures().first() {
            anyhow::bail!("an image cannot be deleted: {}", failure.failure_reason().unwrap_or("no reason given"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_much_would_be_lost() {
        let store = |kind, holds, is_more| Store { kind, name: "x".to_owned(), holds, is_more }.to_string();
        assert_eq!(store(Kind::Bucket, 1, false), "bucket x with 1 object");
        assert_eq!(store(Kind::Bucket, 1000, true), "bucket x with more than 1,000 objects");
        assert_eq!(store(Kind::Repository, 2, false), "repository x with 2 images");
    }
}
