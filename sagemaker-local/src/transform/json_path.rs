//! The JSONPath of `InputFilter` and `OutputFilter`: names, indices, lists of both, and slices.
//!
//! A slice includes both its ends, as SageMaker's documentation says: `$[1:4]` is the second to the fifth element. Wildcards, which SageMaker
//! has as well, are refused.

use serde_json::{Map, Value};

/// A path, such as `$`, `$[1:]`, `$.features` or `$['id','SageMakerOutput']`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// `.name` or `['name']`: that member; `['a','b']`: an object of those members.
    Names(Vec<String>),
    /// `[1]`: that element.
    Element(i64),
    /// `[0,5:]`: an array of elements.
    Elements(Vec<Item>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    At(i64),
    Slice(Option<i64>, Option<i64>),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with the text, or beyond this platform.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("the JSONPath {text:?} is none that sagemaker-local knows; use names, indices and slices");
        let mut rest = text.strip_prefix('$').ok_or_else(|| format!("the JSONPath {text:?} does not begin with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            // SageMaker takes `.[` for `[`.
            let bracket = rest.strip_prefix(".[").or_else(|| rest.strip_prefix('['));
            if let Some(inside) = bracket {
                let (list, after) = inside.split_once(']').ok_or_else(wrong)?;
                steps.push(list_step(list).ok_or_else(wrong)?);
                rest = after;
            } else {
                let name = rest.strip_prefix('.').ok_or_else(wrong)?;
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                if name.is_empty() || name.contains('*') {
                    return Err(wrong());
                }
                steps.push(Step::Names(vec![name.to_owned()]));
                rest = after;
            }
        }
        Ok(Self(steps))
    }

    /// True for `$`, which selects all there is.
    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the path begins with indices, as one of a CSV row has to.
    pub(super) fn is_of_rows(&self) -> bool {
        matches!(self.0.as_slice(), [] | [Step::Element(_) | Step::Elements(_)])
    }

    /// What the path selects of `value`.
    ///
    /// # Errors
    /// What is not there.
    pub(super) fn select(&self, value: Value) -> Result<Value, String> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Names(names) => select_names(value, names),
            Step::Element(index) => {
                let elements = array(value)?;
                let at = place(*index, elements.len()).ok_or_else(|| beyond(*index, elements.len()))?;
                Ok(elements.into_iter().nth(at).unwrap_or_default())
            }
            Step::Elements(items) => select_elements(&array(value)?, items).map(Value::Array),
        })
    }
}

fn list_step(list: &str) -> Option<Step> {
    let parts: Vec<&str> = list.split(',').map(str::trim).collect();
    let quoted = |part: &&str| part.strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned);
    if let Some(names) = parts.iter().map(quoted).collect::<Option<Vec<String>>>() {
        return Some(Step::Names(names));
    }
    let items = parts.iter().map(|part| item(part)).collect::<Option<Vec<Item>>>()?;
    Some(match items.as_slice() {
        [Item::At(index)] => Step::Element(*index),
        _ => Step::Elements(items),
    })
}

fn item(text: &str) -> Option<Item> {
    let Some((start, end)) = text.split_once(':') else { return text.parse().ok().map(Item::At) };
    let bound = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    Some(Item::Slice(bound(start.trim())?, bound(end.trim())?))
}

fn select_names(value: Value, names: &[String]) -> Result<Value, String> {
    let Value::Object(mut members) = value else {
        return Err("a JSONPath names a member of what is no object".to_owned());
    };
    let mut take = |name: &String| members.remove(name).ok_or_else(|| format!("there is no member {name:?}"));
    match names {
        [name] => take(name),
        names => {
            let chosen: Result<Map<String, Value>, String> =
                names.iter().map(|name| Ok((name.clone(), take(name)?))).collect();
            chosen.map(Value::Object)
        }
    }
}

fn select_elements(elements: &[Value], items: &[Item]) -> Result<Vec<Value>, String> {
    let length = elements.len();
    let mut chosen = Vec::new();
    for item in items {
        let (start, end) = match *item {
            Item::At(index) => (index, index),
            Item::Slice(start, end) => (start.unwrap_or(0), end.unwrap_or(-1)),
        };
        let start = place(start, length).ok_or_else(|| beyond(start, length))?;
        let end = place(end, length).ok_or_else(|| beyond(end, length))?;
        chosen.extend(elements.get(start..=end).unwrap_or_default().iter().cloned());
    }
    Ok(chosen)
}

/// The place of an index among so many elements; -1 is the last.
fn place(index: i64, length: usize) -> Option<usize> {
    let length_signed = i64::try_from(length).ok()?;
    let index = if index < 0 { index.checked_add(length_signed)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

fn beyond(index: i64, length: usize) -> String {
    format!("there is no element {index} among {length}")
}

fn array(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(elements) => Ok(elements),
        _ => Err("a JSONPath has an index into what is no array".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn select(path: &str, value: Value) -> Result<Value, String> {
        JsonPath::parse(path)?.select(value)
    }

    #[test]
    fn paths_of_the_documentation_select_what_it_says() {
        let row = json!([0, 1, 2, 3, 4, 5]);
        assert_eq!(select("$", row.clone()).unwrap(), row);
        assert_eq!(select("$[1]", row.clone()).unwrap(), json!(1));
        assert_eq!(select("$[-1]", row.clone()).unwrap(), json!(5));
        assert_eq!(select("$[1:]", row.clone()).unwrap(), json!([1, 2, 3, 4, 5]));
        assert_eq!(select("$[1:4]", row.clone()).unwrap(), json!([1, 2, 3, 4]), "both ends are included");
        assert_eq!(select("$[:2]", row.clone()).unwrap(), json!([0, 1, 2]));
        assert_eq!(select("$[0,4:]", row.clone()).unwrap(), json!([0, 4, 5]));
        let object = json!({ "id": 7, "features": { "a": [1, 2] }, "SageMakerOutput": "x" });
        assert_eq!(select("$.features.a[0]", object.clone()).unwrap(), json!(1));
        assert_eq!(select("$['id','SageMakerOutput']", object).unwrap(), json!({ "id": 7, "SageMakerOutput": "x" }));
        assert_eq!(select("$.f.['a','b']", json!({ "f": { "a": 1, "b": 2 } })).unwrap(), json!({ "a": 1, "b": 2 }));
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert!(select("$[6]", json!([1])).unwrap_err().contains("no element 6 among 1"));
        assert!(select("$[0:3]", json!([1])).is_err());
        assert!(select("$.id", json!({})).unwrap_err().contains("\"id\""));
        assert!(select("$.id", json!([1])).is_err() && select("$[0]", json!({})).is_err());
    }

    #[test]
    fn other_paths_are_refused() {
        for text in ["", "id", "$.", "$.*", "$[*]", "$[?(@.a)]", "$[", "$..a", "$[1:2:3]", "$x", "$['a',1]"] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
        assert!(JsonPath::parse("$[0,2:]").unwrap().is_of_rows() && !JsonPath::parse("$.a").unwrap().is_of_rows());
    }
}
