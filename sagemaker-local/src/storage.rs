//! S3: the `s3s` service over a folder whose folders are buckets, and what the platform itself does with objects.
//!
//! Objects are plain files, so the platform reads them where they lie. It writes through the service all the same:
//! only that keeps the checksums and content types right, which `s3s-fs` holds in files beside the buckets.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Request, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tokio::io::{AsyncRead, ReadBuf};

use crate::uploads::Uploads;

/// The access key that callers sign with.
pub const ACCESS_KEY: &str = "local";
/// The secret key that callers sign with.
pub const SECRET_KEY: &str = "local";

/// Bytes of a file that are in memory at a time while it is put into a bucket.
const CHUNK_BYTES: usize = 256 * 1024;

/// An address such as `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Uri {
    pub(crate) bucket: String,
    /// An object's key or the first part of many; may be empty.
    pub(crate) key: String,
}

/// The text is no address of an object or a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no S3 address of the form s3://BUCKET/KEY")]
pub(crate) struct S3UriError(String);

impl FromStr for S3Uri {
    type Err = S3UriError;

    fn from_str(text: &str) -> Result<Self, S3UriError> {
        let error = || S3UriError(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(error)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        // A bucket or a key never leads out of the folder of buckets.
        let inside = Path::new(key).components().all(|part| matches!(part, Component::Normal(_)));
        if s3s::path::check_bucket_name(bucket) && inside {
            Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
        } else {
            Err(error())
        }
    }
}

impl S3Uri {
    /// The address of `path` under this one.
    pub(crate) fn join(&self, path: &str) -> Self {
        let prefix = self.key.trim_end_matches('/');
        let key = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        Self { bucket: self.bucket.clone(), key }
    }
}

impl std::fmt::Display for S3Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Why the buckets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder of buckets cannot be opened.
    #[error("cannot open the folder of buckets {}: {message}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What `s3s-fs` says.
        message: String,
    },
    /// A file cannot be read or copied.
    #[error("cannot read {}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The service does not take an object, or does not delete it.
    #[error("cannot change {uri}: {message}")]
    Change {
        /// The object's address.
        uri: String,
        /// What the service says.
        message: String,
    },
}

/// The buckets; a clone is another handle on the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    root: PathBuf,
    service: S3Service,
}

impl Storage {
    /// The buckets in the folder `root`.
    pub(crate) fn open(root: PathBuf) -> Result<Self, StorageError> {
        let files = s3s_fs::FileSystem::new(&root)
            .map_err(|error| StorageError::Open { path: root.clone(), message: format!("{error:?}") })?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_access(Access);
        builder.set_route(Uploads::new(root.clone()));
        Ok(Self { root, service: builder.build() })
    }

    /// The service that answers S3 requests from outside.
    pub(crate) fn service(&self) -> &S3Service {
        &self.service
    }

    /// True if there is such a bucket.
    pub(crate) fn has_bucket(&self, bucket: &str) -> bool {
        self.root.join(bucket).is_dir()
    }

    /// The file of the object at `uri`, if there is one.
    pub(crate) fn object(&self, uri: &S3Uri) -> Option<PathBuf> {
        let path = self.root.join(&uri.bucket).join(&uri.key);
        path.is_file().then_some(path)
    }

    /// The objects whose keys begin with the key of `prefix`, sorted: their keys and files.
    pub(crate) fn objects(&self, prefix: &S3Uri) -> Result<Vec<(String, PathBuf)>, StorageError> {
        let bucket = self.root.join(&prefix.bucket);
        let mut found = Vec::new();
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            let io_error = |reason| StorageError::Io { path: folder.clone(), reason };
            for entry in fs::read_dir(&folder).map_err(io_error)? {
                let path = entry.map_err(io_error)?.path();
                let Some(key) = path.strip_prefix(&bucket).ok().and_then(Path::to_str) else { continue };
                if path.is_dir() {
                    folders.push(path);
                } else if key.starts_with(&prefix.key) {
                    found.push((key.to_owned(), path));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Copies the objects under `prefix` into the folder `into`, as SageMaker's File mode does.
    pub(crate) fn download(&self, prefix: &S3Uri, into: &Path) -> Result<(), StorageError> {
        for (key, file) in self.objects(prefix)? {
            let target = into.join(path_below(&prefix.key, &key));
            let io_error = |reason| StorageError::Io { path: file.clone(), reason };
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(io_error)?;
            }
            // A copy and not a link: a job may write to its input, never to the bucket.
            fs::copy(&file, &target).map_err(io_error)?;
        }
        Ok(())
    }

    /// Puts the file at `path` into its bucket as `uri`.
    pub(crate) async fn put(&self, path: &Path, uri: &S3Uri) -> Result<(), StorageError> {
        let io_error = |reason| StorageError::Io { path: path.to_path_buf(), reason };
        let file = tokio::fs::File::open(path).await.map_err(io_error)?;
        let length = file.metadata().await.map_err(io_error)?.len();
        let body = s3s::Body::http_body_unsync(FileBody { file, left: length });
        self.change(uri, Method::PUT, length, body).await
    }

    /// Deletes the object at `uri`; one that is gone already is no error.
    pub(crate) async fn delete(&self, uri: &S3Uri) -> Result<(), StorageError> {
        self.change(uri, Method::DELETE, 0, s3s::Body::empty()).await
    }

    async fn change(&self, uri: &S3Uri, method: Method, length: u64, body: s3s::Body) -> Result<(), StorageError> {
        let change_error = |message: String| StorageError::Change { uri: uri.to_string(), message };
        let request = Request::builder()
            .method(&method)
            .uri(format!("http://localhost/{}/{}", uri.bucket, encode(&uri.key)))
            .header(CONTENT_LENGTH, length)
            .extension(FromPlatform)
            .body(body)
            .map_err(|error| change_error(error.to_string()))?;
        let response = self.service.call(request).await.map_err(|error| change_error(format!("{error:?}")))?;
        let status = response.status();
        if status.is_success() || (method == Method::DELETE && status == StatusCode::NOT_FOUND) {
            return Ok(());
        }
        let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), CHUNK_BYTES).await;
        Err(change_error(format!("{status} {}", String::from_utf8_lossy(&body.unwrap_or_default()))))
    }
}

/// Where the object `key` lies below the folder that a channel of `prefix` becomes.
///
/// A prefix that ends amid a name takes the names that it begins with whole.
pub(crate) fn path_below<'a>(prefix: &str, key: &'a str) -> &'a str {
    let whole_folder = prefix.is_empty() || prefix.ends_with('/') || key.as_bytes().get(prefix.len()) == Some(&b'/');
    let cut = if whole_folder { prefix.len() } else { prefix.rfind('/').map_or(0, |slash| slash + 1) };
    key.get(cut..).unwrap_or(key).trim_start_matches('/')
}

/// The key as a path of a URL.
fn encode(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    key.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Marks a request that the platform makes of itself; no request from outside can carry it.
#[derive(Debug, Clone, Copy)]
struct FromPlatform;

/// Lets in whoever signed, and the platform.
#[derive(Debug)]
struct Access;

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_some() || context.extensions_mut().get::<FromPlatform>().is_some() {
            Ok(())
        } else {
            Err(s3_error!(AccessDenied, "Signature is required"))
        }
    }
}

/// A file as the body of a request, a chunk at a time.
struct FileBody {
    file: tokio::fs::File,
    left: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        if size == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = BytesMut::zeroed(size);
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.file).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        self.left -= read as u64;
        bytes.truncate(read);
        Poll::Ready(Some(Ok(Frame::data(bytes.freeze()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_inside_the_buckets() {
        let uri: S3Uri = "s3://some-bucket/a/b".parse().unwrap();
        assert_eq!((uri.bucket.as_str(), uri.key.as_str()), ("some-bucket", "a/b"));
        assert_eq!("s3://some-bucket".parse::<S3Uri>().unwrap().join("x").to_string(), "s3://some-bucket/x");
        assert_eq!("s3://some-bucket/a/".parse::<S3Uri>().unwrap().join("x").to_string(), "s3://some-bucket/a/x");
        for bad in ["", "bucket/key", "s3://", "s3:///a", "s3://../a", "s3://some-bucket/../a", "s3://some-bucket//etc"]
        {
            assert!(bad.parse::<S3Uri>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_becomes_a_folder() {
        assert_eq!(path_below("", "a/b.csv"), "a/b.csv");
        assert_eq!(path_below("a/", "a/b.csv"), "b.csv");
        assert_eq!(path_below("a", "a/b.csv"), "b.csv");
        assert_eq!(path_below("a/b.csv", "a/b.csv"), "b.csv");
        assert_eq!(path_below("a/b", "a/bc/d.csv"), "bc/d.csv");
    }

    #[tokio::test]
    async fn what_is_put_can_be_listed_and_downloaded() {
        let folder = tempfile::tempdir().unwrap();
        let (root, into) = (folder.path().join("s3"), folder.path().join("into"));
        fs::create_dir_all(root.join("some-bucket")).unwrap();
        let file = folder.path().join("file");
        // More than one chunk.
        let content = vec![7_u8; CHUNK_BYTES + 3];
        fs::write(&file, &content).unwrap();
        let storage = Storage::open(root).unwrap();
        let uri: S3Uri = "s3://some-bucket/out/a +ü.bin".parse().unwrap();
        storage.put(&file, &uri).await.unwrap();
        let prefix = "s3://some-bucket/ou".parse().unwrap();
        assert_eq!(storage.objects(&prefix).unwrap().len(), 1);
        assert_eq!(fs::read(storage.object(&uri).unwrap()).unwrap(), content);
        storage.download(&"s3://some-bucket/out".parse().unwrap(), &into).unwrap();
        assert_eq!(fs::read(into.join("a +ü.bin")).unwrap(), content);
    }

    #[tokio::test]
    async fn a_bucket_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let root = folder.path().join("s3");
        fs::create_dir(&root).unwrap();
        let storage = Storage::open(root).unwrap();
        // s3s-fs makes missing folders, so the platform asks before it starts a job.
        assert!(!storage.has_bucket("no-bucket"));
        assert!(storage.objects(&"s3://no-bucket/a".parse().unwrap()).is_err());
    }
}
