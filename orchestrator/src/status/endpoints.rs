//! Endpoints, their instances and what scales them.

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalableTarget, ScalingActivity, ServiceNamespace};
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::EndpointStatus;
use comfy_table::Table;

use crate::aws::{ServiceError, failed};
use crate::deploy;
use crate::session::Session;
use crate::tables;

use super::{PAGE, listed, moment, ours, reason, shortened, tags};

/// Scaling activities in the details of an endpoint.
const ACTIVITIES: i32 = 10;

/// All endpoints.
pub(super) async fn table(session: &Session) -> anyhow::Result<Option<Table>> {
    let mut endpoints = list(session).await?;
    let managed = ours(session, endpoints.iter().map(|(_, arn)| arn.clone())).await?;
    endpoints.retain(|(_, arn)| managed.contains(arn));
    if endpoints.is_empty() {
        return Ok(None);
    }
    let mut rows = tables::table(["endpoint", "status", "instances", "scaling", "since (UTC)", "last error"]);
    tables::keep_whole(&mut rows, [0]);
    for (name, _) in &endpoints {
        let endpoint = match deploy::describe(session, name).await {
            Err(error) if error.is_missing() => continue,
            outcome => outcome?,
        };
        let scaling = target(session, name).await?.map_or_else(|| "none".to_owned(), |target| range(&target));
        rows.add_row([
            name.clone(),
            stands(&endpoint),
            instances(&endpoint),
            scaling,
            moment(endpoint.last_modified_time()),
            reason(endpoint.failure_reason()).map(|reason| shortened(&reason)).unwrap_or_default(),
        ]);
    }
    Ok(Some(rows))
}

/// Name and ARN of every endpoint.
async fn list(session: &Session) -> Result<Vec<(String, String)>, ServiceError> {
    let (mut endpoints, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_endpoints().max_results(PAGE).set_next_token(token);
        let page = request.send().await.map_err(failed("ListEndpoints"))?;
        let named = page
            .endpoints()
            .iter()
            .filter_map(|endpoint| Some((endpoint.endpoint_name()?.to_owned(), endpoint.endpoint_arn()?.to_owned())));
        endpoints.extend(named);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(endpoints);
        }
    }
}

/// One endpoint.
pub(super) async fn details(session: &Session, name: &str) -> anyhow::Result<String> {
    let endpoint = deploy::describe(session, name).await?;
    let tags = tags(session, endpoint.endpoint_arn()).await?;
    let target = target(session, name).await?;
    let fields = [
        ("endpoint", Some(name.to_owned())),
        ("status", Some(stands(&endpoint))),
        ("reason", reason(endpoint.failure_reason())),
        ("created", Some(moment(endpoint.creation_time()))),
        ("changed", Some(moment(endpoint.last_modified_time()))),
        ("configuration", endpoint.endpoint_config_name().map(str::to_owned)),
        ("instances", Some(instances(&endpoint))),
        ("scaling", Some(target.map_or_else(|| "none".to_owned(), |target| range(&target)))),
        ("tags", tags),
    ];
    let activities = match activities(session, name).await {
        Ok(activities) if activities.is_empty() => "no scaling activities".to_owned(),
        Ok(activities) => activities.iter().map(described).collect::<Vec<_>>().join("\n"),
        // They are told for information; all else is known.
        Err(error) => format!("scaling activities cannot be told: {error}"),
    };
    Ok(format!("{}\n\n{activities}", listed(&fields)))
}

/// What scales the endpoint's variant.
async fn target(session: &Session, name: &str) -> Result<Option<ScalableTarget>, ServiceError> {
    let request = session.clients.scaling.describe_scalable_targets().service_namespace(ServiceNamespace::Sagemaker);
    let request = request.resource_ids(deploy::resource_id(name));
    let request = request.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    let answer = request.send().await.map_err(failed("DescribeScalableTargets"))?;
    Ok(answer.scalable_targets().first().cloned())
}

/// What scaling has done last, newest first.
async fn activities(session: &Session, name: &str) -> Result<Vec<ScalingActivity>, ServiceError> {
    let request = session.clients.scaling.describe_scaling_activities().service_namespace(ServiceNamespace::Sagemaker);
    let request = request.resource_id(deploy::resource_id(name)).max_results(ACTIVITIES);
    let request = request.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    let answer = request.send().await.map_err(failed("DescribeScalingActivities"))?;
    Ok(answer.scaling_activities().to_vec())
}

fn described(activity: &ScalingActivity) -> String {
    let message = activity.status_message().map(|message| format!(": {message}")).unwrap_or_default();
    let (status, description) = (activity.status_code(), activity.description());
    format!("{}  {status}  {description}{message}", moment(Some(activity.start_time())))
}

fn range(target: &ScalableTarget) -> String {
    format!("{} to {}", target.min_capacity(), target.max_capacity())
}

fn stands(endpoint: &DescribeEndpointOutput) -> String {
    endpoint.endpoint_status().map_or("unknown", EndpointStatus::as_str).to_owned()
}

/// Instances that serve, and those wanted where that is another number, variant by variant.
fn instances(endpoint: &DescribeEndpointOutput) -> String {
    let variant = |variant: &aws_sdk_sagemaker::types::ProductionVariantSummary| match (
        variant.current_instance_count(),
        variant.desired_instance_count(),
    ) {
        (Some(current), Some(desired)) if current != desired => format!("{current} of {desired}"),
        (current, desired) => current.or(desired).map_or_else(|| "–".to_owned(), |count| count.to_string()),
    };
    let variants: Vec<String> = endpoint.production_variants().iter().map(variant).collect();
    if variants.is_empty() { "–".to_owned() } else { variants.join(", ") }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sagemaker::types::ProductionVariantSummary;

    use super::*;

    #[test]
    fn instances_on_their_way_are_told() {
        let endpoint = |current: Option<i32>, desired: i32| {
            let variant = ProductionVariantSummary::builder().variant_name("AllTraffic");
            let variant = variant.set_current_instance_count(current).desired_instance_count(desired).build();
            DescribeEndpointOutput::builder().production_variants(variant).build()
        };
        assert_eq!(instances(&endpoint(Some(1), 4)), "1 of 4");
        assert_eq!(instances(&endpoint(Some(2), 2)), "2");
        assert_eq!(instances(&endpoint(None, 2)), "2");
        assert_eq!(instances(&DescribeEndpointOutput::builder().build()), "–");
    }
}
