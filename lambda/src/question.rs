//! A document as the endpoint takes it.

use serde_json::{Map, Value};

use crate::answer::Refusal;

/// The forms of a document, for messages.
pub(crate) const FORMS: &str =
    "send {\"description\": \"…\"}, {\"descriptions\": [\"…\"]}, a list of descriptions, or {\"statement\": \"…\"}";

/// What is asked; of several the document must have one.
const WORDS: [&str; 4] = ["description", "descriptions", "instances", "statement"];

/// What goes to the endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The JSON document in the container's words (docs/serving.md).
    pub(crate) body: Vec<u8>,
    /// What was asked, for the log.
    pub(crate) form: &'static str,
    /// How many descriptions it has, as far as that is known.
    pub(crate) descriptions: usize,
}

impl Question {
    /// Checks a document as far as the endpoint does not, and puts it into the container's words.
    pub(crate) fn new(document: Value, max_descriptions: usize) -> Result<Self, Refusal> {
        let (document, form, descriptions) = match document {
            Value::Array(list) => {
                let list = checked(list, "the list", max_descriptions)?;
                let count = list.len();
                (Value::Array(list), "list", count)
            }
            Value::Object(fields) => from_fields(fields, max_descriptions)?,
            _ => return Err(Refusal::invalid(format!("the event must be a JSON object or list: {FORMS}"))),
        };
        let body = document.to_string().into_bytes();
        Ok(Self { body, form, descriptions })
    }
}

/// The document in an object, its form, and how many descriptions it has; options beside the text are the container's affair.
fn from_fields(
    mut fields: Map<String, Value>,
    max_descriptions: usize,
) -> Result<(Value, &'static str, usize), Refusal> {
    let found: Vec<&str> = WORDS.into_iter().filter(|word| fields.contains_key(*word)).collect();
    let (form, count) = match found[..] {
        ["description"] => {
            // The container lists them for this form unless it is told not to.
            fields.entry("logits").or_insert(Value::Bool(false));
            ("description", 1)
        }
        ["statement"] => ("statement", 1),
        [word @ ("descriptions" | "instances")] => {
            let name = format!("`{word}`");
            let Some(Value::Array(list)) = fields.shift_remove(word) else {
                return Err(Refusal::invalid(format!("{name} must be a list: {FORMS}")));
            };
            let list = checked(list, &name, max_descriptions)?;
            let count = list.len();
            fields.insert("instances".to_owned(), Value::Array(list));
            ("list", count)
        }
        [] => return Err(Refusal::invalid(format!("`description` is missing: {FORMS}"))),
        _ => return Err(Refusal::invalid(format!("send one of `{}` alone", found.join("`, `")))),
    };
    Ok((Value::Object(fields), form, count))
}

fn checked(list: Vec<Value>, name: &str, max_descriptions: usize) -> Result<Vec<Value>, Refusal> {
    if list.is_empty() {
        return Err(Refusal::invalid(format!("{name} is empty: send at least one description")));
    }
    if list.len() > max_descriptions {
        return Err(Refusal::too_large(format!(
            "{name} has {} descriptions, and {max_descriptions} are the most of one event: send them in parts, or all of \
             them with `unspsc batch`",
            list.len()
        )));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(document: Value) -> (Value, &'static str, usize) {
        let Question { body, form, descriptions } = Question::new(document, 3).unwrap();
        (serde_json::from_slice(&body).unwrap(), form, descriptions)
    }

    #[test]
    fn a_document_is_put_into_the_containers_words() {
        let (body, form, count) = asked(json!({ "description": "toner", "top_k": 1 }));
        assert_eq!(
            (body, form, count),
            (json!({ "description": "toner", "top_k": 1, "logits": false }), "description", 1)
        );
        assert_eq!(asked(json!({ "description": "toner", "logits": true })).0["logits"], true);
        let list = json!({ "descriptions": ["a", 7, { "description": "b" }], "depth": "auto" });
        let expected = json!({ "depth": "auto", "instances": ["a", 7, { "description": "b" }] });
        assert_eq!(asked(list), (expected.clone(), "list", 3));
        assert_eq!(asked(expected.clone()).0, expected);
        assert_eq!(asked(json!(["a", "b"])), (json!(["a", "b"]), "list", 2));
        let statement = json!({ "statement": "Class 30: coffee; tea" });
        assert_eq!(asked(statement.clone()), (statement, "statement", 1));
    }

    #[test]
    fn what_is_no_document_is_refused_with_what_would_be_one() {
        for (document, status, said) in [
            (json!({}), 400, "`description` is missing: send {\"description\""),
            (json!({ "Description": "x" }), 400, "`description` is missing"),
            (json!("toner"), 400, "must be a JSON object or list"),
            (json!(null), 400, "must be a JSON object or list"),
            (json!([]), 400, "the list is empty"),
            (json!({ "descriptions": [] }), 400, "`descriptions` is empty"),
            (json!({ "descriptions": "x" }), 400, "`descriptions` must be a list"),
            (json!({ "description": "x", "statement": "y" }), 400, "send one of `description`, `statement` alone"),
            (json!(["a", "b", "c", "d"]), 413, "the list has 4 descriptions, and 3 are the most"),
        ] {
            let refusal = Question::new(document.clone(), 3).unwrap_err();
            assert!(refusal.status == status && refusal.detail.message.contains(said), "{document}: {refusal:?}");
        }
    }
}
