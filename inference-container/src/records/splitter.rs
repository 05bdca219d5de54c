//! Where one record ends and the next begins.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

use crate::api_error::ApiError;

/// Longest record, in bytes: far more than a model reads of a description, and little enough to hold in memory.
const MAX_RECORD_BYTES: usize = 1 << 20;

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
    /// Whether no record was handed out yet.
    first: bool,
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
        Self { buffer: BytesMut::new(), scanned: 0, quotes, skipping: false, first: true, ended: false }
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
        let Some(length) = self.find_end() else {
            self.bound();
            let last = self.ended && (!self.buffer.is_empty() || self.skipping);
            return last.then(|| self.take(self.buffer.len()));
        };
        let record = self.take(length);
        self.buffer.advance(1);
        Some(record)
    }

    /// Bytes up to the line end.
    fn find_end(&mut self) -> Option<usize> {
        let unread = &self.buffer[self.scanned..];
        let found = match &mut self.quotes {
            None => memchr(b'\n', unread),
            Some(quotes) => unread.iter().position(|byte| match quotes.after(*byte) {
                Some(next) => {
                    *quotes = next;
                    false
                }
                None => true,
            }),
        };
        let end = found.map(|place| self.scanned + place);
        self.scanned = end.unwrap_or(self.buffer.len());
        end
    }

    /// Gives up a record that is too long, and with it a quotation mark that may have been opened by mistake: the next
    /// record begins at the next line.
    fn bound(&mut self) {
        if self.skipping || self.buffer.len() > MAX_RECORD_BYTES {
            self.skipping = true;
            self.buffer.clear();
            self.scanned = 0;
            self.quotes = self.quotes.map(|_| Quotes::Plain);
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, ApiError> {
        let mut record = self.buffer.split_to(length).freeze();
        self.scanned = 0;
        self.quotes = self.quotes.map(|_| Quotes::FieldStart);
        if std::mem::take(&mut self.first) && record.starts_with(BYTE_ORDER_MARK) {
            record.advance(BYTE_ORDER_MARK.len());
        }
        if std::mem::take(&mut self.skipping) || record.len() > MAX_RECORD_BYTES {
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
