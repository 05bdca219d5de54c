//! One request of a job to one of its instances: sent, repeated where that may help, its answer kept.

use std::error::Error as _;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use tempfile::SpooledTempFile;
use tokio::runtime::Handle;

use super::plan::{Parameters, Plan};
use super::split;
use crate::platform::Platform;

/// Bytes of an answer that are in memory; a longer one is a file without a name, which goes with its last handle.
pub(super) const ANSWER_IN_MEMORY: usize = 64 * 1024;
/// The first pause before a request is repeated; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, also where the container asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of a streamed object that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Time for `GET /execution-parameters`.
const PARAMETERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer to it, and the part of an error that is told, in bytes.
const MAX_WORDS: usize = 2048;

/// Why an object was not transformed; the text is a line of the data log and part of the job's `FailureReason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether SageMaker would blame the data, and not the container.
    pub(super) of_client: bool,
    pub(super) message: String,
    /// What the container said itself.
    pub(super) words: Option<String>,
}

impl Failure {
    /// A failure that the data is to blame for.
    pub(super) fn client(error: &impl ToString) -> Self {
        Self { of_client: true, message: error.to_string(), words: None }
    }

    /// A failure that the container is to blame for.
    pub(super) fn algorithm(message: String) -> Self {
        Self { of_client: false, message, words: None }
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Bytes(Bytes),
    /// A file that is sent as it is read.
    File {
        path: PathBuf,
        gzip: bool,
    },
}

/// An attempt that failed, and whether another one may do better.
struct Attempt {
    failure: Failure,
    again: bool,
    /// How long the container asks to be left alone.
    pause: Option<Duration>,
}

/// Where requests go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) platform: Arc<Platform>,
    pub(super) port: u16,
    pub(super) plan: Plan,
    /// Where long answers lie.
    pub(super) folder: PathBuf,
}

impl Target {
    /// Sends `body` until it is answered well or has been tried as often as the job wants; returns the answer.
    pub(super) async fn invoke(&self, body: &Body) -> Result<SpooledTempFile, Failure> {
        let mut pause = FIRST_PAUSE;
        for left in (0..=self.plan.retries).rev() {
            let attempt = match tokio::time::timeout(self.plan.timeout, self.exchange(body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(attempt)) => attempt,
                Err(_) => self.timed_out(),
            };
            if left == 0 || !attempt.again {
                return Err(attempt.failure);
            }
            tracing::debug!(port = self.port, failure = attempt.failure.message, left, "an invocation is repeated");
            self.platform.clock.sleep(attempt.pause.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
        Err(Failure::algorithm("no request was sent".to_owned()))
    }

    /// One request and its answer, read to the end.
    async fn exchange(&self, body: &Body) -> Result<SpooledTempFile, Attempt> {
        let mut response = self.request(body).send().await.map_err(|error| no_answer(&error))?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let broken = |error: io::Error| Attempt {
            failure: Failure::algorithm(format!("the answer cannot be kept: {error}")),
            again: false,
            pause: None,
        };
        let mut answer = tempfile::spooled_tempfile_in(ANSWER_IN_MEMORY, &self.folder);
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            answer.write_all(&chunk).map_err(broken)?;
        }
        answer.seek(SeekFrom::Start(0)).map_err(broken)?;
        Ok(answer)
    }

    fn request(&self, body: &Body) -> RequestBuilder {
        let mut request = self.platform.http.post(format!("http://127.0.0.1:{}/invocations", self.port));
        for (name, value) in [(CONTENT_TYPE, &self.plan.content_type), (ACCEPT, &self.plan.accept)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(match body {
            Body::Bytes(bytes) => reqwest::Body::from(bytes.clone()),
            Body::File { path, gzip } => reqwest::Body::wrap(streamed(path, *gzip)),
        })
    }

    fn timed_out(&self) -> Attempt {
        let seconds = self.plan.timeout.as_secs();
        let message = format!("Unable to get response from algorithm: it took longer than {seconds} seconds");
        Attempt { failure: Failure::algorithm(message), again: true, pause: None }
    }

    /// What the container on `port` wants where the request leaves it open; nothing if it does not say.
    pub(super) async fn parameters(platform: &Platform, port: u16) -> Result<Parameters, String> {
        let url = format!("http://127.0.0.1:{port}/execution-parameters");
        let answered = async {
            let response = platform.http.get(url).send().await.map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                return Ok(Vec::new());
            }
            Ok(beginning(response).await)
        };
        let answered = tokio::time::timeout(PARAMETERS_TIMEOUT, answered).await;
        let text = answered.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        if text.trim_ascii().is_empty() {
            return Ok(Parameters::default());
        }
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }
}

/// The file as a body that is read while it is sent.
fn streamed(path: &Path, gzip: bool) -> Channel<Bytes, io::Error> {
    let (sender, body) = Channel::new(1);
    let (path, runtime) = (path.to_path_buf(), Handle::current());
    tokio::task::spawn_blocking(move || send(sender, &path, gzip, &runtime));
    body
}

fn send(mut sender: Sender<Bytes, io::Error>, path: &Path, gzip: bool, runtime: &Handle) {
    let mut sent = || -> io::Result<()> {
        let mut reader = split::open(path, gzip)?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            (&mut reader).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
            // Whoever no longer listens has broken the request off.
            if chunk.is_empty() || runtime.block_on(sender.send_data(chunk.into())).is_err() {
                return Ok(());
            }
        }
    };
    if let Err(error) = sent() {
        sender.abort(error);
    }
}

/// What is made of a request that has no whole answer.
fn no_answer(error: &reqwest::Error) -> Attempt {
    let mut message = format!("Unable to get response from algorithm: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Attempt { failure: Failure::algorithm(message), again: true, pause: None }
}

/// What is made of an answer whose status is no success: the same request will fare no better where the container finds it bad.
async fn refused(response: Response) -> Attempt {
    let status = response.status();
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let words = String::from_utf8_lossy(&beginning(response).await).trim().to_owned();
    let failure = Failure {
        of_client: status.is_client_error(),
        message: format!("Bad HTTP status received from algorithm: {}", status.as_u16()),
        words: Some(words).filter(|words| !words.is_empty()),
    };
    Attempt { failure, again: passing || status.is_server_error(), pause: pause.map(Duration::from_secs) }
}

/// The beginning of an answer; as much as has come if it breaks off.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_WORDS {
            break;
        }
    }
    bytes.truncate(MAX_WORDS);
    bytes
}
