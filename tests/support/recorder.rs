//! A proxy between `unspsc` and a platform that keeps every request.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What belongs to one connection and not to the message.
const OWN: [HeaderName; 3] = [CONNECTION, EXPECT, TRANSFER_ENCODING];

/// A proxy that runs until the process ends.
pub(crate) struct Recorder {
    /// Its address, which stands in for that of the platform.
    pub(crate) url: String,
    recorded: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
struct Proxy {
    platform: String,
    client: reqwest::Client,
    recorded: Arc<Mutex<Vec<Value>>>,
}

impl Recorder {
    /// A proxy before the platform at this address.
    pub(crate) fn before(platform: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let recorded: Arc<Mutex<Vec<Value>>> = Arc::default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let proxy = Proxy { platform: platform.to_owned(), client, recorded: Arc::clone(&recorded) };
        let router = Router::new().fallback(pass).with_state(proxy);
        std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
        Self { url, recorded }
    }

    /// The requests since the last call, in the order in which their answers came.
    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.recorded.lock().unwrap())
    }
}

/// Sends the request on as it is, signature and all, and its answer back.
async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let target = head.uri.path_and_query().unwrap().as_str().to_owned();
    let texts = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().into()));
    let mut record = json!({
        "method": head.method.as_str(),
        "target": target,
        "headers": texts.collect::<serde_json::Map<String, Value>>(),
        "body": BASE64_STANDARD.encode(&body),
    });
    let sent = proxy.client.request(head.method, format!("{}{target}", proxy.platform));
    let answer = sent.headers(without_own(head.headers)).body(body).send().await.unwrap();
    record["status"] = answer.status().as_u16().into();
    let (status, headers) = (answer.status(), without_own(answer.headers().clone()));
    let body = answer.bytes().await.unwrap();
    proxy.recorded.lock().unwrap().push(record);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn without_own(mut headers: HeaderMap) -> HeaderMap {
    for name in OWN {
        headers.remove(name);
    }
    headers
}
