//! The operations of the AWS JSON 1.1 protocol by their target.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;
use crate::platform::Platform;
use crate::{hosting, logs, scaling, tags, training, transform, tuning};

/// Carries out the operation `target`, such as `SageMaker.CreateModel`.
///
/// Blocks on files, and starts tasks, so it wants a thread of its own and a runtime around it.
pub(crate) fn call(platform: &Arc<Platform>, target: &str, body: &[u8]) -> Result<Value, ApiError> {
    match target.split_once('.') {
        Some(("SageMaker", operation)) => sagemaker(platform, operation, body),
        Some(("AnyScaleFrontendService", operation)) => autoscaling(platform, operation, body),
        Some(("Logs_20140328", operation)) => cloudwatch_logs(platform, operation, body),
        _ => Err(ApiError::unknown_operation(target)),
    }
}

fn sagemaker(platform: &Arc<Platform>, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    match operation {
        "CreateTrainingJob" => training::create(platform, parse(body)?),
        "DescribeTrainingJob" => training::describe(platform, &parse(body)?),
        "StopTrainingJob" => training::stop(platform, &parse(body)?),
        "ListTrainingJobs" => training::list(platform, &parse(body)?),
        "CreateTransformJob" => transform::create(platform, parse(body)?),
        "DescribeTransformJob" => transform::describe(platform, &parse(body)?),
        "StopTransformJob" => transform::stop(platform, &parse(body)?),
        "ListTransformJobs" => transform::list(platform, &parse(body)?),
        "CreateHyperParameterTuningJob" => tuning::create(platform, parse(body)?),
        "DescribeHyperParameterTuningJob" => tuning::describe(platform, &parse(body)?),
        "StopHyperParameterTuningJob" => tuning::stop(platform, &parse(body)?),
        "ListHyperParameterTuningJobs" => tuning::list(platform, parse(body)?),
        "ListTrainingJobsForHyperParameterTuningJob" => tuning::list_trials(platform, parse(body)?),
        "CreateModel" => hosting::create_model(platform, parse(body)?),
        "DescribeModel" => hosting::describe_model(platform, &parse(body)?),
        "DeleteModel" => hosting::delete_model(platform, &parse(body)?),
        "ListModels" => hosting::list_models(platform, &parse(body)?),
        "CreateEndpointConfig" => hosting::create_config(platform, parse(body)?),
        "DescribeEndpointConfig" => hosting::describe_config(platform, &parse(body)?),
        "DeleteEndpointConfig" => hosting::delete_config(platform, &parse(body)?),
        "ListEndpointConfigs" => hosting::list_configs(platform, &parse(body)?),
        "CreateEndpoint" => hosting::create_endpoint(platform, parse(body)?),
        "DescribeEndpoint" => hosting::describe_endpoint(platform, &parse(body)?),
        "DeleteEndpoint" => hosting::delete_endpoint(platform, &parse(body)?),
        "UpdateEndpoint" => hosting::update_endpoint(platform, &parse(body)?),
        "UpdateEndpointWeightsAndCapacities" => hosting::update_capacities(platform, &parse(body)?),
        "ListEndpoints" => hosting::list_endpoints(platform, &parse(body)?),
        "AddTags" => tags::add(platform, parse(body)?),
        "DeleteTags" => tags::delete(platform, &parse(body)?),
        "ListTags" => tags::list(platform, &parse(body)?),
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

fn cloudwatch_logs(platform: &Platform, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    match operation {
        "DescribeLogGroups" => logs::describe_groups(platform, &parse(body)?),
        "DescribeLogStreams" => logs::describe_streams(platform, &parse(body)?),
        "GetLogEvents" => logs::get_events(platform, &parse(body)?),
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

fn autoscaling(platform: &Platform, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    match operation {
        "RegisterScalableTarget" => scaling::register_target(platform, parse(body)?),
        "DescribeScalableTargets" => scaling::describe_targets(platform, &parse(body)?),
        "DeregisterScalableTarget" => scaling::deregister_target(platform, &parse(body)?),
        "PutScalingPolicy" => scaling::put_policy(platform, parse(body)?),
        "DescribeScalingPolicies" => scaling::describe_policies(platform, &parse(body)?),
        "DescribeScalingActivities" => scaling::describe_activities(platform, &parse(body)?),
        "DeleteScalingPolicy" => scaling::delete_policy(platform, &parse(body)?),
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Clients send no body at all where a request has no members.
    Ok(serde_json::from_slice(if body.is_empty() { b"{}" } else { body })?)
}
