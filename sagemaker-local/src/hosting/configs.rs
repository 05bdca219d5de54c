//! The operations on endpoint configurations.

use serde::Deserialize;
use serde_json::{Value, json};

use super::models::model_not_found;
use super::record::{AsyncConfig, AsyncOutput, EndpointConfig, EndpointConfigSpec, ServerlessConfig, Variant};
use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest};
use crate::names;
use crate::platform::Platform;
use crate::storage::{S3Uri, S3UriError};
use crate::store;
use crate::tags;

/// Instances of a variant are processes of one machine, so there is a limit.
pub(crate) const MAX_INSTANCES: u32 = 4;

/// A request that names an endpoint configuration and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConfigName {
    endpoint_config_name: String,
}

/// `CreateEndpointConfig`.
pub(crate) fn create_config(platform: &Platform, mut spec: EndpointConfigSpec) -> Result<Value, ApiError> {
    names::check("endpointConfigName", &spec.endpoint_config_name)?;
    check_variants(&spec.production_variants)?;
    if let Some(config) = &spec.async_inference_config {
        check_async(platform, config)?;
    }
    let unsupported = ["DataCaptureConfig", "ShadowProductionVariants", "ExplainerConfig"];
    if let Some(member) = unsupported.iter().find(|member| spec.other.contains_key(**member)) {
        return Err(ApiError::validation(format!("sagemaker-local does not support {member}")));
    }
    let name = spec.endpoint_config_name.clone();
    let arn = names::arn("endpoint-config", &name);
    platform.store.update(|state| {
        let missing = spec.production_variants.iter().find(|variant| !state.models.contains_key(&variant.model_name));
        if let Some(variant) = missing {
            return Err(model_not_found(&variant.model_name));
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

/// SageMaker's limit of variants.
const MAX_VARIANTS: usize = 10;
/// SageMaker's limit of asynchronous invocations that an instance gets at a time.
const MAX_ASYNC_CONCURRENCY: u32 = 1000;
/// SageMaker's limits of a serverless variant.
const MAX_SERVERLESS_MB: u32 = 6144;
const MAX_SERVERLESS_CONCURRENCY: u32 = 200;

fn check_variants(variants: &[Variant]) -> Result<(), ApiError> {
    if !(1..=MAX_VARIANTS).contains(&variants.len()) {
        let broken = format!("Member must have length from 1 to {MAX_VARIANTS}");
        return Err(ApiError::constraint("productionVariants", &format!("{} variants", variants.len()), &broken));
    }
    for (index, variant) in variants.iter().enumerate() {
        let name = &variant.variant_name;
        names::check(&format!("productionVariants.{}.member.variantName", index + 1), name)?;
        if variants.iter().skip(index + 1).any(|other| other.variant_name == *name) {
            return Err(ApiError::validation(format!("Duplicate variant name \"{name}\"")));
        }
        if !(0.0..=f64::from(f32::MAX)).contains(&variant.initial_variant_weight) {
            return Err(ApiError::validation(format!("InitialVariantWeight of variant \"{name}\" must be 0 or more")));
        }
        match variant.serverless_config {
            Some(config) => check_serverless(variant, config)?,
            None => {
                let required =
                    || ApiError::validation(format!("InitialInstanceCount of variant \"{name}\" is required"));
                check_count(variant.initial_instance_count.ok_or_else(required)?)?;
            }
        }
    }
    Ok(())
}

fn check_serverless(variant: &Variant, config: ServerlessConfig) -> Result<(), ApiError> {
    let name = &variant.variant_name;
    let ServerlessConfig { memory_size_in_mb: memory, max_concurrency, .. } = config;
    if variant.initial_instance_count.is_some() || variant.other.contains_key("InstanceType") {
        let message = format!(
            "Variant \"{name}\" has a ServerlessConfig, and takes neither InstanceType nor InitialInstanceCount"
        );
        return Err(ApiError::validation(message));
    }
    if memory == 0 || memory > MAX_SERVERLESS_MB || memory % 1024 != 0 {
        let broken = "Member must satisfy enum value set: [1024, 2048, 3072, 4096, 5120, 6144]";
        return Err(ApiError::constraint("serverlessConfig.memorySizeInMB", &memory.to_string(), broken));
    }
    if (1..=MAX_SERVERLESS_CONCURRENCY).contains(&max_concurrency) {
        return Ok(());
    }
    let broken = format!("Member must have value from 1 to {MAX_SERVERLESS_CONCURRENCY}");
    Err(ApiError::constraint("serverlessConfig.maxConcurrency", &max_concurrency.to_string(), &broken))
}

/// Refuses a number of instances that this machine does not run.
pub(super) fn check_count(count: u32) -> Result<(), ApiError> {
    if (1..=MAX_INSTANCES).contains(&count) {
        return Ok(());
    }
    Err(ApiError::validation(format!("sagemaker-local runs 1 to {MAX_INSTANCES} instances of a variant, not {count}")))
}

fn check_async(platform: &Platform, config: &AsyncConfig) -> Result<(), ApiError> {
    let concurrency = config.client_config.and_then(|client| client.max_concurrent_invocations_per_instance);
    if let Some(concurrency) = concurrency.filter(|number| !(1..=MAX_ASYNC_CONCURRENCY).contains(number)) {
        let broken = format!("Member must have value from 1 to {MAX_ASYNC_CONCURRENCY}");
        return Err(ApiError::constraint("maxConcurrentInvocationsPerInstance", &concurrency.to_string(), &broken));
    }
    let AsyncOutput { s3_output_path, s3_failure_path, .. } = &config.output_config;
    for path in [Some(s3_output_path), s3_failure_path.as_ref()].into_iter().flatten() {
        let uri: S3Uri = path.parse().map_err(|error: S3UriError| ApiError::validation(error.to_string()))?;
        if !platform.storage.has_bucket(&uri.bucket) {
            return Err(ApiError::validation(format!("The bucket of the S3 path {uri} does not exist.")));
        }
    }
    Ok(())
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
