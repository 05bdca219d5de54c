//! Where one record ends and the next begins.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memrchr};

use crate::api_error::ApiError;

/// Longest record, in bytes: far more than a model reads of a description, and little enough to hold in memory. A
/// fuzzer makes no longer ones.
const MAX_RECORD_BYTES: usize = if cfg!(fuzzing) { 100 } else { 1 << 20 };

/// UTF-8's mark at the beginning of a file, as Excel writes it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts bytes into records, which end at line ends; those of CSV not at line ends within quotation marks.
///
/// A mark that was opened by mistake would swallow the rows behind it. So where a quoted field goes on in a further line,
/// its mark is taken for such a mistake if the field is not closed before the body ends or the row gets too long, or if
/// its closing mark stands before anything but a comma or a line end (RFC 4180, 2.5 to 2.7). Its line is then a record
/// that is wrong, and each line behind it a row of its own, up to the one by which the mistake was seen.
pub(super) struct Splitter {
    buffer: BytesMut,
    /// Bytes of the buffer in which no end was found.
    scanned: usize,
    /// Where in a row of CSV the scan stands; none for lines.
    quotes: Option<Quotes>,
    /// Where the first line of the row under way ends, once the row is known to go on in the next.
    first_line_end: Option<usize>,
    /// Bytes of the buffer in which each line is a row: they were read already, behind a mark opened by mistake.
    line_by_line: usize,
    /// The line of the body in which the record under way begins, from 1.
    line: usize,
    /// Whether the record under way is already too long and only its end is looked for.
    skipping: bool,
    /// Whether a byte order mark was looked for.
    begun: bool,
    ended: bool,
}

/// Where in a row of CSV a scan stands: a quotation mark opens a quoted field only at the field's beginning, so that
/// `5" pipe` is no open quote.
#[derive(Clone, Copy, PartialEq)]
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

/// What a scan has found: the length of a record without its line end.
enum End {
    Record(usize),
    /// A quotation mark in it is not closed.
    Open(usize),
}

impl Splitter {
    /// For the rows of CSV, or for lines.
    pub(super) fn new(csv: bool) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            quotes: csv.then_some(Quotes::FieldStart),
            first_line_end: None,
            line_by_line: 0,
            line: 1,
            skipping: false,
            begun: false,
            ended: false,
        }
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
        Some(match self.find_end()? {
            End::Record(length) => self.take(length),
            End::Open(length) => {
                let line = self.line;
                self.take(length).and(Err(ApiError::UnclosedQuote { line }))
            }
        })
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

    /// The end of the record under way. Whatever is too long is given up at the same byte however it arrives.
    fn find_end(&mut self) -> Option<End> {
        loop {
            let within = if self.skipping { usize::MAX } else { MAX_RECORD_BYTES + 1 }.min(self.buffer.len());
            let found = match self.quotes {
                Some(quotes) if !self.skipping => self.find_row_end(quotes, within),
                _ => memchr(b'\n', &self.buffer[self.scanned..within]).map(|place| End::Record(self.scanned + place)),
            };
            if found.is_some() {
                return found;
            }
            self.scanned = within;
            if !self.skipping && within <= MAX_RECORD_BYTES {
                return self.last();
            }
            if let Some(length) = self.first_line_end {
                return Some(self.give_up(length, within));
            }
            self.skipping = true;
            self.buffer.advance(within);
            self.scanned = 0;
            if self.buffer.is_empty() {
                return self.last();
            }
        }
    }

    /// The same for a row of CSV that stands at `quotes`, as far as `within`.
    fn find_row_end(&mut self, mut quotes: Quotes, within: usize) -> Option<End> {
        for at in self.scanned..within {
            let byte = self.buffer[at];
            let goes_on = quotes == Quotes::Quoted && byte == b'\n';
            if goes_on && at < self.line_by_line {
                return Some(End::Open(at));
            }
            let closes = matches!(byte, b'"' | b',' | b'\r' | b'\n');
            if let Some(length) = self.first_line_end.filter(|_| quotes == Quotes::Closing && !closes) {
                return Some(self.give_up(length, at));
            }
            self.first_line_end = self.first_line_end.or(goes_on.then_some(at));
            quotes = match quotes.after(byte) {
                Some(next) => next,
                None => return Some(End::Record(at)),
            };
        }
        self.quotes = Some(quotes);
        None
    }

    /// What is left at the end of the body.
    fn last(&mut self) -> Option<End> {
        let length = self.buffer.len();
        if !self.ended || (length == 0 && !self.skipping) {
            return None;
        }
        Some(match self.first_line_end {
            _ if self.skipping || self.quotes != Some(Quotes::Quoted) => End::Record(length),
            Some(first) => {
                self.line_by_line = length;
                End::Open(first)
            }
            None => End::Open(length),
        })
    }

    /// Takes the mark that is open from the row's first line on, which has `length` bytes, for a mistake that is seen
    /// at the byte `at`.
    fn give_up(&mut self, length: usize, at: usize) -> End {
        self.line_by_line = memrchr(b'\n', &self.buffer[..at]).map_or(0, |end| end + 1);
        End::Open(length)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, ApiError> {
        let mut record = self.buffer.split_to(length).freeze();
        self.line += memchr_iter(b'\n', &record).count();
        if self.buffer.starts_with(b"\n") {
            self.buffer.advance(1);
            self.line += 1;
        }
        self.line_by_line = self.line_by_line.saturating_sub(length + 1);
        self.scanned = 0;
        self.first_line_end = None;
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
#[path = "splitter_tests.rs"]
mod tests;
