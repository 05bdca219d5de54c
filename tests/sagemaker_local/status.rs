//! The page for people.

use serde_json::{Value, json};

use crate::browser;
use crate::endpoints::{delete, deploy, invoke};
use crate::server::{Place, Server};
use crate::stand_in;
use crate::transform::{put, transform};

/// Leaves a report and a metric.
const TRAIN: &str = r#"
echo "validation:balanced_accuracy=0.5; <b>bold</b>"
echo "<h1>good</h1>" > "$SAGEMAKER_BASE_DIR/output/data/report.html"
echo weights > "$SAGEMAKER_BASE_DIR/model/weights""#;

async fn get(server: &Server, path: &str) -> reqwest::Response {
    server.client().get(format!("{}{path}", server.url)).send().await.unwrap()
}

#[tokio::test]
async fn the_page_shows_jobs_and_endpoints_with_their_logs_and_reports() {
    let place = Place::new(TRAIN, &stand_in::serve());
    let server = place.start();
    let metric =
        json!([{ "Name": "validation:balanced_accuracy", "Regex": "validation:balanced_accuracy=([0-9.]+);" }]);
    let algorithm = json!({ "TrainingImage": "train", "TrainingInputMode": "File", "MetricDefinitions": metric });
    server.start_job("job", json!({ "AlgorithmSpecification": algorithm })).await;
    server.finished_job("job").await;
    deploy(&place, &server, 1).await;
    server.endpoint_when_made("e").await;
    invoke(&server, "hello").await;
    put(&place, "batch/words.txt", "one\ntwo\n");
    transform(&server, "words", json!({})).await;

    let page = get(&server, "/").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'sha256-"));
    assert!(page.text().await.unwrap().contains("<title>sagemaker-local</title>"));
    let status: Value = get(&server, "/_local/status").await.json().await.unwrap();
    let job = &status["training_jobs"][0];
    assert_eq!((&job["name"], &job["status"], &job["report"]), (&json!("job"), &json!("Completed"), &json!(true)));
    assert_eq!(job["objective"]["values"], json!([0.5]));
    let variant = &status["endpoints"][0]["variants"][0];
    assert_eq!((&variant["current"], &variant["desired"]), (&json!(1), &json!(1)));
    assert_eq!(variant["minutes"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>(), 1);

    let transform = &status["transform_jobs"][0];
    assert_eq!((&transform["name"], &transform["model"]), (&json!("words"), &json!("m")));
    assert_eq!(transform["streams"].as_array().unwrap().len(), 2, "its log and what became of the data: {transform}");

    let stream = job["log"]["stream"].as_str().unwrap();
    let log = get(&server, &format!("/_local/log?group=/aws/sagemaker/TrainingJobs&stream={stream}")).await;
    assert!(log.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert!(log.text().await.unwrap().contains("<b>bold</b>"));
    let report = get(&server, "/_local/reports/job").await;
    assert!(report.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert_eq!(report.text().await.unwrap(), "<h1>good</h1>\n");
    for missing in ["/_local/reports/none", "/_local/reports/..%2F..", "/_local/log?group=x&stream=y"] {
        assert!(get(&server, missing).await.status().is_client_error(), "{missing}");
    }
    let elsewhere = server.client().get(format!("{}/_local/status", server.url)).header("host", "evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
    delete(&server).await;
    server.terminate().await;
}

#[tokio::test]
async fn a_browser_shows_what_there_is() {
    let Some(browser) = browser::browser() else { return };
    let place = Place::new(TRAIN, &stand_in::serve());
    let server = place.start();
    server.start_job("job", json!({})).await;
    server.finished_job("job").await;
    let url = server.url.clone();
    // Ten seconds of the page's clock: it has looked again and again.
    let opened = tokio::task::spawn_blocking(move || browser::opened(&browser, &url)).await;
    let (page, console) = opened.unwrap();
    assert_eq!(console, [""; 0]);
    for part in ["job", "Completed", "report", "Transform jobs"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    server.terminate().await;
}
