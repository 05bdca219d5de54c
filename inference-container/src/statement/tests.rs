//! The golden statements, and what holds for any text.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

/// Statements written for this project in the offices' style.
const GOLDEN: &str = include_str!("../../../tests/golden/statements.json");

/// What statements are made of, and what can go wrong in them, separated by `|`.
const FRAGMENTS: &str = "\
    coffee|Tea|bread and butter plates|parts and fittings therefor|machines|drying|electric|clothing|R&D|&amp;|\
    café|茶|9.5|1,000|etc|.|,|;|:|\n|\n\n|\r\n| - |•|&|/|and|or|as well as|for|of|made of|namely,|including|\
    in particular|such as|e.g.|including,|but not limited to|excluding|other than|none of the aforesaid|\
    all the aforesaid|not of metal|consisting of|relating to|Class 30:|(Class 9)|all included in class 5|\
    IC 030. US 046.|in class|30|(|)|[|]|((|))|incl.|but including|not included in|(Based on 44(e))|FIRST USE: 2019|\
    but also including|not included in other classes|based on use|first use 2019|Class 25|by land, air|\
    Cl. 3|Class 99:|installation|repair of lifts|against rust";

fn split(text: &str) -> Result<Statement, StatementError> {
    Statement::parse(text.to_owned())
}

/// Items and remarks as the golden file has them: an item that is classified as it stands under no class is its text.
fn written(statement: &Statement) -> (Value, Value) {
    let item = |item: &Item| {
        let text = &statement.text[item.span.clone()];
        let mut written = json!({ "text": text });
        if let Some(class) = item.nice_class {
            written["class"] = class.into();
        }
        if item.wording != text {
            written["classified"] = item.wording.clone().into();
        }
        if written.as_object().unwrap().len() == 1 { text.into() } else { written }
    };
    let remark = |remark: &Remark| json!([remark.kind, statement.text[remark.span.clone()]]);
    (statement.items.iter().map(item).collect(), statement.remarks.iter().map(remark).collect())
}

#[test]
fn statements_are_split_as_offices_punctuate() {
    let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    assert!(cases.len() >= 83);
    let mut wrong = String::new();
    for case in &cases {
        let (items, remarks) = written(&split(case["statement"].as_str().unwrap()).unwrap());
        if items != case["items"] || remarks != case.get("remarks").cloned().unwrap_or(json!([])) {
            wrong += &format!("{}\n  {items}\n  {remarks}\n", case["about"]);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Checks what holds for every statement.
fn holds(text: &str) {
    let Ok(statement) = split(text) else { return };
    let mut end = 0;
    for item in &statement.items {
        assert!(item.span.start >= end && item.span.start < item.span.end, "{item:?} in {text:?}");
        end = item.span.end;
        let written = &text[item.span.clone()];
        assert!(written.trim() == written && written.contains(char::is_alphabetic), "{written:?} in {text:?}");
        assert!(item.nice_class.is_none_or(|class| (1..=45).contains(&class)));
        assert!(!item.wording.is_empty() && item.wording.len() <= written.len() + MAX_CONTEXT_BYTES + 2);
        // A line break or a class can mean something else where there is nothing around them.
        if !written.contains(['\r', '\n']) && !names_a_class(written) {
            let again = split(written).unwrap();
            let whole = again.items.first().map(|item| item.span.clone());
            assert_eq!((again.items.len(), whole), (1, Some(0..written.len())), "{written:?} in {text:?}");
        }
    }
    assert!(statement.remarks.iter().all(|remark| !text[remark.span.clone()].is_empty()));
    assert!(statement.remarks.is_sorted_by_key(|remark| remark.span.start));
}

fn names_a_class(text: &str) -> bool {
    let tokens = token::tokens(text, 0, text.len());
    nice_class::mark(text, &tokens).iter().any(|token| matches!(token.kind, token::Kind::Class(..)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_text_is_split_into_parts_of_itself(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn whatever_statements_are_made_of_is_split_into_parts_that_stay_whole(
        parts in vec(select(FRAGMENTS.split('|').collect::<Vec<_>>()), 0..30), tight in any::<bool>()
    ) {
        holds(&parts.join(if tight { "" } else { " " }));
    }
}

#[test]
fn golden_items_split_into_themselves() {
    let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    cases.iter().for_each(|case| holds(case["statement"].as_str().unwrap()));
}

/// Work that grew with the square of the length would take an hour here.
#[test]
fn much_nonsense_is_read_at_once() {
    const LENGTH: usize = MAX_STATEMENT_BYTES / 4;
    let half = LENGTH / 2;
    let around = |open: &str, close: &str| open.repeat(half / open.len()) + &close.repeat(half / close.len());
    for text in [around("(", ")"), around("[", "]"), around("([{", "}])"), around("(a;", ")"), around("[a,", "]")] {
        holds(&text);
    }
    let parts = "\
        (|)|[a];|((a))|(Class 9)|(excluding a) |a,|a;|a |a\n|a. A|&amp;|&amp|a and |namely, |a, including b |\
        all included in class 5; |all the |other than |for |consisting of |Class 30: |IC 030. US 046 |café |,|\
        drying, |therefor; |(Based on 44(e))|excluding a, but including b, |\
        not included in c, namely d, |not included in |\
        but |Cl. 9, 9|first use :|repair, |\
        all the a but including b, |not included in other classes, a |and including a |a, Class 9, |first use 2019, ";
    for part in parts.split('|') {
        holds(&part.repeat(LENGTH / part.len()));
    }
    let pairs = [("drying ", ", electric"), (", - ", ", of"), ("- ", "[a]"), ("a ", " (Class 9)"), (", ", "all the ")];
    let pairs = pairs.into_iter().chain([("excluding ", "but including "), ("not included in ", "a but ")]);
    for (first, then) in pairs {
        holds(&(first.repeat(half / first.len()) + &then.repeat(half / then.len())));
    }
}

#[test]
fn statements_have_limits() {
    assert_eq!(split(&"a".repeat(MAX_STATEMENT_BYTES + 1)), Err(StatementError::TooLong));
    assert_eq!(split(&"a".repeat(MAX_STATEMENT_BYTES)).unwrap().items.len(), 1);
    assert_eq!(split(&"a;".repeat(MAX_PARTS)).unwrap().items.len(), MAX_PARTS);
    assert_eq!(split(&"a;".repeat(MAX_PARTS + 1)), Err(StatementError::TooManyParts));
    assert_eq!(split(&"[a];".repeat(MAX_PARTS + 1)), Err(StatementError::TooManyParts));
    for nothing in ["", " \n\t", ";;,.", "Class 30:", "42; 43", "(...)"] {
        assert_eq!(split(nothing), Err(StatementError::Empty), "{nothing:?}");
    }
    assert!(split("None of the aforesaid being beer.").is_ok_and(|statement| statement.items.is_empty()));
}
