//! One checkpoint's folder: it appears whole or not at all, and its manifest tells whether it still is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Length and hash of every other file in the folder.
const MANIFEST: &str = "manifest.json";

/// Bytes that are hashed at a time.
const PIECE: usize = 1 << 20;

/// Why a checkpoint is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// It is not what was once written.
    #[error("torn: {0}")]
    Torn(String),
    /// Another run wrote it.
    #[error("foreign: {0}")]
    Foreign(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl Entry {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
        loop {
            let length = file.read(&mut piece)?;
            let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else { break };
            digest.update(read);
            bytes += length as u64;
        }
        Ok(Self { bytes, sha256: hex(digest) })
    }
}

/// A digest as people read it.
pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds the manifest to `partial`, takes everything to the disk, and renames the folder to `target`. Returns its size in
/// bytes.
pub(super) fn publish(partial: &Path, target: &Path) -> io::Result<u64> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(partial)? {
        let file = file?;
        File::open(file.path())?.sync_all()?;
        files.insert(file.file_name().to_string_lossy().into_owned(), Entry::of(&file.path())?);
    }
    let bytes = files.values().map(|entry| entry.bytes).sum();
    let manifest = partial.join(MANIFEST);
    fs::write(&manifest, serde_json::to_vec_pretty(&Manifest { files })?)?;
    File::open(&manifest)?.sync_all()?;
    File::open(partial)?.sync_all()?;
    if target.exists() {
        // Of the same run at the same step: it was torn, or it would have been continued.
        fs::remove_dir_all(target)?;
    }
    fs::rename(partial, target)?;
    if let Some(parent) = target.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(bytes)
}

/// Whether every file in `folder` is what the manifest says.
pub(super) fn verify(folder: &Path) -> Result<(), Unusable> {
    let torn = |name: &str, reason: &dyn std::fmt::Display| Unusable::Torn(format!("{name}: {reason}"));
    let bytes = fs::read(folder.join(MANIFEST)).map_err(|error| torn(MANIFEST, &error))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| torn(MANIFEST, &error))?;
    for (name, expected) in &manifest.files {
        let found = Entry::of(&folder.join(name)).map_err(|error| torn(name, &error))?;
        if found.bytes != expected.bytes {
            return Err(torn(name, &format!("{} bytes instead of {}", found.bytes, expected.bytes)));
        }
        if found.sha256 != expected.sha256 {
            return Err(torn(name, &"its SHA-256 is another than the manifest's"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_damage_is_named() {
        let root = tempfile::tempdir().unwrap();
        let (partial, target) = (root.path().join(".step-1.partial"), root.path().join("step-1"));
        let publish = || {
            fs::create_dir(&partial).unwrap();
            fs::write(partial.join("a"), "abc").unwrap();
            fs::write(partial.join("b"), "def").unwrap();
            super::publish(&partial, &target).unwrap()
        };
        assert_eq!(publish(), 6);
        assert_eq!(verify(&target), Ok(()));
        assert!(!partial.exists());
        for (file, damage, message) in [
            ("a", Some("ab"), "torn: a: 2 bytes instead of 3"),
            ("a", Some("abd"), "torn: a: its SHA-256 is another than the manifest's"),
            ("b", None, "torn: b: No such file"),
            (MANIFEST, Some("{"), "torn: manifest.json: EOF"),
            (MANIFEST, None, "torn: manifest.json: No such file"),
        ] {
            match damage {
                Some(text) => fs::write(target.join(file), text).unwrap(),
                None => fs::remove_file(target.join(file)).unwrap(),
            }
            let error = verify(&target).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
            // What is torn gives way to the same step written again.
            publish();
            assert_eq!(verify(&target), Ok(()));
        }
    }
}
