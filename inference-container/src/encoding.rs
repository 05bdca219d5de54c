//! Answers as bytes: JSON, JSON Lines and CSV, whole or piece by piece.

use serde::Serialize;
use unspsc_contract::invocation::{BatchResponse, ErrorBody, Outcome, Prediction, Scores, StatementResponse};

use crate::answering::{Answer, Answered, item_error};
use crate::api_error::ApiError;
use crate::media::Media;
use crate::request::Ranking;

/// The columns of an answer in CSV.
const COLUMNS: [&str; 7] = ["label", "title", "level", "probability", "truncated", "needs_review", "error"];

/// The answer to one JSON document. JSON Lines and CSV have a line for each of its descriptions.
pub(crate) fn document(answer: Answer, media: Media) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    match (media, answer) {
        (Media::Json, answer) => write_json(&answer_value(answer), &mut bytes)?,
        (Media::JsonLines, Answer::Single(prediction)) => write_line(&prediction, &mut bytes)?,
        (Media::JsonLines, Answer::Batch(outcomes)) => {
            outcomes.iter().try_for_each(|outcome| write_line(outcome, &mut bytes))?;
        }
        (Media::JsonLines, Answer::Statement(response)) => write_line(&response, &mut bytes)?,
        (Media::JsonLines, Answer::Scores(scores, _)) => {
            scores.iter().try_for_each(|scores| write_line(scores, &mut bytes))?;
        }
        (Media::Csv, Answer::Single(prediction)) => write_row(&Outcome::Prediction(prediction), &mut bytes)?,
        (Media::Csv, Answer::Batch(outcomes)) => {
            outcomes.iter().try_for_each(|outcome| write_row(outcome, &mut bytes))?;
        }
        (Media::Csv, Answer::Statement(_)) => return Err(ApiError::NotForCsv("the answer to `statement`")),
        (Media::Csv, Answer::Scores(..)) => return Err(ApiError::NotForCsv("the answer to `inputs`")),
    }
    Ok(bytes)
}

/// Writes the answers to many records: one line each in JSON Lines and CSV, one element of `predictions` in JSON.
pub(crate) struct RecordWriter {
    media: Media,
    /// Whether the next answer is the first.
    first: bool,
}

impl RecordWriter {
    pub(crate) fn new(media: Media) -> Self {
        Self { media, first: true }
    }

    /// What stands before the first answer: for CSV the names of the columns, where the request named its own.
    pub(crate) fn begin(&self, header: bool) -> Result<Vec<u8>, ApiError> {
        match self.media {
            Media::Json => Ok(b"{\"predictions\":[".to_vec()),
            Media::Csv if header => {
                let mut bytes = Vec::new();
                write_fields(COLUMNS, &mut bytes)?;
                Ok(bytes)
            }
            Media::JsonLines | Media::Csv => Ok(Vec::new()),
        }
    }

    /// The next answers.
    pub(crate) fn write(&mut self, answers: Vec<Answered>, bytes: &mut Vec<u8>) -> Result<(), ApiError> {
        for answer in answers {
            if self.media == Media::Csv {
                write_row(&row(answer), bytes)?;
                continue;
            }
            if self.media == Media::Json && !std::mem::replace(&mut self.first, false) {
                bytes.push(b',');
            }
            match answer {
                Ok(answer) => write_json(&answer_value(answer), bytes)?,
                Err(error) => write_json(&item_error(&error), bytes)?,
            }
            if self.media == Media::JsonLines {
                bytes.push(b'\n');
            }
        }
        Ok(())
    }

    /// What stands behind the last answer.
    pub(crate) fn end(&self) -> &'static [u8] {
        if self.media == Media::Json { b"]}" } else { b"" }
    }
}

/// An answer as one value.
#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Single(Prediction),
    Batch(BatchResponse),
    Statement(StatementResponse),
    List(Vec<Scores>),
    One(Scores),
}

/// `pipeline` answers one string with its ranked scores where `top_k` is given, and else with a list of one.
fn answer_value(answer: Answer) -> Value {
    match answer {
        Answer::Single(prediction) => Value::Single(prediction),
        Answer::Batch(predictions) => Value::Batch(BatchResponse { predictions }),
        Answer::Statement(response) => Value::Statement(response),
        Answer::Scores(mut scores, scoring)
            if !scoring.list && scoring.ranking != Ranking::Best && scores.len() == 1 =>
        {
            Value::One(scores.remove(0))
        }
        Answer::Scores(scores, _) => Value::List(scores),
    }
}

/// The one row that a record has in CSV.
fn row(answer: Answered) -> Outcome {
    let no_row = |what| Outcome::Error(item_error(&ApiError::NotForCsv(what)));
    match answer {
        Ok(Answer::Single(prediction)) => Outcome::Prediction(prediction),
        Ok(Answer::Batch(_)) => no_row("a list within one record"),
        Ok(Answer::Statement(_)) => no_row("the answer to `statement`"),
        Ok(Answer::Scores(..)) => no_row("the answer to `inputs`"),
        Err(error) => Outcome::Error(item_error(&error)),
    }
}

fn write_row(outcome: &Outcome, bytes: &mut Vec<u8>) -> Result<(), ApiError> {
    match outcome {
        Outcome::Prediction(prediction) => {
            let Prediction { label, title, level, probability, truncated, needs_review, .. } = prediction;
            let level = level.map_or("", |level| level.as_str());
            let (probability, truncated, needs_review) =
                (probability.to_string(), truncated.to_string(), needs_review.to_string());
            let title = title.as_deref().unwrap_or_default();
            write_fields([label, title, level, &probability, &truncated, &needs_review, ""], bytes)
        }
        Outcome::Error(ErrorBody { error }) => {
            let error = format!("{}: {}", error.code, error.message);
            write_fields(["", "", "", "", "", "", &error], bytes)
        }
    }
}

/// One row, with quotation marks where a field needs them.
fn write_fields(fields: [&str; COLUMNS.len()], bytes: &mut Vec<u8>) -> Result<(), ApiError> {
    let mut writer = csv::Writer::from_writer(bytes);
    let written = writer.write_record(fields).and_then(|()| Ok(writer.flush()?));
    written.map_err(|error| ApiError::Internal(format!("a row could not be written: {error}")))
}

fn write_line(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), ApiError> {
    write_json(value, bytes)?;
    bytes.push(b'\n');
    Ok(())
}

fn write_json(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), ApiError> {
    let written = serde_json::to_writer(bytes, value);
    written.map_err(|error| ApiError::Internal(format!("an answer could not be written: {error}")))
}

#[cfg(test)]
mod tests {
    use unspsc_contract::invocation::{Candidate, Score};
    use unspsc_taxonomy::Level;

    use super::*;
    use crate::request::{Function, Scoring};

    fn prediction() -> Prediction {
        let title = Some("Nuts, \"mixed\"".to_owned());
        Prediction {
            label: "50000000".into(),
            title: title.clone(),
            level: Some(Level::Segment),
            probability: 0.25,
            truncated: false,
            needs_review: true,
            top_k: vec![Candidate { label: "50000000".into(), title, probability: 0.25 }],
            path: Vec::new(),
            by_level: None,
            pred_class: None,
            logits: None,
            embedding: None,
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn scores_have_the_shapes_of_the_pipeline() {
        let score = || Score { label: "a".into(), score: 0.5 };
        let one = || Scores::Best(score());
        let ranked = || Scores::Ranked(vec![score(), score()]);
        let (best, top) = (Ranking::Best, Ranking::Top(2));
        let json = r#"{"label":"a","score":0.5}"#;
        for (scores, list, ranking, expected) in [
            (vec![one()], false, best, format!("[{json}]")),
            (vec![ranked()], false, top, format!("[{json},{json}]")),
            (vec![one(), one()], true, best, format!("[{json},{json}]")),
            (vec![ranked(), ranked()], true, top, format!("[[{json},{json}],[{json},{json}]]")),
            (vec![ranked()], true, Ranking::All, format!("[[{json},{json}]]")),
        ] {
            let answer = Answer::Scores(scores, Scoring { function: Function::Softmax, ranking, list });
            assert_eq!(text(document(answer, Media::Json).unwrap()), expected);
        }
    }

    #[test]
    fn every_record_has_one_line_in_every_form() {
        let answers =
            || vec![Ok(Answer::Single(prediction())), Err(ApiError::EmptyDescription), Ok(Answer::Batch(vec![]))];
        for (media, header, lines, begins) in [
            (Media::Json, false, 1, "{\"predictions\":[{\"label\":\"50000000\","),
            (Media::JsonLines, true, 3, "{\"label\":\"50000000\","),
            (
                Media::Csv,
                false,
                3,
                "50000000,\"Nuts, \"\"mixed\"\"\",segment,0.25,false,true,\n,,,,,,empty_description: ",
            ),
            (Media::Csv, true, 4, "label,title,level,probability,truncated,needs_review,error\n50000000,"),
        ] {
            let mut writer = RecordWriter::new(media);
            let mut bytes = writer.begin(header).unwrap();
            writer.write(answers(), &mut bytes).unwrap();
            bytes.extend_from_slice(writer.end());
            let text = text(bytes);
            assert!(text.starts_with(begins) && text.lines().count() == lines, "{text}");
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_item() {
        let batch =
            || Answer::Batch(vec![Outcome::Prediction(prediction()), Outcome::Error(ApiError::InvalidUtf8.body(None))]);
        for (media, lines) in [(Media::Json, 1), (Media::JsonLines, 2), (Media::Csv, 2)] {
            assert_eq!(text(document(batch(), media).unwrap()).lines().count(), lines, "{media:?}");
        }
    }
}
