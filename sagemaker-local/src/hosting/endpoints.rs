//! The operations on endpoints.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::configs::config_not_found;
use super::models::model_not_found;
use super::record::{Deployment, Endpoint, EndpointStatus, Part};
use super::supervisor;
use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest};
use crate::names;
use crate::platform::Platform;
use crate::store::{self, State};
use crate::tags;

/// The request of `CreateEndpoint`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointSpec {
    endpoint_name: String,
    endpoint_config_name: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A request that names an endpoint and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointName {
    endpoint_name: String,
}

/// `CreateEndpoint`: keeps the record and answers at once; the instances start on their own.
pub(crate) fn create_endpoint(platform: &Arc<Platform>, request: EndpointSpec) -> Result<Value, ApiError> {
    let EndpointSpec { endpoint_name, endpoint_config_name: config_name, mut other } = request;
    let name = &endpoint_name;
    names::check("endpointName", name)?;
    let arn = names::arn("endpoint", name);
    let deployment = platform.store.update(|state| {
        if state.endpoints.contains_key(name) {
            return Err(ApiError::validation(format!("Cannot create already existing endpoint \"{arn}\".")));
        }
        let deployment = deployment(state, &config_name, 1)?;
        tags::keep(state, &arn, &mut other)?;
        state.endpoints.insert(name.clone(), Endpoint::new(name, deployment.clone(), platform.clock.now()));
        Ok(deployment)
    })?;
    let shared = Arc::clone(platform);
    let key = task_key(name);
    platform.tasks.start(key.clone(), |stop| async move {
        supervisor::run(Arc::clone(&shared), &endpoint_name, deployment, stop).await;
        shared.tasks.finished(&key);
        // A deletion that came while the endpoint failed by itself finds no task, or leaves the record to this line.
        remove_if_deleting(&shared, &endpoint_name);
    });
    Ok(json!({ "EndpointArn": arn }))
}

/// `DescribeEndpoint`.
pub(crate) fn describe_endpoint(platform: &Platform, request: &EndpointName) -> Result<Value, ApiError> {
    let name = &request.endpoint_name;
    platform.store.read(|state| store::description(state.endpoints.get(name).ok_or_else(|| endpoint_not_found(name))?))
}

/// `DeleteEndpoint`: answers at once; the instances have their grace period.
pub(crate) fn delete_endpoint(platform: &Platform, request: &EndpointName) -> Result<Value, ApiError> {
    let name = &request.endpoint_name;
    platform.store.update(|state| {
        let endpoint = state.endpoints.get_mut(name).ok_or_else(|| endpoint_not_found(name))?;
        refuse_in_progress(endpoint)?;
        endpoint.enter(EndpointStatus::Deleting, platform.clock.now());
        Ok::<_, ApiError>(())
    })?;
    platform.routes.remove(name);
    if !platform.tasks.stop(&task_key(name)) {
        remove_if_deleting(platform, name);
    }
    Ok(json!({}))
}

/// `ListEndpoints`.
pub(crate) fn list_endpoints(platform: &Platform, request: &ListRequest) -> Result<Value, ApiError> {
    let entry = |endpoint: &Endpoint| Entry {
        name: endpoint.endpoint_name.clone(),
        created: endpoint.creation_time,
        status: Some(format!("{:?}", endpoint.endpoint_status)),
        summary: json!({
            "EndpointName": endpoint.endpoint_name,
            "EndpointArn": endpoint.endpoint_arn,
            "CreationTime": endpoint.creation_time,
            "LastModifiedTime": endpoint.last_modified_time,
            "EndpointStatus": endpoint.endpoint_status,
        }),
    };
    let entries = platform.store.read(|state| state.endpoints.values().map(entry).collect());
    let (endpoints, token) = listing::page(request, entries)?;
    Ok(json!({ "Endpoints": endpoints, "NextToken": token }))
}

/// The configuration `name` and the models that it names, as they are now.
pub(super) fn deployment(state: &State, name: &str, number: u32) -> Result<Deployment, ApiError> {
    let config = state.endpoint_configs.get(name).ok_or_else(|| config_not_found(name))?;
    let part = |variant: &super::record::Variant| {
        let model = state.models.get(&variant.model_name).ok_or_else(|| model_not_found(&variant.model_name))?;
        Ok(Part { variant: variant.clone(), container: model.spec.primary_container.clone() })
    };
    let parts = config.spec.production_variants.iter().map(part).collect::<Result<_, ApiError>>()?;
    let asynchronous = config.spec.async_inference_config.clone();
    Ok(Deployment { config: name.to_owned(), number, parts, asynchronous })
}

/// Refuses to change an endpoint that is being changed.
pub(super) fn refuse_in_progress(endpoint: &Endpoint) -> Result<(), ApiError> {
    if endpoint.endpoint_status.is_in_progress() {
        return Err(ApiError::validation(format!("Cannot update in-progress endpoint \"{}\".", endpoint.endpoint_arn)));
    }
    Ok(())
}

/// SageMaker's refusal of an endpoint that is not there.
pub(super) fn endpoint_not_found(name: &str) -> ApiError {
    ApiError::validation(format!("Could not find endpoint \"{}\".", names::arn("endpoint", name)))
}

/// Removes the endpoint if it was being deleted; its log stays.
fn remove_if_deleting(platform: &Platform, name: &str) {
    let removed = platform.store.update(|state| {
        let deleting = |endpoint: &Endpoint| endpoint.endpoint_status == EndpointStatus::Deleting;
        if state.endpoints.get(name).is_some_and(deleting) {
            platform.traffic.forget(name);
            platform.queues.forget(name);
            state.remove_endpoint(name);
        }
        Ok::<_, ApiError>(())
    });
    if let Err(error) = removed {
        tracing::error!(endpoint = name, %error, "cannot remove the endpoint's record");
    }
}

/// The name of an endpoint's task.
pub(super) fn task_key(name: &str) -> String {
    format!("endpoint/{name}")
}
