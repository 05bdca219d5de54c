//! What there is of an endpoint, and how it stands.

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::{EndpointStatus, PendingDeploymentSummary, ProductionVariantSummary, Tag};

use crate::aws::{ServiceError, failed};
use crate::content::{self, FORMER};
use crate::progress::Step;
use crate::session::Session;
use crate::{destroy, poll};

/// An endpoint that can be updated.
#[derive(Debug)]
pub(super) struct There {
    pub(super) arn: String,
    /// The name of its configuration.
    pub(super) config: String,
    pub(super) status: EndpointStatus,
    /// The configuration before an update that nobody has found good yet.
    pub(super) former: Option<String>,
    /// Whether it bears a note of such a configuration, true or not.
    pub(super) is_noted: bool,
}

/// Looks for the endpoint, and waits until nothing is under way; one that could not be created is cleared away, since it
/// serves nobody and takes no update.
pub(super) async fn look(session: &Session, name: &str) -> anyhow::Result<Option<There>> {
    let first = match describe(session, name).await {
        Err(error) if error.is_missing() => return Ok(None),
        outcome => outcome?,
    };
    let status = status_of(&first);
    let described = if is_settled(&status) || (session.is_plan() && status != EndpointStatus::Deleting) {
        Some(first)
    } else if session.is_plan() {
        None
    } else {
        let step = session.progress.step(&format!("endpoint {name} is {status}: waiting for the end of that"));
        let mut waiting = Waiting { session, name, status, is_over: false };
        let settled = settled(session, name, &step).await;
        waiting.is_over = true;
        settled?
    };
    let Some(described) = described else { return Ok(None) };
    let arn = described.endpoint_arn().context("the endpoint has no ARN")?.to_owned();
    let tags = content::tags_of(&session.clients.sagemaker, &arn).await?;
    if !content::is_ours(&tags) {
        bail!("endpoint {name} was not made by this program, and is left alone: choose another --endpoint");
    }
    let status = status_of(&described);
    if status == EndpointStatus::Failed {
        session.progress.say(&format!("endpoint {name} has failed ({}), and is made anew", reason_of(&described)));
        destroy::endpoint(session, name).await?;
        return Ok(None);
    }
    let config = described.endpoint_config_name().unwrap_or_default().to_owned();
    let noted = content::value(&tags, FORMER);
    let former = noted.filter(|former| *former != config).map(str::to_owned);
    Ok(Some(There { arn, config, status, former, is_noted: noted.is_some() }))
}

/// Waiting for the end of what this command has not begun: when a signal breaks it off, that goes on.
struct Waiting<'a> {
    session: &'a Session,
    name: &'a str,
    status: EndpointStatus,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let Self { session, name, status, .. } = self;
            let goes_on = format!("endpoint {name} is {status}, and that goes on without this command");
            session.progress.say(&format!("{goes_on}; the same command comes back to it"));
        }
    }
}

/// The endpoint once nothing is under way that will change it by itself; nothing if it is gone.
pub(super) async fn settled(
    session: &Session,
    name: &str,
    step: &Step,
) -> Result<Option<DescribeEndpointOutput>, ServiceError> {
    let mut said = String::new();
    poll::until(session.pace, async || {
        let described = match describe(session, name).await {
            Err(error) if error.is_missing() => return Ok(Some(None)),
            outcome => outcome?,
        };
        let stands = stands(&described);
        step.update(format!("endpoint {name}: {stands}"));
        let status = status_of(&described);
        if status.as_str() != said {
            said = status.to_string();
            session.progress.say(&format!("endpoint {name}: {status}"));
        }
        Ok(is_settled(&status).then_some(Some(described)))
    })
    .await
}

/// How the endpoint stands: its status, and of an update the stage, the traffic and the instances of the new fleet.
fn stands(described: &DescribeEndpointOutput) -> String {
    let status = status_of(described);
    let pending = described.pending_deployment_summary().map(PendingDeploymentSummary::production_variants);
    if let Some([variant, ..]) = pending {
        let stage = variant
            .variant_status()
            .last()
            .and_then(|status| Some(format!(", {}", status.status()?.as_str().to_lowercase())));
        let traffic = variant.current_weight().zip(variant.desired_weight().filter(|weight| *weight > 0.0));
        let traffic = traffic.map(|(now, wanted)| format!(", {:.0} % of the traffic moved", 100.0 * now / wanted));
        let instances = of_wanted(variant.current_instance_count(), variant.desired_instance_count());
        return format!("{status}{}{}{instances}", stage.unwrap_or_default(), traffic.unwrap_or_default());
    }
    let instances = |variant: &ProductionVariantSummary| {
        of_wanted(variant.current_instance_count(), variant.desired_instance_count())
    };
    format!("{status}{}", described.production_variants().first().map(instances).unwrap_or_default())
}

fn of_wanted(current: Option<i32>, desired: Option<i32>) -> String {
    let counts = current.zip(desired);
    counts.map(|(current, desired)| format!(", {current} of {desired} instances up")).unwrap_or_default()
}

/// Tags the endpoint; a tag whose key is there gets the new value.
pub(super) async fn tag(session: &Session, arn: &str, key: &str, value: &str) -> Result<(), ServiceError> {
    let tag = Tag::builder().key(key).value(value).build();
    let tagged = session.clients.sagemaker.add_tags().resource_arn(arn).tags(tag).send().await;
    tagged.map(drop).map_err(failed("AddTags"))
}

/// Takes the note of a former configuration off the endpoint.
pub(super) async fn forget_former(session: &Session, arn: &str) -> Result<(), ServiceError> {
    let untagged = session.clients.sagemaker.delete_tags().resource_arn(arn).tag_keys(FORMER).send().await;
    untagged.map(drop).map_err(failed("DeleteTags"))
}

/// Status of the endpoint, and why it failed.
pub(crate) async fn status(session: &Session, name: &str) -> Result<(EndpointStatus, Option<String>), ServiceError> {
    let described = describe(session, name).await?;
    Ok((status_of(&described), described.failure_reason().map(str::to_owned)))
}

/// The description of the endpoint.
pub(crate) async fn describe(session: &Session, name: &str) -> Result<DescribeEndpointOutput, ServiceError> {
    let described = session.clients.sagemaker.describe_endpoint().endpoint_name(name).send().await;
    described.map_err(failed("DescribeEndpoint"))
}

pub(super) fn status_of(described: &DescribeEndpointOutput) -> EndpointStatus {
    described.endpoint_status().cloned().unwrap_or(EndpointStatus::from("Unknown"))
}

/// Why the endpoint failed, or its update was taken back.
pub(super) fn reason_of(described: &DescribeEndpointOutput) -> &str {
    described.failure_reason().map_or("no reason given", str::trim)
}

/// Whether nothing is under way that will change the status by itself.
pub(crate) fn is_settled(status: &EndpointStatus) -> bool {
    use EndpointStatus::{Creating, Deleting, RollingBack, SystemUpdating, Updating};
    !matches!(status, Creating | Deleting | RollingBack | SystemUpdating | Updating)
}

#[cfg(test)]
mod tests {
    use aws_sdk_sagemaker::types::{PendingProductionVariantSummary, ProductionVariantStatus, VariantStatus};

    use super::*;

    #[test]
    fn an_update_is_told_with_its_stage_traffic_and_instances() {
        let baking = ProductionVariantStatus::builder().status(VariantStatus::Baking).build();
        let variant = PendingProductionVariantSummary::builder().variant_name("v").variant_status(baking);
        let variant = variant.current_weight(0.1).desired_weight(1.0);
        let variant = variant.current_instance_count(1).desired_instance_count(2).build();
        let pending = PendingDeploymentSummary::builder().endpoint_config_name("c").production_variants(variant);
        let endpoint = DescribeEndpointOutput::builder().endpoint_status(EndpointStatus::Updating);
        let told = stands(&endpoint.clone().pending_deployment_summary(pending.build()).build());
        assert_eq!(told, "Updating, baking, 10 % of the traffic moved, 1 of 2 instances up");
        assert_eq!(stands(&endpoint.build()), "Updating");
    }
}
