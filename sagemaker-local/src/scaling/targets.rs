//! The operations on scalable targets.

use serde::Deserialize;
use serde_json::{Value, json};

use super::record::{ScalableTarget, Scaled, SuspendedState};
use super::{NAMESPACE, activities, check, check_namespace, not_found, tracker};
use crate::error::ApiError;
use crate::hosting;
use crate::hosting::EndpointStatus;
use crate::names::{ACCOUNT, REGION};
use crate::platform::Platform;
use crate::store::State;
use crate::time::Time;

/// Instances of a variant are processes of one machine, so there is a limit.
const MAX_CAPACITY: i64 = hosting::MAX_INSTANCES as i64;

/// The request of `RegisterScalableTarget`; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Registration {
    #[serde(flatten)]
    scaled: Scaled,
    min_capacity: Option<i64>,
    max_capacity: Option<i64>,
    suspended_state: Option<SuspendedState>,
}

/// The request of `DescribeScalableTargets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TargetFilter {
    service_namespace: String,
    #[serde(default)]
    resource_ids: Vec<String>,
    scalable_dimension: Option<String>,
}

/// `RegisterScalableTarget`: makes a target or changes one.
pub(crate) fn register_target(platform: &Platform, request: Registration) -> Result<Value, ApiError> {
    check(&request.scaled)?;
    let resource = request.scaled.resource_id.clone();
    let arn = platform.store.update(|state| {
        check_variant(state, &request.scaled.resource_id)?;
        let target = merge(state.scalable_targets.get(&request.scaled.resource_id), request, platform.clock.now())?;
        let arn = target.arn.clone();
        state.scalable_targets.insert(target.scaled.resource_id.clone(), target);
        Ok::<_, ApiError>(arn)
    })?;
    keep_within(platform, &resource)?;
    Ok(json!({ "ScalableTargetARN": arn }))
}

/// Gives a variant that has fewer or more instances than its target allows as many as it allows.
fn keep_within(platform: &Platform, resource: &str) -> Result<(), ApiError> {
    let Some((endpoint, variant)) = tracker::parts(resource) else { return Ok(()) };
    let change = platform.store.read(|state| {
        let (target, summary) =
            (state.scalable_targets.get(resource)?, state.endpoints.get(endpoint)?.variant(variant)?);
        let present = i64::from(summary.desired_instance_count);
        let allowed = present.clamp(target.min_capacity.max(1), target.max_capacity.max(1));
        let bound = if allowed > present { "minimum" } else { "maximum" };
        Some((u32::try_from(allowed).ok()?, bound)).filter(|_| allowed != present)
    });
    let Some((count, bound)) = change else { return Ok(()) };
    let (now, cause) = (platform.clock.now(), format!("{bound} capacity was set to {count}"));
    let begin = |state: &mut State| activities::begin(state, resource, count, cause, now);
    hosting::set_capacity(platform, endpoint, variant, count, begin).map(drop)
}

/// The target as it will be: what the request leaves out comes from the one before.
fn merge(before: Option<&ScalableTarget>, request: Registration, now: Time) -> Result<ScalableTarget, ApiError> {
    let missing = |member: &str| ApiError::validation(format!("{member} is required to register a scalable target"));
    let min_capacity = request.min_capacity.or(before.map(|target| target.min_capacity));
    let max_capacity = request.max_capacity.or(before.map(|target| target.max_capacity));
    let (min_capacity, max_capacity) =
        (min_capacity.ok_or_else(|| missing("MinCapacity"))?, max_capacity.ok_or_else(|| missing("MaxCapacity"))?);
    if max_capacity > MAX_CAPACITY {
        let message = format!("sagemaker-local runs at most {MAX_CAPACITY} instances of a variant, not {max_capacity}");
        return Err(ApiError::validation(message));
    }
    if min_capacity < 0 || max_capacity < min_capacity {
        let message = format!("Maximum capacity {max_capacity} cannot be less than minimum capacity {min_capacity}");
        return Err(ApiError::validation(message));
    }
    let id = uuid::Uuid::new_v4().simple();
    let new_arn = || format!("arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/{id}");
    Ok(ScalableTarget {
        scaled: request.scaled,
        min_capacity,
        max_capacity,
        role_arn: format!(
            "arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/\
             AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        ),
        creation_time: before.map_or(now, |target| target.creation_time),
        suspended_state: request.suspended_state.or(before.map(|target| target.suspended_state)).unwrap_or_default(),
        arn: before.map_or_else(new_arn, |target| target.arn.clone()),
    })
}

/// Refuses what is no variant of an endpoint in service.
fn check_variant(state: &State, resource: &str) -> Result<(), ApiError> {
    let parts: Vec<&str> = resource.split('/').collect();
    let ["endpoint", endpoint, "variant", variant] = parts.as_slice() else {
        let message = format!("Unsupported service namespace, resource type or scalable dimension: {NAMESPACE}");
        return Err(ApiError::validation(format!("{message}, {resource}")));
    };
    let arn = crate::names::arn("endpoint", endpoint);
    let record = state.endpoints.get(*endpoint);
    let record = record.ok_or_else(|| ApiError::validation(format!("Could not find endpoint \"{arn}\".")))?;
    if record.endpoint_status != EndpointStatus::InService {
        let message = format!("The endpoint \"{arn}\" is {:?}, not InService.", record.endpoint_status);
        return Err(ApiError::validation(message));
    }
    if record.production_variants.iter().any(|summary| summary.variant_name == *variant) {
        return Ok(());
    }
    Err(ApiError::validation(format!("Could not find variant \"{variant}\" of endpoint \"{arn}\".")))
}

/// `DescribeScalableTargets`.
pub(crate) fn describe_targets(platform: &Platform, request: &TargetFilter) -> Result<Value, ApiError> {
    check_namespace(&request.service_namespace)?;
    let wanted = |target: &&ScalableTarget| {
        let scaled = &target.scaled;
        let dimension = request.scalable_dimension.as_ref();
        (request.resource_ids.is_empty() || request.resource_ids.contains(&scaled.resource_id))
            && dimension.is_none_or(|dimension| *dimension == scaled.scalable_dimension)
    };
    platform.store.read(|state| {
        let targets: Vec<&ScalableTarget> = state.scalable_targets.values().filter(wanted).collect();
        Ok(json!({ "ScalableTargets": targets }))
    })
}

/// `DeregisterScalableTarget`: its policies go with it.
pub(crate) fn deregister_target(platform: &Platform, scaled: &Scaled) -> Result<Value, ApiError> {
    check(scaled)?;
    platform.store.update(|state| {
        let target = state.scalable_targets.remove(&scaled.resource_id);
        target.ok_or_else(|| not_found("No scalable target found", scaled))?;
        state.scaling_policies.retain(|policy| policy.resource_id != scaled.resource_id);
        Ok(json!({}))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &Value) -> Registration {
        let mut whole = json!({
            "ServiceNamespace": "sagemaker",
            "ResourceId": "endpoint/e/variant/v",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        });
        whole.as_object_mut().unwrap().extend(text.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_second_registration_changes_what_it_names() {
        let first = merge(None, request(&json!({ "MinCapacity": 1, "MaxCapacity": 4 })), Time::now()).unwrap();
        let second = merge(Some(&first), request(&json!({ "MaxCapacity": 2 })), Time::now()).unwrap();
        assert_eq!((second.min_capacity, second.max_capacity), (1, 2));
        assert_eq!((second.arn, second.creation_time), (first.arn, first.creation_time));
    }

    #[test]
    fn capacities_must_be_there_and_in_order() {
        assert!(merge(None, request(&json!({ "MinCapacity": 1 })), Time::now()).is_err());
        assert!(merge(None, request(&json!({ "MinCapacity": 3, "MaxCapacity": 2 })), Time::now()).is_err());
    }

    #[test]
    fn only_a_variant_in_service_can_be_scaled() {
        let mut state = State::default();
        let refusal = |state: &State, resource: &str| check_variant(state, resource).unwrap_err().to_string();
        assert!(refusal(&state, "endpoint/e/variant/v").starts_with("Could not find endpoint"));
        state.endpoints.insert("e".to_owned(), crate::hosting::example("e"));
        assert!(refusal(&state, "endpoint/e/variant/v").contains("is Creating"));
        state.endpoints.get_mut("e").unwrap().enter(EndpointStatus::InService, Time::now());
        assert!(refusal(&state, "endpoint/e/variant/v").starts_with("Could not find variant"));
        assert!(refusal(&state, "table/t").contains("table/t"));
    }
}
