//! Tags of resources by ARN: `AddTags`, `DeleteTags`, `ListTags`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::State;

/// SageMaker's limit of tags on one resource.
const MAX_TAGS: usize = 50;

/// Tags by the ARN of what bears them.
pub(crate) type Tags = BTreeMap<String, BTreeMap<String, String>>;

/// One tag as the API writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// The request of `AddTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Addition {
    resource_arn: String,
    tags: Vec<Tag>,
}

/// The request of `DeleteTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Removal {
    resource_arn: String,
    tag_keys: Vec<String>,
}

/// The request of `ListTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Arn {
    resource_arn: String,
}

/// `AddTags`: a tag whose key is there gets the new value.
pub(crate) fn add(platform: &Platform, request: Addition) -> Result<Value, ApiError> {
    platform.store.update(|state| {
        check_resource(state, &request.resource_arn)?;
        let tags = state.tags.entry(request.resource_arn).or_default();
        tags.extend(request.tags.into_iter().map(|tag| (tag.key, tag.value)));
        check_number(tags)?;
        Ok(json!({ "Tags": listed(tags) }))
    })
}

/// `DeleteTags`.
pub(crate) fn delete(platform: &Platform, request: &Removal) -> Result<Value, ApiError> {
    platform.store.update(|state| {
        check_resource(state, &request.resource_arn)?;
        if let Some(tags) = state.tags.get_mut(&request.resource_arn) {
            tags.retain(|key, _| !request.tag_keys.contains(key));
        }
        Ok(json!({}))
    })
}

/// `ListTags`: all of them, since [`MAX_TAGS`] fit one page.
pub(crate) fn list(platform: &Platform, request: &Arn) -> Result<Value, ApiError> {
    platform.store.read(|state| {
        check_resource(state, &request.resource_arn)?;
        Ok(json!({ "Tags": state.tags.get(&request.resource_arn).map(listed).unwrap_or_default() }))
    })
}

/// Takes the tags out of the other members of a `Create…` request and keeps them for the resource `arn`.
pub(crate) fn keep(state: &mut State, arn: &str, request: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(tags) = request.remove("Tags") else { return Ok(()) };
    let tags: Vec<Tag> = serde_json::from_value(tags)?;
    let tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    check_number(&tags)?;
    state.tags.insert(arn.to_owned(), tags);
    Ok(())
}

fn check_number(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() <= MAX_TAGS {
        return Ok(());
    }
    let broken = format!("Member must have length less than or equal to {MAX_TAGS}");
    Err(ApiError::constraint("tags", &format!("{} tags", tags.len()), &broken))
}

fn listed(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

fn check_resource(state: &State, arn: &str) -> Result<(), ApiError> {
    if state.has_resource(arn) {
        return Ok(());
    }
    Err(ApiError::validation(format!("Could not find resource \"{arn}\".")))
}
