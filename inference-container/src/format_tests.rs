//! The forms of requests and answers over the whole router.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use unspsc_artifact::TokenIds;
use unspsc_engine::Logits;

use super::tests::{ask, fake, limits, real, request, twelve};
use super::*;
use crate::service::ServiceLimits;
use crate::testing::LIMITS;

const JSON: &str = "application/json";
const LINES: &str = "application/jsonlines";
const CSV: &str = "text/csv";
const PLAIN: &str = "text/plain";

fn post(kind: &str, accept: &str, body: impl Into<Body>) -> Request {
    let mut request = request("POST", "/invocations", body);
    request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
    request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
    request
}

/// Status, content type and text of an answer.
async fn send(service: &Service, kind: &str, accept: &str, body: impl Into<Body>) -> (u16, String, String) {
    let (status, headers, answer) = ask(service, post(kind, accept, body)).await;
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    (status.as_u16(), kind, String::from_utf8(answer).unwrap())
}

async fn send_json(service: &Service, body: Value) -> (u16, Value) {
    let (status, _, answer) = send(service, JSON, "*/*", body.to_string()).await;
    (status, serde_json::from_str(&answer).unwrap())
}

fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_description_has_the_logits_of_the_reference_project() {
    let service = real().await;
    let (status, answer) = send_json(&service, json!({"description": "toner"})).await;
    assert_eq!((status, answer["logits"].as_array().unwrap().len()), (200, 12));
    let logits: Vec<f64> = answer["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect();
    let class = answer["pred_class"].as_u64().unwrap() as usize;
    assert!(logits.iter().all(|logit| *logit <= logits[class]));
    assert_eq!(answer["label"], format!("{}000000", class + 10), "labels of this model are 10000000, 11000000, …");
    let (_, answer) = send_json(&service, json!({"description": "toner", "logits": false})).await;
    assert!(answer.get("logits").is_none() && answer.get("pred_class").is_none() && answer.get("embedding").is_none());
}

#[tokio::test]
async fn inputs_are_answered_as_the_hugging_face_toolkit_does() {
    let service = real().await;
    let (_, ours) = send_json(&service, json!({"description": "toner", "top_k": 12})).await;
    let score = |place: usize| ours["top_k"][place]["probability"].as_f64().unwrap();
    let (status, answer) = send_json(&service, json!({"inputs": "toner"})).await;
    assert_eq!((status, answer.as_array().unwrap().len(), answer[0].as_object().unwrap().len()), (200, 1, 2));
    assert_eq!(answer[0]["label"], ours["label"]);
    assert!((answer[0]["score"].as_f64().unwrap() - score(0)).abs() < 1e-9);
    let ranked = json!({"inputs": "toner", "parameters": {"top_k": 3}});
    let (_, answer) = send_json(&service, ranked).await;
    assert_eq!(answer.as_array().unwrap().len(), 3);
    assert!((answer[2]["score"].as_f64().unwrap() - score(2)).abs() < 1e-9);
    let (_, answer) = send_json(&service, json!({"inputs": ["toner", 7, " ", "toner"]})).await;
    assert_eq!((&answer[0], &answer[1]["error"]["code"]), (&answer[3], &json!("invalid_request")));
    assert_eq!(answer[2]["error"]["code"], "empty_description");
    let all = json!({"inputs": ["toner"], "parameters": {"top_k": null, "function_to_apply": "none"}});
    let (_, answer) = send_json(&service, all).await;
    let logits = ours["logits"].as_array().unwrap();
    assert_eq!((answer.as_array().unwrap().len(), answer[0].as_array().unwrap().len()), (1, 12));
    let largest = logits[ours["pred_class"].as_u64().unwrap() as usize].as_f64().unwrap();
    assert!((answer[0][0]["score"].as_f64().unwrap() - largest).abs() < 1e-6);
    let sigmoid = json!({"inputs": "toner", "parameters": {"function_to_apply": "sigmoid"}});
    let (_, sigmoid) = send_json(&service, sigmoid).await;
    let logit = answer[0][0]["score"].as_f64().unwrap();
    assert!((sigmoid[0]["score"].as_f64().unwrap() - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-9);
    let (status, answer) = send_json(&service, json!({"inputs": " "})).await;
    assert_eq!((status, answer["error"]["code"].as_str().unwrap()), (400, "empty_description"));
}

#[tokio::test]
async fn every_form_says_the_same_of_a_text_and_marks_what_is_bad() {
    let service = real().await;
    let (_, alone) = send_json(&service, json!({"instances": ["steel, bolt", "nut"]})).await;
    let alone = alone["predictions"].as_array().unwrap().clone();
    for (kind, body) in [
        (LINES, "{\"description\": \"steel, bolt\"}\nnonsense\n\"nut\"\n"),
        ("application/x-ndjson", "\"steel, bolt\"\r\n{\"description\": 7}\r\n\"nut\""),
        (CSV, "id,description\n1,\"steel, bolt\"\n2\n3,nut\n"),
        (CSV, "\"steel, bolt\"\na,b\nnut"),
        (CSV, "id,description\n1,\"steel, bolt\"\n2,\"pipe\n3,nut\n"),
        (PLAIN, "steel, bolt\n \nnut\n"),
    ] {
        let (status, answered, lines) = send(&service, kind, LINES, body).await;
        assert_eq!((status, answered.as_str()), (200, LINES), "{kind}");
        let lines = parsed(&lines);
        assert_eq!(lines.len(), 3, "{kind}: {lines:?}");
        for (line, alone) in [(&lines[0], &alone[0]), (&lines[2], &alone[1])] {
            let difference = line["probability"].as_f64().unwrap() - alone["probability"].as_f64().unwrap();
            assert!(line["label"] == alone["label"] && difference.abs() < 1e-5, "{kind}: {line}");
        }
        assert!(lines[1]["error"]["code"].is_string() && lines[1]["error"].get("request_id").is_none(), "{kind}");
        let (_, _, whole) = send(&service, kind, JSON, body).await;
        let whole: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(whole["predictions"].as_array().unwrap().len(), 3, "{kind}");
    }
    let (_, kind, rows) = send(&service, CSV, "*/*", "id,description\n1,bolt\n2\n").await;
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(
        (kind.as_str(), rows[0], rows.len()),
        (CSV, "label,title,level,probability,truncated,needs_review,error", 3)
    );
    assert!(rows[1].contains(",segment,0.") && rows[2].starts_with(",,,,,,invalid_request: "), "{rows:?}");
}

#[tokio::test]
async fn a_line_may_be_any_document_and_is_answered_in_one_line() {
    let service = real().await;
    let body = [
        r#"{"inputs": "a"}"#,
        r#"{"instances": ["a", "b"]}"#,
        r#"{"description": "a", "top_k": 2, "embeddings": true}"#,
        r#""b""#,
    ]
    .join("\n");
    // With a line end, so that all four are answered together.
    let (_, _, lines) = send(&service, LINES, "*/*;top_k=1", body + "\n").await;
    let lines = parsed(&lines);
    assert!(lines[0][0]["score"].is_number());
    assert_eq!(lines[1]["predictions"].as_array().unwrap().len(), 2);
    assert_eq!((lines[2]["top_k"].as_array().unwrap().len(), lines[2]["embedding"].as_array().unwrap().len()), (2, 32));
    assert_eq!(lines[3]["top_k"].as_array().unwrap().len(), 1, "the header's option");
    assert!(lines[3].get("embedding").is_none(), "asked for by another line");
}

#[tokio::test]
async fn options_of_a_request_decide_what_its_answer_holds() {
    let service = real().await;
    let (_, sure) = send_json(&service, json!({"description": "toner", "threshold": 0})).await;
    let (_, unsure) = send_json(&service, json!({"description": "toner", "threshold": 1, "depth": "segment"})).await;
    assert_eq!((&sure["needs_review"], &unsure["needs_review"]), (&json!(false), &json!(true)));
    assert_eq!(unsure["level"], "segment");
    let (status, finer) = send_json(&service, json!({"description": "toner", "depth": "class"})).await;
    assert_eq!((status, finer["error"]["code"].as_str().unwrap()), (400, "invalid_request"));
    assert!(finer["error"]["message"].as_str().unwrap().contains("nothing finer than segment"));
    let (_, embedded) = send_json(&service, json!({"instances": ["toner"], "embeddings": true, "logits": true})).await;
    let embedded = &embedded["predictions"][0];
    assert_eq!(
        (embedded["embedding"].as_array().unwrap().len(), embedded["logits"].as_array().unwrap().len()),
        (32, 12)
    );
}

#[tokio::test]
async fn what_cannot_be_read_or_answered_is_refused_as_a_whole() {
    let service = fake(twelve, limits(8)).await;
    let toner = r#"{"description": "toner"}"#;
    let long = "toner\n".repeat(1000);
    for (kind, accept, body, status, code) in [
        ("application/x-www-form-urlencoded", "*/*", toner, 415, "unsupported_media_type"),
        ("text/csv; charset=latin1", "*/*", toner, 415, "unsupported_media_type"),
        (JSON, "text/html", toner, 406, "not_acceptable"),
        (JSON, "application/json; top_k=0", toner, 400, "invalid_request"),
        (JSON, CSV, r#"{"inputs": "toner"}"#, 406, "not_for_csv"),
        (JSON, CSV, r#"{"instances": ["toner"], "embeddings": true}"#, 406, "not_for_csv"),
        (CSV, "text/csv; logits=true", "toner", 406, "not_for_csv"),
        (LINES, "*/*", "", 400, "no_records"),
        (CSV, "*/*", "description\n", 400, "no_records"),
        (PLAIN, "*/*", long.as_str(), 413, "payload_too_large"),
    ] {
        let mut request = post(kind, accept, body.to_owned());
        request.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        let (got, _, answer) = ask(&service, request).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((got.as_u16(), answer["error"]["code"].as_str().unwrap()), (status, code), "{kind} {accept}");
    }
    let mut request = post(JSON, "*/*", toner);
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    assert_eq!(ask(&service, request).await.0, 415);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_goes_in_and_out_and_a_bomb_goes_nowhere() {
    let service = fake(twelve, limits(8)).await;
    let compressed = |kind: &str, body: &[u8]| {
        let mut request = post(kind, "*/*", gzip(body));
        request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        request
    };
    for (kind, body) in [(JSON, "{\"description\": \"toner\"}"), (PLAIN, "toner")] {
        let mut request = compressed(kind, body.as_bytes());
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let (status, headers, answer) = ask(&service, request).await;
        assert_eq!((status.as_u16(), &headers[header::CONTENT_ENCODING]), (200, &HeaderValue::from_static("gzip")));
        let mut text = String::new();
        GzDecoder::new(&answer[..]).read_to_string(&mut text).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap()["label"].is_string(), "{kind}");
    }
    for kind in [JSON, LINES, CSV, PLAIN] {
        let bomb = compressed(kind, &vec![b' '; 10 << 20]);
        let (status, _, answer) = ask(&service, bomb).await;
        assert_eq!(status.as_u16(), 413, "{kind}: {}", String::from_utf8_lossy(&answer));
    }
    let mut broken = post(JSON, "*/*", "no gzip");
    broken.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let (status, _, answer) = ask(&service, broken).await;
    assert!(status == 400 && String::from_utf8_lossy(&answer).contains("unreadable_body"));
}

#[tokio::test]
async fn the_platform_is_told_how_to_cut_a_batch() {
    let (status, _, answer) = ask(&fake(twelve, limits(8)).await, request("GET", "/execution-parameters", "")).await;
    let expected = json!({"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6});
    assert_eq!((status.as_u16(), serde_json::from_slice::<Value>(&answer).unwrap()), (200, expected));
}

/// Panics on any batch that holds a text of more than twenty tokens.
fn fragile(batch: &[TokenIds]) -> Logits {
    assert!(batch.iter().all(|text| text.ids.len() <= 20), "too long for me");
    twelve(batch)
}

#[tokio::test]
async fn a_text_that_the_model_fails_on_costs_its_neighbours_nothing() {
    let service = fake(fragile, limits(8)).await;
    let bad = "a b c d e f g h i j k ".repeat(3);
    let (status, answer) = send_json(&service, json!({"instances": ["toner", bad, "bolt"]})).await;
    let predictions = &answer["predictions"];
    assert_eq!((status, &predictions[1]["error"]["code"]), (200, &json!("model_failure")));
    assert!(predictions[0]["label"].is_string() && predictions[2]["label"].is_string());
    let (status, _, lines) = send(&service, PLAIN, "*/*", format!("toner\n{bad}\nbolt\n")).await;
    let lines = parsed(&lines);
    assert_eq!((status, lines.len(), &lines[1]["error"]["code"]), (200, 3, &json!("model_failure")));
}

#[tokio::test]
async fn a_request_over_its_deadline_is_given_up_and_its_records_say_so() {
    // The model never ends a run with a text of more than twenty tokens, until the test does.
    let (leave, wait) = std::sync::mpsc::channel::<()>();
    let stuck = move |batch: &[TokenIds]| {
        if batch.iter().any(|text| text.ids.len() > 20) {
            let _ = wait.recv();
        }
        twelve(batch)
    };
    let service = fake(stuck, ServiceLimits { deadline: Duration::from_secs(3), ..limits(8) }).await;
    let app = app(service, RequestLimits { max_body_bytes: 1 << 20, ..LIMITS }, true);
    // The first piece is answered in time, the second is not.
    let long = "b ".repeat(25);
    let lines = format!("{}{long}\na\n", "a\n".repeat(256));
    let response = app.clone().oneshot(post(PLAIN, "*/*", lines)).await.unwrap();
    assert_eq!(response.status(), 200);
    let whole = app.oneshot(post(JSON, "*/*", json!({"description": long}).to_string()));
    let (records, whole) = tokio::join!(response.into_body().collect(), whole);
    drop(leave);
    assert_eq!(whole.unwrap().status(), 503);
    let lines = parsed(std::str::from_utf8(&records.unwrap().to_bytes()).unwrap());
    assert_eq!((lines.len(), &lines[256]["error"]["code"]), (258, &json!("deadline_exceeded")));
    assert!(lines[..256].iter().all(|line| line["label"].is_string()));
}

/// A body that is sent by hand, and the answer's body.
async fn converse(service: Service) -> (http_body_util::channel::Sender<Bytes>, Body) {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    sender.send_data(Bytes::from("first\n")).await.unwrap();
    let response = app(service, RequestLimits { max_body_bytes: 1 << 20, ..LIMITS }, true);
    let response = response.oneshot(post(PLAIN, "*/*", Body::new(body))).await.unwrap();
    assert_eq!(response.status(), 200);
    (sender, response.into_body())
}

#[tokio::test]
async fn an_answer_begins_before_the_body_has_ended() {
    let (mut sender, mut answer) = converse(fake(twelve, limits(8)).await).await;
    let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(parsed(std::str::from_utf8(&frame).unwrap()).len(), 1);
    sender.send_data(Bytes::from("second\nthi")).await.unwrap();
    let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(parsed(std::str::from_utf8(&frame).unwrap()).len(), 1);
    drop(sender);
    let rest = answer.collect().await.unwrap().to_bytes();
    assert_eq!(parsed(std::str::from_utf8(&rest).unwrap()).len(), 1, "the last record needs no line end");
}

#[tokio::test]
async fn a_caller_who_reads_only_after_sending_all_is_not_waited_for() {
    let (mut sender, answer) = converse(fake(twelve, limits(8)).await).await;
    // Far more pieces than the answer has room for, and nobody reads yet.
    for _ in 0..20 {
        sender.send_data(Bytes::from("a\n".repeat(256))).await.unwrap();
    }
    drop(sender);
    let lines = answer.collect().await.unwrap().to_bytes();
    assert_eq!(parsed(std::str::from_utf8(&lines).unwrap()).len(), 1 + 20 * 256);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_the_answer() {
    let service = fake(twelve, limits(8)).await;
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    sender.send_data(Bytes::from("first\n")).await.unwrap();
    let response = app(service, LIMITS, true).oneshot(post(PLAIN, "*/*", Body::new(body))).await.unwrap();
    assert_eq!(response.status(), 200);
    sender.abort(std::io::Error::other("the caller has gone"));
    assert!(response.into_body().collect().await.is_err(), "an answer cut short must not look whole");
}
