//! moto, which answers the AWS API and runs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::made::call;
use crate::place::Place;
use crate::python::python;
use crate::support::texts;

/// A moto server that ends with the test.
pub(crate) struct Moto {
    process: Child,
    pub(crate) url: String,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let mut process = python(Some("moto_server.py"));
        let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { process, url: url.trim().to_owned() }
    }

    /// Has the first invocations answered with a prediction; moto's own answer is no JSON.
    pub(crate) fn predicts(&self) {
        let prediction = json!({
            "label": "50000000", "title": "Food", "level": "segment", "probability": 0.9, "truncated": false,
            "needs_review": false, "top_k": [],
        });
        let body = json!({ "predictions": [prediction] }).to_string();
        let one = json!({ "Body": body, "ContentType": "application/json" });
        let results = json!({ "results": [one, one, one, one, one, one, one, one] }).to_string();
        self.send("POST", "moto-api/static/sagemaker/endpoint-results", results.into());
        let results = json!({ "results": [{ "data": body }, { "data": body }] }).to_string();
        self.send("POST", "moto-api/static/sagemaker/async-endpoint-results", results.into());
    }

    /// Writes a line into the log of a training job.
    pub(crate) fn log(&self, job: &str, line: &str) {
        let stream =
            json!({ "logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": format!("{job}/algo-1-1") });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let mut events = stream.clone();
        events["logEvents"] = json!([{ "timestamp": now, "message": line }]);
        call(&self.url, "Logs_20140328.CreateLogGroup", &json!({ "logGroupName": stream["logGroupName"] }));
        call(&self.url, "Logs_20140328.CreateLogStream", &stream);
        call(&self.url, "Logs_20140328.PutLogEvents", &events);
    }

    /// Which of these operations moto does not have.
    pub(crate) fn lacking(operations: &BTreeSet<String>) -> String {
        texts(&python(Some("moto_server.py")).args(operations).output().unwrap()).0
    }

    /// Puts what a job on sagemaker-local would have left where it says that its output lies.
    pub(crate) fn put(&self, place: &Place, key: &str) {
        let object = place.path(&format!("state/s3/unspsc-000000000000/{key}"));
        self.send("PUT", &format!("unspsc-000000000000/{key}"), fs::read(object).unwrap());
    }

    fn send(&self, method: &str, path: &str, body: Vec<u8>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.request(method.parse().unwrap(), format!("{}/{path}", self.url)).body(body);
        let status = tokio::runtime::Runtime::new().unwrap().block_on(sent.send()).unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Its input ends; it may have ended before.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
