//! SHA-256 in the two forms that are needed: as text for people, as a sort key for shuffling.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal SHA-256 of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal of a finished digest.
pub(crate) fn to_hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The place of `text` in the random order that `seed` stands for.
///
/// Sorting by it shuffles without a generator's state: a text keeps its place whatever rows stand around it, in
/// whatever order they came, and no library's shuffle can change the split of a published data set.
pub(crate) fn shuffle_key(seed: u64, text: &str) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(text.as_bytes()).finalize().into()
}
