//! moto with what `tests/clients/moto_walk.py` adds to it, behind a server of the test that passes requests on, and injects
//! faults. Where a sagemaker-local is beside it, S3 is shared by both: packages of the Lambda go to moto too.

#![allow(dead_code, reason = "each test file needs some of them")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode, request};
use axum::response::{IntoResponse as _, Response};
use http_body_util::channel::Channel;
use serde_json::{Value, json};

use crate::python::python;

/// The account of moto, as sagemaker-local has it.
pub(crate) const ACCOUNT: &str = "000000000000";
/// The bucket of the stack `unspsc-base`.
pub(crate) const BUCKET: &str = "unspsc-000000000000-us-east-1";

/// What goes wrong with the next request for an operation.
#[derive(Clone)]
pub(crate) enum Fault {
    /// It is refused for the moment.
    Throttled,
    /// It is carried out, and the answer breaks off.
    Lost,
    /// It is carried out, and its answer has other words.
    Says(&'static str, &'static str),
    /// It is refused for good, with this code and message.
    Refused(&'static str, &'static str),
    /// It is carried out, which is noted among the operations, and its answer never comes.
    Mute,
}

/// A moto server, and the server before it.
pub(crate) struct Stacks {
    process: Child,
    pub(crate) url: String,
    shared: Arc<Shared>,
}

/// What the Lambda answers to an event.
type Answering = Box<dyn Fn(&str, Value) -> Value + Send>;

struct Shared {
    moto: String,
    /// Where S3 is, if it is not moto's.
    platform: Option<String>,
    client: reqwest::Client,
    asked: Mutex<Vec<String>>,
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    lambda: Mutex<Answering>,
}

impl Stacks {
    pub(crate) fn start(platform: Option<&str>) -> Self {
        let mut process = python(Some("moto_walk.py"));
        let mut process = process
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut moto).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer =
            json!({ "statusCode": 200, "body": json!({ "label": "44103103", "probability": 0.9 }).to_string() });
        let shared = Arc::new(Shared {
            moto: moto.trim().to_owned(),
            platform: platform.map(str::to_owned),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            asked: Mutex::default(),
            faults: Mutex::default(),
            lambda: Mutex::new(Box::new(move |_, _| answer.clone())),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        std::thread::spawn(move || runtime.block_on(axum::serve(listener, router).into_future()).unwrap());
        Self { process, url, shared }
    }

    pub(crate) fn fault(&self, operation: &'static str, fault: Fault) {
        self.shared.faults.lock().unwrap().push_back((operation, fault));
    }

    /// The operations since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Those that change something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let reads = |name: &String| {
            ["Describe", "Get", "GET", "HEAD", "List", "Invoke"].iter().any(|one| name.starts_with(one))
        };
        self.take().into_iter().filter(|name| !reads(name)).collect()
    }

    /// From now on the Lambda answers so to a qualifier and an event.
    pub(crate) fn answers(&self, lambda: impl Fn(&str, Value) -> Value + Send + 'static) {
        *self.shared.lambda.lock().unwrap() = Box::new(lambda);
    }

    /// moto's answer to a request of a service.
    pub(crate) fn ask(&self, service: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let key = format!("AWS4-HMAC-SHA256 Credential=local/20261129/us-east-1/{service}/aws4_request, Signature=0");
        let method = method.parse().unwrap();
        let sent = self.shared.client.request(method, format!("{}{path}", self.shared.moto)).header(AUTHORIZATION, key);
        let form = "application/x-www-form-urlencoded";
        let sent = if ["cloudformation", "iam"].contains(&service) { sent.header(CONTENT_TYPE, form) } else { sent };
        let asked = async {
            let answer = sent.body(body.to_owned()).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked)
    }

    /// Makes an endpoint that is in service at once and works by a role, with this program's tag or without.
    pub(crate) fn endpoint(&self, endpoint: &str, role: &str, is_ours: bool) {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        let variant = json!({
            "VariantName": "AllTraffic", "ModelName": endpoint, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2,
        });
        let tags = if is_ours { json!([{ "Key": "unspsc:managed-by", "Value": "unspsc" }]) } else { json!([]) };
        let container = json!({ "Image": "serve" });
        self.sagemaker(
            "CreateModel",
            &json!({ "ModelName": endpoint, "ExecutionRoleArn": role, "PrimaryContainer": container, "Tags": tags }),
        );
        self.sagemaker(
            "CreateEndpointConfig",
            &json!({ "EndpointConfigName": endpoint, "ProductionVariants": [variant], "Tags": tags }),
        );
        self.sagemaker(
            "CreateEndpoint",
            &json!({ "EndpointName": endpoint, "EndpointConfigName": endpoint, "Tags": tags }),
        );
    }

    pub(crate) fn sagemaker(&self, operation: &str, request: &Value) {
        self.carry_out("sagemaker", &format!("SageMaker.{operation}"), request);
    }

    /// Has a service that speaks JSON carry out a request.
    pub(crate) fn carry_out(&self, service: &str, target: &str, request: &Value) {
        let sent = self.shared.client.post(&self.shared.moto).header("x-amz-target", target);
        let key = format!("AWS4-HMAC-SHA256 Credential=local/20261129/us-east-1/{service}/aws4_request, Signature=0");
        let sent = sent.header(AUTHORIZATION, key).body(request.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(sent.send()).unwrap().status();
        assert!(status.is_success(), "{target}: {status}");
    }

    /// Writes a line into a log, which is there.
    pub(crate) fn log(&self, group: &str, stream: &str, line: &str) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        let at = json!({ "logGroupName": group, "logStreamName": stream });
        self.carry_out("logs", "Logs_20140328.CreateLogStream", &at);
        let mut events = at;
        events["logEvents"] = json!([{ "timestamp": now, "message": line }]);
        self.carry_out("logs", "Logs_20140328.PutLogEvents", &events);
    }

    /// Makes a change set of a stack that there is not, as somebody who goes to look at it.
    pub(crate) fn review(&self, stack: &str, change_set: &str) {
        let template = "Resources: {Queue: {Type: AWS::SQS::Queue}}";
        self.cloudformation(&format!(
            "Action=CreateChangeSet&ChangeSetType=CREATE&StackName={stack}&ChangeSetName={change_set}&TemplateBody={template}"
        ));
    }

    /// The answer of CloudFormation, which has to be one.
    pub(crate) fn cloudformation(&self, form: &str) -> String {
        let (status, answer) = self.ask("cloudformation", "POST", "/", &format!("Version=2010-05-15&{form}"));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The status of a stack, or that there is none.
    pub(crate) fn status(&self, stack: &str) -> String {
        let form = format!("Version=2010-05-15&Action=DescribeStacks&StackName={stack}");
        let (status, answer) = self.ask("cloudformation", "POST", "/", &form);
        if status != 200 {
            return "none".to_owned();
        }
        between(&answer, "<StackStatus>", "</StackStatus>").to_owned()
    }

    /// Whether there is a bucket, a repository, a role or a function of anybody's.
    pub(crate) fn is_empty(&self) -> bool {
        let buckets = self.ask("s3", "GET", "/", "").1;
        let roles = self.ask("iam", "POST", "/", "Action=ListRoles&Version=2010-05-08").1;
        let functions = self.ask("lambda", "GET", "/2015-03-31/functions/", "").1;
        !buckets.contains("<Bucket>") && !roles.contains("<RoleName>") && !functions.contains("FunctionName\":")
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        // Its input ends; it may have ended before.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A program for the processor that an ELF file calls so, as far as its head goes.
pub(crate) fn program(machine: u8, text: &str) -> Vec<u8> {
    let mut program = b"\x7fELF".to_vec();
    program.resize(64, 0);
    program[18] = machine;
    [&program, text.as_bytes()].concat()
}

/// The text between two others.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}

/// The service that the request was signed for.
fn service(headers: &HeaderMap) -> String {
    let signed = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    signed.split('/').nth(3).unwrap_or_default().to_owned()
}

/// The operation's name in the AWS API; of S3 the method and the key.
fn operation(head: &request::Parts, body: &[u8], service: &str) -> String {
    if let Some(target) = head.headers.get("x-amz-target") {
        return target.to_str().unwrap().split_once('.').unwrap().1.to_owned();
    }
    let path = head.uri.path();
    match service {
        "lambda" => {
            let what: Vec<&str> = path.trim_matches('/').split('/').skip(3).collect();
            match (head.method.as_str(), what.as_slice()) {
                ("GET", ["configuration"]) => "GetFunctionConfiguration",
                ("PUT", ["code"]) => "UpdateFunctionCode",
                ("POST", ["versions"]) => "PublishVersion",
                ("GET", ["aliases", _]) => "GetAlias",
                ("PUT", ["aliases", _]) => "UpdateAlias",
                ("GET", ["provisioned-concurrency"]) => "GetProvisionedConcurrencyConfig",
                ("PUT", ["provisioned-concurrency"]) => "PutProvisionedConcurrencyConfig",
                ("POST", ["invocations"]) => "Invoke",
                other => panic!("{other:?}"),
            }
            .to_owned()
        }
        "s3" if head.uri.query().is_some_and(|query| query.contains("versions")) => "ListObjectVersions".to_owned(),
        "s3" => format!("{} {path}", head.method),
        _ => between(&format!("{}&", String::from_utf8_lossy(body)), "Action=", "&").to_owned(),
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let service = service(&head.headers);
    let operation = operation(&head, &body, &service);
    shared.asked.lock().unwrap().push(operation.clone());
    let fault = {
        let mut faults = shared.faults.lock().unwrap();
        let next = faults.iter().position(|(name, _)| *name == operation);
        next.and_then(|next| faults.remove(next)).map(|(_, fault)| fault)
    };
    match fault {
        Some(Fault::Throttled) if service == "lambda" => {
            return refused(429, "TooManyRequestsException", "of the test", &service);
        }
        Some(Fault::Throttled) => return refused(400, "Throttling", "of the test", &service),
        Some(Fault::Refused(code, message)) => return refused(400, code, message, &service),
        _ => {}
    }
    if operation == "Invoke" {
        let qualifier = head.uri.query().unwrap_or_default().trim_start_matches("Qualifier=").to_owned();
        let event = serde_json::from_slice(&body).unwrap();
        let answer = shared.clone();
        let answer =
            tokio::task::spawn_blocking(move || (answer.lambda.lock().unwrap())(&qualifier, event)).await.unwrap();
        return axum::Json(answer).into_response();
    }
    let platform = shared.platform.as_ref().filter(|_| service == "s3");
    if platform.is_some() && head.uri.path().contains("/unspsc/lambda/") {
        send(&shared.client, &shared.moto, &head, body.clone()).await;
    }
    if platform.is_some() && head.uri.query().is_some_and(|query| query.contains("delete")) {
        emptied(&shared, head.uri.path().trim_matches('/')).await;
    }
    let answer = send(&shared.client, platform.unwrap_or(&shared.moto), &head, body).await;
    match fault {
        Some(Fault::Lost) => broken(),
        Some(Fault::Mute) => {
            shared.asked.lock().unwrap().push("carried out".to_owned());
            std::future::pending().await
        }
        Some(Fault::Says(from, to)) => {
            let (mut head, body) = answer.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, String::from_utf8_lossy(&body).replace(from, to).into())
        }
        _ => answer,
    }
}

/// Deletes all versions of all objects that a bucket has at moto, which gives them ids of its own.
async fn emptied(shared: &Shared, bucket: &str) {
    let key = "AWS4-HMAC-SHA256 Credential=local/20261129/us-east-1/s3/aws4_request, Signature=0";
    let ask = async |method: reqwest::Method, path: &str| {
        let sent = shared.client.request(method, format!("{}/{bucket}{path}", shared.moto)).header(AUTHORIZATION, key);
        sent.send().await.unwrap().text().await.unwrap()
    };
    for version in ask(reqwest::Method::GET, "?versions").await.split("<Version>").skip(1) {
        let (key, id) = (between(version, "<Key>", "</Key>"), between(version, "<VersionId>", "</VersionId>"));
        ask(reqwest::Method::DELETE, &format!("/{key}?versionId={id}")).await;
    }
}

async fn send(client: &reqwest::Client, to: &str, head: &request::Parts, body: Bytes) -> Response {
    let target = head.uri.path_and_query().unwrap().as_str();
    let sent = client.request(head.method.clone(), format!("{to}{target}"));
    let answer = sent.headers(without_own(head.headers.clone())).body(body).send().await.unwrap();
    let (status, headers) = (answer.status(), without_own(answer.headers().clone()));
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What belongs to one connection and not to the message stays out.
fn without_own(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, EXPECT, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// A body that breaks off takes the connection with it.
fn broken() -> Response {
    let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    sender.abort(std::io::ErrorKind::ConnectionReset.into());
    Response::new(Body::new(body))
}

fn refused(status: u16, code: &str, message: &str, service: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    if service == "cloudformation" {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        return (status, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>")).into_response();
    }
    let body = axum::Json(json!({ "__type": code, "message": message }));
    (status, [("x-amzn-ErrorType", code.to_owned())], body).into_response()
}
