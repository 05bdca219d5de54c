//! What is there for people and their tools: the page, and the document of all routes.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::tests::{ask, fake, limits, real, request, twelve};
use super::*;
use crate::testing::LIMITS;

fn document() -> Value {
    serde_json::from_str(include_str!("openapi.json")).unwrap()
}

/// The names that a schema of the document says an object has: all of them, and those that it always has.
fn fields(schema: &str) -> (Vec<String>, Vec<String>) {
    let schema = &document()["components"]["schemas"][schema];
    let always = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    (names(&schema["properties"]), always)
}

fn names(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

async fn answer(service: &Service, body: Value) -> Value {
    let (_, _, answer) = ask(service, request("POST", "/invocations", body.to_string())).await;
    serde_json::from_slice(&answer).unwrap()
}

/// Without a crate that validates: the types of the fields are what `scripts/check-openapi` looks at.
#[tokio::test]
async fn the_document_has_the_fields_of_the_answers() {
    let service = real().await;
    let full = answer(&service, json!({"description": "toner", "embeddings": true, "by_level": true})).await;
    assert_eq!(names(&full), fields("Prediction").0);
    assert_eq!(names(&full["top_k"][0]), fields("Candidate").1);
    assert_eq!(names(&full["path"][0]), fields("Step").1);
    assert_eq!(names(&full["by_level"]["segment"][0]), fields("Candidate").1);
    let batch = answer(&service, json!({"instances": ["toner", 7]})).await;
    assert_eq!(names(&batch), fields("BatchResponse").1);
    // Labels are codes here.
    let prediction = [fields("Prediction").1, vec!["path".to_owned()]].concat();
    assert_eq!(names(&batch["predictions"][0]), prediction);
    assert_eq!(names(&batch["predictions"][1]), fields("Error").1);
    assert_eq!(names(&batch["predictions"][1]["error"]), fields("ErrorDetail").1);
    let refused = answer(&service, json!({"description": " "})).await;
    assert_eq!(names(&refused["error"]), ["code", "message", "request_id"]);
    let mark = answer(&service, json!({"statement": "Coffee, excluding beans"})).await;
    assert_eq!(names(&mark), fields("StatementResponse").1);
    assert_eq!(names(&mark["profile"]), fields("MarkProfile").1);
    assert_eq!(names(&mark["profile"]["segments"][0]), fields("SegmentShare").1);
    assert_eq!(names(&mark["items"][0]), [fields("StatementItem").1, prediction].concat());
    assert_eq!(names(&mark["remarks"][0]), fields("StatementRemark").1);
    let scores = answer(&service, json!({"inputs": ["toner"]})).await;
    assert_eq!(names(&scores[0]), fields("Score").1);
    let (_, _, parameters) = ask(&service, request("GET", EXECUTION_PARAMETERS, Body::empty())).await;
    assert_eq!(names(&serde_json::from_slice(&parameters).unwrap()), fields("ExecutionParameters").1);
}

#[tokio::test]
async fn the_document_lists_the_routes_that_there_are() {
    let service = fake(twelve, limits(8)).await;
    let (_, headers, served) = ask(&service, request("GET", OPENAPI, Body::empty())).await;
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(serde_json::from_slice::<Value>(&served).unwrap(), document());
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(names(&document()["paths"]), ROUTES);
    for (path, operations) in document()["paths"].as_object().unwrap() {
        let method = names(operations)[0].to_uppercase();
        let (status, headers, _) = ask(&service, request(&method, path, "{\"description\": \"toner\"}")).await;
        let said = &operations[method.to_lowercase()]["responses"][status.as_str()];
        assert!(status == StatusCode::OK && said.is_object(), "{method} {path}: {status}");
        let kind = headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
        let kinds = said["content"].as_object();
        let documented =
            |kinds: &serde_json::Map<String, Value>| kinds.keys().any(|known| kind.starts_with(known.as_str()));
        assert!(kinds.map_or(kind.is_empty(), documented), "{method} {path}: {kind}");
    }
}

#[tokio::test]
async fn the_page_may_load_nothing_but_itself() {
    let service = fake(twelve, limits(8)).await;
    let (status, headers, page) = ask(&service, request("GET", "/", Body::empty())).await;
    let page = String::from_utf8(page).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
    assert!(!page.contains("innerHTML") && !page.contains("http://") && !page.contains("https://"), "{page}");
}

#[tokio::test]
async fn nothing_is_there_for_people_where_only_the_platform_can_reach_it() {
    let service = fake(twelve, limits(8)).await;
    for path in [PAGE, OPENAPI, METRICS] {
        for (reachable, expected) in [(true, 200), (false, 404)] {
            let router = app(service.clone(), LIMITS, reachable);
            let response = router.oneshot(request("GET", path, Body::empty())).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{path}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(!body.is_empty());
        }
    }
}
