//! Every form of an event, on the real `serve`; what is refused, and what the log says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::lambda::{Lambda, TIMEOUT};
use crate::place::{Place, Platform, TRAINING, beside_unspsc};
use crate::recorder::Recorder;
use crate::scripted::{Reply, Scripted};

/// The address that a function uses in place of AWS.
const AT: &str = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME";

/// A function of the endpoint `e` at this address.
pub(crate) fn function(place: &Place, url: &str, variables: &[(&str, &str)]) -> Lambda {
    let bootstrap = beside_unspsc("bootstrap");
    assert!(bootstrap.is_file(), "{} is missing: run `cargo build --release` first", bootstrap.display());
    let all = [&[(AT, url), ("UNSPSC_ENDPOINT", "e")], variables].concat();
    Lambda::start(&bootstrap, &place.path("function.log"), &all)
}

/// An HTTP request of API Gateway's first payload format.
pub(crate) fn first_format(method: &str, body: &str) -> Value {
    json!({
        "resource": "/", "path": "/", "httpMethod": method, "headers": { "content-type": "application/json" },
        "requestContext": {
            // As in the console's sample events.
            "httpMethod": method, "domainName": "a.execute-api.us-east-1.amazonaws.com",
            "requestTimeEpoch": 1_428_582_896_000_u64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

/// One of the second, which function URLs have too.
fn second_format(body: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": "/", "headers": { "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": "/" }, "domainName": "b.lambda-url.us-east-1.on.aws" },
        "body": BASE64_STANDARD.encode(body), "isBase64Encoded": true,
    })
}

/// The JSON in the body of an HTTP answer.
pub(crate) fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

/// The lines of the log that say how an event was answered.
fn answered(function: &Lambda) -> Vec<Value> {
    let lines = function.log();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    lines.filter(|line: &Value| line["message"] == "answered").collect()
}

/// Trains the tiny encoder and puts the real `serve` behind the endpoint `e`.
fn deploy(platform: &Platform<'_>) {
    let named = ["--job-name", "job", "--hyperparameter", "epochs=1"];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &named].concat());
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = platform.verb("deploy", &["--job", "job", "--endpoint", "e"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn the_real_endpoint_answers_every_form_of_event() {
    let place = Place::new();
    let platform = place.platform(&[]);
    deploy(&platform);
    let recorder = Recorder::before(&platform.url);
    let function = function(&place, &recorder.url, &[]);

    let one = function.invoke(&json!({ "description": "toner cartridge" }));
    assert_eq!(one["statusCode"], 200, "{one}");
    let prediction = &one["body"];
    assert!(prediction["title"].is_string() && prediction["probability"].as_f64().unwrap() > 0.0, "{one}");
    assert!(prediction["label"].as_str().unwrap().len() == 8 && prediction.get("logits").is_none(), "{one}");
    let full = function.invoke(&json!({ "description": "toner cartridge", "logits": true, "top_k": 1 }));
    assert!(full["body"]["logits"].is_array() && full["body"]["top_k"].as_array().unwrap().len() == 1, "{full}");

    let texts = json!(["toner cartridge", 7, "", { "description": "rice" }]);
    for event in [json!({ "descriptions": texts }), texts.clone(), json!({ "instances": texts })] {
        let list = function.invoke(&event);
        let predictions = list["body"]["predictions"].as_array().unwrap_or_else(|| panic!("{list}"));
        // What cannot be classified costs the others nothing.
        assert_eq!((predictions.len(), &predictions[0]["label"]), (4, &prediction["label"]));
        assert_eq!(predictions[1]["error"]["code"], "invalid_request");
        assert_eq!(predictions[2]["error"]["code"], "empty_description");
        assert!(predictions[3]["label"].is_string());
    }
    let statement = function.invoke(&json!({ "statement": "Class 30: coffee, tea; rice", "depth": "segment" }));
    assert_eq!(statement["body"]["items"].as_array().unwrap().len(), 3, "{statement}");
    assert!(statement["body"]["profile"]["segments"].is_array());

    let document = r#"{"description": "toner cartridge"}"#;
    for event in [first_format("POST", document), second_format(document)] {
        let answer = function.invoke(&event);
        assert_eq!(
            (&answer["statusCode"], &answer["headers"]["content-type"]),
            (&200.into(), &"application/json".into())
        );
        assert_eq!(body(&answer), *prediction);
    }
    // The container's own words on what it does not take.
    for (event, said) in [
        (json!({ "description": "\u{7}" }), "`description` is empty after cleaning"),
        (json!({ "description": 7 }), "`description` must be a string, not a number"),
        (json!({ "description": "rice", "depth": "leaf" }), "`depth` must be auto, segment"),
        (json!({ "descriptions": ["rice"], "colour": "red" }), "unknown field `colour`"),
    ] {
        let answer = function.invoke(&event);
        let message = answer["body"]["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(answer["statusCode"] == 400 && message.contains(said), "{answer}");
    }
    let lines = answered(&function);
    assert_eq!(lines.len(), 12);
    assert_eq!((&lines[0]["span"]["request_id"], &lines[0]["form"]), (&"invocation-0".into(), &"description".into()));
    assert_eq!((&lines[2]["descriptions"], &lines[2]["status"]), (&4.into(), &200.into()));
    for text in ["toner", "coffee", sagemaker_local::SECRET_KEY] {
        assert!(!function.log().contains(text), "{text} is in the log");
    }
    drop(function);
    crate::calls::are(&recorder.take());
    platform.stop();
}

#[test]
fn a_bad_event_is_told_what_is_wrong_and_asks_nobody() {
    let place = Place::new();
    let endpoint = Scripted::start();
    endpoint.says(&[Reply::Good]);
    let function = function(&place, &endpoint.url, &[("UNSPSC_MAX_DESCRIPTIONS", "2")]);
    for (event, status, said) in [
        (json!({}), 400, "`description` is missing: send {\"description\""),
        (json!("toner"), 400, "must be a JSON object or list"),
        (json!([]), 400, "the list is empty"),
        (json!({ "descriptions": "toner" }), 400, "`descriptions` must be a list"),
        (json!({ "descriptions": ["a", "b", "c"] }), 413, "has 3 descriptions, and 2 are the most of one event"),
        (json!({ "Records": [{ "eventSource": "aws:sqs" }] }), 400, "`description` is missing"),
    ] {
        let answer = function.invoke(&event);
        let error = &answer["body"]["error"];
        assert!(answer["statusCode"] == status && error["message"].as_str().unwrap().contains(said), "{answer}");
        assert!(error["request_id"].as_str().unwrap().starts_with("invocation-"), "{answer}");
    }
    // What JSON allows and no text can hold.
    let half = function.invoke_text(r#"{"description": "\ud83d"}"#.to_owned(), TIMEOUT);
    let deep = function.invoke_text(format!("{}{}", "[".repeat(1000), "]".repeat(1000)), TIMEOUT);
    for answer in [half, deep] {
        let error = &answer["body"]["error"];
        assert!(answer["statusCode"] == 400 && error["code"] == "malformed_json", "{answer}");
    }
    for (event, status, said) in [
        (first_format("GET", ""), 405, "send the document with POST"),
        (first_format("POST", ""), 400, "the body is empty"),
        (first_format("POST", "description=toner"), 400, "the body is no valid JSON"),
        (second_format("[1"), 400, "the body is no valid JSON: EOF"),
    ] {
        let answer = function.invoke(&event);
        let message = body(&answer)["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer["statusCode"] == status && message.contains(said), "{answer}");
        assert!(status != 405 || answer["headers"]["allow"] == "POST", "{answer}");
    }
    assert_eq!(endpoint.requests(), 0);
    assert_eq!(function.invoke(&json!({ "description": "toner" }))["statusCode"], 200);
}

#[test]
fn descriptions_are_logged_where_it_is_asked_for_alone() {
    let place = Place::new();
    let endpoint = Scripted::start();
    endpoint.says(&[Reply::Good]);
    for (value, logged) in [("false", false), ("true", true)] {
        // At the finest level too.
        let variables = [("UNSPSC_LOG_DESCRIPTIONS", value), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
        let function = function(&place, &endpoint.url, &variables);
        function.invoke(&json!({ "description": "toner of a kind" }));
        assert_eq!(function.log().contains("toner of a kind"), logged, "{}", function.log());
        endpoint.says(&[Reply::container(500, "cannot code `bread of a kind`"), Reply::Good]);
        function.invoke(&json!({ "description": "other" }));
        assert_eq!(function.log().contains("bread of a kind"), logged, "{}", function.log());
    }
}

#[test]
fn a_function_without_its_settings_says_so_before_the_first_event() {
    let place = Place::new();
    for (variables, said) in [
        (&[("UNSPSC_ENDPOINT", "")][..], "UNSPSC_ENDPOINT is not set: give the function the name"),
        (&[("UNSPSC_MAX_DESCRIPTIONS", "many")], "UNSPSC_MAX_DESCRIPTIONS is `many`, and should be a whole number"),
        (&[("AWS_SECRET_ACCESS_KEY", "")], "AWS_SECRET_ACCESS_KEY is not set"),
    ] {
        let (code, told, log) = function(&place, "http://127.0.0.1:1", variables).failed_start();
        let told = told.unwrap_or_else(|| panic!("Lambda was not told: {log}"));
        assert!(code == Some(1) && told["errorMessage"].as_str().unwrap().contains(said), "{told}");
        let line: Value = serde_json::from_str(log.trim()).unwrap();
        assert!(line["level"] == "ERROR" && line["message"].as_str().unwrap().contains(said), "{line}");
    }
    let by_hand = std::process::Command::new(beside_unspsc("bootstrap")).env_clear().output().unwrap();
    let log = String::from_utf8(by_hand.stderr).unwrap();
    assert!(by_hand.status.code() == Some(1) && log.contains("this program runs in AWS Lambda"), "{log}");
}
