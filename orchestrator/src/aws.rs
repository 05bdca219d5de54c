//! The AWS clients, and their errors in one sentence.

use std::error::Error;

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, ProvideCredentials as _};
use aws_sdk_sagemaker::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// What to do where no source of credentials has any.
const NO_CREDENTIALS: &str = "no AWS credentials were found: sign in to AWS, or pass --local to use this machine";

/// One client for each service.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) sagemaker: aws_sdk_sagemaker::Client,
    pub(crate) runtime: aws_sdk_sagemakerruntime::Client,
    pub(crate) scaling: aws_sdk_applicationautoscaling::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    /// The region that they speak to.
    pub(crate) region: String,
}

impl Clients {
    /// Clients of AWS, or of `endpoint_url`; `local` chooses the credentials and region of sagemaker-local.
    ///
    /// # Errors
    /// When region or credentials are set nowhere: asked for here, so that the first request need not explain it.
    pub(crate) async fn connect(endpoint_url: Option<&str>, region: Option<&str>, local: bool) -> anyhow::Result<Self> {
        let http = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        if let Some(url) = endpoint_url {
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
        let region = config.region().context(
            "no AWS region is set: pass --region, or --endpoint-url for a sagemaker-local that runs, or --local",
        )?;
        let credentials = config.credentials_provider().context(NO_CREDENTIALS)?.provide_credentials().await;
        credentials.map_err(|error| match innermost(&error) {
            // The list of every source that was tried says less than the remedy.
            list if list.contains('\n') => anyhow::anyhow!(NO_CREDENTIALS),
            reason => anyhow::anyhow!("{NO_CREDENTIALS} ({reason})"),
        })?;
        // Stand-ins have one address, so that a bucket cannot be a part of the host's name.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(endpoint_url.is_some()).build();
        Ok(Self {
            sagemaker: aws_sdk_sagemaker::Client::new(&config),
            runtime: aws_sdk_sagemakerruntime::Client::new(&config),
            scaling: aws_sdk_applicationautoscaling::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            region: region.to_string(),
        })
    }
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
    /// Whether the resource that was asked for does not exist; SageMaker has no code of its own for that.
    pub(crate) fn is_missing(&self) -> bool {
        let Self::Refused { code, message, .. } = self else { return false };
        match code.as_str() {
            "ValidationException" => message.starts_with("Could not find") || message.contains("not found"),
            code => matches!(code, "ResourceNotFound" | "ObjectNotFoundException" | "NoSuchKey" | "NotFound"),
        }
    }

    /// Whether asking again may help: nothing was refused.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// Turns the SDK's error of `operation` into ours.
pub(crate) fn failed<E, R>(operation: &'static str) -> impl FnOnce(SdkError<E, R>) -> ServiceError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    move |error| match (error.code(), &error) {
        (Some(code), _) => ServiceError::Refused {
            operation,
            code: code.to_owned(),
            message: error.message().unwrap_or("no reason given").to_owned(),
        },
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
        ServiceError::Refused { operation: "DescribeEndpoint", code: code.to_owned(), message: message.to_owned() }
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
    fn errors_are_one_sentence_with_the_services_words() {
        let error = refused("ValidationException", "Could not find endpoint \"x\".").to_string();
        assert_eq!(error, "DescribeEndpoint was refused: Could not find endpoint \"x\" (ValidationException)");
    }
}
