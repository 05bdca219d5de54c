//! Bytes of a data file to text: decompression, character encoding, and the refusal of what is no text.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::Path;

use encoding_rs::{Encoding, WINDOWS_1252};
use flate2::read::MultiGzDecoder;

use crate::DatasetError;

/// The first two bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decompresses `bytes` where they are a gzip file.
pub(crate) fn decompress<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DatasetError> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    Ok(Cow::Owned(plain))
}

/// Reads UTF-8, UTF-16 with a byte-order mark, or else Windows-1252, which holds all of latin-1's letters.
pub(crate) fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, str>, DatasetError> {
    let text = match (Encoding::for_bom(bytes), std::str::from_utf8(bytes)) {
        (Some((encoding, _)), _) => encoding.decode(bytes).0,
        (None, Ok(text)) => Cow::Borrowed(text),
        (None, Err(_)) => WINDOWS_1252.decode(bytes).0,
    };
    if text.contains('\0') {
        return Err(DatasetError::Binary { path: path.to_owned() });
    }
    if text.trim().is_empty() {
        return Err(DatasetError::Empty { path: path.to_owned() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_recognised_by_content() {
        let path = Path::new("x.csv");
        for (bytes, expected) in [
            (b"caf\xc3\xa9".as_slice(), "café"),
            (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
            (b"caf\xe9 \x93ab\x94", "café “ab”"),
            (b"\xff\xfea\0b\0", "ab"),
        ] {
            assert_eq!(decode(path, bytes).unwrap(), expected);
        }
        assert!(matches!(decode(path, b"\x7fELF\0\0"), Err(DatasetError::Binary { .. })));
        assert!(matches!(decode(path, b" \r\n"), Err(DatasetError::Empty { .. })));
    }

    #[test]
    fn a_torn_gzip_file_is_an_error() {
        let error = decompress(Path::new("x.csv.gz"), b"\x1f\x8b\x08\0torn").unwrap_err().to_string();
        assert!(error.starts_with("cannot read x.csv.gz: "), "{error}");
    }
}
