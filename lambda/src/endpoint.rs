//! The endpoint: one request to it, and why one may fail.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::config::retry::RetryConfig;
use aws_sdk_sagemakerruntime::config::timeout::TimeoutConfig;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Config, Region, StalledStreamProtectionConfig};
use aws_sdk_sagemakerruntime::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sagemakerruntime::operation::RequestId as _;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use aws_sdk_sagemakerruntime::types::error::ModelError;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::value::RawValue;
use unspsc_contract::invocation::{ErrorBody, ErrorDetail};

use crate::answer::Refusal;
use crate::settings::Settings;

const JSON: &str = "application/json";
/// The longest that a connection may take, so that there is time for another.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// When to come back where nobody says it.
const COME_BACK: Duration = Duration::from_secs(5);
/// When to come back to an endpoint that loads its model.
const LOADING: Duration = Duration::from_secs(30);

const NOT_READY: &str = "the endpoint is still loading its model: try again in half a minute";
const THROTTLED: &str = "there are more requests than SageMaker lets through: try again later, or less often";
const UNAVAILABLE: &str = "the endpoint cannot be reached for the moment: try again later";
const LATE: &str = "the endpoint did not answer in time: send fewer descriptions at a time, or give the function a longer \
                    timeout";
const DENIED: &str = "the function may not invoke its endpoint: its role needs sagemaker:InvokeEndpoint on it";
const REJECTED: &str = "SageMaker refuses the function's requests, as where the endpoint is not there: see that \
                        UNSPSC_ENDPOINT names one that is in service";

/// A SageMaker endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    name: String,
}

/// Why one request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A serverless endpoint starts, or a multi-model endpoint loads the model.
    #[error("the endpoint is loading its model")]
    NotReady,
    /// SageMaker lets no more requests of this account through.
    #[error("SageMaker throttles the requests: {0}")]
    Throttled(String),
    /// SageMaker is broken or busy for the moment.
    #[error("SageMaker is unavailable: {0}")]
    Unavailable(String),
    /// SageMaker could not be reached, or its answer broke off.
    #[error("no answer came: {0}")]
    NoAnswer(String),
    /// The caller's time was over first.
    #[error("the caller's time was over before an answer came")]
    Late,
    /// The container refused, in its own words.
    #[error("the container refused with {status}: {} ({})", detail.message, detail.code)]
    Refused {
        /// The container's HTTP status.
        status: u16,
        /// Its words, and the id under which its log knows the request.
        detail: ErrorDetail,
    },
    /// The container failed in words of another form, or in none. They may quote what it was asked, and are not shown.
    #[error("the container failed with {status}, and says so in {} bytes", message.len())]
    Container {
        /// The container's HTTP status, 0 where there was none.
        status: u16,
        /// What SageMaker passes on.
        message: String,
    },
    /// The answer is none of `serve`'s.
    #[error("the endpoint answered something else than JSON: {0}")]
    NoJson(String),
    /// The function's role may not ask.
    #[error("the function's role may not invoke the endpoint: {0}")]
    Denied(String),
    /// There is no such endpoint, or SageMaker refuses for another reason that stays.
    #[error("SageMaker refused: {message} ({code})")]
    Rejected {
        /// SageMaker's code.
        code: String,
        /// Its words.
        message: String,
    },
}

impl Endpoint {
    /// The endpoint that the settings name. Nothing is sent yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let http = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(settings.credentials.clone())
            .http_client(http)
            // `asking` tries again, and the caller's time bounds it all.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.endpoint_url.clone());
        Self { client: Client::from_conf(config.build()), name: settings.endpoint.clone() }
    }

    /// Sends a document; the answer is JSON.
    pub(crate) async fn ask(&self, body: &Blob) -> Result<Box<RawValue>, Failure> {
        let request = self.client.invoke_endpoint().endpoint_name(&self.name);
        let answer =
            request.content_type(JSON).accept(JSON).body(body.clone()).send().await.map_err(|error| failure(&error))?;
        let body = answer.body.map(Blob::into_inner).unwrap_or_default();
        let text = String::from_utf8(body).map_err(|error| Failure::NoJson(error.to_string()))?;
        RawValue::from_string(text).map_err(|error| Failure::NoJson(error.to_string()))
    }
}

/// What the SDK's error means here.
fn failure(error: &SdkError<InvokeEndpointError, HttpResponse>) -> Failure {
    let SdkError::ServiceError(answer) = error else { return Failure::NoAnswer(innermost(error)) };
    let (error, status) = (answer.err(), answer.raw().status().as_u16());
    let code = error.code().unwrap_or("no code");
    let message = || {
        let id = error.request_id().map(|id| format!(" (request {id})")).unwrap_or_default();
        format!("{}{id}", error.message().unwrap_or("no reason given"))
    };
    match error {
        InvokeEndpointError::ModelError(error) => of_the_container(error),
        InvokeEndpointError::ModelNotReadyException(_) => Failure::NotReady,
        _ if status == 429 || code.contains("Throttl") || code.contains("TooManyRequests") => {
            Failure::Throttled(message())
        }
        _ if code.contains("AccessDenied") => Failure::Denied(message()),
        _ if status >= 500 => Failure::Unavailable(message()),
        _ => Failure::Rejected { code: code.to_owned(), message: message() },
    }
}

fn of_the_container(error: &ModelError) -> Failure {
    let status = error.original_status_code().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    let message = error.original_message().unwrap_or_default();
    match serde_json::from_str(message) {
        Ok(ErrorBody { error: detail }) => Failure::Refused { status, detail },
        Err(_) => Failure::Container { status, message: message.to_owned() },
    }
}

/// The last link of an error's chain: the SDK's outer ones say "dispatch failure" and the like.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Failure {
    /// Whether asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NotReady | Self::Throttled(_) | Self::Unavailable(_) | Self::NoAnswer(_) => true,
            Self::Refused { detail, .. } => detail.retry_after.is_some(),
            Self::Container { status, .. } => matches!(status, 429 | 502 | 503),
            Self::Late | Self::NoJson(_) | Self::Denied(_) | Self::Rejected { .. } => false,
        }
    }

    /// How long the container asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Refused { detail, .. } = self else { return None };
        detail.retry_after.map(Duration::from_secs)
    }

    /// What the caller is told. What is wrong with the account or the function stands in the log alone, as the caller may be
    /// anybody.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused { status, detail } if (400..500).contains(&status) || status == 503 => {
                Refusal { status, detail }
            }
            Self::Refused { detail, .. } => Refusal { status: 502, detail },
            Self::NotReady => Refusal::new(503, "not_ready", NOT_READY).come_back_after(LOADING),
            Self::Throttled(_) => Refusal::new(503, "throttled", THROTTLED).come_back_after(COME_BACK),
            Self::Unavailable(_) | Self::NoAnswer(_) => {
                Refusal::new(503, "unavailable", logged(UNAVAILABLE)).come_back_after(COME_BACK)
            }
            Self::Late => Refusal::new(504, "deadline_exceeded", LATE),
            Self::Container { message, .. } if message.contains("timed out") => {
                Refusal::new(504, "deadline_exceeded", LATE)
            }
            Self::Container { .. } => Refusal::new(502, "container_failure", logged("the endpoint's container failed")),
            Self::NoJson(_) => {
                Refusal::new(502, "no_predictions", logged("what the endpoint answers are no predictions"))
            }
            Self::Denied(_) => Refusal::new(500, "access_denied", logged(DENIED)),
            Self::Rejected { .. } => Refusal::new(500, "endpoint_refused", logged(REJECTED)),
        }
    }
}

fn logged(message: &str) -> String {
    format!("{message}; the function's log says more under this request id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_error(status: i32, message: &str) -> Failure {
        of_the_container(&ModelError::builder().original_status_code(status).original_message(message).build())
    }

    #[test]
    fn the_containers_own_words_are_passed_on() {
        let body = r#"{"error":{"code":"empty_description","message":"it is empty","request_id":"other"}}"#;
        let failure = model_error(400, body);
        assert!(!failure.is_transient());
        let refusal = failure.into_refusal();
        assert_eq!((refusal.status, refusal.detail.message.as_str()), (400, "it is empty"));
        let busy = r#"{"error":{"code":"overloaded","message":"busy","retry_after":3}}"#;
        let failure = model_error(503, busy);
        assert!(failure.is_transient() && failure.retry_after() == Some(Duration::from_secs(3)));
        assert_eq!(failure.into_refusal().status, 503);
        let broken = r#"{"error":{"code":"model_failure","message":"it failed"}}"#;
        assert_eq!(model_error(500, broken).into_refusal().status, 502);
    }

    #[test]
    fn a_container_that_says_nothing_sensible_is_no_secret_keeper() {
        let failure = model_error(500, "Traceback: secret");
        assert!(
            !failure.is_transient() && failure.to_string() == "the container failed with 500, and says so in 17 bytes"
        );
        let refusal = failure.into_refusal();
        assert!(refusal.status == 502 && !refusal.detail.message.contains("secret"), "{refusal:?}");
        assert!(model_error(503, "").is_transient());
        let slow = model_error(0, "Your invocation timed out while waiting for a response from container primary.");
        assert!(!slow.is_transient() && slow.into_refusal().status == 504);
    }
}
