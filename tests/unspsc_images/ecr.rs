//! What of ECR `unspsc images push` asks for, in front of a registry that is not AWS's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::channel::Channel;
use serde_json::{Value, json};

use crate::registry::{PASSWORD, Registry, USER};

/// What goes wrong with the next request for an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused for the moment.
    Throttled,
    /// It is carried out, and the answer breaks off.
    Lost,
}

/// ECR, until the process ends.
pub(crate) struct Ecr {
    pub(crate) url: String,
    account: Arc<Mutex<Account>>,
}

/// What ECR knows.
#[derive(Default)]
struct Account {
    /// The registry's host and port.
    registry: String,
    password: String,
    /// What each repository was asked to be.
    repositories: BTreeMap<String, Value>,
    /// Operations in their order.
    asked: Vec<String>,
    faults: VecDeque<(&'static str, Fault)>,
}

impl Ecr {
    /// With a registry at this address.
    pub(crate) fn before(registry: &str) -> Self {
        Self::start(|_| registry.to_owned())
    }

    /// With a registry that takes the password and then answers nothing any more.
    pub(crate) fn silent() -> Self {
        Self::start(str::to_owned)
    }

    fn start(registry: impl FnOnce(&str) -> String) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let account = Account { registry: registry(&address), password: PASSWORD.to_owned(), ..Account::default() };
        let account = Arc::new(Mutex::new(account));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&account));
        std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
        Self { url: format!("http://{address}"), account }
    }

    /// From now on its tokens have this password.
    pub(crate) fn password(&self, password: &str) {
        self.account.lock().unwrap().password = password.to_owned();
    }

    pub(crate) fn fault(&self, operation: &'static str, fault: Fault) {
        self.account.lock().unwrap().faults.push_back((operation, fault));
    }

    /// The operations since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.account.lock().unwrap().asked)
    }

    /// What each repository was asked to be.
    pub(crate) fn repositories(&self) -> BTreeMap<String, Value> {
        self.account.lock().unwrap().repositories.clone()
    }
}

async fn answer(State(account): State<Arc<Mutex<Account>>>, request: Request) -> Response {
    let Some(target) = request.headers().get("x-amz-target") else { return of_registry(request).await };
    let operation = target.to_str().unwrap().split_once('.').unwrap().1.to_owned();
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let fault = {
        let mut account = account.lock().unwrap();
        account.asked.push(operation.clone());
        account.faults.pop_front_if(|(name, _)| *name == operation).map(|(_, fault)| fault)
    };
    if fault == Some(Fault::Throttled) {
        return refusal("ThrottlingException");
    }
    let response = carried_out(&account, &operation, &body).await.unwrap_or_else(refusal);
    if fault == Some(Fault::Lost) {
        // A body that breaks off takes the connection with it.
        let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
        sender.abort(std::io::ErrorKind::ConnectionReset.into());
        return Response::new(Body::new(body));
    }
    response
}

async fn carried_out(account: &Mutex<Account>, operation: &str, body: &Bytes) -> Result<Response, &'static str> {
    let request: Value = serde_json::from_slice(body).unwrap();
    let name = request["repositoryName"].as_str().or(request["repositoryNames"][0].as_str()).unwrap_or_default();
    let (registry, password) = {
        let account = account.lock().unwrap();
        (account.registry.clone(), account.password.clone())
    };
    let is_there = account.lock().unwrap().repositories.contains_key(name);
    let repository = json!({ "repositoryName": name, "repositoryUri": format!("{registry}/{name}") });
    let answer = match operation {
        "CreateRepository" if is_there => return Err("RepositoryAlreadyExistsException"),
        "CreateRepository" => {
            account.lock().unwrap().repositories.insert(name.to_owned(), request);
            json!({ "repository": repository })
        }
        "GetAuthorizationToken" => {
            let data = json!({ "authorizationToken": token(&password), "proxyEndpoint": format!("http://{registry}") });
            json!({ "authorizationData": [data] })
        }
        _ if !is_there => return Err("RepositoryNotFoundException"),
        "DescribeRepositories" => json!({ "repositories": [repository] }),
        "DescribeImages" => {
            let tag = request["imageIds"][0]["imageTag"].as_str().unwrap();
            let held = Registry::manifest(&registry, name, tag).await.ok_or("ImageNotFoundException")?;
            json!({ "imageDetails": [{ "imageDigest": held.0, "imageManifestMediaType": held.1, "imageTags": [tag] }] })
        }
        _ => return Err("InvalidParameterException"),
    };
    Ok(axum::Json(answer).into_response())
}

/// What ECR gives for logging in with `password`.
pub(crate) fn token(password: &str) -> String {
    BASE64_STANDARD.encode(format!("{USER}:{password}"))
}

fn refusal(code: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "__type": code, "message": "of the test" }))).into_response()
}

/// The registry that falls silent.
async fn of_registry(request: Request) -> Response {
    if request.headers().get(AUTHORIZATION).is_none() {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"test\"")]).into_response();
    }
    match request.uri().path() {
        // There `docker login` tries the password.
        "/v2/" => StatusCode::OK.into_response(),
        path if path.contains("/manifests/") => StatusCode::NOT_FOUND.into_response(),
        _ => std::future::pending().await,
    }
}
