//! SHA-256 as text for people, and the identity of a text with the random orders that come of it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};

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

/// The identity of a tidied text, whatever the case of its letters: that of its lower-case form, which is what
/// [`unspsc_taxonomy::clean`] makes of it.
pub(crate) fn key(tidied: &str) -> Key {
    let mut digest = Sha256::new();
    let mut lower = [0; 128];
    for piece in tidied.as_bytes().chunks(lower.len()) {
        if let Some(lower) = lower.get_mut(..piece.len()) {
            lower.copy_from_slice(piece);
            lower.make_ascii_lowercase();
            digest.update(lower);
        }
    }
    let digest: [u8; 32] = digest.finalize().into();
    digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
}

/// A set of texts. A [`Key`] is a hash already, so that it is not hashed again.
pub(crate) type Keys = HashSet<Key, QuickHash>;

/// Hashing of keys, codes and labels, which stand in tables by the million and are nobody's attack.
pub(crate) type QuickHash = BuildHasherDefault<QuickHasher>;

/// Takes a part of a [`Key`] for its hash, and mixes everything else.
#[derive(Debug, Default)]
pub(crate) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for some in bytes.chunks(8) {
            let number = some.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            self.0 = mix(self.0 ^ number);
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = mix(self.0 ^ u64::from(value));
    }

    fn write_u128(&mut self, value: u128) {
        self.0 ^= value as u64;
    }
}

/// The place of `key` in the random order that `seed` stands for.
///
/// Sorting by it shuffles without a generator's state: a text keeps its place whatever rows stand around it, in
/// whatever order they came, on however many threads, and no library's shuffle can change the split of a published data
/// set.
pub(crate) fn place(seed: u64, key: Key) -> u64 {
    mix(seed ^ mix((key >> 64) as u64) ^ key as u64)
}

/// A rank, a place and an index below 2^32, which sort as one number: first by rank, then by place.
///
/// Integers are sorted several times as fast as structures of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranked(u128);

impl Ranked {
    /// The example number `index`, at `place` within `rank`.
    pub(crate) fn new(rank: u32, place: u64, index: usize) -> Self {
        Self(u128::from(rank) << 96 | u128::from(place) << 32 | (index as u128 & u128::from(u32::MAX)))
    }

    /// The rank.
    pub(crate) fn rank(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// The place within the rank.
    pub(crate) fn place(self) -> u64 {
        (self.0 >> 32) as u64
    }

    /// The index.
    pub(crate) fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Rows that the nearest caches hold together.
pub(crate) const NEAR: usize = 128;

/// Reads values of shuffled rows, which lie all over memory. One after the other with nothing in between, many are on
/// their way at once; whatever is then done to row after row finds them near instead of waiting for each.
pub(crate) fn touch(values: impl Iterator<Item = u128>) {
    std::hint::black_box(values.fold(0, |sum, value| sum ^ value));
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2714064.2660195>).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
