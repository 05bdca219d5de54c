//! Application Auto Scaling: the operations on scalable targets and scaling policies, and the scaling that they ask for.

mod activities;
mod policies;
mod record;
mod targets;
pub(crate) mod tracker;

pub(crate) use activities::{Activity, describe_activities, end as end_activities};
pub(crate) use policies::{delete_policy, describe_policies, put_policy};
pub(crate) use record::{ScalableTarget, ScalingPolicy};
pub(crate) use targets::{deregister_target, describe_targets, register_target};

use record::Scaled;

use crate::error::ApiError;

/// The one service whose resources can be scaled here.
const NAMESPACE: &str = "sagemaker";
/// The one dimension that can be scaled here.
const DIMENSION: &str = "sagemaker:variant:DesiredInstanceCount";

/// Refuses what is not the number of instances of a SageMaker variant.
fn check(scaled: &Scaled) -> Result<(), ApiError> {
    check_namespace(&scaled.service_namespace)?;
    if scaled.scalable_dimension != DIMENSION {
        let broken = format!("Member must satisfy enum value set: [{DIMENSION}]");
        return Err(ApiError::constraint("scalableDimension", &scaled.scalable_dimension, &broken));
    }
    Ok(())
}

fn check_namespace(namespace: &str) -> Result<(), ApiError> {
    if namespace == NAMESPACE {
        return Ok(());
    }
    let broken = format!("Member must satisfy enum value set: [{NAMESPACE}]");
    Err(ApiError::constraint("serviceNamespace", namespace, &broken))
}

/// AWS's refusal of a record that is not there; `what` begins the sentence.
fn not_found(what: &str, scaled: &Scaled) -> ApiError {
    ApiError::object_not_found(format!(
        "{what} for service namespace: {}, resource ID: {}, scalable dimension: {}",
        scaled.service_namespace, scaled.resource_id, scaled.scalable_dimension
    ))
}
