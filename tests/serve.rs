//! The real `serve` on the small model in `tests/golden`, as SageMaker sees it.

// Helpers of tests state what they expect, as tests do; the lint exempts only the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/browser.rs"]
mod browser;
#[path = "serve/depth.rs"]
mod depth;
#[path = "serve/page.rs"]
mod page;

#[path = "serve/overload.rs"]
mod overload;
#[path = "serve/robust.rs"]
mod robust;
#[path = "serve/traces.rs"]
mod traces;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use unspsc_contract::invocation::{Outcome, RemarkKind, StatementItem, StatementRequest, StatementResponse};

/// What `serve` may take to start, to stop or to answer, with much to spare on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn golden(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(model)
}

/// A base directory with a copy of a model in it.
fn base(model: &str) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir(base.path().join("model")).unwrap();
    for file in fs::read_dir(golden(model)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), base.path().join("model").join(file.file_name())).unwrap();
    }
    base
}

fn serve(base: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
    command.arg("serve").env_clear().env("SAGEMAKER_BASE_DIR", base).env("SAGEMAKER_BIND_TO_PORT", "0");
    command.args(["--host", "127.0.0.1"]).stderr(Stdio::piped());
    command
}

/// A line of the log, which is a JSON object.
fn logged(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// What a line of the log says.
fn message(line: &str) -> String {
    logged(line)["message"].as_str().unwrap_or_default().to_owned()
}

/// A running `serve`, killed when dropped.
struct Server {
    process: Child,
    /// What was logged until it listened.
    begun: String,
    log: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where the test waited for that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(base: &Path) -> Self {
        Self::start_with(&mut serve(base))
    }

    fn start_with(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (mut begun, mut line) = (String::new(), String::new());
        while !line.contains("listening on http://") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "serve ended before it listened");
            begun.push_str(&line);
        }
        let address = message(&line).split("listening on ").nth(1).unwrap().to_owned();
        Self { process, begun, log, address }
    }

    async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ping().await != StatusCode::OK {
            assert!(Instant::now() < deadline, "/ping does not succeed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ping(&self) -> StatusCode {
        let response = reqwest::get(format!("{}/ping", self.address)).await.unwrap();
        let status = response.status();
        assert!(response.bytes().await.unwrap().is_empty());
        status
    }

    async fn invoke(&self, body: Value) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/invocations", self.address)).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Sends a body of another form; the answer as text.
    async fn send(&self, content_type: &str, accept: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = reqwest::Client::new().post(format!("{}/invocations", self.address)).body(body);
        let response = request.header("content-type", content_type).header("accept", accept).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The most memory that the process has held at a time, in bytes.
    fn peak_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Sends `signal` and waits for the end: the exit code, and what was logged since the start.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        let started = Instant::now();
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
        let status = self.process.wait().unwrap();
        assert!(started.elapsed() < PATIENCE, "SageMaker would have killed it");
        self.log.read_to_string(&mut self.begun).unwrap();
        (status.code(), std::mem::take(&mut self.begun))
    }
}

#[tokio::test]
async fn answers_as_the_contract_says() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let (status, answer) = server.invoke(json!({"description": "toner cartridge, black", "top_k": 2})).await;
    assert_eq!(status, 200);
    assert_eq!(answer["top_k"].as_array().unwrap().len(), 2);
    assert_eq!(answer["label"], answer["top_k"][0]["label"]);
    assert!(answer["title"].is_string() && answer["probability"].as_f64().unwrap() > 0.0);
    let (status, answer) = server.invoke(json!({"instances": ["toner", {"description": "bread"}, 1]})).await;
    assert_eq!(status, 200);
    assert!(answer["predictions"][0]["label"].is_string() && answer["predictions"][1]["label"].is_string());
    assert_eq!(answer["predictions"][2]["error"]["code"], "invalid_request");
    let (status, answer) = server.invoke(json!({"text": "secret words"})).await;
    assert_eq!((status, answer["error"]["code"].as_str().unwrap()), (400, "invalid_request"));
    let (code, log) = server.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    for part in ["model loaded", "\"labels\":12", "load_ms", "instructions", "ready"] {
        assert!(log.contains(part), "{part} is not in the log: {log}");
    }
    for line in log.lines().map(logged) {
        assert!(line["timestamp"].is_string() && line["level"] == "INFO" && line["message"].is_string(), "{line}");
    }
    assert!(!log.contains("toner") && !log.contains("secret"), "a text is in the log: {log}");
}

#[tokio::test]
async fn every_form_is_answered_line_by_line() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    for (kind, body, bad) in [
        ("application/jsonlines", "{\"description\": \"toner\"}\n{\"description\": 1}\n\"bread\"\n", "invalid_request"),
        ("text/csv", "id,description\n1,toner\n2\n3,bread\n", "invalid_request"),
        ("text/plain", "toner\n\nbread\n", "empty_description"),
    ] {
        let (status, answer) = server.send(kind, "application/jsonlines; top_k=2", body).await;
        let lines: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((status, lines.len()), (200, 3), "{kind}: {answer}");
        assert!(lines[0]["label"].is_string() && lines[2]["top_k"].as_array().unwrap().len() == 2, "{kind}");
        assert_eq!(lines[1]["error"]["code"], bad, "{kind}");
    }
    let (status, rows) = server.send("text/csv", "*/*", "toner\nbread\n").await;
    assert_eq!((status, rows.lines().count()), (200, 2));
    let (status, answer) = server.invoke(json!({"inputs": ["toner", "bread"], "parameters": {"top_k": 2}})).await;
    assert_eq!((status, answer[1].as_array().unwrap().len()), (200, 2));
    assert!(answer[1][0]["score"].as_f64().unwrap() >= answer[1][1]["score"].as_f64().unwrap());
    let (_, log) = server.stop(Signal::SIGTERM);
    assert!(!log.contains("toner") && !log.contains("bread"), "a text is in the log: {log}");
}

#[tokio::test]
async fn a_batch_transform_job_is_what_the_platform_says() {
    let base = base("bert");
    let mut command = serve(base.path());
    command.env("SAGEMAKER_BATCH", "true").env("SAGEMAKER_MAX_PAYLOAD_IN_MB", "1");
    command.env("SAGEMAKER_BATCH_STRATEGY", "SINGLE_RECORD").env("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "7");
    command.env("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv");
    let server = Server::start_with(&mut command);
    server.ready().await;
    let parameters = reqwest::get(format!("{}/execution-parameters", server.address)).await.unwrap();
    let expected = json!({"MaxConcurrentTransforms": 7, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1});
    assert_eq!(parameters.json::<Value>().await.unwrap(), expected);
    let (status, answer) = server.send("text/plain", "*/*", "toner").await;
    assert!(status == 200 && answer.contains(",segment,0."), "{answer}");
    // More than any socket buffers, so that a server which stops reading is noticed.
    for length in [1 + (1 << 20), 32 << 20] {
        let (status, answer) = server.send("text/plain", "*/*", "x".repeat(length)).await;
        assert!(status == 413 && answer.contains("payload_too_large"), "{answer}");
    }
}

/// Records that cost no inference, so that nothing but memory is tried.
#[tokio::test]
async fn a_large_payload_is_held_piece_by_piece() {
    const RECORDS: usize = 640;
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).args(["--max-body-bytes", "100000000"]));
    server.ready().await;
    let record = "x".repeat(100_000) + "\n";
    let before = server.peak_memory();
    let (status, answer) = server.send("application/jsonlines", "*/*", record.repeat(RECORDS)).await;
    assert_eq!((status, answer.lines().count()), (200, RECORDS));
    assert!(answer.lines().all(|line| line.contains("malformed_json")));
    let grown = server.peak_memory() - before;
    assert!(grown < 32 << 20, "64 MB were answered with {grown} bytes more");
}

#[tokio::test]
async fn a_statement_is_split_classified_and_profiled() {
    let base = base("bert");
    let cleaning = metadata(1.0).replace("\"cleaning_version\":null", "\"cleaning_version\":1");
    fs::write(base.path().join("model/unspsc.json"), cleaning).unwrap();
    let server = Server::start(base.path());
    server.ready().await;
    // The letter alone has no transliteration, so that nothing of it is left to classify.
    let text = "Class 30: Pâté, namely, liver pâté; \u{30000}; coffee, tea and cocoa, none of the aforesaid instant.";
    let ask = async |threshold| {
        let request = StatementRequest { statement: text.into(), top_k: Some(2), threshold, depth: None };
        let (status, answer) = server.invoke(serde_json::to_value(request).unwrap()).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value::<StatementResponse>(answer).unwrap()
    };
    let answer = ask(None).await;
    let classified: Vec<&str> = answer.items.iter().map(|item| item.classified.as_str()).collect();
    assert_eq!(classified, ["Pâté, namely, liver pâté", "\u{30000}", "coffee", "tea", "cocoa"]);
    let characters: Vec<char> = text.chars().collect();
    for (place, item) in answer.items.iter().enumerate() {
        assert_eq!(characters[item.place.start..item.place.end].iter().collect::<String>(), item.text);
        assert_eq!(item.nice_class, Some(30));
        let (_, alone) = server.invoke(json!({"description": item.classified})).await;
        match &item.outcome {
            Outcome::Error(body) => assert_eq!((place, body.error.code.as_str()), (1, "empty_description")),
            Outcome::Prediction(prediction) => {
                assert_eq!((&json!(prediction.label), prediction.top_k.len()), (&alone["label"], 2));
                let segment = answer.profile.segments.iter().find(|segment| segment.items.contains(&place)).unwrap();
                assert_eq!(segment.label, prediction.label);
            }
        }
    }
    let unsure = |(place, item): (usize, &StatementItem)| match &item.outcome {
        Outcome::Prediction(prediction) if prediction.probability < 0.5 => Some(place),
        _ => None,
    };
    let unsure: Vec<usize> = answer.items.iter().enumerate().filter_map(unsure).collect();
    assert_eq!((answer.profile.failed, answer.profile.needs_review), (vec![1], unsure));
    let shares: f64 = answer.profile.segments.iter().map(|segment| segment.share).sum();
    assert!((shares + answer.profile.other - 1.0).abs() < 1e-9);
    let (_, alone) = server.invoke(json!({"instances": classified, "top_k": 12})).await;
    let predicted = alone["predictions"].as_array().unwrap().iter().filter_map(|it| it["top_k"].as_array());
    for segment in &answer.profile.segments {
        let of = |label: &&Value| label["label"] == *segment.label;
        let each = predicted.clone().map(|labels| labels.iter().find(of).unwrap()["probability"].as_f64().unwrap());
        assert!((each.sum::<f64>() / 4.0 - segment.share).abs() < 1e-9, "{segment:?}");
    }
    let [remark] = &answer.remarks[..] else { panic!("not one remark") };
    assert_eq!((remark.kind, &remark.text[..17]), (RemarkKind::Exclusion, "none of the afore"));

    let unsure = ask(Some(1.0)).await.profile;
    assert_eq!((unsure.failed, unsure.needs_review), (vec![1], vec![0, 2, 3, 4]));
    let many = "a;".repeat(10_001);
    let (status, answer) = server.invoke(json!({"statement": many})).await;
    assert_eq!((status, answer["error"]["code"].as_str().unwrap()), (400, "invalid_request"));
    let (_, log) = server.stop(Signal::SIGTERM);
    assert!(!log.contains("coffee") && !log.contains("liver"), "a text is in the log: {log}");
}

/// What a model trained here may have beside the Hugging Face files.
fn metadata(temperature: f64) -> String {
    let metadata = json!({
        "format_version": 4, "level": null, "cleaning_version": null, "max_length": 64, "pooling": "cls",
        "temperature": temperature, "titles": {}, "data": null, "test": null, "trained_by": null,
    });
    metadata.to_string()
}

/// Probabilities are those of the logits that `transformers` computed for the same texts, divided by the temperature.
#[tokio::test]
async fn probabilities_are_those_of_transformers() {
    for (model, temperature) in [("bert", None), ("distilbert", None), ("bert", Some(2.5))] {
        let read = |file: String| -> Value { serde_json::from_slice(&fs::read(golden(&file)).unwrap()).unwrap() };
        let (texts, cases) = (read("texts.json".into()), read(format!("{model}-cls.json")));
        let base = base(model);
        if let Some(temperature) = temperature {
            fs::write(base.path().join("model/unspsc.json"), metadata(temperature)).unwrap();
        }
        let server = Server::start_with(serve(base.path()).args(["--precision", "float32"]));
        server.ready().await;
        let (status, answer) = server.invoke(json!({"instances": texts, "top_k": 12})).await;
        assert_eq!(status, 200);
        let (status, scores) = server.invoke(json!({"inputs": texts})).await;
        assert_eq!(status, 200);
        let mut compared = 0;
        let answers = answer["predictions"].as_array().unwrap().iter().zip(scores.as_array().unwrap());
        for (case, (prediction, score)) in cases.as_array().unwrap().iter().zip(answers) {
            let Some(candidates) = prediction["top_k"].as_array() else { continue };
            let logits = |temperature: f64| -> Vec<f64> {
                case["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() / temperature).collect()
            };
            let raw = logits(1.0).into_iter().map(f64::exp);
            let best = raw.clone().fold(0.0, f64::max) / raw.sum::<f64>();
            assert!((score["score"].as_f64().unwrap() - best).abs() < 1e-4, "without the temperature: {score}");
            let logits = logits(temperature.unwrap_or(1.0));
            let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
            for candidate in candidates {
                // The labels of the golden models are 10000000, 11000000, …
                let class = candidate["label"].as_str().unwrap()[..2].parse::<usize>().unwrap() - 10;
                let difference = candidate["probability"].as_f64().unwrap() - logits[class].exp() / total;
                assert!(difference.abs() < 1e-4, "{prediction}");
            }
            compared += 1;
        }
        assert!(compared >= 95, "{model}: {compared} texts were classified");
        assert_eq!(server.stop(Signal::SIGINT).0, Some(0));
    }
}

#[tokio::test]
async fn a_request_in_flight_survives_sigterm() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    // Tens of milliseconds of work at the least, so that the signal comes while it runs.
    let texts = vec!["stainless steel ball valve, threaded, with handle and seals"; 5000];
    let body = json!({"instances": texts});
    let address = server.address.clone();
    let (sent, begun) = tokio::sync::oneshot::channel();
    let asking = tokio::spawn(async move {
        let request = reqwest::Client::new().post(format!("{address}/invocations")).json(&body);
        sent.send(()).unwrap();
        let response = request.send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    });
    begun.await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopping = tokio::task::spawn_blocking(move || server.stop(Signal::SIGTERM));
    let (status, answer) = asking.await.unwrap();
    assert_eq!((status, answer["predictions"].as_array().unwrap().len()), (StatusCode::OK, 5000));
    assert!(answer["predictions"].as_array().unwrap().iter().all(|item| item["label"].is_string()));
    assert_eq!(stopping.await.unwrap().0, Some(0));
}

/// Runs `serve` to its end, which must be a failure with one line of log that is no information: what it says.
fn failure(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| logged(line)["level"] != "INFO").collect();
    let [line] = lines[..] else { panic!("not one line: {log}") };
    message(line)
}

#[test]
fn a_model_that_cannot_be_served_is_one_sentence_and_exit_code_1() {
    let config = |change: fn(&mut Value)| {
        move |folder: &Path| {
            let path = folder.join("config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            change(&mut config);
            fs::write(path, config.to_string()).unwrap();
        }
    };
    let truncate = |folder: &Path| {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    type Damage<'a> = &'a dyn Fn(&Path);
    let cases: [(Damage<'_>, &str, &str); 8] = [
        (&|folder| fs::remove_dir_all(folder).unwrap(), "config.json", "No such file"),
        (&|folder| fs::remove_file(folder.join("tokenizer.json")).unwrap(), "tokenizer.json", "No such file"),
        (&|folder| fs::write(folder.join("unspsc.json"), "{}").unwrap(), "unspsc.json", "missing field"),
        (&truncate, "model.safetensors", "is damaged"),
        (&|folder| fs::write(folder.join("model.safetensors"), "nonsense").unwrap(), "model.safetensors", "is damaged"),
        (&config(|config| config["model_type"] = json!("unspsc-rnn")), "config.json", "RNN baseline"),
        (&config(|config| config["architectures"] = json!(["BertModel"])), "config.json", "no trained classifier"),
        (&config(|config| config["intermediate_size"] = json!(96)), "model.safetensors", "shape [64, 32]"),
    ];
    for (damage, file, reason) in cases {
        let base = base("bert");
        damage(&base.path().join("model"));
        let line = failure(&mut serve(base.path()));
        assert!(line.contains(file) && line.contains(reason) && line.contains("cannot load the model"), "{line}");
    }
}

#[test]
fn a_port_that_is_taken_is_one_sentence() {
    let base = base("bert");
    let taken = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = taken.local_addr().unwrap().port();
    let line = failure(serve(base.path()).args(["--port", &port.to_string()]));
    assert!(line.contains(&format!("127.0.0.1:{port}")) && line.contains("SAGEMAKER_BIND_TO_PORT"), "{line}");
}
