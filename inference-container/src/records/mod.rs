//! Bodies of many records: JSON Lines, CSV and plain text, cut into records as they arrive.

mod columns;
mod splitter;

use bytes::Bytes;

use crate::api_error::ApiError;
use crate::media::ContentType;
use crate::request::document::Place;
use crate::request::{AnswerOptions, Document, RequestLimits};
use columns::Columns;
use splitter::Splitter;

/// What one record asks for, or what is wrong with it.
pub(crate) type Record = Result<Document, ApiError>;

/// Records that are answered together: enough for full batches, few enough that the first answer comes soon.
const PIECE_RECORDS: usize = 256;

/// Bytes of records that are answered together, unless the first alone has more.
const PIECE_BYTES: usize = 1 << 20;

/// Cuts a body into records.
pub(crate) struct Records {
    splitter: Splitter,
    form: Form,
    options: AnswerOptions,
    limits: RequestLimits,
}

enum Form {
    JsonLines,
    Csv(Columns),
    Plain,
}

impl Records {
    /// For a body of `kind`; none where that is one document and no list of records.
    pub(crate) fn of(kind: ContentType, options: AnswerOptions, limits: RequestLimits) -> Option<Self> {
        let form = match kind {
            ContentType::Json => return None,
            ContentType::JsonLines => Form::JsonLines,
            ContentType::Csv => Form::Csv(Columns::default()),
            ContentType::Plain => Form::Plain,
        };
        Some(Self { splitter: Splitter::new(matches!(form, Form::Csv(_))), form, options, limits })
    }

    /// Takes what has arrived.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        self.splitter.push(chunk);
    }

    /// Nothing more will arrive, so that what is left is the last record.
    pub(crate) fn end(&mut self) {
        self.splitter.end();
    }

    /// The records that are whole, as many as are answered together; empty where more has to arrive.
    pub(crate) fn piece(&mut self) -> Vec<Record> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while piece.len() < PIECE_RECORDS && bytes < PIECE_BYTES {
            let Some(raw) = self.splitter.next() else { break };
            bytes += raw.as_ref().map_or(0, Bytes::len);
            piece.extend(self.record(raw));
        }
        piece
    }

    /// Whether the first row names the columns; known once there was a record.
    pub(crate) fn has_header(&self) -> bool {
        matches!(&self.form, Form::Csv(columns) if columns.are_named())
    }

    /// The record that was cut out; none for a row that names the columns.
    fn record(&mut self, raw: Result<Bytes, ApiError>) -> Option<Record> {
        let raw = match raw {
            Ok(raw) => raw,
            Err(error) => return Some(Err(error)),
        };
        let description = match &mut self.form {
            Form::JsonLines => return Some(Document::parse(&raw, Place::Line, self.options, &self.limits)),
            Form::Csv(columns) => columns.description(&raw)?,
            Form::Plain => text(raw.to_vec()),
        };
        Some(description.map(|text| Document::single(Ok(text), self.options)))
    }
}

/// The text that `bytes` are.
fn text(bytes: Vec<u8>) -> Result<String, ApiError> {
    String::from_utf8(bytes).map_err(|_| ApiError::InvalidUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LIMITS;

    /// The records of a body that arrives in chunks of `size` bytes, with what is wrong in angle brackets.
    fn records(kind: ContentType, body: &[u8], size: usize) -> Vec<String> {
        let mut records = Records::of(kind, AnswerOptions::default_of(&LIMITS), LIMITS).unwrap();
        let mut all = Vec::new();
        for chunk in body.chunks(size) {
            records.push(&Bytes::copy_from_slice(chunk));
            all.extend(records.piece());
        }
        records.end();
        all.extend(records.piece());
        assert!(records.piece().is_empty());
        let shown = |record: Record| match record {
            Ok(document) => document.items[0].clone().unwrap(),
            Err(error) => format!("<{error}>"),
        };
        all.into_iter().map(shown).collect()
    }

    #[test]
    fn records_are_the_same_however_they_arrive() {
        let lines = b"{\"description\": \"a\"}\r\n\"b\"\n\nnonsense\n{\"inputs\": \"c\"}".as_slice();
        let csv = b"\xef\xbb\xbfid,Description\r\n1,\"steel, 5\"\" bolt\nzinc\"\r\n2,5\" pipe\n\n3,b".as_slice();
        let plain = b"toner\n\nb\xff\nsteel".as_slice();
        for size in [1, 2, 3, 7, 1000] {
            let got = records(ContentType::JsonLines, lines, size);
            assert_eq!((&got[..2], got[4].as_str(), got.len()), (&["a".to_owned(), "b".to_owned()][..], "c", 5));
            assert!(got[2].contains("no valid JSON: EOF") && got[3].contains("no valid JSON"), "{got:?}");
            let got = records(ContentType::Csv, csv, size);
            assert_eq!(got[..2], ["steel, 5\" bolt\nzinc", "5\" pipe"]);
            assert!(got[2].contains("0 columns") && got[3] == "b" && got.len() == 4, "{got:?}");
            let got = records(ContentType::Plain, plain, size);
            assert_eq!(got, ["toner", "", "<the text is no valid UTF-8; send it in UTF-8>", "steel"]);
        }
    }

    #[test]
    fn a_piece_has_an_end() {
        let mut records = Records::of(ContentType::Plain, AnswerOptions::default_of(&LIMITS), LIMITS).unwrap();
        records.push(&Bytes::from("a\n".repeat(PIECE_RECORDS + 1)));
        assert_eq!((records.piece().len(), records.piece().len()), (PIECE_RECORDS, 1));
        let long = format!("{}\n", "a".repeat(PIECE_BYTES));
        records.push(&Bytes::from(long.repeat(2)));
        assert_eq!((records.piece().len(), records.piece().len(), records.piece().len()), (1, 1, 0));
    }
}
