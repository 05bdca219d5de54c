//! SHA-256 as text for people, and the identity of a text with the random orders that come of it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal of a finished digest.
pub(crate) fn to_hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Identity of a cleaned text: the first half of its SHA-256, in which no two texts of a data set meet.
pub(crate) type Key = u128;

/// The identity of `cleaned`.
pub(crate) fn key(cleaned: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(cleaned.as_bytes()).into();
    digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
}

/// The place of `key` in the random order that `seed` stands for.
///
/// Sorting by it shuffles without a generator's state: a text keeps its place whatever rows stand around it, in
/// whatever order they came, on however many threads, and no library's shuffle can change the split of a published data
/// set. The key comes last, so that the order is total.
pub(crate) fn place(seed: u64, key: Key) -> (u64, Key) {
    (mix(seed ^ mix((key >> 64) as u64) ^ key as u64), key)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2714064.2660195>).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
