//! `unspsc plan`: the requests of a verb, printed instead of sent.
//!
//! The verb's own code runs. Only the HTTP client is another: it sends what reads, and notes and answers what would
//! change something, so that there is no second description of the requests that could differ from them.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde::Serialize;
use serde_json::{Value, json};

use crate::progress::print;

/// Beginnings of the names of operations that only read.
const READING: [&str; 3] = ["Describe", "Get", "List"];
/// What the paths of Lambda begin with: its versions.
const LAMBDA: [&str; 2] = ["2015-03-31", "2019-09-30"];
/// What the service would call an upload in parts.
const UPLOAD_ID: &str = "planned";

/// The requests that would have changed something, in their order.
#[derive(Debug, Default)]
pub(crate) struct Plan(Mutex<Vec<Planned>>);

/// A request that was not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Planned {
    /// The service, as IAM names it.
    service: String,
    operation: String,
    /// The body; of S3, which has none in JSON, what would be written where.
    request: Value,
}

impl Plan {
    /// A client that sends by `inner` what only reads.
    pub(crate) fn client(self: &Arc<Self>, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Client { plan: Arc::clone(self), inner })
    }

    /// Prints what was noted.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if as_json {
            return print(&serde_json::to_string_pretty(&*requests)?);
        }
        if requests.is_empty() {
            return print("nothing to change");
        }
        for request in requests.iter() {
            print(&request.text()?)?;
        }
        let count = requests.len();
        print(&format!("{count} request{} would be made; nothing was changed", if count == 1 { "" } else { "s" }))
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Notes what would be done by another program, as a request.
    pub(crate) fn note_other(&self, service: &str, operation: &str, request: Value) {
        self.note(Planned { service: service.to_owned(), operation: operation.to_owned(), request });
    }

    fn note(&self, planned: Planned) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
    }
}

impl Planned {
    /// The request as people read it.
    fn text(&self) -> anyhow::Result<String> {
        let Self { service, operation, request } = self;
        let Some(place) = request.get("Uri").and_then(Value::as_str) else {
            return Ok(format!("{service} {operation} {}\n", serde_json::to_string_pretty(request)?));
        };
        let part = request.get("PartNumber").map(|number| format!(" part {number}")).unwrap_or_default();
        let bytes = request.get("Bytes").map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
        Ok(format!("{service} {operation}{part} {place}{bytes}"))
    }
}

/// The HTTP client of a plan.
#[derive(Debug)]
struct Client {
    plan: Arc<Plan>,
    inner: SharedHttpClient,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { plan: Arc::clone(&self.plan), inner })
    }
}

#[derive(Debug)]
struct Connector {
    plan: Arc<Plan>,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(planned) = changing(&request) else { return self.inner.call(request) };
        let answer = answer(&planned).map_err(|error| ConnectorError::other(error.into(), None));
        self.plan.note(planned);
        HttpConnectorFuture::ready(answer)
    }
}

/// What `request` would change; nothing if it only reads.
fn changing(request: &HttpRequest) -> Option<Planned> {
    let Some(target) = request.headers().get("x-amz-target") else {
        let is_form = request.headers().get("content-type") == Some("application/x-www-form-urlencoded");
        return if is_form { changing_by_form(request) } else { changing_by_rest(request) };
    };
    let (service, operation) = target.split_once('.').unwrap_or(("", target));
    let service = match service {
        "SageMaker" => "sagemaker",
        "AnyScaleFrontendService" => "application-autoscaling",
        "Logs_20140328" => "logs",
        "AmazonEC2ContainerRegistry_V20150921" => "ecr",
        other => other,
    };
    let service = service.to_owned();
    let body = request.body().bytes().unwrap_or_default();
    let mut request: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // Maps of the SDK have no order of their own; the fields of the request have one that people know.
    request.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut).for_each(Value::sort_all_objects);
    is_changing(operation).then(|| Planned { service, operation: operation.to_owned(), request })
}

fn is_changing(operation: &str) -> bool {
    !READING.iter().any(|beginning| operation.starts_with(beginning))
}

/// The same for CloudFormation, whose requests are forms.
fn changing_by_form(request: &HttpRequest) -> Option<Planned> {
    let body = request.body().bytes().unwrap_or_default();
    let (mut operation, mut members) = (String::new(), json!({}));
    for (key, value) in url::form_urlencoded::parse(body) {
        match key.as_ref() {
            "Action" => operation = value.into_owned(),
            "Version" => {}
            // Nobody reads a plan for the text of a file that lies beside it.
            "TemplateBody" => members["TemplateBody"] = format!("({} bytes)", value.len()).into(),
            key => put(&mut members, &key.split('.').collect::<Vec<_>>(), &value),
        }
    }
    is_changing(&operation).then(|| Planned { service: "cloudformation".to_owned(), operation, request: members })
}

/// Puts `text` where `path` leads to in `value`: members of structures by their names, of lists by `member` and a number from 1.
fn put(value: &mut Value, path: &[&str], text: &str) {
    match path {
        [] => *value = text.into(),
        ["member", number, rest @ ..] => {
            let index = number.parse::<usize>().unwrap_or_default().saturating_sub(1);
            if !value.is_array() {
                *value = json!([]);
            }
            let Some(list) = value.as_array_mut() else { return };
            list.resize(list.len().max(index + 1), Value::Null);
            put(&mut list[index], rest, text);
        }
        [name, rest @ ..] => {
            if !value.is_object() {
                *value = json!({});
            }
            put(&mut value[*name], rest, text);
        }
    }
}

/// The same for Lambda: the name of the operation follows from method and path, and its members from path, query and body.
fn changing_of_lambda(request: &HttpRequest, uri: &url::Url) -> Option<Planned> {
    let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let (operation, in_path) = match (request.method(), &segments[2..]) {
        ("PUT", [_, "code"]) => ("UpdateFunctionCode", None),
        ("POST", [_, "versions"]) => ("PublishVersion", None),
        ("PUT", [_, "aliases", alias]) => ("UpdateAlias", Some(("Name", *alias))),
        ("PUT", [_, "provisioned-concurrency"]) => ("PutProvisionedConcurrencyConfig", None),
        ("POST", [_, "invocations"]) => ("Invoke", None),
        ("GET", _) => return None,
        (method, _) => (method, None),
    };
    let mut members = json!({ "FunctionName": segments.get(2).copied().unwrap_or_default() });
    if let Some((name, value)) = in_path {
        members[name] = value.into();
    }
    for (name, value) in uri.query_pairs() {
        members[name.as_ref()] = value.as_ref().into();
    }
    if operation != "Invoke"
        && let Ok(Value::Object(body)) = serde_json::from_slice(request.body().bytes().unwrap_or_default())
        && let Some(members) = members.as_object_mut()
    {
        members.extend(body);
    }
    Some(Planned { service: "lambda".to_owned(), operation: operation.to_owned(), request: members })
}

/// The same for S3 and for the runtime of SageMaker, whose operations are methods and paths.
fn changing_by_rest(request: &HttpRequest) -> Option<Planned> {
    let uri: url::Url = request.uri().parse().ok()?;
    let query = |name: &str| uri.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let path = uri.path().trim_matches('/');
    if LAMBDA.iter().any(|version| path.strip_prefix(version).is_some_and(|rest| rest.starts_with("/functions/"))) {
        return changing_of_lambda(request, &uri);
    }
    if path.starts_with("endpoints/") && path.ends_with("/invocations") {
        let request = json!({ "Path": uri.path() });
        return Some(Planned { service: "sagemaker".to_owned(), operation: "InvokeEndpoint".to_owned(), request });
    }
    let has_key = path.contains('/');
    let operation = match (request.method(), query("uploadId"), query("uploads")) {
        ("GET" | "HEAD", ..) => return None,
        ("PUT", Some(_), _) => "UploadPart",
        ("PUT", None, _) if has_key => "PutObject",
        ("PUT", ..) => "CreateBucket",
        ("POST", _, Some(_)) => "CreateMultipartUpload",
        ("POST", Some(_), _) => "CompleteMultipartUpload",
        ("POST", ..) if query("delete").is_some() => "DeleteObjects",
        ("DELETE", Some(_), _) => "AbortMultipartUpload",
        ("DELETE", ..) => "DeleteObject",
        (method, ..) => method,
    };
    let mut what = json!({ "Uri": format!("s3://{path}") });
    if let (Some(number), Some(fields)) = (query("partNumber"), what.as_object_mut()) {
        fields.insert("PartNumber".to_owned(), number.parse().unwrap_or(0u32).into());
    }
    if let (true, Some(fields)) = (matches!(operation, "PutObject" | "UploadPart"), what.as_object_mut()) {
        fields.insert("Bytes".to_owned(), length(request).into());
    }
    Some(Planned { service: "s3".to_owned(), operation: operation.to_owned(), request: what })
}

/// Bytes of the object in the body, which may have a checksum behind it.
fn length(request: &HttpRequest) -> Option<u64> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.parse().ok());
    header("x-amz-decoded-content-length").or_else(|| header("content-length")).or(request.body().content_length())
}

/// What the service would answer if all went well, as far as the verbs read it.
fn answer(planned: &Planned) -> Result<HttpResponse, aws_smithy_runtime_api::http::HttpError> {
    let uri = planned.request.get("Uri").and_then(Value::as_str).unwrap_or_default();
    let (bucket, key) = uri.trim_start_matches("s3://").split_once('/').unwrap_or((uri, ""));
    let place = format!("<Bucket>{bucket}</Bucket><Key>{key}</Key>");
    let body = match planned.operation.as_str() {
        "CreateMultipartUpload" => format!(
            "<InitiateMultipartUploadResult>{place}<UploadId>{UPLOAD_ID}</UploadId></InitiateMultipartUploadResult>"
        ),
        "CompleteMultipartUpload" => {
            format!(
                "<CompleteMultipartUploadResult>{place}<ETag>\"{UPLOAD_ID}\"</ETag></CompleteMultipartUploadResult>"
            )
        }
        "DeleteObjects" => "<DeleteResult></DeleteResult>".to_owned(),
        _ if planned.service == "s3" => String::new(),
        operation if planned.service == "cloudformation" => {
            format!("<{operation}Response><{operation}Result></{operation}Result></{operation}Response>")
        }
        _ => "{}".to_owned(),
    };
    let mut answer = HttpResponse::new(StatusCode::try_from(200)?, SdkBody::from(body));
    answer.headers_mut().insert("etag", format!("\"{UPLOAD_ID}\""));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, target: Option<&str>, body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).unwrap();
        request.set_uri(uri.to_owned()).unwrap();
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target.to_owned());
        }
        request
    }

    #[test]
    fn what_reads_is_told_from_what_changes() {
        let json = |target: &str| changing(&request("POST", "https://x.amazonaws.com/", Some(target), "{\"A\": 1}"));
        for reading in ["SageMaker.DescribeModel", "SageMaker.ListTags", "Logs_20140328.GetLogEvents"] {
            assert_eq!(json(reading), None, "{reading}");
        }
        let planned = json("SageMaker.CreateModel").unwrap();
        assert_eq!(
            (planned.service.as_str(), planned.operation.as_str(), planned.request),
            ("sagemaker", "CreateModel", json!({"A": 1}))
        );
        let form = |body: &str| {
            let mut request = request("POST", "https://cloudformation.amazonaws.com/", None, body);
            request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
            changing(&request)
        };
        assert_eq!(form("Action=DescribeStacks&Version=2010-05-15&StackName=s"), None);
        let pairs = "Parameters.member.1.ParameterKey=K&Parameters.member.1.ParameterValue=a%20b&TemplateBody=abc";
        let planned = form(&format!("Action=CreateChangeSet&Version=2010-05-15&{pairs}")).unwrap();
        let parameters = json!([{ "ParameterKey": "K", "ParameterValue": "a b" }]);
        assert_eq!(planned.request, json!({ "Parameters": parameters, "TemplateBody": "(3 bytes)" }));
        let lambda = |method: &str, path: &str, body: &str| {
            changing(&request(method, &format!("https://lambda.amazonaws.com/{path}"), None, body))
                .map(|planned| (planned.operation, planned.request))
        };
        assert_eq!(lambda("GET", "2015-03-31/functions/f/aliases/live", ""), None);
        let (operation, members) =
            lambda("PUT", "2015-03-31/functions/f/aliases/live", r#"{"FunctionVersion":"2"}"#).unwrap();
        assert_eq!(operation, "UpdateAlias");
        assert_eq!(members, json!({ "FunctionName": "f", "Name": "live", "FunctionVersion": "2" }));
        let s3 = |method: &str, path: &str| {
            changing(&request(method, &format!("https://s3.amazonaws.com/{path}"), None, "abc"))
                .map(|p| p.text().unwrap())
        };
        assert_eq!(s3("HEAD", "b/k"), None);
        assert_eq!(s3("GET", "b?list-type=2"), None);
        for (method, path, text) in [
            ("PUT", "b", "s3 CreateBucket s3://b"),
            ("PUT", "b/k/l?x-id=PutObject", "s3 PutObject s3://b/k/l (3 bytes)"),
            ("PUT", "b/k?partNumber=2&uploadId=u", "s3 UploadPart part 2 s3://b/k (3 bytes)"),
            ("POST", "b/k?uploads", "s3 CreateMultipartUpload s3://b/k"),
            ("POST", "b/k?uploadId=u", "s3 CompleteMultipartUpload s3://b/k"),
            ("DELETE", "b/k?uploadId=u", "s3 AbortMultipartUpload s3://b/k"),
        ] {
            assert_eq!(s3(method, path).as_deref(), Some(text));
        }
    }
}
