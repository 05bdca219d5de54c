//! A SageMaker runtime that answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

/// What a good container says.
pub(crate) const PREDICTION: &str = r#"{"label":"44103103","title":"Printer or facsimile toner","probability":0.75}"#;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A prediction.
    Good,
    /// This status, with this error code and body.
    Error(u16, &'static str, Value),
    /// A 200 with another body.
    Other(&'static str),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    /// One of SageMaker's own errors.
    pub(crate) fn service(status: u16, code: &'static str) -> Self {
        Self::Error(status, code, json!({ "Message": "as the script says" }))
    }

    /// A container's answer that is no success.
    pub(crate) fn container(status: u16, message: &str) -> Self {
        let body = json!({ "Message": "m", "OriginalStatusCode": status, "OriginalMessage": message });
        Self::Error(424, "ModelError", body)
    }
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    /// What is said when all replies are used up.
    last: Option<Reply>,
    requests: usize,
}

/// A server that runs until the process ends.
pub(crate) struct Scripted {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    /// One that says nothing yet.
    pub(crate) fn start() -> Self {
        let script: Arc<Mutex<Script>> = Arc::default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/endpoints/e/invocations", post(answer)).with_state(Arc::clone(&script));
        std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
        Self { url, script }
    }

    /// Says these from now on, and the last one for ever.
    pub(crate) fn says(&self, replies: &[Reply]) {
        let (last, first) = replies.split_last().unwrap();
        *self.script.lock().unwrap() = Script { replies: first.to_vec().into(), last: Some(last.clone()), requests: 0 };
    }

    /// How often it was asked since it was told what to say.
    pub(crate) fn requests(&self) -> usize {
        self.script.lock().unwrap().requests
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>) -> Response {
    let reply = {
        let mut script = script.lock().unwrap();
        script.requests += 1;
        script.replies.pop_front().or_else(|| script.last.clone()).unwrap()
    };
    let answer = |status: u16, text: String| {
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    match reply {
        Reply::Good => answer(200, PREDICTION.to_owned()),
        Reply::Other(text) => answer(200, text.to_owned()),
        Reply::Error(status, code, body) => {
            let mut response = answer(status, body.to_string());
            response.headers_mut().insert("x-amzn-errortype", code.parse().unwrap());
            response
        }
        Reply::Silence => loop {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        },
    }
}
