//! The body of `POST /invocations`, from bytes to descriptions.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use unspsc_contract::invocation::DEFAULT_TOP_K;

use crate::api_error::ApiError;

/// Most descriptions in one request: more than two processors answer within SageMaker's 60 seconds.
const MAX_INSTANCES: usize = 20_000;

/// The two forms of a request, for messages.
const FORMS: &str = "send {\"description\": \"…\"} or {\"instances\": [\"…\"]}";

/// What a request may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    /// Longest body.
    pub(crate) max_body_bytes: usize,
    /// Most candidates.
    pub(crate) max_top_k: usize,
}

/// A request whose form is right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) input: Input,
    /// How many candidates to list.
    pub(crate) top_k: usize,
}

/// What is to be classified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// `{"description": …}`
    Single(String),
    /// `{"instances": […]}`: descriptions, or what is wrong with one.
    Batch(Vec<Result<String, ApiError>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    description: Option<Value>,
    instances: Option<Instances>,
    top_k: Option<Value>,
}

impl Invocation {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8], limits: &RequestLimits) -> Result<Self, ApiError> {
        // A derived reader would also take a list for the struct's fields in order.
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if !is_object {
            let json: Result<IgnoredAny, _> = serde_json::from_slice(body);
            json.map_err(|error| ApiError::MalformedJson(error.to_string()))?;
            return Err(invalid(&format!("the body must be a JSON object: {FORMS}")));
        }
        let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => ApiError::InvalidRequest(format!("the request cannot be understood: {error}")),
            _ => ApiError::MalformedJson(error.to_string()),
        })?;
        let top_k = top_k(body.top_k, limits.max_top_k)?;
        let input = match (body.description, body.instances) {
            (Some(description), None) => Input::Single(text(description)?),
            (None, Some(Instances(instances))) => Input::Batch(batch(instances)?),
            (Some(_), Some(_)) => return Err(invalid("send `description` or `instances`, not both")),
            (None, None) => return Err(invalid(&format!("`description` is missing: {FORMS}"))),
        };
        Ok(Self { input, top_k })
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::InvalidRequest(message.to_owned())
}

fn top_k(value: Option<Value>, most: usize) -> Result<usize, ApiError> {
    let Some(value) = value else { return Ok(DEFAULT_TOP_K.min(most)) };
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| ApiError::InvalidRequest(format!("`top_k` must be a whole number from 1 to {most}")))
}

fn batch(instances: Vec<Value>) -> Result<Vec<Result<String, ApiError>>, ApiError> {
    if instances.is_empty() {
        return Err(invalid("`instances` is empty: send at least one description"));
    }
    Ok(instances.into_iter().map(instance).collect())
}

/// One instance: a string, or an object with `description` alone.
fn instance(value: Value) -> Result<String, ApiError> {
    let Value::Object(mut object) = value else { return text(value) };
    let description = object.remove("description").ok_or_else(|| invalid("`description` is missing"))?;
    match object.keys().next() {
        Some(key) => {
            Err(ApiError::InvalidRequest(format!("unknown field `{key}`: an instance has `description` alone")))
        }
        None => text(description),
    }
}

/// A description as it was sent, which is no text only if it is no string.
fn text(value: Value) -> Result<String, ApiError> {
    let kind = match value {
        Value::String(text) => return Ok(text),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(ApiError::InvalidRequest(format!("`description` must be a string, not {kind}")))
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

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Instances, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MAX_INSTANCES {
                        let message = format!("`instances` has more than {MAX_INSTANCES} items; send fewer at a time");
                        return Err(A::Error::custom(message));
                    }
                    items.push(item);
                }
                Ok(Instances(items))
            }
        }
        from.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits { max_body_bytes: 1 << 20, max_top_k: 10 };

    fn parse(body: &str) -> Result<Invocation, ApiError> {
        Invocation::parse(body.as_bytes(), &LIMITS)
    }

    #[test]
    fn both_forms_are_read() {
        let single = parse(r#" {"description": "toner \u00e9", "top_k": 3}"#).unwrap();
        assert_eq!(single, Invocation { input: Input::Single("toner é".into()), top_k: 3 });
        let batch = parse(r#"{"instances": ["bread", {"description": "nuts"}, 7]}"#).unwrap();
        assert_eq!(batch.top_k, DEFAULT_TOP_K);
        let Input::Batch(items) = batch.input else { panic!("no batch") };
        assert_eq!(items[..2], [Ok("bread".into()), Ok("nuts".into())]);
        assert_eq!(items[2].as_ref().unwrap_err().to_string(), "`description` must be a string, not a number");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, part) in [
            ("", "no valid JSON: EOF while parsing a value at line 1 column 0"),
            ("{\"description\": \"a\"\n,}", "trailing comma at line 2 column 2"),
            ("{\"description\": \"a\"} x", "trailing characters at line 1 column 22"),
            ("{\"description\": \"\u{1}\"}", "control character"),
            ("[\"a\"]", "must be a JSON object"),
            ("\"a\"", "must be a JSON object"),
            ("7", "must be a JSON object"),
            ("toner", "no valid JSON: expected ident at line 1 column 2"),
            ("{}", "`description` is missing"),
            ("{\"description\": null}", "`description` is missing"),
            ("{\"description\": [\"a\"]}", "`description` must be a string, not a list"),
            ("{\"descripton\": \"a\"}", "unknown field `descripton`, expected one of `description`"),
            ("{\"description\": \"a\", \"description\": \"b\"}", "duplicate field `description`"),
            ("{\"description\": \"a\", \"instances\": [\"b\"]}", "not both"),
            ("{\"instances\": \"b\"}", "expected a list of descriptions in `instances` at line 1"),
            ("{\"instances\": []}", "`instances` is empty"),
            ("{\"description\": \"a\", \"top_k\": 0}", "`top_k` must be a whole number from 1 to 10"),
            ("{\"description\": \"a\", \"top_k\": 11}", "`top_k` must be"),
            ("{\"description\": \"a\", \"top_k\": 1.5}", "`top_k` must be"),
            ("{\"description\": \"a\", \"top_k\": \"3\"}", "`top_k` must be"),
        ] {
            let error = parse(body).unwrap_err().to_string();
            assert!(error.contains(part), "{body}: {error}");
        }
        assert!(matches!(Invocation::parse(b"{\"description\": \"\xff\"}", &LIMITS), Err(ApiError::MalformedJson(_))));
    }

    #[test]
    fn a_list_has_a_limit() {
        let body = |count| format!("{{\"instances\": [{}\"a\"]}}", "\"a\",".repeat(count - 1));
        assert!(parse(&body(MAX_INSTANCES)).is_ok());
        let error = parse(&body(MAX_INSTANCES + 1)).unwrap_err().to_string();
        assert!(error.contains("`instances` has more than 20000 items; send fewer"), "{error}");
    }

    #[test]
    fn a_bad_instance_says_what_it_lacks() {
        for (item, part) in [
            (r#"{"text": "a"}"#, "`description` is missing"),
            (r#"{"description": "a", "id": 1}"#, "unknown field `id`"),
            ("null", "must be a string, not null"),
            (r#"{"description": {}}"#, "must be a string, not an object"),
        ] {
            let invocation = parse(&format!("{{\"instances\": [{item}, \"b\"]}}")).unwrap();
            let Input::Batch(items) = invocation.input else { panic!("no batch") };
            assert!(items[0].as_ref().unwrap_err().to_string().contains(part), "{item}");
            assert_eq!(items[1], Ok("b".into()));
        }
    }
}
