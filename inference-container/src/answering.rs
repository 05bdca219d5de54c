//! From records to answers: tokens, the model, and the form that each record asks for.

use std::time::Instant;
use std::vec::IntoIter;

use opentelemetry::Context;
use unspsc_artifact::TokenIds;
use unspsc_contract::invocation::{Outcome, Prediction, Score, Scores, StatementResponse};

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::deadline::Deadline;
use crate::inbox::{self, Row};
use crate::metrics::Stage;
use crate::records::Record;
use crate::request::{AnswerOptions, Document, Item, Ranking, Scoring, Shape};
use crate::service::Service;
use crate::statement::Classified;
use crate::traces;

/// The answer to one record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// To `description`.
    Single(Prediction),
    /// To `instances`.
    Batch(Vec<Outcome>),
    /// To `statement`.
    Statement(StatementResponse),
    /// To `inputs`.
    Scores(Vec<Scores>, Scoring),
}

/// What became of one record.
pub(crate) type Answered = Result<Answer, ApiError>;

/// Answers the records that `read` gives, in order, by `deadline`. What is wrong with one of them, or with one of its
/// texts, stands in its place.
///
/// # Errors
/// If nothing can be answered: there is nothing to read, the model is not ready, too many wait for it, or it is too late.
pub(crate) async fn answer(
    service: &Service,
    deadline: Deadline,
    read: impl FnOnce() -> Result<Vec<Record>, ApiError> + Send + 'static,
) -> Result<Vec<Answered>, ApiError> {
    // A full queue answers before the work of reading; where it fills up meanwhile, `classify` refuses.
    service.check_room(deadline)?;
    // Reading and tokenising much text takes long enough to keep other connections waiting.
    let (tokenising, started) = (service.clone(), Instant::now());
    let prepare = move || -> Result<Prepared, ApiError> { Ok(Prepared::new(read()?, tokenising.classifier()?)) };
    let prepared = deadline.wait(tokio::task::spawn_blocking(prepare)).await?;
    // The message of a panic may quote the text.
    let prepared = prepared.map_err(|_| ApiError::Internal("reading the request panicked".into()))??;
    service.metrics().stage_took(Stage::Prepare, started.elapsed());
    traces::stage_took(&Context::current(), Stage::Prepare, started, started.elapsed());
    let Prepared { records, texts, embeddings } = prepared;
    let mut rows = service.classify(texts, embeddings, deadline).await?.into_iter();
    let classifier = service.classifier()?;
    Ok(records.into_iter().map(|record| record?.answer(classifier, &mut rows)).collect())
}

fn missing() -> ApiError {
    ApiError::Internal("an answer is missing".into())
}

/// Records as the model takes them.
struct Prepared {
    records: Vec<Result<PreparedRecord, ApiError>>,
    /// The texts of all records that can be classified, in order.
    texts: Vec<TokenIds>,
    /// Whether any record wants the pooled vectors.
    embeddings: bool,
}

/// One record: what is to be said of it once its texts are classified.
struct PreparedRecord {
    /// For each item whether it was truncated, or what is wrong with it.
    items: Vec<Result<bool, ApiError>>,
    shape: Shape,
    options: AnswerOptions,
}

impl Prepared {
    fn new(records: Vec<Record>, classifier: &Classifier) -> Self {
        let mut prepared = Self { records: Vec::with_capacity(records.len()), texts: Vec::new(), embeddings: false };
        for record in records {
            let record = record.and_then(|document| prepared.add(document, classifier));
            prepared.records.push(record);
        }
        prepared
    }

    fn add(&mut self, document: Document, classifier: &Classifier) -> Result<PreparedRecord, ApiError> {
        let Document { items, shape, options } = document;
        classifier.check(options.depth)?;
        self.embeddings |= options.embeddings;
        let mut tokens = |item: Item| -> Result<bool, ApiError> {
            let tokens = classifier.tokens(&item?)?;
            let truncated = tokens.truncated;
            self.texts.push(tokens);
            Ok(truncated)
        };
        Ok(PreparedRecord { items: items.into_iter().map(&mut tokens).collect(), shape, options })
    }
}

impl PreparedRecord {
    /// Takes as many of `rows` as this record has texts.
    fn answer(self, classifier: &Classifier, rows: &mut IntoIter<inbox::Answer>) -> Answered {
        let Self { items, shape, options } = self;
        let rows = items.into_iter().map(|item| -> Result<(Row, bool), ApiError> {
            let truncated = item?;
            Ok((rows.next().ok_or_else(missing)??, truncated))
        });
        // All are taken, so that the next record finds its own.
        let mut rows = rows.collect::<Vec<_>>().into_iter();
        let predict = |row: Result<(Row, bool), ApiError>| {
            let (mut row, truncated) = row?;
            row.embedding = row.embedding.filter(|_| options.embeddings);
            classifier.prediction(row, truncated, &options)
        };
        let outcome = |row| predict(row).map_or_else(|error| Outcome::Error(item_error(&error)), Outcome::Prediction);
        Ok(match shape {
            Shape::Single => Answer::Single(predict(rows.next().unwrap_or_else(|| Err(missing())))?),
            Shape::Batch => Answer::Batch(rows.map(outcome).collect()),
            Shape::Statement(statement) => {
                let mut classified = Classified::default();
                for row in rows {
                    let segments = row.as_ref().ok().map(|(row, _)| classifier.segment_probabilities(row));
                    classified.push(outcome(row), segments.as_deref());
                }
                Answer::Statement(statement.answer(classified, classifier.segments()))
            }
            Shape::Scores(scoring) => {
                let of_row = |(row, _): (Row, bool)| scores(classifier, &row, scoring);
                // A single string is the whole request, so that what is wrong with it is wrong with the request.
                if !scoring.list {
                    let row = rows.next().unwrap_or_else(|| Err(missing()))?;
                    return Ok(Answer::Scores(vec![of_row(row)?], scoring));
                }
                let outcome = |row: Result<_, ApiError>| {
                    row.and_then(of_row).unwrap_or_else(|error| Scores::Error(item_error(&error)))
                };
                Answer::Scores(rows.map(outcome).collect(), scoring)
            }
        })
    }
}

/// The scores of one text in the form that was asked for.
fn scores(classifier: &Classifier, row: &Row, scoring: Scoring) -> Result<Scores, ApiError> {
    let ranked = |count| classifier.scores(row, scoring.function, count);
    Ok(match scoring.ranking {
        Ranking::Best => {
            let best: Option<Score> = ranked(1).into_iter().next();
            Scores::Best(best.ok_or_else(missing)?)
        }
        Ranking::Top(count) => Scores::Ranked(ranked(count)),
        Ranking::All => Scores::Ranked(ranked(row.logits.len())),
    })
}

/// The body of what went wrong with one item. A fault is logged, as no answer of its own carries it to the log.
pub(crate) fn item_error(error: &ApiError) -> unspsc_contract::invocation::ErrorBody {
    if let ApiError::Internal(detail) = error {
        tracing::error!("an item could not be answered: {detail}");
    }
    error.body(None)
}
