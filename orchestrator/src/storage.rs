//! Places in S3, and files from there; how files get there: `upload.rs`.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;

use crate::aws::{ServiceError, failed, innermost};
use crate::session::Session;

/// A place in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Uri {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl S3Uri {
    /// The object `key` of `bucket`.
    pub(crate) fn new(bucket: &str, key: &str) -> Self {
        Self { bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// The place `name` below this one.
    pub(crate) fn join(&self, name: &str) -> Self {
        Self::new(&self.bucket, &format!("{}/{name}", self.key.trim_end_matches('/')))
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl FromStr for S3Uri {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let (bucket, key) = parts.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()).with_context(|| {
            format!("`{text}` is no place in S3; it should look like s3://bucket/path/model.tar.gz")
        })?;
        Ok(Self::new(bucket, key))
    }
}

/// Makes the bucket on sagemaker-local; on AWS buckets are made with the rest of the infrastructure.
pub(crate) async fn ensure_bucket(session: &Session) -> anyhow::Result<()> {
    if !session.is_local() {
        return Ok(());
    }
    let (s3, bucket) = (&session.clients.s3, session.bucket()?);
    match s3.head_bucket().bucket(bucket).send().await.map_err(failed("HeadBucket")) {
        Err(error) if error.is_missing() => {}
        outcome => return Ok(outcome.map(drop)?),
    }
    let created = s3.create_bucket().bucket(bucket).send().await;
    match created.map_err(failed("CreateBucket")) {
        Err(ServiceError::Refused { code, .. }) if code.starts_with("BucketAlready") => Ok(()),
        outcome => Ok(outcome.map(drop)?),
    }
}

/// Keys of the objects whose names begin like `place`; empty ones, which stand for folders, aside.
pub(crate) async fn list(session: &Session, place: &S3Uri) -> anyhow::Result<Vec<String>> {
    let request = session.clients.s3.list_objects_v2().bucket(&place.bucket).prefix(&place.key);
    let (mut pages, mut keys) = (request.into_paginator().send(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("ListObjectsV2")).with_context(|| format!("cannot list {place}"))?;
        let objects = page.contents().iter().filter(|object| object.size() != Some(0));
        keys.extend(objects.filter_map(|object| object.key().map(str::to_owned)));
    }
    Ok(keys)
}

/// Downloads the object at `place` as the new file `path`.
pub(crate) async fn download(session: &Session, place: &S3Uri, path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    download_to(session, place, file).await
}

/// Downloads the object at `place` to the end of `file`.
pub(crate) async fn download_to(session: &Session, place: &S3Uri, file: File) -> anyhow::Result<()> {
    let get = session.clients.s3.get_object().bucket(&place.bucket).key(&place.key).send().await;
    let object = get.map_err(failed("GetObject")).with_context(|| format!("cannot download {place}"))?;
    let unwritable = || format!("cannot keep what is downloaded from {place}");
    let mut out = tokio::fs::File::from_std(file);
    let mut body = object.body;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| anyhow::anyhow!("cannot download {place}: {}", innermost(&error)))?;
        out.write_all(&chunk).await.with_context(unwritable)?;
    }
    out.flush().await.with_context(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place: S3Uri = "s3://bucket/a/b.tar.gz".parse().unwrap();
        assert_eq!(place, S3Uri::new("bucket", "a/b.tar.gz"));
        assert_eq!(S3Uri::new("bucket", "a/").join("c").to_string(), "s3://bucket/a/c");
        for text in ["bucket/a", "s3://bucket", "s3:///a", "s3://bucket/", "https://bucket/a"] {
            let error = text.parse::<S3Uri>().unwrap_err().to_string();
            assert!(error.contains("should look like"), "{error}");
        }
    }
}
