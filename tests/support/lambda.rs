//! Lambda's runtime API on this machine, and the real `bootstrap` as the function behind it.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Parameter, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::Value;

/// What functions have where nothing else is said, and enough for whatever is to succeed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(70);

/// What a function made of an event: an answer, or its own error.
type Outcome = Result<Value, Value>;

/// One event on its way.
struct Invocation {
    id: String,
    deadline: SystemTime,
    event: String,
}

/// What the API knows.
#[derive(Default)]
struct Known {
    waiting: Mutex<HashMap<String, mpsc::Sender<Outcome>>>,
    init_error: Mutex<Option<Value>>,
}

#[derive(Clone)]
struct Api {
    events: Arc<tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Invocation>>>,
    known: Arc<Known>,
}

/// A function that runs until this is dropped.
pub(crate) struct Lambda {
    child: Child,
    events: tokio::sync::mpsc::UnboundedSender<Invocation>,
    known: Arc<Known>,
    invoked: AtomicUsize,
    log: PathBuf,
}

impl Lambda {
    /// Starts `bootstrap`, which writes its log to `log`, with what Lambda sets for every function and these variables.
    pub(crate) fn start(bootstrap: &Path, log: &Path, variables: &[(&str, &str)]) -> Self {
        let (events, known, address) = serve();
        let mut command = Command::new(bootstrap);
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "unspsc"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_REGION", sagemaker_local::REGION),
            ("AWS_ACCESS_KEY_ID", sagemaker_local::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", sagemaker_local::SECRET_KEY),
        ]);
        let child = command.envs(variables.iter().copied()).stderr(File::create(log).unwrap()).spawn().unwrap();
        Self { child, events, known, invoked: AtomicUsize::new(0), log: log.to_owned() }
    }

    /// The function's answer to an event for which it has time enough.
    pub(crate) fn invoke(&self, event: &Value) -> Value {
        self.invoke_within(event, TIMEOUT)
    }

    /// Its answer to an event for which it has so long; it must come before that.
    pub(crate) fn invoke_within(&self, event: &Value, timeout: Duration) -> Value {
        self.invoke_text(event.to_string(), timeout)
    }

    /// The same with the event as it goes over the wire.
    pub(crate) fn invoke_text(&self, event: String, timeout: Duration) -> Value {
        let id = format!("invocation-{}", self.invoked.fetch_add(1, Ordering::Relaxed));
        let (sender, outcome) = mpsc::channel();
        self.known.waiting.lock().unwrap().insert(id.clone(), sender);
        let deadline = SystemTime::now() + timeout;
        self.events.send(Invocation { id, deadline, event }).unwrap();
        let outcome = outcome.recv_timeout(timeout);
        let outcome = outcome.unwrap_or_else(|_| panic!("no answer within {timeout:?}: {}", self.log()));
        outcome.unwrap_or_else(|error| panic!("the function failed: {error}"))
    }

    /// Why it could not start, once it has said so and ended.
    pub(crate) fn failed_start(mut self) -> (Option<i32>, Option<Value>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.known.init_error.lock().unwrap().take(), self.log())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the API on a free port until the process ends.
fn serve() -> (tokio::sync::mpsc::UnboundedSender<Invocation>, Arc<Known>, String) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let known: Arc<Known> = Arc::default();
    let api = Api { events: Arc::new(tokio::sync::Mutex::new(receiver)), known: Arc::clone(&known) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::disable())
        .with_state(api);
    std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
    (sender, known, address)
}

async fn next(State(api): State<Api>) -> ([(&'static str, String); 5], String) {
    let Some(Invocation { id, deadline, event }) = api.events.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let function = "arn:aws:lambda:us-east-1:000000000000:function:unspsc:live".to_owned();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", function),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned()),
    ];
    (headers, event)
}

async fn response(State(api): State<Api>, Parameter(id): Parameter<String>, body: Bytes) -> StatusCode {
    // Lambda's limit.
    let outcome = if body.len() > 6 * 1024 * 1024 { Err("too long".into()) } else { Ok(read(&body)) };
    hand_over(&api, &id, outcome)
}

async fn error(State(api): State<Api>, Parameter(id): Parameter<String>, body: Bytes) -> StatusCode {
    hand_over(&api, &id, Err(read(&body)))
}

async fn init_error(State(api): State<Api>, body: Bytes) -> StatusCode {
    *api.known.init_error.lock().unwrap() = Some(read(&body));
    StatusCode::ACCEPTED
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn hand_over(api: &Api, id: &str, outcome: Outcome) -> StatusCode {
    let sender = api.known.waiting.lock().unwrap().remove(id).unwrap();
    // Whoever asked may have failed meanwhile.
    let _ = sender.send(outcome);
    StatusCode::ACCEPTED
}
