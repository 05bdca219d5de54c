//! The AWS clients, and their errors in one sentence.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, ProvideCredentials as _};
use aws_sdk_sagemaker::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::origin::Origin;

use crate::denial::Denial;
use crate::plan::Plan;

/// What to do where no source of credentials has any.
const NO_CREDENTIALS: &str = "no AWS credentials were found: sign in to AWS, or pass --local to use this machine";
/// How often a request is made at most, where the service is throttling or out of reach; the pauses grow and are drawn.
const ATTEMPTS: u32 = 5;
/// A platform on this machine is there or is not.
const LOCAL_ATTEMPTS: u32 = 3;
/// The longest that a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest that one attempt may take: InvokeEndpoint answers within 60 seconds.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(70);
/// The longest that a request may take with all its attempts.
const REQUEST_LIMIT: Duration = Duration::from_secs(240);
/// The longest that one attempt may take which carries a part of a file: 16 MiB at half a megabit a second.
const TRANSFER_LIMIT: Duration = Duration::from_secs(300);

/// One client for each service.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) sagemaker: aws_sdk_sagemaker::Client,
    pub(crate) runtime: aws_sdk_sagemakerruntime::Client,
    pub(crate) scaling: aws_sdk_applicationautoscaling::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    /// The region that they speak to.
    pub(crate) region: String,
}

impl Clients {
    /// Clients of AWS, or of the address `at`; `local` chooses the credentials and region of sagemaker-local. With a
    /// `plan`, only requests that read are sent.
    ///
    /// # Errors
    /// When region or credentials are set nowhere: asked for here, so that the first request need not explain it.
    pub(crate) async fn connect(
        at: At<'_>,
        region: Option<&str>,
        local: bool,
        plan: Option<&Arc<Plan>>,
    ) -> anyhow::Result<Self> {
        let http = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = load(&http, at, region, local).await;
        let region = config.region().filter(|region| !region.as_ref().is_empty()).context(
            "no AWS region is set: pass --region, or --endpoint-url for a sagemaker-local that runs, or --local",
        )?;
        let region = region.to_string();
        let credentials = config.credentials_provider().context(NO_CREDENTIALS)?.provide_credentials().await;
        credentials.map_err(|error| match innermost(&error) {
            // The list of every source that was tried says less than the remedy.
            list if list.contains('\n') => anyhow::anyhow!(NO_CREDENTIALS),
            reason => anyhow::anyhow!("{NO_CREDENTIALS} ({reason})"),
        })?;
        // Only here: what provides credentials goes on asking for them.
        let config = match plan {
            Some(plan) => config.into_builder().http_client(plan.client(http)).build(),
            None => config,
        };
        // Stand-ins have one address, so that a bucket cannot be a part of the host's name.
        let path_style = !matches!(at, At::Aws) || plan.is_some();
        let s3 = aws_sdk_s3::config::Builder::from(&of("S3", at, &config)).force_path_style(path_style);
        let s3 = s3.timeout_config(timeouts(TRANSFER_LIMIT).build());
        let timeouts = timeouts(ATTEMPT_LIMIT).operation_timeout(REQUEST_LIMIT).build();
        let config = config.into_builder().timeout_config(timeouts).build();
        let of = |service| of(service, at, &config);
        Ok(Self {
            sagemaker: aws_sdk_sagemaker::Client::new(&of("SAGEMAKER")),
            runtime: aws_sdk_sagemakerruntime::Client::new(&of("SAGEMAKER_RUNTIME")),
            scaling: aws_sdk_applicationautoscaling::Client::new(&of("APPLICATION_AUTO_SCALING")),
            logs: aws_sdk_cloudwatchlogs::Client::new(&of("CLOUDWATCH_LOGS")),
            ecr: aws_sdk_ecr::Client::new(&of("ECR")),
            cloudformation: aws_sdk_cloudformation::Client::new(&of("CLOUDFORMATION")),
            lambda: aws_sdk_lambda::Client::new(&of("LAMBDA")),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            region,
        })
    }
}

/// Where services are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    /// At their own addresses.
    Aws,
    /// All at this address, but those that have one of their own in the environment, such as `AWS_ENDPOINT_URL_LAMBDA`.
    Address(&'a str),
    /// All at the sagemaker-local of this process.
    Within(&'a str),
}

async fn load(http: &SharedHttpClient, at: At<'_>, region: Option<&str>, local: bool) -> SdkConfig {
    let retries = if local {
        let soon = Duration::from_millis(100);
        RetryConfig::standard().with_max_attempts(LOCAL_ATTEMPTS).with_initial_backoff(soon)
    } else {
        RetryConfig::standard().with_max_attempts(ATTEMPTS)
    };
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).retry_config(retries);
    if let At::Address(url) | At::Within(url) = at {
        loader = loader.endpoint_url(url);
    }
    if local {
        let (key, secret) = (sagemaker_local::ACCESS_KEY, sagemaker_local::SECRET_KEY);
        loader = loader.credentials_provider(Credentials::new(key, secret, None, None, "sagemaker-local"));
        loader = loader.region(Region::from_static(sagemaker_local::REGION));
    } else if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    if config.endpoint_url() != Some("") {
        return config;
    }
    // The SDK takes an empty variable for an address, of each service too unless this counts as said here.
    let mut config = config.into_builder();
    config.set_endpoint_url(None);
    config.insert_origin("endpoint_url", Origin::shared_config());
    config.build()
}

/// `config` with the address that the environment has for this service alone, where it has one: the SDK would let that which was
/// given for all go before it.
fn of(service: &str, at: At<'_>, config: &SdkConfig) -> SdkConfig {
    let own = std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok().filter(|url| !url.is_empty());
    match (at, own) {
        (At::Address(_), Some(url)) => config.to_builder().endpoint_url(url).build(),
        _ => config.clone(),
    }
}

fn timeouts(attempt: Duration) -> aws_config::timeout::TimeoutConfigBuilder {
    TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).operation_attempt_timeout(attempt)
}

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The service said no.
    #[error("{operation} was refused: {} ({code})", message.trim_end_matches('.'))]
    Refused {
        /// The operation's name in the AWS API.
        operation: &'static str,
        /// The service's code, such as `ValidationException`.
        code: String,
        /// The service's message.
        message: String,
    },
    /// The caller, or the role of a job, may not do that.
    #[error("{operation} was denied: {denial}")]
    Denied {
        /// The operation's name in the AWS API.
        operation: &'static str,
        /// Who lacks what.
        denial: Denial,
    },
    /// The service could not be asked.
    #[error("{operation} got no answer: {reason}")]
    NoAnswer {
        /// The operation's name in the AWS API.
        operation: &'static str,
        /// Why.
        reason: String,
    },
}

impl ServiceError {
    fn refused(operation: &'static str, code: &str, message: &str) -> Self {
        if matches!(code, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation") {
            return Self::Denied { operation, denial: Denial::parse(message) };
        }
        Self::Refused { operation, code: code.to_owned(), message: message.to_owned() }
    }

    /// Whether the resource that was asked for does not exist; SageMaker has no code of its own for that.
    pub(crate) fn is_missing(&self) -> bool {
        let Self::Refused { code, message, .. } = self else { return false };
        match code.as_str() {
            "ValidationException" => {
                let message = message.to_lowercase();
                message.starts_with("could not find") || message.contains("not found")
            }
            // CloudFormation's.
            "ValidationError" => message.contains("does not exist"),
            code => matches!(
                code,
                "ResourceNotFound"
                    | "ResourceNotFoundException"
                    | "ObjectNotFoundException"
                    | "ProvisionedConcurrencyConfigNotFoundException"
                    | "ChangeSetNotFound"
                    | "ChangeSetNotFoundException"
                    | "RepositoryNotFoundException"
                    | "ImageNotFoundException"
                    | "NoSuchBucket"
                    | "NoSuchKey"
                    | "NoSuchUpload"
                    | "NotFound"
            ),
        }
    }

    /// Whether the name is taken: of what was to be created there is one.
    pub(crate) fn is_taken(&self) -> bool {
        let Self::Refused { code, message, .. } = self else { return false };
        // Models and endpoints that exist are refused by a ValidationException, jobs by a code of their own.
        matches!(code.as_str(), "ResourceInUse" | "RepositoryAlreadyExistsException" | "AlreadyExistsException")
            || message.starts_with("Cannot create already existing")
    }

    /// Whether asking again may help: nothing was refused for good.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { code, .. } => TRANSIENT.contains(&code.as_str()) || code.starts_with("HTTP 5"),
            Self::Denied { .. } => false,
        }
    }
}

/// Whether a service has refused for good what `error` is about, so that it is not there.
pub(crate) fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &ServiceError| !error.is_transient())
}

/// Codes of services that are busy or broken for the moment.
const TRANSIENT: [&str; 14] = [
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Turns the SDK's error of `operation` into ours.
pub(crate) fn failed<E>(operation: &'static str) -> impl FnOnce(SdkError<E, HttpResponse>) -> ServiceError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| match (error.code(), &error) {
        (Some(code), _) => ServiceError::refused(operation, code, error.message().unwrap_or("no reason given")),
        // The answer to a HEAD request has no body, which is where S3 says why.
        (None, SdkError::ServiceError(answer)) => {
            let status = answer.raw().status().as_u16();
            let answered = format!("the service answered HTTP {status}");
            let (code, message) = match status {
                301 => ("PermanentRedirect".to_owned(), answered),
                403 => ("AccessDenied".to_owned(), answered),
                404 => ("NotFound".to_owned(), answered),
                status => (format!("HTTP {status}"), "the service gave no reason".to_owned()),
            };
            ServiceError::refused(operation, &code, &message)
        }
        _ => ServiceError::NoAnswer { operation, reason: innermost(&error) },
    }
}

/// The last link of an error's chain: the SDK's outer ones say "dispatch failure" and the like.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> ServiceError {
        ServiceError::refused("DescribeEndpoint", code, message)
    }

    #[test]
    fn missing_resources_are_told_from_other_refusals() {
        assert!(refused("ValidationException", "Could not find endpoint \"x\".").is_missing());
        assert!(refused("ValidationException", "Requested resource not found.").is_missing());
        assert!(refused("ObjectNotFoundException", "No scaling policy").is_missing());
        assert!(!refused("ValidationException", "1 validation error detected").is_missing());
        assert!(!refused("AccessDeniedException", "not found in policy").is_missing());
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        assert!(refused("ThrottlingException", "Rate exceeded").is_transient());
        assert!(refused("HTTP 503", "the service answered HTTP 503").is_transient());
        assert!(!refused("ValidationException", "x").is_transient());
        assert!(!refused("AccessDeniedException", "x").is_transient());
        assert!(refused("ResourceInUse", "Training job already exists").is_taken());
        let model = "Cannot create already existing model \"arn:aws:sagemaker:us-east-1:1:model/x\".";
        assert!(refused("ValidationException", model).is_taken());
    }

    #[test]
    fn errors_are_one_sentence_with_the_services_words() {
        let error = refused("ValidationException", "Could not find endpoint \"x\".").to_string();
        assert_eq!(error, "DescribeEndpoint was refused: Could not find endpoint \"x\" (ValidationException)");
    }
}
