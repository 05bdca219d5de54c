//! The operations on models.

use serde::Deserialize;
use serde_json::{Value, json};

use super::record::{Model, ModelSpec};
use crate::error::ApiError;
use crate::listing::{self, Entry, ListRequest};
use crate::names;
use crate::platform::Platform;
use crate::storage::{S3Uri, S3UriError};
use crate::store;
use crate::tags;

/// A request that names a model and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModelName {
    model_name: String,
}

/// `CreateModel`.
pub(crate) fn create_model(platform: &Platform, mut spec: ModelSpec) -> Result<Value, ApiError> {
    names::check("modelName", &spec.model_name)?;
    if spec.primary_container.other.contains_key("ModelDataSource") {
        return Err(ApiError::validation("sagemaker-local does not support ModelDataSource; use ModelDataUrl"));
    }
    if let Some(url) = &spec.primary_container.model_data_url {
        let uri: S3Uri = url.parse().map_err(|error: S3UriError| ApiError::validation(error.to_string()))?;
        if platform.storage.object(&uri).is_none() {
            return Err(ApiError::validation(format!("Could not find model data at {uri}.")));
        }
    }
    let name = spec.model_name.clone();
    let arn = names::arn("model", &name);
    platform.store.update(|state| {
        if state.models.contains_key(&name) {
            return Err(ApiError::validation(format!("Cannot create already existing model \"{arn}\".")));
        }
        tags::keep(state, &arn, &mut spec.other)?;
        state.models.insert(name, Model { model_arn: arn.clone(), creation_time: platform.clock.now(), spec });
        Ok(())
    })?;
    Ok(json!({ "ModelArn": arn }))
}

/// `DescribeModel`.
pub(crate) fn describe_model(platform: &Platform, request: &ModelName) -> Result<Value, ApiError> {
    platform.store.read(|state| {
        store::description(state.models.get(&request.model_name).ok_or_else(|| model_not_found(&request.model_name))?)
    })
}

/// `DeleteModel`.
pub(crate) fn delete_model(platform: &Platform, request: &ModelName) -> Result<Value, ApiError> {
    platform.store.update(|state| {
        state.models.remove(&request.model_name).ok_or_else(|| model_not_found(&request.model_name))?;
        state.tags.remove(&names::arn("model", &request.model_name));
        Ok(json!({}))
    })
}

/// `ListModels`.
pub(crate) fn list_models(platform: &Platform, request: &ListRequest) -> Result<Value, ApiError> {
    let entry = |model: &Model| Entry {
        name: model.spec.model_name.clone(),
        created: model.creation_time,
        status: None,
        summary: json!({
            "ModelName": model.spec.model_name,
            "ModelArn": model.model_arn,
            "CreationTime": model.creation_time,
        }),
    };
    let entries = platform.store.read(|state| state.models.values().map(entry).collect());
    let (models, token) = listing::page(request, entries)?;
    Ok(json!({ "Models": models, "NextToken": token }))
}

/// SageMaker's refusal of a model that is not there.
pub(super) fn model_not_found(name: &str) -> ApiError {
    ApiError::validation(format!("Could not find model \"{}\".", names::arn("model", name)))
}
