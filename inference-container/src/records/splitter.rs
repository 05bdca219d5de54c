//! Where one record ends and the next begins.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

use crate::api_error::ApiError;

/// Longest record, in bytes: far more than a model reads of a description, and little enough to hold in memory. A
/// fuzzer makes no longer ones.
const MAX_RECORD_BYTES: usize = if cfg!(fuzzing) { 100 } else { 1 << 20 };

/// UTF-8's mark at the beginning of a file, as Excel writes it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts bytes into records, which end at line ends; those of CSV not at line ends within quotation marks.
pub(super) struct Splitter {
    buffer: BytesMut,
    /// Bytes of the buffer in which no end was found.
    scanned: usize,
    /// Where in a row of CSV the scan stands; none for lines.
    quotes: Option<Quotes>,
    /// Whether the record under way is already too long and only its end is looked for.
    skipping: bool,
    /// Whether a byte order mark was looked for.
    begun: bool,
    ended: bool,
}

/// Where in a row of CSV a scan stands: a quotation mark opens a quoted field only at the field's beginning, so that
/// `5" pipe` is no open quote.
#[derive(Clone, Copy)]
enum Quotes {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a mark in a quoted field, which ends it unless a second one follows.
    Closing,
}

impl Quotes {
    /// The place behind `byte`; none where the row ends there.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Quoted, b'"') => Self::Closing,
            (Self::Quoted, _) | (Self::Closing | Self::FieldStart, b'"') => Self::Quoted,
            (_, b'\n') => return None,
            (_, b',') => Self::FieldStart,
            _ => Self::Plain,
        })
    }
}

impl Splitter {
    /// For the rows of CSV, or for lines.
    pub(super) fn new(csv: bool) -> Self {
        let quotes = csv.then_some(Quotes::FieldStart);
        Self { buffer: BytesMut::new(), scanned: 0, quotes, skipping: false, begun: false, ended: false }
    }

    pub(super) fn push(&mut self, chunk: &Bytes) {
        self.buffer.extend_from_slice(chunk);
    }

    /// What is left is the last record, if it is anything.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next record without its line end; none until more has arrived.
    pub(super) fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        if !self.begin() {
            return None;
        }
        let Some(length) = self.find_end() else {
            let last = self.ended && (!self.buffer.is_empty() || self.skipping);
            return last.then(|| self.take(self.buffer.len()));
        };
        let record = self.take(length);
        self.buffer.advance(1);
        Some(record)
    }

    /// Drops the byte order mark, once enough has arrived to know whether there is one. False before that.
    fn begin(&mut self) -> bool {
        if !self.begun {
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.advance(BYTE_ORDER_MARK.len());
            } else if !self.ended && BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return false;
            }
            self.begun = true;
        }
        true
    }

    /// Bytes up to the line end. A record that is too long is given up at the same byte however it arrives, and with it
    /// a quotation mark that may have been opened by mistake: the next record begins at the next line.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let within = if self.skipping { usize::MAX } else { MAX_RECORD_BYTES + 1 }.min(self.buffer.len());
            let unread = &self.buffer[self.scanned..within];
            let found = match &mut self.quotes {
                Some(quotes) if !self.skipping => unread.iter().position(|byte| match quotes.after(*byte) {
                    Some(next) => {
                        *quotes = next;
                        false
                    }
                    None => true,
                }),
                _ => memchr(b'\n', unread),
            };
            if let Some(place) = found {
                return Some(self.scanned + place);
            }
            self.scanned = within;
            if !self.skipping && within <= MAX_RECORD_BYTES {
                return None;
            }
            self.skipping = true;
            self.buffer.advance(within);
            self.scanned = 0;
            if self.buffer.is_empty() {
                return None;
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, ApiError> {
        let mut record = self.buffer.split_to(length).freeze();
        self.scanned = 0;
        self.quotes = self.quotes.map(|_| Quotes::FieldStart);
        if std::mem::take(&mut self.skipping) {
            return Err(ApiError::RecordTooLong(MAX_RECORD_BYTES));
        }
        if record.ends_with(b"\r") {
            record.truncate(record.len() - 1);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_too_long_is_skipped_in_little_memory() {
        for (csv, begin) in [(false, "x"), (true, "\"x")] {
            let mut splitter = Splitter::new(csv);
            splitter.push(&Bytes::from("a\n"));
            assert_eq!(splitter.next(), Some(Ok("a".into())));
            splitter.push(&Bytes::from(begin));
            for _ in 0..100 {
                splitter.push(&Bytes::from(vec![b'x'; 100_000]));
                assert_eq!(splitter.next(), None);
                assert!(splitter.buffer.capacity() < 4 * MAX_RECORD_BYTES, "{}", splitter.buffer.capacity());
            }
            splitter.push(&Bytes::from("x\nb"));
            assert_eq!(splitter.next(), Some(Err(ApiError::RecordTooLong(MAX_RECORD_BYTES))));
            assert_eq!(splitter.next(), None);
            splitter.end();
            assert_eq!((splitter.next(), splitter.next()), (Some(Ok("b".into())), None));
        }
    }

    /// The records of a body that arrives in chunks of `size` bytes, with `None` for one that is too long.
    fn records(csv: bool, body: &[u8], size: usize) -> Vec<Option<Bytes>> {
        let mut splitter = Splitter::new(csv);
        let mut all = Vec::new();
        for chunk in body.chunks(size) {
            splitter.push(&Bytes::copy_from_slice(chunk));
            all.extend(std::iter::from_fn(|| splitter.next()));
        }
        splitter.end();
        all.extend(std::iter::from_fn(|| splitter.next()));
        all.into_iter().map(Result::ok).collect()
    }

    #[test]
    fn how_a_body_is_cut_does_not_decide_where_a_record_too_long_ends() {
        let long = "x".repeat(MAX_RECORD_BYTES);
        let open = format!("\"a\n{long},\"\nb\n\"c\n\"\n");
        for size in [1, 1000, MAX_RECORD_BYTES, open.len()] {
            let found = records(true, open.as_bytes(), size);
            assert_eq!(found, [None, Some("b".into()), Some("\"c\n\"".into())], "{size}");
            let found = records(false, format!("{long}\n{long}x\n").as_bytes(), size);
            assert_eq!(found, [Some(Bytes::from(long.clone())), None], "{size}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_text_however_it_arrives() {
        for size in [1, 2, 100] {
            assert_eq!(records(true, b"\xef\xbb\xbf\"a\nb\"\nc", size), [Some("\"a\nb\"".into()), Some("c".into())]);
            assert_eq!(records(false, b"\xef\xbb\xbf", size), []);
            assert_eq!(records(false, b"\xef\xbb", size), [Some(Bytes::from_static(b"\xef\xbb"))]);
        }
    }

    #[test]
    fn the_last_record_needs_no_line_end_and_an_empty_rest_is_none() {
        for (body, expected) in [("", 0), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("\n", 1)] {
            let mut splitter = Splitter::new(false);
            splitter.push(&Bytes::from(body));
            splitter.end();
            assert_eq!(std::iter::from_fn(|| splitter.next()).count(), expected, "{body:?}");
        }
    }
}
