//! The records of Application Auto Scaling, with the field names of its API.

use std::time::Duration;

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
    pub(crate) dynamic_scaling_in_suspended: bool,
    pub(crate) dynamic_scaling_out_suspended: bool,
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

impl ScalableTarget {
    /// Whether no policy may add instances.
    pub(super) fn is_out_suspended(&self) -> bool {
        self.suspended_state.dynamic_scaling_out_suspended
    }

    /// Whether no policy may take instances away.
    pub(super) fn is_in_suspended(&self) -> bool {
        self.suspended_state.dynamic_scaling_in_suspended
    }
}

/// A metric that a policy can hold at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// `SageMakerVariantInvocationsPerInstance`: invocations a minute and instance.
    InvocationsPerInstance,
    /// `SageMakerVariantConcurrentRequestsPerModelHighResolution`: invocations under way at an instance, every ten seconds.
    ConcurrentRequests,
    /// `ApproximateBacklogSizePerInstance`, which autoscaling knows as a customized metric: asynchronous invocations that wait or are
    /// under way, by instance.
    Backlog,
}

impl Metric {
    /// The time between two datapoints.
    pub(super) fn period(self) -> Duration {
        Duration::from_secs(match self {
            Self::InvocationsPerInstance | Self::Backlog => 60,
            Self::ConcurrentRequests => 10,
        })
    }
}

/// `TargetTrackingScalingPolicyConfiguration`, with the defaults of AWS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TargetTracking {
    pub(super) target_value: f64,
    #[serde(default = "default_cooldown")]
    pub(super) scale_out_cooldown: i64,
    #[serde(default = "default_cooldown")]
    pub(super) scale_in_cooldown: i64,
    #[serde(default)]
    pub(super) disable_scale_in: bool,
    /// The metric, predefined or customized.
    #[serde(flatten)]
    pub(crate) metric: Map<String, Value>,
}

impl TargetTracking {
    /// The metric, if it is one of those that are looked at here.
    pub(super) fn metric(&self) -> Option<Metric> {
        if let Some(metric) = self.metric.get("CustomizedMetricSpecification") {
            let text = |member: &str| metric.get(member).and_then(Value::as_str);
            let is_backlog = (text("Namespace"), text("MetricName"))
                == (Some("AWS/SageMaker"), Some("ApproximateBacklogSizePerInstance"));
            return is_backlog.then_some(Metric::Backlog);
        }
        match self.metric.get("PredefinedMetricSpecification")?.get("PredefinedMetricType")?.as_str()? {
            "SageMakerVariantInvocationsPerInstance" => Some(Metric::InvocationsPerInstance),
            "SageMakerVariantConcurrentRequestsPerModelHighResolution" => Some(Metric::ConcurrentRequests),
            _ => None,
        }
    }
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

/// A target between these numbers of instances.
#[cfg(test)]
pub(super) fn example(min_capacity: i64, max_capacity: i64) -> ScalableTarget {
    ScalableTarget {
        scaled: Scaled {
            service_namespace: "sagemaker".to_owned(),
            resource_id: "endpoint/e/variant/v".to_owned(),
            scalable_dimension: "sagemaker:variant:DesiredInstanceCount".to_owned(),
        },
        min_capacity,
        max_capacity,
        role_arn: String::new(),
        creation_time: Time::now(),
        suspended_state: SuspendedState::default(),
        arn: String::new(),
    }
}
