//! What the environment says: the endpoint, the limits, and where AWS is.

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_sagemakerruntime::config::Credentials;

/// Lambda's limit for an event and for an answer.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// Their answers with five candidates each are some 3 MB.
const DESCRIPTIONS: usize = 2_000;
/// The most descriptions of a document that the container takes.
const MOST_DESCRIPTIONS: usize = 20_000;
/// API Gateway waits for so long unless its quota was raised.
///
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>.
const GATEWAY_SECS: u64 = 29;
/// The longest that a Lambda function can run.
const MOST_GATEWAY_SECS: u64 = 900;

/// The settings of a function.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The endpoint's name.
    pub(crate) endpoint: String,
    /// The most descriptions of one event.
    pub(crate) max_descriptions: usize,
    /// The longest body of an HTTP request, decoded.
    pub(crate) max_body_bytes: usize,
    /// For how long API Gateway waits for an answer.
    pub(crate) gateway: Duration,
    /// Whether the log may hold what was asked.
    pub(crate) logs_descriptions: bool,
    /// The region of the endpoint.
    pub(crate) region: String,
    /// Those of the function's role.
    pub(crate) credentials: Credentials,
    /// An address in place of AWS's.
    pub(crate) endpoint_url: Option<String>,
}

/// A variable that is missing or cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The program was started by hand.
    #[error(
        "this program runs in AWS Lambda, as a function's `bootstrap` on provided.al2023: see `unspsc lambda deploy`"
    )]
    NoLambda,
    /// The endpoint has no name.
    #[error("UNSPSC_ENDPOINT is not set: give the function the name of the SageMaker endpoint in this variable")]
    NoEndpoint,
    /// One of the variables that Lambda itself sets.
    #[error("{0} is not set: Lambda sets it for every function with a role, so it must not be removed")]
    NotSet(&'static str),
    /// A value is not of its kind.
    #[error("{name} is `{value}`, and should be {wanted}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        wanted: String,
    },
}

impl SettingsError {
    /// Whether there is a Lambda to tell it.
    pub(crate) fn is_within_lambda(&self) -> bool {
        *self != Self::NoLambda
    }
}

impl Settings {
    /// Reads all variables.
    ///
    /// # Errors
    /// If one is missing or cannot be understood.
    pub(crate) fn from_environment() -> Result<Self, SettingsError> {
        Self::read(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingsError> {
        let needed = |name| variable(name).ok_or(SettingsError::NotSet(name));
        // `lambda_runtime` panics without these.
        for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"] {
            variable(name).ok_or(SettingsError::NoLambda)?;
        }
        let memory = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        number::<i32>(memory, Some(needed(memory)?), 0, 1, i32::MAX)?;
        let descriptions =
            number("UNSPSC_MAX_DESCRIPTIONS", variable("UNSPSC_MAX_DESCRIPTIONS"), DESCRIPTIONS, 1, MOST_DESCRIPTIONS)?;
        let bytes = variable("UNSPSC_MAX_BODY_BYTES");
        let gateway = variable("UNSPSC_GATEWAY_SECS");
        Ok(Self {
            endpoint: variable("UNSPSC_ENDPOINT").ok_or(SettingsError::NoEndpoint)?,
            max_descriptions: descriptions,
            max_body_bytes: number("UNSPSC_MAX_BODY_BYTES", bytes, MAX_PAYLOAD_BYTES, 1, MAX_PAYLOAD_BYTES)?,
            gateway: Duration::from_secs(number("UNSPSC_GATEWAY_SECS", gateway, GATEWAY_SECS, 1, MOST_GATEWAY_SECS)?),
            logs_descriptions: yes("UNSPSC_LOG_DESCRIPTIONS", variable("UNSPSC_LOG_DESCRIPTIONS"))?,
            region: needed("AWS_REGION")?,
            credentials: Credentials::new(
                needed("AWS_ACCESS_KEY_ID")?,
                needed("AWS_SECRET_ACCESS_KEY")?,
                variable("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            endpoint_url: variable("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME").or_else(|| variable("AWS_ENDPOINT_URL")),
        })
    }
}

/// A number from `least` to `most`, `default` where the variable says nothing.
fn number<T: FromStr + PartialOrd + Display + Copy>(
    name: &'static str,
    value: Option<String>,
    default: T,
    least: T,
    most: T,
) -> Result<T, SettingsError> {
    let Some(value) = value else { return Ok(default) };
    let number = value.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| SettingsError::Wrong { name, value, wanted: format!("a whole number from {least} to {most}") })
}

fn yes(name: &'static str, value: Option<String>) -> Result<bool, SettingsError> {
    let Some(value) = value else { return Ok(false) };
    match value.trim().to_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(SettingsError::Wrong { name, value, wanted: "true or false".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables as Lambda sets them, less some and with others.
    fn read(missing: &str, others: &[(&'static str, &'static str)]) -> Result<Settings, SettingsError> {
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_LAMBDA_FUNCTION_NAME", "unspsc"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("UNSPSC_ENDPOINT", "e"),
        ];
        Settings::read(|name| {
            let find =
                |all: &[(&str, &str)]| all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
            find(others).or_else(|| find(&lambda).filter(|_| name != missing))
        })
    }

    #[test]
    fn what_is_missing_is_named() {
        for (missing, said) in [
            ("AWS_LAMBDA_RUNTIME_API", "runs in AWS Lambda"),
            ("UNSPSC_ENDPOINT", "UNSPSC_ENDPOINT is not set: give the function the name"),
            ("AWS_REGION", "AWS_REGION is not set"),
            ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY is not set"),
        ] {
            let error = read(missing, &[]).unwrap_err();
            assert!(error.to_string().contains(said), "{missing}: {error}");
        }
        let settings = read("", &[]).unwrap();
        assert_eq!((settings.max_descriptions, settings.gateway), (2_000, Duration::from_secs(29)));
        assert!(!settings.logs_descriptions && settings.endpoint_url.is_none());
    }

    #[test]
    fn values_are_of_their_kind_and_within_bounds() {
        for (name, value, said) in [
            ("UNSPSC_MAX_DESCRIPTIONS", "20001", "a whole number from 1 to 20000"),
            ("UNSPSC_MAX_BODY_BYTES", "7000000", "a whole number from 1 to 6291456"),
            ("UNSPSC_GATEWAY_SECS", "half", "a whole number from 1 to 900"),
            ("UNSPSC_LOG_DESCRIPTIONS", "perhaps", "true or false"),
        ] {
            let error = read("", &[(name, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("{name} is `{value}`, and should be {said}"));
        }
        let own = [
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://b"),
            ("UNSPSC_LOG_DESCRIPTIONS", "Yes"),
        ];
        let settings = read("", &own).unwrap();
        assert_eq!(settings.endpoint_url.as_deref(), Some("http://b"));
        assert!(settings.logs_descriptions);
    }
}
