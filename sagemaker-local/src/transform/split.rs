//! Cutting an object into the bodies of requests.
//!
//! `SplitType` `Line` cuts at every line feed and nowhere else, as SageMaker does: the rows of a CSV file whose quoted fields hold line breaks
//! are torn, which is why SageMaker asks for files without them. A line with nothing in it is no record. Records are taken from the file one by
//! one: what is in memory is one body.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// How an object is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Not at all.
    Whole,
    /// A record each.
    SingleRecord,
    /// As many records as fit.
    MultiRecord,
}

/// Why an object cannot be cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error("the input cannot be read: {0}")]
    Io(#[from] io::Error),
    /// In SageMaker's words, and what it was that was too much.
    #[error("Too much data for max payload size: {what} is larger than {limit} bytes; {way_out}")]
    TooLarge { what: &'static str, limit: usize, way_out: &'static str },
}

/// An object that is read from its beginning, and unpacked if it was packed.
pub(super) fn open(path: &Path, gzip: bool) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    Ok(if gzip { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
}

/// The bodies that an object is cut into.
pub(super) struct Splitter {
    reader: BufReader<Box<dyn Read + Send>>,
    cut: Cut,
    /// Bytes that a body may have.
    limit: usize,
    /// A record that did not fit the body before.
    waiting: Option<Vec<u8>>,
    over: bool,
}

impl Splitter {
    /// Cuts what `reader` reads into bodies of at most `limit` bytes.
    pub(super) fn new(reader: Box<dyn Read + Send>, cut: Cut, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), cut, limit, waiting: None, over: false }
    }

    /// The next body, with line feeds between its records and none behind the last; nothing when the object is at its end.
    pub(super) fn next_body(&mut self) -> Result<Option<Bytes>, SplitError> {
        match self.cut {
            Cut::Whole => self.whole(),
            Cut::SingleRecord => Ok(self.record()?.map(Bytes::from)),
            Cut::MultiRecord => self.records(),
        }
    }

    fn whole(&mut self) -> Result<Option<Bytes>, SplitError> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(None);
        }
        let mut body = Vec::new();
        (&mut self.reader).take(self.limit as u64 + 1).read_to_end(&mut body)?;
        if body.len() > self.limit {
            return Err(self.too_large("the object", "raise MaxPayloadInMB, or set SplitType to Line"));
        }
        Ok(Some(body.into()))
    }

    fn records(&mut self) -> Result<Option<Bytes>, SplitError> {
        let Some(mut body) = self.record()? else { return Ok(None) };
        while let Some(record) = self.record()? {
            if body.len() + 1 + record.len() > self.limit {
                self.waiting = Some(record);
                break;
            }
            body.push(b'\n');
            body.extend_from_slice(&record);
        }
        Ok(Some(body.into()))
    }

    /// The next line that has anything in it, without its end.
    fn record(&mut self) -> Result<Option<Vec<u8>>, SplitError> {
        if let Some(record) = self.waiting.take() {
            return Ok(Some(record));
        }
        loop {
            let mut record = Vec::new();
            // Room for the longest record and the line feed behind it.
            (&mut self.reader).take(self.limit as u64 + 1).read_until(b'\n', &mut record)?;
            if record.is_empty() {
                return Ok(None);
            }
            record.pop_if(|last| *last == b'\n');
            if record.len() > self.limit {
                return Err(self.too_large("a record", "raise MaxPayloadInMB"));
            }
            if !record.is_empty() && record != b"\r" {
                return Ok(Some(record));
            }
        }
    }

    fn too_large(&self, what: &'static str, way_out: &'static str) -> SplitError {
        SplitError::TooLarge { what, limit: self.limit, way_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{Cursor, Write as _};

    fn split(text: &'static str, cut: Cut, limit: usize) -> Result<Vec<String>, SplitError> {
        let mut splitter = Splitter::new(Box::new(Cursor::new(text)), cut, limit);
        let mut bodies = Vec::new();
        while let Some(body) = splitter.next_body()? {
            bodies.push(String::from_utf8(body.to_vec()).unwrap());
        }
        Ok(bodies)
    }

    #[test]
    fn lines_are_records_with_and_without_a_last_line_feed() {
        for text in ["a\nbc\nd", "a\nbc\nd\n", "a\n\nbc\n\r\nd\n\n"] {
            assert_eq!(split(text, Cut::SingleRecord, 9).unwrap(), ["a", "bc", "d"], "{text:?}");
        }
        assert!(split("", Cut::SingleRecord, 9).unwrap().is_empty());
        assert!(split("", Cut::MultiRecord, 9).unwrap().is_empty());
    }

    #[test]
    fn a_body_takes_as_many_records_as_fit() {
        assert_eq!(split("aa\nbb\ncc\ndd\n", Cut::MultiRecord, 5).unwrap(), ["aa\nbb", "cc\ndd"]);
        assert_eq!(split("aa\nbb\ncc\ndd\n", Cut::MultiRecord, 7).unwrap(), ["aa\nbb", "cc\ndd"]);
        assert_eq!(split("aa\nbb\ncc\ndd\n", Cut::MultiRecord, 8).unwrap(), ["aa\nbb\ncc", "dd"]);
        assert_eq!(split("aaaaa\nb\n", Cut::MultiRecord, 5).unwrap(), ["aaaaa", "b"]);
    }

    #[test]
    fn a_line_break_between_quotation_marks_tears_a_row_as_it_does_at_sagemaker() {
        assert_eq!(split("\"two\nlines\",1\n", Cut::SingleRecord, 99).unwrap(), ["\"two", "lines\",1"]);
    }

    #[test]
    fn an_object_that_is_not_split_is_one_body_even_if_it_is_empty() {
        assert_eq!(split("a\nb\n", Cut::Whole, 4).unwrap(), ["a\nb\n"]);
        assert_eq!(split("", Cut::Whole, 4).unwrap(), [""]);
    }

    #[test]
    fn what_is_too_large_is_said_with_the_way_out() {
        let words = |text, cut| split(text, cut, 4).unwrap_err().to_string();
        assert!(words("aaaaa\n", Cut::SingleRecord).contains("a record is larger than 4 bytes; raise MaxPayloadInMB"));
        assert!(words("a\naaaaa", Cut::MultiRecord).starts_with("Too much data for max payload size"));
        assert!(words("a\nb\nc\n", Cut::Whole).contains("set SplitType to Line"));
    }

    #[test]
    fn packed_objects_are_unpacked_and_damaged_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.gz");
        let pack = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        // Files that were packed apart may be put one behind the other.
        std::fs::write(&path, [pack("a\n"), pack("b\n")].concat()).unwrap();
        let mut splitter = Splitter::new(open(&path, true).unwrap(), Cut::MultiRecord, 9);
        assert_eq!(splitter.next_body().unwrap().unwrap(), "a\nb");
        std::fs::write(&path, "a\n").unwrap();
        let mut splitter = Splitter::new(open(&path, true).unwrap(), Cut::MultiRecord, 9);
        assert!(matches!(splitter.next_body(), Err(SplitError::Io(_))));
    }
}
