//! CloudWatch Logs: what containers write to standard output and error, by group and stream.
//!
//! A stream is a plain file that a child writes to itself, so that nothing is lost when the server dies, and a file of times beside it: a
//! [`Follower`] notes when it saw how much of the log.

mod events;
mod follower;
mod streams;
mod tail;

pub(crate) use events::get_events;
pub(crate) use follower::Follower;
pub(crate) use streams::{LogStream, LogStreams, describe_groups, describe_streams};
pub(crate) use tail::tail;

use axum::http::StatusCode;

use crate::error::ApiError;

/// The group of all training jobs.
pub(crate) const TRAINING_JOBS: &str = "/aws/sagemaker/TrainingJobs";
/// The group of all transform jobs.
pub(crate) const TRANSFORM_JOBS: &str = "/aws/sagemaker/TransformJobs";

/// The group of the endpoint `name`.
pub(crate) fn of_endpoint(name: &str) -> String {
    format!("/aws/sagemaker/Endpoints/{name}")
}

fn not_found(what: &str) -> ApiError {
    let message = format!("The specified log {what} does not exist.");
    ApiError::new(StatusCode::BAD_REQUEST, "ResourceNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidParameterException", message)
}
