//! Tables with a code for each row: the columns of the input, and behind them those of the answer.

use std::io::{self, Write};

use unspsc_contract::invocation::{ErrorBody, ErrorDetail, Outcome, Prediction};
use unspsc_dataset::{TextProblem, TextRow};
use unspsc_taxonomy::{Code, Titles};

use crate::progress;

/// The columns of an answer.
const COLUMNS: [&str; 15] = [
    "code",
    "level",
    "title",
    "probability",
    "needs_review",
    "truncated",
    "segment",
    "segment_title",
    "family",
    "family_title",
    "class",
    "class_title",
    "commodity",
    "commodity_title",
    "error",
];
/// What a column of the answer is called besides where the input has one of its name.
const PREFIX: &str = "predicted_";

/// A CSV file that is written row by row.
pub(crate) struct CodedTable<W: Write> {
    out: csv::Writer<W>,
    titles: Titles,
}

impl<W: Write> CodedTable<W> {
    /// Writes the head of a table whose input has the columns `header`.
    pub(crate) fn begin(out: W, header: &[String]) -> anyhow::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        let is_taken = |name: &str| header.iter().any(|other| other.trim().eq_ignore_ascii_case(name));
        let own = COLUMNS.map(|name| if is_taken(name) { format!("{PREFIX}{name}") } else { name.to_owned() });
        out.write_record(header.iter().chain(&own)).map_err(unwritten)?;
        Ok(Self { out, titles: Titles::embedded()? })
    }

    /// Writes a row.
    pub(crate) fn write(&mut self, cells: &[String], outcome: &Outcome) -> anyhow::Result<()> {
        let own = columns(outcome, &self.titles);
        self.out.write_record(cells.iter().chain(&own)).map_err(unwritten)
    }

    /// Hands on what has been written.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().map_err(unwritten)
    }

    /// What was written to.
    pub(crate) fn into_inner(self) -> anyhow::Result<W> {
        self.out.into_inner().map_err(|error| progress::unwritten("the answers", error.error()))
    }
}

fn unwritten(error: impl Into<io::Error>) -> anyhow::Error {
    progress::unwritten("the answers", &error.into())
}

/// The cells of an answer.
fn columns(outcome: &Outcome, titles: &Titles) -> [String; COLUMNS.len()] {
    let mut cells = COLUMNS.map(|_| String::new());
    let mut set = |name: &str, value: String| {
        let column = COLUMNS.iter().position(|column| *column == name).and_then(|column| cells.get_mut(column));
        column.into_iter().for_each(|cell| cell.clone_from(&value));
    };
    let prediction = match outcome {
        Outcome::Prediction(prediction) => prediction,
        Outcome::Error(ErrorBody { error }) => {
            set("error", format!("{}: {}", error.code, error.message));
            return cells;
        }
    };
    set("code", prediction.label.clone());
    set("level", prediction.level.map(|level| level.to_string()).unwrap_or_default());
    set("title", title(prediction, titles));
    set("probability", format!("{:.4}", prediction.probability));
    set("needs_review", prediction.needs_review.to_string());
    set("truncated", prediction.truncated.to_string());
    // What lies below the answer is not to be trusted, and says nothing in a table.
    let answered = prediction.label.parse::<Code>().ok().map(Code::level);
    for step in prediction.path.iter().filter(|step| answered.is_some_and(|answered| step.level <= answered)) {
        set(step.level.as_str(), step.label.clone());
        set(&format!("{}_title", step.level), step.title.clone().unwrap_or_default());
    }
    cells
}

fn title(prediction: &Prediction, titles: &Titles) -> String {
    let known = prediction.label.parse().ok().and_then(|code| titles.nearest(code));
    prediction.title.as_deref().or(known).unwrap_or_default().to_owned()
}

/// What is answered where a row has no text.
pub(crate) fn outcome_of(problem: &TextProblem) -> Outcome {
    failed(problem.code(), problem.to_string())
}

/// An error in the place of an answer.
pub(crate) fn failed(code: &str, message: String) -> Outcome {
    let error = ErrorDetail { code: code.to_owned(), message, retry_after: None, request_id: None };
    Outcome::Error(ErrorBody { error })
}

/// The row as a sentence of its own, for lines that people read.
pub(crate) fn text_of(row: &TextRow) -> String {
    row.text.clone().unwrap_or_else(|_| row.cells.join(" "))
}

#[cfg(test)]
mod tests {
    use unspsc_contract::invocation::Step;
    use unspsc_taxonomy::Level;

    use super::*;

    fn prediction() -> Prediction {
        let step = |label: &str, level, title: &str| Step {
            label: label.to_owned(),
            title: Some(title.to_owned()),
            level,
            probability: 0.9,
        };
        Prediction {
            label: "50220000".to_owned(),
            title: Some("Cereals".to_owned()),
            level: Some(Level::Family),
            probability: 0.87654,
            truncated: false,
            needs_review: true,
            top_k: Vec::new(),
            path: vec![
                step("50000000", Level::Segment, "Food"),
                step("50220000", Level::Family, "Cereals"),
                step("50221100", Level::Class, "Grains"),
            ],
            by_level: None,
            pred_class: None,
            logits: None,
            embedding: None,
        }
    }

    fn table(header: &[&str], rows: &[(&[&str], Outcome)]) -> String {
        let strings = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let mut bytes = Vec::new();
        let mut table = CodedTable::begin(&mut bytes, &strings(header)).unwrap();
        rows.iter().for_each(|(cells, outcome)| table.write(&strings(cells), outcome).unwrap());
        table.flush().unwrap();
        drop(table);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_row_has_its_cells_its_answer_and_the_way_to_it() {
        let rows = [
            (["1", "rice, \"long\""].as_slice(), Outcome::Prediction(prediction())),
            (&["2", ""], failed("empty_description", "it is empty".to_owned())),
        ];
        let expected = "id,description,code,level,title,probability,needs_review,truncated,segment,segment_title,family,family_title,\
                        class,class_title,commodity,commodity_title,error\n\
                        1,\"rice, \"\"long\"\"\",50220000,family,Cereals,0.8765,true,false,50000000,Food,50220000,Cereals,,,,,\n\
                        2,,,,,,,,,,,,,,,,empty_description: it is empty\n";
        assert_eq!(table(&["id", "description"], &rows), expected);
    }

    #[test]
    fn a_name_that_the_input_has_is_told_apart() {
        let mut answer = prediction();
        (answer.label, answer.title, answer.path) = ("44000000".to_owned(), None, Vec::new());
        let shown = table(&["Code", "text"], &[(&["1", "toner"], Outcome::Prediction(answer))]);
        assert!(shown.starts_with("Code,text,predicted_code,level,title,"), "{shown}");
        assert!(shown.contains("\n1,toner,44000000,family,Office Equipment"), "{shown}");
    }
}
