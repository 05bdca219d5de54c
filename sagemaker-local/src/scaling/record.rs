//! The records of Application Auto Scaling, with the field names of its API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Time;

/// What is scaled; every request of one resource carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Scaled {
    pub(crate) service_namespace: String,
    /// `endpoint/ENDPOINT/variant/VARIANT`.
    pub(crate) resource_id: String,
    pub(crate) scalable_dimension: String,
}

/// `SuspendedState`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SuspendedState {
    dynamic_scaling_in_suspended: bool,
    dynamic_scaling_out_suspended: bool,
    scheduled_scaling_suspended: bool,
}

/// A scalable target.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalableTarget {
    #[serde(flatten)]
    pub(crate) scaled: Scaled,
    pub(crate) min_capacity: i64,
    pub(crate) max_capacity: i64,
    #[serde(rename = "RoleARN")]
    pub(crate) role_arn: String,
    pub(crate) creation_time: Time,
    pub(crate) suspended_state: SuspendedState,
    #[serde(rename = "ScalableTargetARN")]
    pub(crate) arn: String,
}

/// `TargetTrackingScalingPolicyConfiguration`, with the defaults of AWS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TargetTracking {
    target_value: f64,
    #[serde(default = "default_cooldown")]
    scale_out_cooldown: i64,
    #[serde(default = "default_cooldown")]
    scale_in_cooldown: i64,
    #[serde(default)]
    disable_scale_in: bool,
    /// The metric, predefined or customized.
    #[serde(flatten)]
    pub(crate) metric: Map<String, Value>,
}

/// AWS waits 300 seconds between two changes of a variant.
fn default_cooldown() -> i64 {
    300
}

/// A CloudWatch alarm that AWS makes for a policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Alarm {
    pub(crate) alarm_name: String,
    #[serde(rename = "AlarmARN")]
    pub(crate) arn: String,
}

/// A scaling policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalingPolicy {
    #[serde(rename = "PolicyARN")]
    pub(crate) arn: String,
    pub(crate) policy_name: String,
    pub(crate) service_namespace: String,
    pub(crate) resource_id: String,
    pub(crate) scalable_dimension: String,
    pub(crate) policy_type: String,
    #[serde(rename = "TargetTrackingScalingPolicyConfiguration")]
    pub(crate) target_tracking: TargetTracking,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) creation_time: Time,
}
