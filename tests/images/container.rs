//! Containers by the program `docker`.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::docker_engine::docker;

/// Far above what any of this takes; only a hang meets it.
const LIMIT: Duration = Duration::from_secs(180);

/// How README runs them: nothing but `/tmp` and what is mounted can be written, no privilege is left.
pub(crate) const CONFINED: [&str; 13] = confined("8g");

/// The same with this much memory.
pub(crate) const fn confined(memory: &str) -> [&str; 13] {
    [
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--memory",
        memory,
        "--memory-swap",
        memory,
        "--cpus",
        "2",
        "--pull",
        "never",
    ]
}

/// What the tests run.
pub(crate) struct Images {
    pub(crate) train: String,
    pub(crate) serve: String,
}

/// The images under test; none where they were not built.
pub(crate) fn images() -> Option<Images> {
    let image = |name: &str| std::env::var(name).ok().filter(|image| !image.is_empty());
    let images = image("UNSPSC_TRAIN_IMAGE").zip(image("UNSPSC_SERVE_IMAGE"));
    if images.is_none() {
        eprintln!("skipped: UNSPSC_TRAIN_IMAGE and UNSPSC_SERVE_IMAGE name no images; scripts/test builds them");
    }
    images.map(|(train, serve)| Images { train, serve })
}

/// Runs a container to its end: its exit code and all that it wrote.
pub(crate) fn run(options: &[&str], image: &str, word: &str) -> (Option<i32>, String) {
    let output = Command::new("docker").arg("run").args(options).args([image, word]).output().unwrap();
    (output.status.code(), said(&output))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A container in the background, which is removed in the end.
pub(crate) struct Container {
    pub(crate) id: String,
}

impl Container {
    pub(crate) fn start(options: &[&str], image: &str, word: &str) -> Self {
        Self { id: docker(&[&["run", "--detach"], options, &[image, word]].concat()).unwrap() }
    }

    /// Where it can be reached from this machine.
    pub(crate) fn address(&self) -> String {
        docker(&["port", &self.id, "8080/tcp"]).unwrap().lines().next().unwrap().to_owned()
    }

    pub(crate) fn logs(&self) -> String {
        said(&Command::new("docker").args(["logs", &self.id]).output().unwrap())
    }

    /// Waits for a word in the log.
    pub(crate) fn logs_until(&self, word: &str) {
        let begun = Instant::now();
        while !self.logs().contains(word) {
            assert!(begun.elapsed() < LIMIT && self.runs(), "no '{word}' in: {}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the first good answer of `/ping`.
    pub(crate) fn ready(&self) {
        let begun = Instant::now();
        let address = self.address();
        while request(&address, "GET", "/ping", "").is_none_or(|(status, _)| status != 200) {
            assert!(begun.elapsed() < LIMIT && self.runs(), "{}", self.logs());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn runs(&self) -> bool {
        docker(&["inspect", "--format", "{{.State.Running}}", &self.id]).as_deref() == Some("true")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer) = request(&self.address(), "POST", path, &body.to_string()).unwrap();
        (status, serde_json::from_str(&answer).unwrap())
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> i32 {
        docker(&["wait", &self.id]).unwrap().parse().unwrap()
    }

    /// Stops it as the platform does, with 30 seconds between SIGTERM and SIGKILL: its exit code and its log.
    pub(crate) fn stop(&self) -> (i32, String) {
        docker(&["stop", "-t", "30", &self.id]).unwrap();
        (self.wait(), self.logs())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.id]);
    }
}

/// Status and body of an answer; none if nobody listens yet.
pub(crate) fn request(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method.parse().unwrap(), format!("http://{address}{path}"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    })
}

/// Whether texts wait for the model of the server at `address`.
pub(crate) fn is_at_work(address: &str) -> bool {
    let (_, metrics) = request(address, "GET", "/metrics", "").unwrap();
    let waiting = metrics.lines().find_map(|line| line.strip_prefix("unspsc_queue_tokens ")).unwrap();
    waiting.parse::<f64>().unwrap() > 0.0
}

/// The bytes of an image after `gzip`, which is about what a registry stores.
pub(crate) fn compressed(image: &str) -> u64 {
    let mut save = Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().unwrap();
    let mut gzip =
        Command::new("gzip").args(["-6"]).stdin(save.stdout.take().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut size, mut piece) = (0, vec![0; 1 << 16]);
    let mut out = gzip.stdout.take().unwrap();
    while let Ok(length @ 1..) = out.read(&mut piece) {
        size += length as u64;
    }
    assert!(save.wait().unwrap().success() && gzip.wait().unwrap().success());
    size
}

/// The names of all files of an image, a line each.
pub(crate) fn files(image: &str) -> String {
    let id = docker(&["create", image]).unwrap();
    let mut export = Command::new("docker").args(["export", &id]).stdout(Stdio::piped()).spawn().unwrap();
    let list = Command::new("tar").args(["-t"]).stdin(export.stdout.take().unwrap()).output();
    let exported = export.wait().unwrap();
    docker(&["rm", &id]);
    assert!(exported.success());
    String::from_utf8_lossy(&list.unwrap().stdout).into_owned()
}
