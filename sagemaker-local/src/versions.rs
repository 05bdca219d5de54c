//! `ListObjectVersions`, which `s3s-fs` lacks: its buckets keep no versions, so that each object has one, `null`.

use std::path::{Path, PathBuf};

use s3s::{S3Result, s3_error};

/// The largest page.
const PAGE: usize = 1000;

/// The answer about the objects of `bucket`, a folder, whose keys begin with `prefix` and come after `marker`.
pub(crate) fn list(bucket: &Path, prefix: &str, marker: &str) -> S3Result<String> {
    let mut keys = Vec::new();
    gather(bucket, bucket, &mut keys).map_err(|error| s3_error!(error, InternalError))?;
    keys.retain(|key| key.starts_with(prefix) && key.as_str() > marker);
    keys.sort();
    let is_truncated = keys.len() > PAGE;
    keys.truncate(PAGE);
    let next = keys.last().filter(|_| is_truncated).map(|key| escaped(key));
    let next =
        next.map(|key| format!("<NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>"));
    let version = |key: &String| {
        format!("<Version><Key>{}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest></Version>", escaped(key))
    };
    let listed: String = keys.iter().map(version).collect();
    let next = next.unwrap_or_default();
    Ok(format!("<ListVersionsResult><IsTruncated>{is_truncated}</IsTruncated>{next}{listed}</ListVersionsResult>"))
}

fn gather(bucket: &Path, folder: &Path, keys: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            gather(bucket, &path, keys)?;
        } else if let Some(key) = path.strip_prefix(bucket).ok().and_then(Path::to_str) {
            keys.push(key.to_owned());
        }
    }
    Ok(())
}

/// A key as it stands in XML.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_begins() {
        let bucket = tempfile::tempdir().unwrap();
        std::fs::create_dir(bucket.path().join("a")).unwrap();
        for number in 0..=PAGE {
            std::fs::write(bucket.path().join(format!("a/{number:04}")), "").unwrap();
        }
        std::fs::write(bucket.path().join("b&c"), "").unwrap();
        let first = list(bucket.path(), "", "").unwrap();
        assert!(first.contains("<IsTruncated>true</IsTruncated><NextKeyMarker>a/0999</NextKeyMarker>"), "{first}");
        let rest = list(bucket.path(), "", "a/0999").unwrap();
        assert!(rest.contains("<Key>a/1000</Key>") && rest.contains("<Key>b&amp;c</Key>"), "{rest}");
        assert_eq!(rest.matches("<Version>").count(), 2);
        assert_eq!(list(bucket.path(), "b", "").unwrap().matches("<Version>").count(), 1);
    }
}
