//! Files to S3, under keys that follow from what is in them, so that nothing is sent twice.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::aws::failed;
use crate::content::{Content, digest};
use crate::progress::Step;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::undo::Started;

/// Bytes above which a file goes in parts, and bytes of a part.
const PART: u64 = 16 * 1024 * 1024;
/// S3 takes this many parts at most.
const MAX_PARTS: u64 = 10_000;
/// Parts that are under way at the same time.
const PARALLEL: usize = 4;
/// Where an object keeps the SHA-256 of its file.
const SHA256: &str = "sha256";

/// Files that a job sees together as one channel.
#[derive(Debug)]
pub(crate) struct Bundle {
    files: Vec<LocalFile>,
}

/// A file that is to be uploaded.
#[derive(Debug)]
struct LocalFile {
    path: PathBuf,
    name: String,
    bytes: u64,
    sha256: String,
}

impl Bundle {
    /// Reads the files through, on a thread that may take its time.
    pub(crate) async fn read(paths: Vec<PathBuf>) -> anyhow::Result<Self> {
        let read = move || paths.into_iter().map(LocalFile::read).collect::<anyhow::Result<_>>();
        let files = tokio::task::spawn_blocking(read).await.context("the reading of files came to a sudden end")??;
        Ok(Self { files })
    }

    /// Names and digests of the files but those named `without`.
    pub(crate) fn digests(&self, without: &str) -> Vec<(&str, &str)> {
        let kept = self.files.iter().filter(|file| file.name != without);
        kept.map(|file| (file.name.as_str(), file.sha256.as_str())).collect()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The folder below `parent` that holds these files and no others.
    pub(crate) fn place(&self, parent: &S3Uri) -> anyhow::Result<S3Uri> {
        Ok(parent.join(Content::of(&self.digests(""))?.hash()))
    }

    /// Uploads what is not there yet; returns the bytes that were sent.
    pub(crate) async fn upload(&self, session: &Session, place: &S3Uri, step: &Step) -> anyhow::Result<u64> {
        let mut sent = 0;
        for file in &self.files {
            let place = place.join(&file.name);
            if is_there(session, file, &place).await? {
                step.advance(file.bytes);
                continue;
            }
            let uploaded = if file.bytes > PART {
                in_parts(session, file, &place, step).await
            } else {
                whole(session, file, &place, step).await
            };
            uploaded.with_context(|| format!("cannot upload to {place}"))?;
            sent += file.bytes;
        }
        Ok(sent)
    }
}

impl LocalFile {
    fn read(path: PathBuf) -> anyhow::Result<Self> {
        let unreadable = || format!("cannot read {}", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).with_context(unreadable)?.to_owned();
        let bytes = std::fs::metadata(&path).with_context(unreadable)?.len();
        let sha256 = digest(&path)?;
        Ok(Self { path, name, bytes, sha256 })
    }
}

/// Whether the object at `place` has the file's length and digest.
async fn is_there(session: &Session, file: &LocalFile, place: &S3Uri) -> anyhow::Result<bool> {
    let head = session.clients.s3.head_object().bucket(&place.bucket).key(&place.key).send().await;
    match head.map_err(failed("HeadObject")) {
        Ok(head) => {
            let sha256 = head.metadata().and_then(|metadata| metadata.get(SHA256));
            let length = head.content_length().and_then(|length| u64::try_from(length).ok());
            Ok(sha256 == Some(&file.sha256) && length == Some(file.bytes))
        }
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {place}")),
    }
}

async fn whole(session: &Session, file: &LocalFile, place: &S3Uri, step: &Step) -> anyhow::Result<()> {
    let body = ByteStream::from_path(&file.path).await;
    let body = body.with_context(|| format!("cannot read {}", file.path.display()))?;
    let put = session.clients.s3.put_object().bucket(&place.bucket).key(&place.key);
    put.metadata(SHA256, &file.sha256).body(body).send().await.map_err(failed("PutObject"))?;
    step.advance(file.bytes);
    Ok(())
}

/// Several parts at a time; what an error or a signal leaves half done is aborted, since S3 bills for it.
async fn in_parts(session: &Session, file: &LocalFile, place: &S3Uri, step: &Step) -> anyhow::Result<()> {
    let s3 = &session.clients.s3;
    let create = s3.create_multipart_upload().bucket(&place.bucket).key(&place.key).metadata(SHA256, &file.sha256);
    let created = create.send().await.map_err(failed("CreateMultipartUpload"))?;
    let id = created.upload_id().context("S3 gave the upload no id")?;
    let started = Started::Upload { place: place.clone(), id: id.to_owned() };
    session.undo.note(started.clone());
    let completed = async {
        let parts = send_parts(s3, file, place, id, step).await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = s3.complete_multipart_upload().bucket(&place.bucket).key(&place.key).upload_id(id);
        complete.multipart_upload(parts).send().await.map_err(failed("CompleteMultipartUpload"))?;
        anyhow::Ok(())
    };
    completed.await?;
    session.undo.settle(&started);
    Ok(())
}

async fn send_parts(
    s3: &Client,
    file: &LocalFile,
    place: &S3Uri,
    id: &str,
    step: &Step,
) -> anyhow::Result<Vec<CompletedPart>> {
    let size = PART.max(file.bytes.div_ceil(MAX_PARTS));
    let free = Arc::new(Semaphore::new(PARALLEL));
    let mut sending = JoinSet::new();
    for (number, offset) in (1..).zip((0..file.bytes).step_by(usize::try_from(size)?)) {
        let (path, length) = (file.path.clone(), size.min(file.bytes - offset));
        let request = s3.upload_part().bucket(&place.bucket).key(&place.key).upload_id(id).part_number(number);
        let free = Arc::clone(&free);
        sending.spawn(async move {
            let _turn = free.acquire().await?;
            let body = ByteStream::read_from().path(&path).offset(offset).length(Length::Exact(length)).build().await;
            let body = body.with_context(|| format!("cannot read {}", path.display()))?;
            let sent = request.body(body).send().await.map_err(failed("UploadPart"))?;
            let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag().map(str::to_owned));
            anyhow::Ok((part.set_checksum_crc32(sent.checksum_crc32().map(str::to_owned)).build(), length))
        });
    }
    let mut parts = Vec::new();
    while let Some(sent) = sending.join_next().await {
        let (part, length) = sent.context("an upload came to a sudden end")??;
        step.advance(length);
        parts.push(part);
    }
    if parts.len() as u64 != file.bytes.div_ceil(size) {
        bail!("{} parts of {} were sent", parts.len(), file.path.display());
    }
    parts.sort_by_key(CompletedPart::part_number);
    Ok(parts)
}

/// Gives up an upload in parts.
pub(crate) async fn abort(session: &Session, place: &S3Uri, id: &str) -> anyhow::Result<()> {
    let abort = session.clients.s3.abort_multipart_upload().bucket(&place.bucket).key(&place.key).upload_id(id);
    match abort.send().await.map_err(failed("AbortMultipartUpload")) {
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_place_follows_from_names_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let parent = S3Uri::new("bucket", "unspsc/data");
        let place = async |paths| Bundle::read(paths).await.unwrap().place(&parent).unwrap().to_string();
        let first = place(vec![write("a.csv", "1"), write("b.csv", "2")]).await;
        assert!(first.starts_with("s3://bucket/unspsc/data/") && first.len() == 24 + 64, "{first}");
        assert_eq!(first, place(vec![write("a.csv", "1"), write("b.csv", "2")]).await);
        assert_ne!(first, place(vec![write("a.csv", "1"), write("b.csv", "3")]).await);
        assert_ne!(first, place(vec![write("a.csv", "1"), write("c.csv", "2")]).await);
        let bundle = Bundle::read(vec![write("a.csv", "1"), write("dataset.json", "{}")]).await.unwrap();
        assert_eq!((bundle.digests("dataset.json").len(), bundle.bytes()), (1, 3));
    }
}
