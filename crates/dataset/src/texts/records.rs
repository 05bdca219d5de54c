//! Lines to records: a quoted field may go on over several lines, and a quotation mark that is left open costs its own row alone.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use crate::read::{MAX_LINE_BYTES, MAX_RECORD_LINES};

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    TooLong,
    UnclosedQuote,
}

/// One record as it was written, without its line end.
#[derive(Debug)]
pub(super) struct Record {
    /// The line that it begins on, counted from 1.
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) fault: Option<Fault>,
}

struct Line {
    number: u64,
    bytes: Vec<u8>,
    /// Whether its end was left out.
    is_cut: bool,
}

/// The records of a file.
pub(super) struct Records<R> {
    reader: BufReader<R>,
    /// The delimiter of tables whose fields may be quoted.
    quotes: Option<u8>,
    read: u64,
    /// Lines that were looked at in search of a closing mark.
    waiting: VecDeque<Line>,
}

/// Where a reader of CSV stands at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Quoted,
    /// The mark that closes the quote of an earlier line stands before something else than a delimiter or a line end.
    Mistaken,
}

impl<R: Read> Records<R> {
    /// With a delimiter, records of CSV or tables with tabs, else of a line each.
    pub(super) fn new(reader: R, delimiter: Option<u8>) -> Self {
        // Tab-separated files are written without quoting: a quote there means inches.
        let quotes = delimiter.filter(|delimiter| *delimiter != b'\t');
        Self { reader: BufReader::new(reader), quotes, read: 0, waiting: VecDeque::new() }
    }

    /// The next record; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(first) = self.line()? else { return Ok(None) };
        if first.is_cut {
            return Ok(Some(record(first, Some(Fault::TooLong))));
        }
        let Some(delimiter) = self.quotes.filter(|delimiter| at_end(&first.bytes, *delimiter, false) == State::Quoted)
        else {
            return Ok(Some(record(first, None)));
        };
        let (mut bytes, mut more) = (first.bytes.clone(), VecDeque::new());
        while more.len() as u64 <= MAX_RECORD_LINES && bytes.len() <= MAX_LINE_BYTES {
            let Some(line) = self.line()? else { break };
            let state = if line.is_cut { State::Mistaken } else { at_end(&line.bytes, delimiter, true) };
            bytes.push(b'\n');
            bytes.extend_from_slice(&line.bytes);
            more.push_back(line);
            match state {
                State::Outside => return Ok(Some(record(Line { bytes, ..first }, None))),
                State::Quoted => {}
                State::Mistaken => break,
            }
        }
        // The mark was opened by mistake, and what stands behind its line are rows of their own.
        more.append(&mut self.waiting);
        self.waiting = more;
        Ok(Some(record(first, Some(Fault::UnclosedQuote))))
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.waiting.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let limit = MAX_LINE_BYTES as u64 + 1;
        if (&mut self.reader).take(limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.read += 1;
        let is_ended = bytes.pop_if(|last| *last == b'\n').is_some();
        let is_cut = bytes.len() > MAX_LINE_BYTES;
        if is_cut && !is_ended {
            self.reader.skip_until(b'\n')?;
        }
        Ok(Some(Line { number: self.read, bytes, is_cut }))
    }
}

fn record(line: Line, fault: Option<Fault>) -> Record {
    let Line { number, mut bytes, .. } = line;
    bytes.pop_if(|last| *last == b'\r');
    Record { line: number, bytes, fault }
}

/// Where a reader stands at the end of `line`, which begins within quotes or outside.
fn at_end(line: &[u8], delimiter: u8, mut is_quoted: bool) -> State {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut must_fit = is_quoted;
    let mut at_start = !is_quoted;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if is_quoted {
            if byte != b'"' || bytes.next_if_eq(&b'"').is_some() {
                continue;
            }
            is_quoted = false;
            let fits = bytes.peek().is_none_or(|next| *next == delimiter);
            if std::mem::take(&mut must_fit) && !fits {
                return State::Mistaken;
            }
        } else if byte == b'"' && at_start {
            is_quoted = true;
        }
        at_start = byte == delimiter && !is_quoted;
    }
    if is_quoted { State::Quoted } else { State::Outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, delimiter: Option<u8>) -> Vec<(u64, String, Option<Fault>)> {
        let mut records = Records::new(text.as_bytes(), delimiter);
        let mut all = Vec::new();
        while let Some(Record { line, bytes, fault }) = records.next().unwrap() {
            all.push((line, String::from_utf8(bytes).unwrap(), fault));
        }
        all
    }

    #[test]
    fn quoted_line_ends_belong_to_their_record() {
        let read = records("a,\"b\r\nc\"\r\n\"d\"\"\n\",5\" pipe\n\ne", Some(b','));
        let expected = [(1, "a,\"b\r\nc\""), (3, "\"d\"\"\n\",5\" pipe"), (5, ""), (6, "e")];
        assert_eq!(read, expected.map(|(line, text)| (line, text.to_owned(), None)));
        assert_eq!(records("\"a\tb\nc\"", Some(b'\t')).len(), 2, "with tabs, a quote means inches");
        assert_eq!(records("\"a\nb\"", None).len(), 2);
    }

    #[test]
    fn a_mark_that_is_left_open_costs_its_own_row() {
        let open = Some(Fault::UnclosedQuote);
        for (text, faults) in [
            ("1,\"a\n2,b\n3,c", [open, None, None]),
            // The next mark opens a text and closes none.
            ("1,\"a\n2,\"b\"\n3,c", [open, None, None]),
            ("1,a\n2,\"b\n3,\"c", [None, open, open]),
        ] {
            assert_eq!(
                records(text, Some(b',')).into_iter().map(|record| record.2).collect::<Vec<_>>(),
                faults,
                "{text}"
            );
        }
        let long = format!("\"a\n{}", "b\n".repeat(300));
        assert_eq!(records(&long, Some(b',')).len(), 301);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let text = format!("a\n{}\nb", "x".repeat(3 * MAX_LINE_BYTES));
        let read = records(&text, None);
        assert_eq!(read.iter().map(|record| record.2).collect::<Vec<_>>(), [None, Some(Fault::TooLong), None]);
        assert_eq!((read[1].1.len(), read[2].0), (MAX_LINE_BYTES + 1, 3));
    }
}
