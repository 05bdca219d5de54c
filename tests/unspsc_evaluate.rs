//! `unspsc evaluate` as a user meets it: with a file of answers, and with a server that is busy and fails for one row.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/unspsc.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use unspsc_contract::EvaluationReport;
use unspsc_contract::invocation::{BatchResponse, Candidate, ErrorBody, ErrorDetail, Outcome, Prediction, Step};
use unspsc_taxonomy::Level;

use support::{texts, unspsc};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/evaluation").join(name)
}

/// Runs it; returns whether it went well, standard output and standard error.
fn evaluate(data: &Path, output: &Path, more: &[&str]) -> (bool, String, String) {
    let mut command = unspsc(["evaluate", "--data"]);
    let result = command.arg(data).arg("--output").arg(output).args(more).output().unwrap();
    let (out, err) = texts(&result);
    (result.status.success(), out, err)
}

fn report(folder: &Path) -> EvaluationReport {
    serde_json::from_slice(&fs::read(folder.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn answers_of_any_classifier_are_judged_as_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let predictions = golden("predictions.jsonl");
    let arguments = ["--predictions", predictions.to_str().unwrap()];
    let (well, out, err) = evaluate(&golden("rows.csv"), folder.path(), &arguments);
    assert!(well, "{err}");
    let found = report(folder.path());
    let segment = &found.levels[&Level::Segment];
    assert_eq!((segment.rows, segment.classes), (9, 4));
    assert!((segment.accuracy - 6.0 / 9.0).abs() < 1e-12);
    assert!((segment.balanced_accuracy - (0.6 + 1.0 + 1.0 + 0.0) / 4.0).abs() < 1e-12);
    assert_eq!(segment.top5_accuracy, 8.0 / 9.0);
    assert_eq!((segment.coverage, segment.coverage_threshold), (6.0 / 9.0, Some(0.7)));
    let auto = found.auto.as_ref().unwrap();
    assert_eq!((auto.hierarchical_precision, auto.hierarchical_recall, auto.needs_review), (16.0 / 18.0, 0.5, 1));
    let levels: Vec<_> = auto.levels.values().map(|level| (level.rows, level.judged, level.right)).collect();
    assert_eq!(levels, [(1, 1, 0), (1, 1, 1), (1, 1, 1), (3, 2, 2)]);
    assert_eq!(found.failures["missing"].places, ["rows.csv line 10"]);
    let expected = EvaluationReport { evaluated_by: found.evaluated_by.clone(), ..report(&golden("")) };
    assert_eq!(found, expected, "not as in tests/golden/evaluation/evaluation.json");
    for part in ["segment", "0.667", "needs review", "hierarchical precision 0.889", "rows.csv; 9 rows judged, 1 that"]
    {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let page = fs::read_to_string(folder.path().join("evaluation.html")).unwrap();
    for part in ["66.7 %", "computer mouse", "44000000 Office", "88.9 %", "<svg"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    for part in ["<script", "http://", "https://", "src="] {
        assert!(!page.contains(part), "{part}: the page has to stand alone");
    }
}

#[test]
fn a_line_that_cannot_be_understood_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers.jsonl");
    let good = r#"{"description": "laptop computer", "by_level": {"segment": [{"label": "43", "probability": 0.9}]}}"#;
    for (line, reason) in [
        (good.replace("0.9", "1.5"), "line 2: the probability 1.5 of `43000000` is not between 0 and 1"),
        (good.replace("43", "4321"), "line 2: `43210000` stands under segment and is a family"),
        (good.replace("43", "4x"), "line 2: `4x` is not a number"),
        (r#"{"text": "laptop"}"#.to_owned(), "line 2: missing field `description`"),
    ] {
        fs::write(&file, format!("{good}\n{line}\n")).unwrap();
        let arguments = ["--predictions", file.to_str().unwrap()];
        let (well, _, err) = evaluate(&golden("rows.csv"), &folder.path().join("out"), &arguments);
        assert!(!well && err.contains(reason), "{err}");
    }
    // Of a model without codes, too.
    for line in [r#"{"description": "something else"}"#, r#"{"description": "laptop computer", "label": "good"}"#] {
        fs::write(&file, line).unwrap();
        let arguments = ["--predictions", file.to_str().unwrap()];
        let (well, _, err) = evaluate(&golden("rows.csv"), &folder.path().join("out"), &arguments);
        assert!(!well && err.contains("there is nothing to judge"), "{err}");
    }
}

/// The requests that came; the first is refused.
type Requests = Arc<Mutex<Vec<Value>>>;

async fn answer(State(requests): State<Requests>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let first = requests.lock().unwrap().is_empty();
    requests.lock().unwrap().push(request.clone());
    let failure = |code: &str, message: &str, retry_after| ErrorBody {
        error: ErrorDetail { code: code.into(), message: message.into(), retry_after, request_id: None },
    };
    if first {
        let body = serde_json::to_string(&failure("overloaded", "the queue is full", Some(0))).unwrap();
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    let outcome = |text: &Value| match text.as_str().unwrap() {
        "bread 7" => Outcome::Error(failure("inference_failed", "the model failed on it", None)),
        _ => Outcome::Prediction(bread()),
    };
    let predictions = request["instances"].as_array().unwrap().iter().map(outcome).collect();
    serde_json::to_string(&BatchResponse { predictions }).unwrap().into_response()
}

/// Sure of the class, and at commodity level of the wrong one.
fn bread() -> Prediction {
    let path = [("50000000", 0.99), ("50180000", 0.97), ("50181900", 0.95), ("50181901", 0.6)];
    let steps = Level::ALL.into_iter().zip(path);
    let steps =
        steps.map(|(level, (label, probability))| Step { level, label: label.into(), title: None, probability });
    let path: Vec<Step> = steps.collect();
    let candidate = |step: &Step| Candidate { label: step.label.clone(), title: None, probability: step.probability };
    let by_level: BTreeMap<Level, Vec<Candidate>> =
        path.iter().map(|step| (step.level, vec![candidate(step)])).collect();
    Prediction {
        label: "50181900".into(),
        title: None,
        level: Some(Level::Class),
        probability: 0.95,
        truncated: false,
        needs_review: false,
        top_k: Vec::new(),
        path: path[..3].to_vec(),
        by_level: Some(by_level),
        pred_class: None,
        logits: None,
        embedding: None,
    }
}

#[test]
fn a_busy_server_is_asked_again_and_a_row_that_fails_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (data, output) = (folder.path().join("bread.csv"), folder.path().join("out"));
    let rows: String = (0..205).map(|row| format!("bread {row},50181903\n")).collect();
    fs::write(&data, format!("description,unspsc\n{rows}")).unwrap();
    let requests = Requests::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/invocations", post(answer)).with_state(Arc::clone(&requests));
    runtime.spawn(async move { axum::serve(listener, routes).await });

    let (well, out, err) = evaluate(&data, &output, &["--url", &url]);
    assert!(well, "{err}");
    assert!(err.contains("the queue is full (overloaded): trying again in 0 s"), "{err}");
    assert!(
        out.contains("! 1 row without an answer: the model failed on it (inference_failed), bread.csv line 9"),
        "{out}"
    );
    let requests = requests.lock().unwrap();
    let sizes: Vec<usize> = requests.iter().map(|request| request["instances"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [200, 200, 5]);
    for (option, value) in [("depth", json!("auto")), ("by_level", json!(true)), ("top_k", json!(5))] {
        assert!(requests.iter().all(|request| request[option] == value), "{option}");
    }
    let asked = report(&output);
    assert_eq!(asked.levels[&Level::Class].accuracy, 204.0 / 205.0);
    assert_eq!(asked.levels[&Level::Commodity].accuracy, 0.0);
    assert_eq!(asked.auto.as_ref().unwrap().levels[&Level::Class].right, 204);

    // What was asked once can be judged again.
    let predictions = output.join("predictions.jsonl");
    assert_eq!(fs::read_to_string(&predictions).unwrap().lines().count(), 205);
    let again = folder.path().join("again");
    let (well, _, err) = evaluate(&data, &again, &["--predictions", predictions.to_str().unwrap()]);
    assert!(well, "{err}");
    assert_eq!(EvaluationReport { answered_by: url + "/", ..report(&again) }, asked);
}

#[test]
fn a_server_that_refuses_for_good_or_is_not_there_ends_it_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refuse = || async { (StatusCode::BAD_REQUEST, r#"{"error": {"code": "invalid_request", "message": "no"}}"#) };
    let routes = Router::new().route("/invocations", post(refuse));
    let server = runtime.spawn(async move { axum::serve(listener, routes).await });
    let (well, _, err) = evaluate(&golden("rows.csv"), folder.path(), &["--url", &url]);
    assert!(!well && err.contains("the request was refused: no (invalid_request)"), "{err}");
    server.abort();
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    let (well, _, err) = evaluate(&golden("rows.csv"), folder.path(), &["--url", &url]);
    assert!(!well && err.contains(&format!("no answer from {url}")), "{err}");
}
