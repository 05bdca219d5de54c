//! Bytes of a data file to text, in two passes of bounded memory: a look at the whole file that finds out what it is,
//! and a stream of UTF-8 for the CSV reader.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::{DatasetError, digest};

/// The first two bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes looked at together.
const CHUNK: usize = 1 << 18;

/// Longest line that a table can have; a description has a few hundred characters, and whatever is longer than this
/// is another kind of file, or lacks its line ends.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// Most line ends that one record can have, in quotes; a stray quote takes in everything up to the next one.
pub(crate) const MAX_RECORD_LINES: u64 = 200;

/// Where the bytes come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// A file on disk.
    File(&'a Path),
    /// A file on disk that messages call by another name.
    Named {
        /// Where it lies.
        file: &'a Path,
        /// What it is called.
        name: &'a Path,
    },
    /// A file that the program carries.
    Embedded(&'a Path, &'static [u8]),
}

/// What a first look at a file finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// SHA-256 of the bytes as they are, hexadecimal.
    pub(crate) sha256: String,
    /// UTF-8 where the file is that or says so, UTF-16 where a byte-order mark says so, or else Windows-1252, which
    /// holds all of latin-1's letters.
    pub(crate) encoding: &'static Encoding,
    /// Characters of UTF-8 that cannot be read and are replaced.
    pub(crate) damaged: usize,
    /// What stands between the columns of the first line.
    pub(crate) delimiter: u8,
    /// Whether the first line ends in CR LF.
    pub(crate) ends_in_crlf: bool,
}

impl<'a> Content<'a> {
    /// The file's name.
    pub(crate) fn path(self) -> &'a Path {
        match self {
            Self::File(path) | Self::Embedded(path, _) | Self::Named { name: path, .. } => path,
        }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// Names the file if it cannot be read, is empty, binary, or has a line that no table has.
    pub(crate) fn scan(self) -> Result<Scan, DatasetError> {
        self.look(Look::default())
    }

    /// The same where lines may have any length.
    pub(crate) fn scan_texts(self) -> Result<Scan, DatasetError> {
        self.look(Look { any_length: true, ..Look::default() })
    }

    fn look(self, mut look: Look) -> Result<Scan, DatasetError> {
        let path = self.path();
        let raw = Hashing { inner: self.raw()?, digest: Sha256::new() };
        let mut plain =
            decompressed(raw).map_err(|source| DatasetError::Read { path: path.to_owned(), reason: source })?;
        // One thread reads on, and takes the digest, while another looks at what was read last.
        let (mut chunk, mut next, mut read) = (vec![0; CHUNK], vec![0; CHUNK], 0);
        loop {
            let at = chunk.get(..read).unwrap_or_default();
            let (further, looked) = rayon::join(|| read_some(&mut plain, &mut next), || look.at(at, path));
            looked?;
            read = further.map_err(|source| DatasetError::Read { path: path.to_owned(), reason: source })?;
            if read == 0 {
                break;
            }
            std::mem::swap(&mut chunk, &mut next);
        }
        if !look.printable {
            return Err(DatasetError::Empty { path: path.to_owned() });
        }
        let sha256 = plain.finish().map_err(|source| DatasetError::Read { path: path.to_owned(), reason: source })?;
        let encoding = look.encoding();
        let damaged = if encoding == UTF_8 { look.invalid() } else { 0 };
        Ok(Scan { sha256, encoding, damaged, delimiter: look.delimiter(), ends_in_crlf: look.ends_in_crlf() })
    }

    /// The file as UTF-8 without a byte-order mark.
    ///
    /// # Errors
    /// Names the file if it cannot be opened.
    pub(crate) fn open(
        self,
        scan: &Scan,
    ) -> Result<DecodeReaderBytes<Box<dyn Read + Send + 'a>, Vec<u8>>, DatasetError> {
        let plain: Box<dyn Read + Send + 'a> = match decompressed(self.raw()?) {
            Ok(plain) => Box::new(plain),
            Err(source) => return Err(DatasetError::Read { path: self.path().to_owned(), reason: source }),
        };
        let mut builder = DecodeReaderBytesBuilder::new();
        // What is UTF-8 passes through untouched, which is several times as fast as decoding it.
        builder.strip_bom(true).bom_sniffing(true);
        let is_whole = scan.encoding == UTF_8 && scan.damaged == 0;
        builder.encoding((!is_whole).then_some(scan.encoding)).utf8_passthru(is_whole);
        Ok(builder.build(plain))
    }

    fn raw(self) -> Result<Box<dyn Read + Send + 'a>, DatasetError> {
        match self {
            Self::File(file) | Self::Named { file, .. } => match File::open(file) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {
                    Err(DatasetError::Missing { path: self.path().to_owned() })
                }
                Err(source) => Err(DatasetError::Read { path: self.path().to_owned(), reason: source }),
            },
            Self::Embedded(_, bytes) => Ok(Box::new(bytes)),
        }
    }
}

/// Fills `buffer` with the next bytes, none at the end.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Fails where more than [`MAX_LINE_BYTES`] are read for one record, before they fill the memory. Whoever takes the records
/// sets the count to zero at each.
pub(crate) struct Limited<R> {
    inner: R,
    since: Arc<AtomicUsize>,
}

impl<R> Limited<R> {
    /// The reader and its count of bytes.
    pub(crate) fn new(inner: R) -> (Self, Arc<AtomicUsize>) {
        let since = Arc::new(AtomicUsize::new(0));
        (Self { inner, since: Arc::clone(&since) }, since)
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if self.since.fetch_add(read, Ordering::Relaxed) + read > MAX_LINE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

/// Counts what passes through.
struct Hashing<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// A file's contents, decompressed where they are gzip.
enum Plain<R: Read> {
    Stored(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
}

fn decompressed<R: Read>(raw: R) -> io::Result<Plain<R>> {
    use io::BufRead as _;
    let mut buffered = BufReader::with_capacity(CHUNK, raw);
    if buffered.fill_buf()?.starts_with(&GZIP_MAGIC) {
        return Ok(Plain::Gzip(Box::new(MultiGzDecoder::new(buffered))));
    }
    Ok(Plain::Stored(buffered))
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(inner) => inner.read(buffer),
            Self::Gzip(inner) => inner.read(buffer),
        }
    }
}

impl<R: Read> Plain<Hashing<R>> {
    /// The digest of all bytes, those after the end of a gzip stream too.
    fn finish(self) -> io::Result<String> {
        let mut rest = match self {
            Self::Stored(inner) => inner,
            Self::Gzip(inner) => inner.into_inner(),
        };
        io::copy(&mut rest, &mut io::sink())?;
        Ok(digest::to_hex(&rest.into_inner().digest.finalize()))
    }
}

/// Characters of several bytes in valid UTF-8.
fn leads(valid: &[u8]) -> usize {
    valid.iter().filter(|byte| **byte >= 0xc0).count()
}

/// What is known after some chunks.
#[derive(Debug, Default)]
struct Look {
    /// The first bytes, up to the end of the first line.
    head: Vec<u8>,
    head_ended: bool,
    /// Bytes of a character that the last chunk cut in two.
    cut: Vec<u8>,
    /// Sequences of bytes that UTF-8 does not have, and those of several bytes that it has.
    broken: usize,
    multibyte: usize,
    printable: bool,
    line: u64,
    line_bytes: usize,
    /// Whether lines may be longer than those of tables.
    any_length: bool,
}

impl Look {
    fn at(&mut self, chunk: &[u8], path: &Path) -> Result<(), DatasetError> {
        if !self.head_ended {
            let end = chunk.iter().position(|byte| *byte == b'\n');
            self.head.extend_from_slice(chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default());
            // Further than a table's first line reaches there is nothing to be learnt from it.
            self.head_ended = end.is_some() || self.head.len() > MAX_LINE_BYTES;
        }
        let utf16 = Encoding::for_bom(&self.head).is_some_and(|(encoding, _)| encoding != UTF_8);
        if !utf16 && chunk.contains(&0) {
            return Err(DatasetError::Binary { path: path.to_owned() });
        }
        self.printable |= chunk.iter().any(u8::is_ascii_graphic);
        // A chunk is shorter than the longest line, so that only the line that it ends can be too long.
        self.line_bytes += chunk.iter().position(|byte| *byte == b'\n').unwrap_or(chunk.len());
        if self.line_bytes > MAX_LINE_BYTES && !self.any_length {
            return Err(DatasetError::LongLine { path: path.to_owned(), line: self.line + 1 });
        }
        if let Some(last) = chunk.iter().rposition(|byte| *byte == b'\n') {
            self.line += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line_bytes = chunk.len() - last - 1;
        }
        self.check_utf8(chunk);
        Ok(())
    }

    fn check_utf8(&mut self, chunk: &[u8]) {
        if self.cut.is_empty() && chunk.is_ascii() {
            return;
        }
        let joined = [std::mem::take(&mut self.cut).as_slice(), chunk].concat();
        let mut rest = joined.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, other) = rest.split_at(error.valid_up_to());
            self.multibyte += leads(valid);
            let Some(length) = error.error_len() else {
                self.cut = other.to_vec();
                return;
            };
            self.broken += 1;
            rest = other.get(length..).unwrap_or_default();
        }
        self.multibyte += leads(rest);
    }

    /// Sequences that UTF-8 does not have, the last one of the file too.
    fn invalid(&self) -> usize {
        self.broken + usize::from(!self.cut.is_empty())
    }

    /// One byte that went wrong makes no other encoding of a file of UTF-8; letters of Windows-1252 hardly ever look like
    /// UTF-8 by chance.
    fn encoding(&self) -> &'static Encoding {
        match Encoding::for_bom(&self.head) {
            Some((encoding, _)) => encoding,
            None if self.invalid() > 0 && self.invalid() >= self.multibyte => WINDOWS_1252,
            None => UTF_8,
        }
    }

    fn ends_in_crlf(&self) -> bool {
        // In UTF-16 with a zero beside it.
        self.head_ended && (self.head.ends_with(b"\r") || self.head.ends_with(b"\r\0"))
    }

    /// The most frequent of the usual delimiters in the first line; a comma where there is none.
    fn delimiter(&self) -> u8 {
        let pieces: Vec<&[u8]> = self.head.split(|byte| *byte == b'"').collect();
        // A last quote without a second is an inch, and nothing after it is inside.
        let is_outside = |piece: &usize| piece.is_multiple_of(2) || piece + 1 == pieces.len();
        let outside: Vec<u8> = (0..pieces.len())
            .filter(is_outside)
            .filter_map(|piece| pieces.get(piece))
            .copied()
            .flatten()
            .copied()
            .collect();
        let count = |delimiter: u8| outside.iter().filter(|byte| **byte == delimiter).count();
        let best = [b',', b'\t', b';', b'|'].into_iter().rev().max_by_key(|delimiter| count(*delimiter));
        best.filter(|delimiter| count(*delimiter) > 0).unwrap_or(b',')
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text(bytes: &[u8]) -> Result<String, DatasetError> {
        let mut file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        file.write_all(bytes).unwrap();
        let content = Content::File(file.path());
        let scan = content.scan()?;
        let mut text = String::new();
        content.open(&scan)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn encodings_are_recognised_by_content() {
        for (bytes, expected) in [
            (b"caf\xc3\xa9".as_slice(), "café"),
            (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
            (b"caf\xe9 \x93ab\x94", "café “ab”"),
            (b"caf\xe9", "café"),
            (b"\xff\xfea\0b\0", "ab"),
        ] {
            assert_eq!(text(bytes).unwrap(), expected);
        }
        assert!(matches!(text(b"\x7fELF\0\0"), Err(DatasetError::Binary { .. })));
        assert!(matches!(text(b" \r\n"), Err(DatasetError::Empty { .. })));
    }

    #[test]
    fn a_character_across_two_chunks_is_whole() {
        let long = format!("{}é\n", "a".repeat(CHUNK - 1));
        assert_eq!(text(long.as_bytes()).unwrap(), long);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let bytes = [b"description,unspsc\n".as_slice(), &vec![b'x'; MAX_LINE_BYTES + 1]].concat();
        assert!(matches!(text(&bytes), Err(DatasetError::LongLine { line: 2, .. })));
    }

    #[test]
    fn the_delimiter_is_that_of_the_first_line() {
        let delimiter = |head: &[u8]| Look { head: head.to_vec(), ..Look::default() }.delimiter();
        assert_eq!(
            [b"a,b;c,d".as_slice(), b"a;b;c", b"a\tb", b"a|b", b"a", b"\"a, b, c\";d 24\"", b"size \"\td\tc"]
                .map(delimiter),
            [b',', b';', b'\t', b'|', b',', b';', b'\t']
        );
    }

    #[test]
    fn a_torn_gzip_file_is_an_error() {
        let error = text(b"\x1f\x8b\x08\0torn").unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}
