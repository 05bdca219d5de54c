//! Listings that `s3s-fs` lacks: `ListObjectVersions` (see `versions`), and `ListMultipartUploads`, uploads in parts that are neither
//! completed nor aborted.
//!
//! `s3s-fs` keeps a file `.bucket-BUCKET.object-KEY.upload-ID.metadata.json` beside the buckets for each of them, with BUCKET and
//! KEY in base64.

use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::header::HeaderMap;
use hyper::http::Extensions;
use hyper::{Method, Uri};
use reqwest::Url;
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};

use crate::versions;

/// Answers the operations over the folder of buckets.
#[derive(Debug)]
pub(crate) struct Uploads {
    root: PathBuf,
}

/// An upload in parts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Upload {
    bucket: String,
    key: String,
    id: String,
}

impl Uploads {
    /// Those of the buckets in the folder `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

#[async_trait]
impl S3Route for Uploads {
    fn is_match(&self, method: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        method == Method::GET && ["uploads", "versions"].iter().any(|name| parameter(uri, name).is_some())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let bucket = request.uri.path().trim_matches('/');
        if !self.root.join(bucket).is_dir() || bucket.contains('/') || bucket.is_empty() {
            return Err(s3_error!(NoSuchBucket));
        }
        let prefix = parameter(&request.uri, "prefix").unwrap_or_default();
        if parameter(&request.uri, "versions").is_some() {
            let marker = parameter(&request.uri, "key-marker").unwrap_or_default();
            return Ok(S3Response::new(Body::from(versions::list(&self.root.join(bucket), &prefix, &marker)?)));
        }
        let entries = std::fs::read_dir(&self.root).map_err(|error| s3_error!(error, InternalError))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let uploads = names.filter_map(|name| Upload::of_file(&name));
        let mut uploads: Vec<Upload> =
            uploads.filter(|upload| upload.bucket == bucket && upload.key.starts_with(&prefix)).collect();
        uploads.sort();
        let listed: String = uploads.iter().map(Upload::xml).collect();
        Ok(S3Response::new(Body::from(format!(
            "<ListMultipartUploadsResult><Bucket>{bucket}</Bucket><IsTruncated>false</IsTruncated>{listed}\
             </ListMultipartUploadsResult>"
        ))))
    }
}

impl Upload {
    fn of_file(name: &str) -> Option<Self> {
        let (object, id) = name.strip_prefix(".bucket-")?.strip_suffix(".metadata.json")?.split_once(".upload-")?;
        let (bucket, key) = object.split_once(".object-")?;
        let decoded = |text: &str| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Self { bucket: decoded(bucket)?, key: decoded(key)?, id: id.to_owned() })
    }

    fn xml(&self) -> String {
        let key = versions::escaped(&self.key);
        format!("<Upload><Key>{key}</Key><UploadId>{}</UploadId></Upload>", self.id)
    }
}

/// A parameter of the query, if it is there.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let url = Url::parse(&format!("http://localhost/?{}", uri.query()?)).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_read_from_the_names_of_their_files() {
        let name = ".bucket-Yg.object-YS9iICYg.upload-0-1.metadata.json";
        let upload = Upload { bucket: "b".to_owned(), key: "a/b & ".to_owned(), id: "0-1".to_owned() };
        assert_eq!(upload.xml(), "<Upload><Key>a/b &amp; </Key><UploadId>0-1</UploadId></Upload>");
        assert_eq!(Upload::of_file(name), Some(upload));
        for other in
            [".bucket-Yg.object-YQ.metadata.json", ".upload-0.json", "b", ".bucket-!.object-!.upload-0.metadata.json"]
        {
            assert_eq!(Upload::of_file(other), None, "{other}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/b?uploads&prefix=a%2Fb".parse().unwrap();
        assert_eq!(parameter(&uri, "prefix").as_deref(), Some("a/b"));
        assert_eq!(parameter(&uri, "uploads").as_deref(), Some(""));
        assert_eq!(parameter(&"/b?uploadId=1".parse().unwrap(), "uploads"), None);
    }
}
