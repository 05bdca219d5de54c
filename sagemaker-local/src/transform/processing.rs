//! `DataProcessing`: what of a record is sent, and what of record and answer is kept.
//!
//! A row of CSV is an array of text. The answer's columns go behind the row's; an answer in JSON becomes the member `SageMakerOutput` of the
//! record. Records and the lines of an answer are taken in pairs, so an answer must have as many lines as its request.

use std::io::{self, BufRead, Cursor, Read as _, Write};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use serde_json::{Map, Value};

use super::json_path::JsonPath;
use super::record::TransformJobSpec;

/// The member that an answer becomes, and the one that holds a record which is no object.
const OUTPUT: &str = "SageMakerOutput";
const INPUT: &str = "SageMakerInput";
/// Longest line of an answer in bytes, and longest answer to one record: SageMaker's limit of a payload.
const MAX_ANSWER_BYTES: u64 = 100 * 1024 * 1024;

/// Room for a row that is written, in bytes; it grows where a row is longer.
const ROW_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// The processing that a job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Processing {
    format: Format,
    input: JsonPath,
    join: bool,
    output: JsonPath,
    /// Whether a request is lines, and not one record.
    lines: bool,
}

/// Why a record or an answer cannot be processed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessingError {
    #[error("the answer cannot be kept: {0}")]
    Io(#[from] io::Error),
    #[error("{what} cannot be processed: {problem}")]
    Data { what: &'static str, problem: String },
    #[error("the answer has {answer} lines and its request {request} records; they cannot be joined or filtered")]
    Pairs { request: usize, answer: usize },
}

impl Processing {
    /// The processing of `spec`; none if records are sent and answers kept as they are.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub(super) fn of(spec: &TransformJobSpec) -> Result<Option<Self>, String> {
        let Some(asked) = &spec.data_processing else { return Ok(None) };
        let path = |text: &Option<String>| text.as_deref().map_or_else(|| Ok(JsonPath::default()), JsonPath::parse);
        let (input, output) = (path(&asked.input_filter)?, path(&asked.output_filter)?);
        let join = asked.join_source.as_deref() == Some("Input");
        if input.is_root() && output.is_root() && !join {
            return Ok(None);
        }
        let format = format(spec.transform_input.content_type.as_deref());
        if format.is_none() || format != self::format(spec.transform_output.accept.as_deref()) {
            return Err(
                "DataProcessing needs TransformInput.ContentType and TransformOutput.Accept, both text/csv, or each \
                        application/json or application/jsonlines"
                    .to_owned(),
            );
        }
        let is_line = |value: &Option<String>| value.as_deref() == Some("Line");
        let lines = is_line(&spec.transform_input.split_type);
        if lines != is_line(&spec.transform_output.assemble_with) || (format == Some(Format::Csv) && !lines) {
            return Err(
                "DataProcessing needs SplitType and AssembleWith to be the same, and Line for text/csv".to_owned()
            );
        }
        let format = format.unwrap_or(Format::Json);
        if format == Format::Csv && !(input.is_of_rows() && output.is_of_rows()) {
            return Err("The filters of text/csv select by index, such as $[1:], and not by name".to_owned());
        }
        Ok(Some(Self { format, input, join, output, lines }))
    }

    /// The body of a request for the records in `source`.
    pub(super) fn request(&self, source: &[u8]) -> Result<Vec<u8>, ProcessingError> {
        let (mut body, mut rows) = (Vec::with_capacity(source.len()), Rows::new());
        for (number, record) in self.records(source).enumerate() {
            if number > 0 {
                body.push(b'\n');
            }
            self.filter(&self.input, record, "a record", &mut rows, &mut body)?;
        }
        Ok(body)
    }

    /// Writes what is kept of the records in `source` and the answer to them; with a line feed between two, none behind the last.
    pub(super) fn combine(
        &self,
        source: &[u8],
        answer: &mut impl BufRead,
        out: &mut impl Write,
    ) -> Result<(), ProcessingError> {
        let (records, mut rows) = (self.records(source).count(), Rows::new());
        if self.format == Format::Json && records == 1 {
            let mut whole = Vec::new();
            answer.take(MAX_ANSWER_BYTES).read_to_end(&mut whole)?;
            return self.pair(source, &whole, &mut rows, out);
        }
        let mut line = Vec::new();
        let mut number = 0;
        for record in self.records(source) {
            if !next_line(answer, &mut line)? {
                return Err(ProcessingError::Pairs { request: records, answer: number });
            }
            if number > 0 {
                out.write_all(b"\n")?;
            }
            self.pair(record, &line, &mut rows, out)?;
            number += 1;
        }
        while next_line(answer, &mut line)? {
            number += 1;
        }
        if number == records { Ok(()) } else { Err(ProcessingError::Pairs { request: records, answer: number }) }
    }

    /// The records of a body; a request that is not split is one.
    fn records<'a>(&self, source: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.lines;
        source.split(move |byte| lines && *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Writes what is kept of one record and its answer.
    fn pair(&self, record: &[u8], answer: &[u8], rows: &mut Rows, out: &mut impl Write) -> Result<(), ProcessingError> {
        match (self.format, self.join) {
            (_, false) => self.filter(&self.output, answer, "an answer", rows, out),
            (Format::Csv, true) => {
                let row = [record, b",", answer].concat();
                self.filter(&self.output, &row, "a joined row", rows, out)
            }
            (Format::Json, true) => {
                let joined = join(json(record, "a record")?, json(answer, "an answer")?);
                let kept = self.output.select(joined).map_err(|problem| data("a joined record", &problem))?;
                write_json(&kept, out)
            }
        }
    }

    /// Writes what `path` selects of the text, or the text itself if that is all of it.
    fn filter(
        &self,
        path: &JsonPath,
        text: &[u8],
        what: &'static str,
        rows: &mut Rows,
        out: &mut impl Write,
    ) -> Result<(), ProcessingError> {
        if path.is_root() {
            return Ok(out.write_all(text)?);
        }
        let value = if self.format == Format::Csv { rows.read(text)? } else { json(text, what)? };
        let chosen = path.select(value).map_err(|problem| data(what, &problem))?;
        if self.format == Format::Csv { write_row(&chosen, out) } else { write_json(&chosen, out) }
    }
}

fn format(content_type: Option<&str>) -> Option<Format> {
    match content_type?.split(';').next()?.trim() {
        "text/csv" => Some(Format::Csv),
        "application/json" | "application/jsonlines" => Some(Format::Json),
        _ => None,
    }
}

fn data(what: &'static str, problem: &impl ToString) -> ProcessingError {
    ProcessingError::Data { what, problem: problem.to_string() }
}

/// Reads the next line that has anything in it into `line`, without its end; false if there is none.
fn next_line(answer: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, ProcessingError> {
    loop {
        line.clear();
        if answer.take(MAX_ANSWER_BYTES).read_until(b'\n', line)? == 0 {
            return Ok(false);
        }
        line.pop_if(|last| *last == b'\n');
        line.pop_if(|last| *last == b'\r');
        if !line.is_empty() {
            return Ok(true);
        }
    }
}

fn json(text: &[u8], what: &'static str) -> Result<Value, ProcessingError> {
    serde_json::from_slice(text).map_err(|error| data(what, &format_args!("Unable to parse data as JSON: {error}")))
}

fn write_json(value: &Value, out: &mut impl Write) -> Result<(), ProcessingError> {
    Ok(serde_json::to_writer(out, value).map_err(io::Error::from)?)
}

/// A record with its answer; one that is no object becomes a member beside it.
fn join(record: Value, answer: Value) -> Value {
    let mut members = match record {
        Value::Object(members) => members,
        other => Map::from_iter([(INPUT.to_owned(), other)]),
    };
    members.insert(OUTPUT.to_owned(), answer);
    Value::Object(members)
}

/// Reads rows of CSV, each from a line of its own; made once for many, since making it takes longer than reading a row.
struct Rows(csv::Reader<Cursor<Vec<u8>>>);

impl Rows {
    fn new() -> Self {
        Self(ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Cursor::default()))
    }

    fn read(&mut self, line: &[u8]) -> Result<Value, ProcessingError> {
        let feed = self.0.get_mut();
        feed.set_position(0);
        feed.get_mut().clear();
        feed.get_mut().extend_from_slice(line);
        feed.get_mut().push(b'\n');
        let mut record = StringRecord::new();
        let read = self.0.read_record(&mut record).map_err(|error| data("a row", &error))?;
        // The line feed is our own, and can only be in a field that never ended.
        if !read || record.iter().any(|field| field.contains('\n')) {
            return Err(data("a row", &"a quotation mark is left open; SageMaker takes no line breaks within fields"));
        }
        Ok(Value::Array(record.iter().map(Value::from).collect()))
    }
}

fn write_row(chosen: &Value, out: &mut impl Write) -> Result<(), ProcessingError> {
    let fields = match chosen {
        Value::Array(fields) => fields.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut writer = WriterBuilder::new().buffer_capacity(ROW_BYTES).from_writer(Vec::new());
    let written = writer.write_record(fields.iter().map(|field| field.as_str().unwrap_or_default()));
    written.map_err(|error| data("a row", &error))?;
    let row = writer.into_inner().map_err(|error| data("a row", error.error()))?;
    Ok(out.write_all(row.strip_suffix(b"\n").unwrap_or(&row))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn processing(content_type: &str, split: &str, asked: Value) -> Result<Option<Processing>, String> {
        let mut spec = super::super::record::example("job").spec;
        spec.transform_input.content_type = Some(content_type.to_owned());
        spec.transform_input.split_type = Some(split.to_owned());
        spec.transform_output.accept = Some(content_type.to_owned());
        spec.transform_output.assemble_with = Some(split.to_owned());
        spec.data_processing = Some(serde_json::from_value(asked).unwrap());
        Processing::of(&spec)
    }

    fn lines(content_type: &str, asked: Value) -> Processing {
        processing(content_type, "Line", asked).unwrap().unwrap()
    }

    fn combined(processing: &Processing, source: &str, answer: &str) -> Result<String, ProcessingError> {
        let mut out = Vec::new();
        processing.combine(source.as_bytes(), &mut answer.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_answers_columns_go_behind_the_rows() {
        let joined = lines("text/csv", json!({ "JoinSource": "Input" }));
        assert_eq!(combined(&joined, "1,\"a, b\"\n2,c", "0.5,x\n0.25,y\n").unwrap(), "1,\"a, b\",0.5,x\n2,c,0.25,y");
        let chosen = lines("text/csv", json!({ "JoinSource": "Input", "OutputFilter": "$[0,-1]" }));
        assert_eq!(combined(&chosen, "1,\"a, b\"\r\n2,c\r", "0.5,\"x\"\"\"\r\n0.25,y").unwrap(), "1,\"x\"\"\"\n2,y");
    }

    #[test]
    fn a_filter_keeps_columns_back_from_the_request() {
        let filtered = lines("text/csv", json!({ "InputFilter": "$[1:]" }));
        assert_eq!(filtered.request(b"1,\"a, b\",c\n2,d,e").unwrap(), b"\"a, b\",c\nd,e");
        let one = lines("text/csv", json!({ "InputFilter": "$[1]" }));
        assert_eq!(one.request(b"1,\"say \"\"a\"\"\"").unwrap(), b"\"say \"\"a\"\"\"");
        assert!(one.request(b"1,\"a\n2,b").unwrap_err().to_string().contains("quotation mark is left open"));
        assert!(one.request(b"1").unwrap_err().to_string().contains("no element 1 among 1"));
    }

    #[test]
    fn the_answer_becomes_a_member_of_the_record() {
        let joined = lines("application/jsonlines", json!({ "JoinSource": "Input" }));
        let text = combined(&joined, "{\"id\":1}\n[2]", "{\"code\":5}\n\"x\"\n").unwrap();
        assert_eq!(
            text,
            "{\"id\":1,\"SageMakerOutput\":{\"code\":5}}\n{\"SageMakerInput\":[2],\"SageMakerOutput\":\"x\"}"
        );
        let asked = json!({
            "InputFilter": "$.text", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']",
        });
        let chosen = lines("application/jsonlines", asked);
        assert_eq!(chosen.request(b"{\"id\":1,\"text\":\"a\"}").unwrap(), b"\"a\"");
        assert_eq!(
            combined(&chosen, "{\"id\":1,\"text\":\"a\"}", "[\n1\n]\n").unwrap(),
            "{\"id\":1,\"SageMakerOutput\":[1]}",
            "an answer to one record may have any number of lines"
        );
    }

    #[test]
    fn a_document_that_is_not_split_is_one_record() {
        let whole = processing("application/json", "None", json!({ "JoinSource": "Input" })).unwrap().unwrap();
        assert_eq!(combined(&whole, "{\n\"id\": 1\n}", "[1]").unwrap(), "{\"id\":1,\"SageMakerOutput\":[1]}");
    }

    #[test]
    fn answers_that_cannot_be_paired_are_an_error() {
        let joined = lines("text/csv", json!({ "JoinSource": "Input" }));
        for (answer, lines) in [("1\n", 1), ("1\n2\n3\n", 3), ("", 0)] {
            let error = combined(&joined, "a\nb", answer).unwrap_err().to_string();
            assert!(error.contains(&format!("{lines} lines and its request 2 records")), "{error}");
        }
        let joined = lines("application/jsonlines", json!({ "JoinSource": "Input" }));
        assert!(combined(&joined, "no JSON", "1").unwrap_err().to_string().contains("Unable to parse data as JSON"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_before_the_job_starts() {
        let join = json!({ "JoinSource": "Input" });
        for (content_type, split, asked, words) in [
            ("text/plain", "Line", join.clone(), "both text/csv"),
            ("text/csv", "None", join.clone(), "Line for text/csv"),
            ("text/csv", "Line", json!({ "InputFilter": "$.id" }), "by index"),
            ("text/csv", "Line", json!({ "OutputFilter": "x" }), "does not begin with $"),
        ] {
            let error = processing(content_type, split, asked).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let nothing = json!({ "InputFilter": "$", "JoinSource": "None", "OutputFilter": "$" });
        assert_eq!(processing("text/plain", "None", nothing), Ok(None));
    }
}
