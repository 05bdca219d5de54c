//! What is a document and what is none.

use unspsc_contract::invocation::{DEFAULT_TOP_K, Depth};
use unspsc_taxonomy::Level;

use super::*;
use crate::request::scoring::{Function, Ranking};
use crate::testing::LIMITS;

fn parse_at(place: Place, body: &str) -> Result<Document, ApiError> {
    Document::parse(body.as_bytes(), place, AnswerOptions::default_of(&LIMITS), &LIMITS)
}

fn parse(body: &str) -> Result<Document, ApiError> {
    parse_at(Place::Body, body)
}

fn texts(document: &Document) -> Vec<&str> {
    document.items.iter().map(|item| item.as_deref().unwrap_or("-")).collect()
}

#[test]
fn every_form_is_read() {
    let single = parse(r#" {"description": "toner \u00e9", "top_k": 3, "depth": "segment"}"#).unwrap();
    assert_eq!((texts(&single), &single.shape), (vec!["toner é"], &Shape::Single));
    assert_eq!((single.options.top_k, single.options.depth), (3, Some(Depth::At(Level::Segment))));
    for body in [r#"{"instances": ["bread", {"description": "nuts"}, 7]}"#, r#"["bread", {"description": "nuts"}, 7]"#]
    {
        let batch = parse(body).unwrap();
        assert_eq!(
            (texts(&batch), &batch.shape, batch.options.top_k),
            (vec!["bread", "nuts", "-"], &Shape::Batch, DEFAULT_TOP_K)
        );
        let error = batch.items[2].as_ref().unwrap_err().to_string();
        assert_eq!(error, "`description` must be a string, not a number");
    }
    let mark = parse(r#"{"statement": "Coffee and tea; bread", "threshold": 0.25}"#).unwrap();
    assert_eq!((texts(&mark), mark.options.threshold), (vec!["Coffee and tea", "bread"], Some(0.25)));
    assert_eq!(mark.shape, Shape::Statement(Statement::parse("Coffee and tea; bread".into()).unwrap()));
    let scores = |list, ranking| Shape::Scores(Scoring { function: Function::Softmax, ranking, list });
    let one = parse(r#"{"inputs": "bread"}"#).unwrap();
    assert_eq!((texts(&one), &one.shape), (vec!["bread"], &scores(false, Ranking::Best)));
    let list = parse(r#"{"inputs": ["bread", null], "parameters": {"top_k": 2}}"#).unwrap();
    assert_eq!((texts(&list), &list.shape), (vec!["bread", "-"], &scores(true, Ranking::Top(2))));
}

#[test]
fn logits_come_unasked_only_with_a_single_description_as_the_whole_body() {
    for (place, body, logits) in [
        (Place::Body, r#"{"description": "a"}"#, Some(true)),
        (Place::Body, r#"{"description": "a", "logits": false}"#, Some(false)),
        (Place::Body, r#"{"instances": ["a"]}"#, None),
        (Place::Line, r#"{"description": "a"}"#, None),
        (Place::Line, r#""a""#, None),
    ] {
        assert_eq!(parse_at(place, body).unwrap().options.logits, logits, "{place:?} {body}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, part) in [
        ("", "no valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"description\": \"a\"\n,}", "trailing comma at line 2 column 2"),
        ("{\"description\": \"a\"} x", "trailing characters at line 1 column 22"),
        ("{\"description\": \"\u{1}\"}", "control character"),
        ("{\"description\": NaN}", "expected value"),
        ("\"a\"", "must be a JSON object or list"),
        ("7", "must be a JSON object or list"),
        ("toner", "no valid JSON: expected ident at line 1 column 2"),
        ("[]", "the list is empty"),
        ("{}", "`description` is missing"),
        ("{\"description\": null}", "`description` is missing"),
        ("{\"description\": [\"a\"]}", "`description` must be a string, not a list"),
        ("{\"descripton\": \"a\"}", "unknown field `descripton`, expected one of `description`"),
        ("{\"description\": \"a\", \"description\": \"b\"}", "duplicate field `description`"),
        ("{\"description\": \"a\", \"instances\": [\"b\"]}", "send one of `description`"),
        ("{\"description\": \"a\", \"inputs\": \"b\"}", "send one of `description`"),
        ("{\"description\": \"a\", \"statement\": \"b\"}", "send one of `description`"),
        ("{\"statement\": [\"a\"]}", "`statement` must be a string, not a list"),
        ("{\"statement\": \" ; \"}", "`statement` names no goods or services"),
        ("{\"description\": \"a\", \"parameters\": {}}", "`parameters` goes with `inputs`"),
        ("{\"inputs\": \"a\", \"top_k\": 2}", "in `parameters`"),
        ("{\"inputs\": 7}", "expected a string or a list of strings in `inputs`"),
        ("{\"inputs\": []}", "`inputs` is empty"),
        ("{\"instances\": \"b\"}", "expected a list of descriptions in `instances` at line 1"),
        ("{\"instances\": []}", "`instances` is empty"),
        ("{\"description\": \"a\", \"top_k\": 0}", "`top_k` must be a whole number from 1 to 20"),
    ] {
        let error = parse(body).unwrap_err().to_string();
        assert!(error.contains(part), "{body}: {error}");
    }
    let options = AnswerOptions::default_of(&LIMITS);
    let latin1 = Document::parse(b"{\"description\": \"\xff\"}", Place::Body, options, &LIMITS);
    assert!(matches!(latin1, Err(ApiError::MalformedJson(_))));
}

#[test]
fn a_list_has_a_limit() {
    for name in ["instances", "inputs"] {
        let body = |count| format!("{{\"{name}\": [{}\"a\"]}}", "\"a\",".repeat(count - 1));
        assert!(parse(&body(MAX_INSTANCES)).is_ok());
        let error = parse(&body(MAX_INSTANCES + 1)).unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}` has more than 20000 items; send fewer")), "{error}");
    }
}

#[test]
fn what_is_asked_for_has_a_limit() {
    let body =
        |count: usize, options: &str| format!("{{\"instances\": [{}\"a\"]{options}}}", "\"a\",".repeat(count - 1));
    assert!(parse(&body(20_000, ", \"top_k\": 10")).is_ok() && parse(&body(10_000, ", \"by_level\": true")).is_ok());
    for options in [", \"top_k\": 20", ", \"by_level\": true, \"top_k\": 4"] {
        let error = parse(&body(20_000, options)).unwrap_err().to_string();
        assert!(error.contains("asks for up to 400000 candidates; 250000 are the most"), "{error}");
    }
}

#[test]
fn a_bad_instance_says_what_it_lacks() {
    for (item, part) in [
        (r#"{"text": "a"}"#, "`description` is missing"),
        (r#"{"description": "a", "id": 1}"#, "unknown field `id`"),
        ("null", "must be a string, not null"),
        (r#"{"description": {}}"#, "must be a string, not an object"),
    ] {
        let document = parse(&format!("{{\"instances\": [{item}, \"b\"]}}")).unwrap();
        assert!(document.items[0].as_ref().unwrap_err().to_string().contains(part), "{item}");
        assert_eq!(document.items[1], Ok("b".into()));
    }
}
