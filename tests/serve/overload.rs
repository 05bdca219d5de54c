//! More requests than `serve` can take, a model that fails on some, callers who leave; and what is seen of it from outside.

use std::collections::HashMap;

use prometheus_parse::LineInfo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;

const TEXT: &str = "stainless steel ball valve, threaded, with handle and seals";

impl Server {
    /// What `/metrics` says, by name with labels.
    pub(super) async fn metrics(&self) -> HashMap<String, f64> {
        let text = reqwest::get(format!("{}/metrics", self.address)).await.unwrap().text().await.unwrap();
        assert!(text.lines().all(|line| LineInfo::parse(line) != LineInfo::Ignored), "{text}");
        let lines: Vec<_> = text.lines().map(|line| Ok(line.to_owned())).collect();
        let samples = prometheus_parse::Scrape::parse(lines.into_iter()).unwrap().samples;
        let sample = |sample: prometheus_parse::Sample| match sample.value {
            prometheus_parse::Value::Counter(value)
            | prometheus_parse::Value::Gauge(value)
            | prometheus_parse::Value::Untyped(value) => {
                let labels = sample.labels.iter().map(|(name, value)| format!("{name}={value}"));
                let mut parts: Vec<String> = std::iter::once(sample.metric.clone()).chain(labels).collect();
                parts[1..].sort();
                Some((parts.join(" "), value))
            }
            prometheus_parse::Value::Histogram(_) | prometheus_parse::Value::Summary(_) => None,
        };
        samples.into_iter().filter_map(sample).collect()
    }
}

/// Every text a run of its own, so that the small model is slow; one request may wait.
fn slow(base: &Path) -> Command {
    let mut command = serve(base);
    command.env("UNSPSC_MAX_BATCH_TOKENS", "1").env("UNSPSC_QUEUE_CAPACITY", "1").env("UNSPSC_THREADS", "1");
    command
}

#[tokio::test]
async fn beyond_what_the_queue_takes_every_answer_is_whole_or_the_refusal() {
    let base = base("bert");
    let server = Server::start_with(&mut slow(base.path()));
    server.ready().await;
    let (callers, requests, texts) = (16, 8, 300);
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (url, body) = (format!("{}/invocations", server.address), json!({"instances": vec![TEXT; texts]}));
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut answers = Vec::new();
                for _ in 0..requests {
                    let response = client.post(&url).json(&body).send().await.unwrap();
                    answers.push((response.status().as_u16(), response.json::<Value>().await.unwrap()));
                }
                answers
            })
        })
        .collect();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(server.ping().await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut answered, mut refused) = (0, 0);
    for task in tasks {
        for (status, answer) in task.await.unwrap() {
            if status == 200 {
                let predictions = answer["predictions"].as_array().unwrap();
                assert!(predictions.len() == texts && predictions.iter().all(|item| item["label"].is_string()));
                answered += 1;
            } else {
                let error = &answer["error"];
                assert_eq!((status, error["code"].as_str().unwrap()), (503, "overloaded"));
                assert!(error["retry_after"].as_u64().unwrap() >= 1 && error["request_id"].is_string());
                refused += 1;
            }
        }
    }
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    assert_eq!(answered + refused, callers * requests);
    let metrics = server.metrics().await;
    for (sample, value) in [
        ("unspsc_requests_total code=ok route=/invocations status=200", answered),
        ("unspsc_requests_total code=overloaded route=/invocations status=503", refused),
        ("unspsc_request_seconds_count", answered + refused),
        ("unspsc_batch_texts_sum", answered * i32::try_from(texts).unwrap()),
        ("unspsc_stage_seconds_count stage=queue", answered),
        ("unspsc_queue_requests", 0),
        ("unspsc_queue_tokens", 0),
    ] {
        assert_eq!(metrics.get(sample), Some(&f64::from(value)), "{sample}: {metrics:?}");
    }
    let model = metrics.keys().find(|sample| sample.starts_with("unspsc_model_info ")).unwrap();
    assert!(model.contains("architecture=Bert ") && model.contains("labels=12"), "{model}");
    assert_eq!(server.stop(Signal::SIGTERM).0, Some(0));
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_not_run_to_the_end() {
    let base = base("bert");
    let server = Server::start_with(&mut slow(base.path()));
    server.ready().await;
    let texts = 20_000_u16;
    let body = json!({"instances": vec![TEXT; usize::from(texts)]}).to_string();
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST /invocations HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let until = async |what: &str, condition: fn(&HashMap<String, f64>) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&server.metrics().await) {
            assert!(Instant::now() < deadline, "{what} did not happen");
        }
    };
    until("a run", |metrics| metrics["unspsc_queue_requests"] == 1.0 && metrics["unspsc_batch_texts_count"] > 0.0)
        .await;
    drop(stream);
    until("the end", |metrics| metrics["unspsc_queue_requests"] == 0.0).await;
    let metrics = server.metrics().await;
    assert_eq!(metrics["unspsc_abandoned_requests_total"], 1.0);
    assert!(metrics["unspsc_batch_texts_sum"] < f64::from(texts), "{metrics:?}");
    assert_eq!(server.invoke(json!({"description": TEXT})).await.0, 200);
}

/// Makes the model's vector of `token` so large that its sum overflows, so that the model fails on every text with it.
fn poison(base: &Path, token: &str) {
    let tokenizer: Value = serde_json::from_slice(&fs::read(base.join("model/tokenizer.json")).unwrap()).unwrap();
    let id = usize::try_from(tokenizer["model"]["vocab"][token].as_u64().unwrap()).unwrap();
    let path = base.join("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    // https://github.com/huggingface/safetensors#format: the header's length, the header, the tensors.
    let header_end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..header_end]).unwrap();
    let table = &header["bert.embeddings.word_embeddings.weight"];
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let vector = number(&table["shape"][1]) * size_of::<f32>();
    let start = header_end + number(&table["data_offsets"][0]) + id * vector;
    for value in bytes[start..start + vector].chunks_exact_mut(size_of::<f32>()) {
        value.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_text_that_the_model_fails_on_is_500_and_logged_once_with_its_request() {
    let base = base("bert");
    poison(base.path(), "printer");
    let server = Server::start(base.path());
    server.ready().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (status, answer) = server.invoke(json!({"description": "printer, secret"})).await;
        assert_eq!((status, answer["error"]["code"].as_str().unwrap()), (500, "model_failure"));
        ids.push(answer["error"]["request_id"].clone());
        assert_eq!(server.invoke(json!({"description": TEXT})).await.0, 200);
        assert_eq!(server.ping().await, StatusCode::OK);
    }
    let (code, log) = server.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    let errors: Vec<Value> = log.lines().map(logged).filter(|line| line["level"] == "ERROR").collect();
    let [error] = &errors[..] else { panic!("not one line: {log}") };
    assert!(error["reason"].as_str().unwrap().contains("not finite"), "{error}");
    assert_eq!(error["span"]["request_id"], ids[0]);
    assert!(!log.contains("secret"), "a text is in the log: {log}");
}

#[tokio::test]
async fn requests_are_logged_with_their_id_if_asked_for_and_never_with_their_text() {
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).env("RUST_LOG", "info,inference_container=debug"));
    server.ready().await;
    assert_eq!(server.invoke(json!({"description": "secret", "top_k": 1})).await.0, 200);
    let (status, answer) = server.invoke(json!({"text": "secret"})).await;
    assert_eq!(status, 400);
    assert_eq!(reqwest::get(format!("{}/secret", server.address)).await.unwrap().status(), 404);
    let (_, log) = server.stop(Signal::SIGTERM);
    let answered: Vec<Value> = log.lines().map(logged).filter(|line| line["route"] == "/invocations").collect();
    let codes: Vec<&str> = answered.iter().map(|line| line["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["ok", "invalid_request"]);
    assert_eq!(answered[1]["span"]["request_id"], answer["error"]["request_id"]);
    assert!(log.contains("\"other\"") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_batch_transform_job_has_no_metrics() {
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).env("SAGEMAKER_BATCH", "true"));
    server.ready().await;
    assert_eq!(reqwest::get(format!("{}/metrics", server.address)).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(server.invoke(json!({"description": TEXT})).await.0, 200);
}
