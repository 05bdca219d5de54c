//! Whether a model fits into the memory that the container may use: the kernel ends a process that takes more, without a word.

use std::fs;
use std::path::Path;

use unspsc_engine::Precision;

use crate::run::ServeError;

/// Where the kernel tells the limit of the container, in bytes, by control groups of version 2 and of version 1. Both are
/// described in the kernel's documentation, `admin-guide/cgroup-v2.rst` and `admin-guide/cgroup-v1/memory.rst`.
const LIMITS: [&str; 2] = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// What the program takes beside the weights: tokenizer, threads, buffers of requests. With a `MiniLM` it was 13 MB right
/// after the start; a list of 300 texts was too much for a container with 36 MiB beside the weights, and none for one with 52.
const BESIDE: u64 = 48 << 20;

/// Refuses a model whose weights take so many `bytes` in float32, if the container's limit is known and too low for it.
///
/// # Errors
/// Names both figures.
pub(crate) fn check(bytes: u64, precision: Precision) -> Result<(), ServeError> {
    check_below(Path::new("/"), bytes, precision)
}

fn check_below(root: &Path, bytes: u64, precision: Precision) -> Result<(), ServeError> {
    // In whole numbers dense layers take a half or a quarter. Embeddings stay in the file, which is mapped and costs nothing
    // that the kernel could not take back; but it should not have to.
    let weights = if precision == Precision::Float32 { bytes } else { bytes / 2 };
    let needed = weights + BESIDE;
    match limit(root) {
        Some(limit) if limit < needed => Err(ServeError::Memory { needed: mebibytes(needed), limit: mebibytes(limit) }),
        _ => Ok(()),
    }
}

/// The bytes that the container may use. Without a limit version 2 says `max` and version 1 a number beyond all memory.
fn limit(root: &Path) -> Option<u64> {
    LIMITS.iter().find_map(|path| fs::read_to_string(root.join(path)).ok()?.trim().parse().ok())
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let root = tempfile::tempdir().unwrap();
        let check = |bytes, precision| check_below(root.path(), bytes, precision).map_err(|error| error.to_string());
        assert_eq!(check(1 << 40, Precision::Float32), Ok(()), "nothing is known of a limit");
        for (path, unlimited) in LIMITS.into_iter().rev().zip(["9223372036854771712", "max"]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "100663296\n").unwrap();
            assert_eq!(check(80 << 20, Precision::Int16), Ok(()));
            assert_eq!(check(40 << 20, Precision::Float32), Ok(()));
            let error = check(90 << 20, Precision::Float32).unwrap_err();
            assert!(error.contains("138 MiB") && error.contains("96 MiB"), "{error}");
            fs::write(&path, unlimited).unwrap();
            assert_eq!(check(1 << 40, Precision::Float32), Ok(()));
        }
    }
}
