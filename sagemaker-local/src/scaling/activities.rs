//! What has been done to the numbers of instances, and why: `DescribeScalingActivities`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::Scaled;
use super::{DIMENSION, NAMESPACE, check_namespace};
use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::State;
use crate::time::Time;

/// Activities that are kept; AWS keeps those of six weeks.
const MAX_ACTIVITIES: usize = 1000;
/// The page of AWS where the caller names none, and its largest.
const MAX_PAGE: usize = 50;

/// `StatusCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ActivityStatus {
    InProgress,
    Successful,
    Failed,
}

/// A change of the number of a variant's instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Activity {
    activity_id: String,
    #[serde(flatten)]
    pub(crate) scaled: Scaled,
    description: String,
    cause: String,
    pub(crate) start_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Time>,
    pub(crate) status_code: ActivityStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    /// The number of instances that it leads to.
    #[serde(rename = "_Capacity")]
    capacity: u32,
}

/// The request of `DescribeScalingActivities`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ActivityFilter {
    service_namespace: String,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Notes that the variant `resource` is to have `capacity` instances.
pub(super) fn begin(state: &mut State, resource: &str, capacity: u32, cause: String, now: Time) {
    state.scaling_activities.push(Activity {
        activity_id: uuid::Uuid::new_v4().to_string(),
        scaled: Scaled {
            service_namespace: NAMESPACE.to_owned(),
            resource_id: resource.to_owned(),
            scalable_dimension: DIMENSION.to_owned(),
        },
        description: format!("Setting desired instance count to {capacity}."),
        cause,
        start_time: now,
        end_time: None,
        status_code: ActivityStatus::InProgress,
        status_message: None,
        capacity,
    });
    let excess = state.scaling_activities.len().saturating_sub(MAX_ACTIVITIES);
    state.scaling_activities.drain(..excess);
}

/// Ends what was under way for the variants of the endpoint, with success unless there is a `failure`.
pub(crate) fn end(state: &mut State, endpoint: &str, failure: Option<&str>, now: Time) {
    let prefix = format!("endpoint/{endpoint}/");
    let running = |activity: &&mut Activity| {
        activity.status_code == ActivityStatus::InProgress && activity.scaled.resource_id.starts_with(&prefix)
    };
    for activity in state.scaling_activities.iter_mut().filter(running) {
        let capacity = activity.capacity;
        activity.end_time = Some(now);
        (activity.status_code, activity.status_message) = match failure {
            None => {
                let message = format!(
                    "Successfully set desired instance count to {capacity}. Change successfully fulfilled by sagemaker."
                );
                (ActivityStatus::Successful, Some(message))
            }
            Some(reason) => {
                let message = format!("Failed to set desired instance count to {capacity}. Reason: {reason}");
                (ActivityStatus::Failed, Some(message))
            }
        };
    }
}

/// `DescribeScalingActivities`: the newest first.
pub(crate) fn describe_activities(platform: &Platform, request: &ActivityFilter) -> Result<Value, ApiError> {
    check_namespace(&request.service_namespace)?;
    let start: usize = match request.next_token.as_deref() {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            ApiError::new(
                axum::http::StatusCode::BAD_REQUEST,
                "InvalidNextTokenException",
                "The next token is not valid.",
            )
        })?,
    };
    let wanted = |activity: &&Activity| {
        let Scaled { resource_id, scalable_dimension, .. } = &activity.scaled;
        request.resource_id.as_ref().is_none_or(|resource| resource == resource_id)
            && request.scalable_dimension.as_ref().is_none_or(|dimension| dimension == scalable_dimension)
    };
    let found: Vec<Value> = platform.store.read(|state| {
        state.scaling_activities.iter().rev().filter(wanted).map(crate::store::description).collect::<Result<_, _>>()
    })?;
    let end = start.saturating_add(request.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE));
    let next = (end < found.len()).then(|| end.to_string());
    let page: Vec<Value> = found.into_iter().skip(start).take(end - start).collect();
    Ok(json!({ "ScalingActivities": page, "NextToken": next }))
}
