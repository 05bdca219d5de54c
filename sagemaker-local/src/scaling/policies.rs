//! The operations on scaling policies.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::record::{Alarm, Scaled, ScalingPolicy, TargetTracking};
use super::{check, check_namespace, not_found};
use crate::error::ApiError;
use crate::names::{ACCOUNT, REGION};
use crate::platform::Platform;

/// The one kind of policy that is kept.
const TARGET_TRACKING: &str = "TargetTrackingScaling";

/// The request of `PutScalingPolicy`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicySpec {
    #[serde(flatten)]
    scaled: Scaled,
    policy_name: String,
    #[serde(default)]
    policy_type: String,
    #[serde(rename = "TargetTrackingScalingPolicyConfiguration")]
    target_tracking: Option<TargetTracking>,
}

/// The request of `DescribeScalingPolicies`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyFilter {
    service_namespace: String,
    #[serde(default)]
    policy_names: Vec<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
}

/// The request of `DeleteScalingPolicy`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyName {
    #[serde(flatten)]
    scaled: Scaled,
    policy_name: String,
}

/// `PutScalingPolicy`: makes a policy or replaces the one of the same name.
pub(crate) fn put_policy(platform: &Platform, request: PolicySpec) -> Result<Value, ApiError> {
    check(&request.scaled)?;
    let metrics = ["PredefinedMetricSpecification", "CustomizedMetricSpecification"];
    let target_tracking = request.target_tracking.filter(|_| request.policy_type == TARGET_TRACKING);
    let target_tracking = target_tracking.filter(|policy| metrics.iter().any(|name| policy.metric.contains_key(*name)));
    let Some(target_tracking) = target_tracking else {
        return Err(ApiError::validation(format!(
            "sagemaker-local keeps policies of type {TARGET_TRACKING} with a TargetTrackingScalingPolicyConfiguration \
             that names a metric; {:?} is none",
            request.policy_name
        )));
    };
    if target_tracking.metric().is_none() || target_tracking.target_value <= 0.0 {
        return Err(ApiError::validation(
            "sagemaker-local scales by SageMakerVariantInvocationsPerInstance, \
             SageMakerVariantConcurrentRequestsPerModelHighResolution and the customized metric \
             ApproximateBacklogSizePerInstance of AWS/SageMaker, with a TargetValue above 0",
        ));
    }
    platform.store.update(|state| {
        let Scaled { service_namespace, resource_id, scalable_dimension } = &request.scaled;
        if !state.scalable_targets.contains_key(resource_id) {
            return Err(not_found("No scalable target registered", &request.scaled));
        }
        let same = |policy: &ScalingPolicy| policy.is(&request.policy_name, resource_id);
        let before = state.scaling_policies.iter().position(same).map(|index| state.scaling_policies.remove(index));
        let (arn, alarms, creation_time) = before.map_or_else(
            || (new_arn(resource_id, &request.policy_name), new_alarms(resource_id), platform.clock.now()),
            |policy| (policy.arn, policy.alarms, policy.creation_time),
        );
        let answer = json!({ "PolicyARN": arn, "Alarms": alarms });
        state.scaling_policies.push(ScalingPolicy {
            arn,
            policy_name: request.policy_name.clone(),
            service_namespace: service_namespace.clone(),
            resource_id: resource_id.clone(),
            scalable_dimension: scalable_dimension.clone(),
            policy_type: TARGET_TRACKING.to_owned(),
            target_tracking,
            alarms,
            creation_time,
        });
        Ok(answer)
    })
}

/// `DescribeScalingPolicies`.
pub(crate) fn describe_policies(platform: &Platform, request: &PolicyFilter) -> Result<Value, ApiError> {
    check_namespace(&request.service_namespace)?;
    let wanted = |policy: &&ScalingPolicy| {
        (request.policy_names.is_empty() || request.policy_names.contains(&policy.policy_name))
            && request.resource_id.as_ref().is_none_or(|resource| *resource == policy.resource_id)
            && request.scalable_dimension.as_ref().is_none_or(|dimension| *dimension == policy.scalable_dimension)
    };
    platform.store.read(|state| {
        let policies: Vec<&ScalingPolicy> = state.scaling_policies.iter().filter(wanted).collect();
        Ok(json!({ "ScalingPolicies": policies }))
    })
}

/// `DeleteScalingPolicy`.
pub(crate) fn delete_policy(platform: &Platform, request: &PolicyName) -> Result<Value, ApiError> {
    check(&request.scaled)?;
    platform.store.update(|state| {
        let same = |policy: &ScalingPolicy| policy.is(&request.policy_name, &request.scaled.resource_id);
        let index = state.scaling_policies.iter().position(same);
        let index = index.ok_or_else(|| not_found("No scaling policy found", &request.scaled))?;
        state.scaling_policies.remove(index);
        Ok(json!({}))
    })
}

impl ScalingPolicy {
    fn is(&self, name: &str, resource: &str) -> bool {
        self.policy_name == name && self.resource_id == resource
    }
}

fn new_arn(resource: &str, name: &str) -> String {
    let id = Uuid::new_v4();
    format!("arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{id}:resource/sagemaker/{resource}:policyName/{name}")
}

/// The two alarms that AWS makes for a policy; here they have names, and the tracker stands in for them.
fn new_alarms(resource: &str) -> Vec<Alarm> {
    let alarm = |side: &str| {
        let alarm_name = format!("TargetTracking-{resource}-Alarm{side}-{}", Uuid::new_v4());
        Alarm { arn: format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm_name}"), alarm_name }
    };
    vec![alarm("High"), alarm("Low")]
}
