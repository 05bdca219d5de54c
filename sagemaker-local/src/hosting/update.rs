//! The operations that change an endpoint in service: another configuration, other numbers of instances.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::configs::check_count;
use super::endpoints::{deployment, endpoint_not_found, refuse_in_progress, task_key};
use super::record::{Deployment, Endpoint, EndpointStatus, Part, Update};
use super::shift::{DeploymentConfig, Policy};
use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::State;

/// The request of `UpdateEndpoint`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointUpdate {
    endpoint_name: String,
    endpoint_config_name: String,
    #[serde(default)]
    retain_all_variant_properties: bool,
    #[serde(default)]
    exclude_retained_variant_properties: Vec<Value>,
    deployment_config: Option<Value>,
    #[serde(default)]
    retain_deployment_config: bool,
}

/// The request of `UpdateEndpointWeightsAndCapacities`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Capacities {
    endpoint_name: String,
    desired_weights_and_capacities: Vec<Capacity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Capacity {
    variant_name: String,
    desired_weight: Option<f64>,
    desired_instance_count: Option<u32>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// `UpdateEndpoint`: answers at once; the new fleet starts, and takes the traffic over, on its own.
pub(crate) fn update_endpoint(platform: &Platform, request: &EndpointUpdate) -> Result<Value, ApiError> {
    let name = &request.endpoint_name;
    if !request.exclude_retained_variant_properties.is_empty() {
        return Err(ApiError::validation("sagemaker-local does not support ExcludeRetainedVariantProperties"));
    }
    let arn = platform.store.update(|state| {
        let endpoint = state.endpoints.get(name).ok_or_else(|| endpoint_not_found(name))?;
        refuse_in_progress(endpoint)?;
        if endpoint.endpoint_status == EndpointStatus::Failed {
            return Err(ApiError::validation(format!("Cannot update failed endpoint \"{}\".", endpoint.endpoint_arn)));
        }
        let kept = endpoint.last_deployment_config.clone().filter(|_| request.retain_deployment_config);
        let config = request.deployment_config.clone().or(kept);
        let parsed: Option<DeploymentConfig> = config.clone().map(serde_json::from_value).transpose()?;
        let policy = parsed.as_ref().map(Policy::new).transpose()?.unwrap_or_default();
        let number = endpoint.deployments + 1;
        let deployment = deployment(state, &request.endpoint_config_name, number)?;
        check_scaled(state, endpoint, &deployment)?;
        let now = platform.clock.now();
        let endpoint = state.endpoints.get_mut(name).ok_or_else(|| endpoint_not_found(name))?;
        endpoint.pending_deployment_summary =
            Some(json!({ "EndpointConfigName": request.endpoint_config_name, "StartTime": now }));
        endpoint.last_deployment_config = config;
        endpoint.deployments = number;
        endpoint.update = Some(Update { deployment, retain: request.retain_all_variant_properties, policy });
        endpoint.enter(EndpointStatus::Updating, now);
        Ok::<_, ApiError>(endpoint.endpoint_arn.clone())
    })?;
    platform.tasks.nudge(&task_key(name));
    Ok(json!({ "EndpointArn": arn }))
}

/// Refuses to remove a variant that is scaled, or to give it another instance type: SageMaker does so until it is deregistered.
fn check_scaled(state: &State, endpoint: &Endpoint, new: &Deployment) -> Result<(), ApiError> {
    let removed = endpoint.deployment.parts.iter().map(|part| &part.variant.variant_name).find(|name| {
        let resource = format!("endpoint/{}/variant/{name}", endpoint.endpoint_name);
        let stays = new.parts.iter().any(|part| part.variant.variant_name == **name);
        !stays && state.scalable_targets.contains_key(&resource)
    });
    if let Some(name) = removed {
        return Err(ApiError::validation(format!(
            "The variant \"{name}\" cannot be removed while it is registered as a scalable target; deregister it first."
        )));
    }
    let kind = |part: &Part| part.variant.other.get("InstanceType").cloned();
    for part in &new.parts {
        let variant = &part.variant.variant_name;
        let before = endpoint.deployment.parts.iter().find(|before| before.variant.variant_name == *variant);
        let resource = format!("endpoint/{}/variant/{variant}", endpoint.endpoint_name);
        if state.scalable_targets.contains_key(&resource) && before.is_some_and(|before| kind(before) != kind(part)) {
            return Err(ApiError::validation(format!(
                "The instance type of variant \"{variant}\" cannot be changed while it is registered as a scalable target; \
                 deregister it first."
            )));
        }
    }
    Ok(())
}

/// `UpdateEndpointWeightsAndCapacities`: answers at once; instances start and end on their own.
pub(crate) fn update_capacities(platform: &Platform, request: &Capacities) -> Result<Value, ApiError> {
    let name = &request.endpoint_name;
    let arn = platform.store.update(|state| {
        let endpoint = state.endpoints.get_mut(name).ok_or_else(|| endpoint_not_found(name))?;
        refuse_in_progress(endpoint)?;
        if endpoint.endpoint_status == EndpointStatus::Failed {
            return Err(ApiError::validation(format!("Cannot update failed endpoint \"{}\".", endpoint.endpoint_arn)));
        }
        for Capacity { variant_name, desired_weight, desired_instance_count, other } in
            &request.desired_weights_and_capacities
        {
            if let Some(member) = other.keys().next() {
                return Err(ApiError::validation(format!("sagemaker-local does not support {member}")));
            }
            let arn = endpoint.endpoint_arn.clone();
            let variants = &mut endpoint.production_variants;
            let variant =
                variants.iter_mut().find(|variant| variant.variant_name == *variant_name).ok_or_else(|| {
                    ApiError::validation(format!("Could not find variant \"{variant_name}\" of endpoint \"{arn}\"."))
                })?;
            if let Some(count) = *desired_instance_count {
                check_count(count)?;
                variant.desired_instance_count = count;
            }
            if let Some(weight) = *desired_weight {
                if weight < 0.0 {
                    return Err(ApiError::validation(format!(
                        "DesiredWeight of variant \"{variant_name}\" must be 0 or more"
                    )));
                }
                variant.desired_weight = weight;
            }
        }
        endpoint.enter(EndpointStatus::Updating, platform.clock.now());
        Ok::<_, ApiError>(endpoint.endpoint_arn.clone())
    })?;
    platform.tasks.nudge(&task_key(name));
    Ok(json!({ "EndpointArn": arn }))
}

/// Has the variant of an endpoint in service run `count` instances, and notes that by `begin`; false if it is not in service, so that it takes no
/// change.
pub(crate) fn set_capacity(
    platform: &Platform,
    name: &str,
    variant: &str,
    count: u32,
    begin: impl FnOnce(&mut State),
) -> Result<bool, ApiError> {
    let changed = platform.store.update(|state| {
        let Some(endpoint) = state.endpoints.get_mut(name) else { return Ok(false) };
        if endpoint.endpoint_status != EndpointStatus::InService {
            return Ok(false);
        }
        let variants = &mut endpoint.production_variants;
        let Some(summary) = variants.iter_mut().find(|summary| summary.variant_name == variant) else {
            return Ok(false);
        };
        summary.desired_instance_count = count;
        endpoint.enter(EndpointStatus::Updating, platform.clock.now());
        begin(state);
        Ok::<_, ApiError>(true)
    })?;
    platform.tasks.nudge(&task_key(name));
    Ok(changed)
}
