//! A JSON document: `description`, `instances`, `statement`, `inputs`, or a list of descriptions.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use unspsc_taxonomy::Level;

use super::options::OptionFields;
use super::{AnswerOptions, Document, Item, RequestLimits, Scoring, Shape};
use crate::api_error::ApiError;
use crate::statement::Statement;

/// Most descriptions in one document: more than two processors answer within SageMaker's 60 seconds.
const MAX_INSTANCES: usize = 20_000;

/// Most candidates that a document may ask for: as JSON some 25 MB, all of which are held at a time.
const MAX_CANDIDATES: usize = 250_000;

/// The forms of a document, for messages.
const FORMS: &str =
    "send {\"description\": \"…\"}, {\"instances\": [\"…\"]}, {\"statement\": \"…\"} or {\"inputs\": \"…\"}";

/// What may stand around a document, which decides what is a document and what its answer holds by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The whole body. The answer to one description has the logits, as the answers of the reference project have.
    Body,
    /// A line of JSON Lines, which may be a description alone.
    Line,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    description: Option<Value>,
    instances: Option<Instances>,
    statement: Option<Value>,
    inputs: Option<Inputs>,
    parameters: Option<Value>,
    // Not flattened options: serde would no longer name an unknown field.
    top_k: Option<Value>,
    depth: Option<Value>,
    precision: Option<Value>,
    threshold: Option<Value>,
    by_level: Option<Value>,
    logits: Option<Value>,
    embeddings: Option<Value>,
}

impl Document {
    /// Reads a document; what it does not ask for is as `options` say.
    pub(crate) fn parse(
        json: &[u8],
        place: Place,
        options: AnswerOptions,
        limits: &RequestLimits,
    ) -> Result<Self, ApiError> {
        let document = match json.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::from_body(read(json)?, place, options, limits)?,
            Some(b'[') => {
                let Instances(items) = read(json)?;
                Self { items: batch(items, "the list")?, shape: Shape::Batch, options }
            }
            Some(b'"') if place == Place::Line => Self::single(Ok(read(json)?), options),
            _ => {
                read::<IgnoredAny>(json)?;
                return Err(ApiError::InvalidRequest(format!("the body must be a JSON object or list: {FORMS}")));
            }
        };
        document.check_candidates()
    }

    /// Refuses a document whose answer would hold too much at a time.
    fn check_candidates(self) -> Result<Self, ApiError> {
        // The answer's own, and those of each level.
        let lists = if self.options.by_level { 1 + Level::ALL.len() } else { 1 };
        let candidates = self.items.len() * self.options.top_k * lists;
        if candidates <= MAX_CANDIDATES || matches!(self.shape, Shape::Scores(_)) {
            return Ok(self);
        }
        Err(ApiError::InvalidRequest(format!(
            "this asks for up to {candidates} candidates; {MAX_CANDIDATES} are the most: send fewer descriptions, a smaller `top_k`, \
             or no `by_level`, or send JSON Lines, which are answered one by one"
        )))
    }

    fn from_body(body: Body, place: Place, options: AnswerOptions, limits: &RequestLimits) -> Result<Self, ApiError> {
        let Body { description, instances, statement, inputs, parameters, .. } = body;
        let Body { top_k, depth, precision, threshold, by_level, logits, embeddings, .. } = body;
        let fields = OptionFields { top_k, depth, precision, threshold, by_level, logits, embeddings };
        let has_options = !fields.is_empty();
        let mut options = options.with(fields, limits)?;
        let (items, shape) = match (description, instances, statement, inputs) {
            (Some(description), None, None, None) => {
                options.logits = options.logits.or((place == Place::Body).then_some(true));
                (vec![Ok(text(description, "description")?)], Shape::Single)
            }
            (None, Some(Instances(items)), None, None) => (batch(items, "`instances`")?, Shape::Batch),
            (None, None, Some(statement), None) => split(statement)?,
            (None, None, None, Some(_)) if has_options => {
                return Err(invalid("with `inputs` go options in `parameters`: `top_k` and `function_to_apply`"));
            }
            (None, None, None, Some(inputs)) => {
                let list = matches!(inputs, Inputs::List(_));
                let items = match inputs {
                    Inputs::Text(text) => vec![Ok(text)],
                    Inputs::List(Instances(items)) if items.is_empty() => {
                        return Err(invalid("`inputs` is empty: send at least one description"));
                    }
                    Inputs::List(Instances(items)) => items.into_iter().map(|item| text(item, "inputs")).collect(),
                };
                let scoring = Scoring::read(parameters, list, limits)?;
                return Ok(Self { items, shape: Shape::Scores(scoring), options });
            }
            (None, None, None, None) => return Err(invalid(&format!("`description` is missing: {FORMS}"))),
            _ => return Err(invalid("send one of `description`, `instances`, `statement` and `inputs` alone")),
        };
        match parameters {
            Some(_) => Err(invalid("`parameters` goes with `inputs`; here options stand beside the text")),
            None => Ok(Self { items, shape, options }),
        }
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::InvalidRequest(message.to_owned())
}

/// JSON of a known form; what is no JSON at all is told from JSON of another form.
fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(|error| match error.classify() {
        Category::Data => ApiError::InvalidRequest(format!("the request cannot be understood: {error}")),
        _ => ApiError::MalformedJson(error.to_string()),
    })
}

fn batch(items: Vec<Value>, name: &str) -> Result<Vec<Item>, ApiError> {
    if items.is_empty() {
        return Err(invalid(&format!("{name} is empty: send at least one description")));
    }
    Ok(items.into_iter().map(instance).collect())
}

/// The goods and services of a statement.
fn split(statement: Value) -> Result<(Vec<Item>, Shape), ApiError> {
    let statement = Statement::parse(text(statement, "statement")?);
    let statement = statement.map_err(|error| ApiError::InvalidRequest(error.to_string()))?;
    let items = statement.items.iter().map(|item| Ok(item.wording.clone())).collect();
    Ok((items, Shape::Statement(statement)))
}

/// One instance: a string, or an object with `description` alone.
fn instance(value: Value) -> Item {
    let Value::Object(mut object) = value else { return text(value, "description") };
    let description = object.remove("description").ok_or_else(|| invalid("`description` is missing"))?;
    match object.keys().next() {
        Some(key) => {
            Err(ApiError::InvalidRequest(format!("unknown field `{key}`: an instance has `description` alone")))
        }
        None => text(description, "description"),
    }
}

/// A description as it was sent, which is no text only if it is no string.
fn text(value: Value, name: &str) -> Item {
    let kind = match value {
        Value::String(text) => return Ok(text),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(ApiError::InvalidRequest(format!("`{name}` must be a string, not {kind}")))
}

/// The value of `inputs`.
enum Inputs {
    Text(String),
    List(Instances),
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrList;
        impl<'de> Visitor<'de> for TextOrList {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings in `inputs`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Inputs, E> {
                Ok(Inputs::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Inputs, A::Error> {
                items(list, "`inputs`").map(|items| Inputs::List(Instances(items)))
            }
        }
        from.deserialize_any(TextOrList)
    }
}

/// A list of anything, short enough, with an error that says what is expected where there is none.
struct Instances(Vec<Value>);

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Instances;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of descriptions in `instances`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Instances, A::Error> {
                items(list, "`instances`").map(Instances)
            }
        }
        from.deserialize_seq(List)
    }
}

/// The items of a list, of which there may be so many.
fn items<'de, A: SeqAccess<'de>>(mut list: A, name: &str) -> Result<Vec<Value>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = list.next_element()? {
        if items.len() == MAX_INSTANCES {
            let message = format!("{name} has more than {MAX_INSTANCES} items; send fewer at a time");
            return Err(A::Error::custom(message));
        }
        items.push(item);
    }
    Ok(items)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
