//! The operations on endpoint configurations.

use serde::Deserialize;
use serde_json::{Value, json};

use super::models::model_not_found;
use super::record::{EndpointConfig, EndpointConfigSpec, Variant};
use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest};
use crate::names;
use crate::platform::Platform;
use crate::store;
use crate::tags;

/// Instances of a variant are processes of one machine, so there is a limit.
const MAX_INSTANCES: u32 = 4;

/// A request that names an endpoint configuration and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConfigName {
    endpoint_config_name: String,
}

/// `CreateEndpointConfig`.
pub(crate) fn create_config(platform: &Platform, mut spec: EndpointConfigSpec) -> Result<Value, ApiError> {
    names::check("endpointConfigName", &spec.endpoint_config_name)?;
    let variant = only_variant(&spec)?;
    names::check("productionVariants.1.member.variantName", &variant.variant_name)?;
    if !(1..=MAX_INSTANCES).contains(&variant.initial_instance_count) {
        let message = format!("sagemaker-local runs 1 to {MAX_INSTANCES} instances of a variant");
        return Err(ApiError::validation(format!("{message}, not {}", variant.initial_instance_count)));
    }
    let unsupported = ["AsyncInferenceConfig", "DataCaptureConfig", "ShadowProductionVariants", "ExplainerConfig"];
    let of_config = unsupported.iter().find(|member| spec.other.contains_key(**member));
    let of_variant = ["ServerlessConfig"].iter().find(|member| variant.other.contains_key(**member)).copied();
    if let Some(member) = of_config.copied().or(of_variant) {
        return Err(ApiError::validation(format!("sagemaker-local does not support {member}")));
    }
    let (name, model) = (spec.endpoint_config_name.clone(), variant.model_name.clone());
    let arn = names::arn("endpoint-config", &name);
    platform.store.update(|state| {
        if !state.models.contains_key(&model) {
            return Err(model_not_found(&model));
        }
        if state.endpoint_configs.contains_key(&name) {
            let message = format!("Cannot create already existing endpoint configuration \"{arn}\".");
            return Err(ApiError::validation(message));
        }
        tags::keep(state, &arn, &mut spec.other)?;
        let config = EndpointConfig { endpoint_config_arn: arn.clone(), creation_time: platform.clock.now(), spec };
        state.endpoint_configs.insert(name, config);
        Ok(())
    })?;
    Ok(json!({ "EndpointConfigArn": arn }))
}

/// The one variant that an endpoint has here.
pub(super) fn only_variant(spec: &EndpointConfigSpec) -> Result<&Variant, ApiError> {
    match spec.production_variants.as_slice() {
        [variant] => Ok(variant),
        variants => Err(ApiError::validation(format!(
            "sagemaker-local serves exactly one production variant of an endpoint, not {}",
            variants.len()
        ))),
    }
}

/// `DescribeEndpointConfig`.
pub(crate) fn describe_config(platform: &Platform, request: &ConfigName) -> Result<Value, ApiError> {
    let name = &request.endpoint_config_name;
    platform
        .store
        .read(|state| store::description(state.endpoint_configs.get(name).ok_or_else(|| config_not_found(name))?))
}

/// `DeleteEndpointConfig`.
pub(crate) fn delete_config(platform: &Platform, request: &ConfigName) -> Result<Value, ApiError> {
    let name = &request.endpoint_config_name;
    platform.store.update(|state| {
        state.endpoint_configs.remove(name).ok_or_else(|| config_not_found(name))?;
        state.tags.remove(&names::arn("endpoint-config", name));
        Ok(json!({}))
    })
}

/// `ListEndpointConfigs`.
pub(crate) fn list_configs(platform: &Platform, request: &ListRequest) -> Result<Value, ApiError> {
    let entry = |config: &EndpointConfig| Entry {
        name: config.spec.endpoint_config_name.clone(),
        created: config.creation_time,
        status: None,
        summary: json!({
            "EndpointConfigName": config.spec.endpoint_config_name,
            "EndpointConfigArn": config.endpoint_config_arn,
            "CreationTime": config.creation_time,
        }),
    };
    let entries = platform.store.read(|state| state.endpoint_configs.values().map(entry).collect());
    let (configs, token) = listing::page(request, entries)?;
    Ok(json!({ "EndpointConfigs": configs, "NextToken": token }))
}

/// SageMaker's refusal of an endpoint configuration that is not there.
pub(super) fn config_not_found(name: &str) -> ApiError {
    let arn = names::arn("endpoint-config", name);
    ApiError::validation(format!("Could not find endpoint configuration \"{arn}\"."))
}
