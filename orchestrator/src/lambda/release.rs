//! A release of the Lambda, in the order that works: code, version, a known text, alias, provisioned concurrency.

use anyhow::{Context as _, bail};
use aws_sdk_lambda::operation::get_alias::GetAliasOutput;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{
    AliasRoutingConfiguration, Architecture as Processor, LastUpdateStatus, ProvisionedConcurrencyStatusEnum, State,
};

use crate::aws::{ServiceError, failed};
use crate::poll;
use crate::session::Session;
use crate::storage::S3Uri;

use super::package::Package;
use super::{Front, LIVE, ask};

/// What a plan calls a version that there is not yet.
const NEXT_VERSION: &str = "(the version that is published)";

/// What is to be released.
pub(super) struct Release<'a> {
    pub(super) front: &'a Front,
    pub(super) function: &'a str,
    pub(super) package: &'a Package,
    pub(super) place: &'a S3Uri,
    /// A change of the stack was planned, after which there is a new version to publish.
    pub(super) is_planned: bool,
}

/// Lets the callers of the alias have the package, and what the stack has made of the Lambda otherwise.
pub(super) async fn release(session: &Session, release: &Release<'_>) -> anyhow::Result<()> {
    let Release { front, function, package, place, .. } = release;
    let step = session.progress.step(&format!("looking at {function}"));
    let latest = configuration(session, function, None).await?;
    // The change of the stack would bring the code too.
    let has_failed = latest.last_update_status() == Some(&LastUpdateStatus::Failed);
    let is_new = (has_failed || latest.code_sha256() != Some(&package.code_sha256())) && !release.is_planned;
    if is_new {
        update_code(session, release, place).await?;
    }
    let alias = alias(session, function).await?;
    let live = alias.function_version().context("Lambda names no version of the alias")?.to_owned();
    let served = configuration(session, function, Some(&live)).await?;
    let latest = if session.is_plan() { latest } else { configuration(session, function, None).await? };
    drop(step);
    let is_served = !is_new && !release.is_planned && is_same(&latest, &served);
    if is_served && !is_shared(&alias) {
        session.progress.say(&format!("alias {LIVE} of {function} leads to version {live}, which is as it should be"));
    } else {
        let version = if is_served { live } else { publish(session, function, package).await? };
        if !session.is_plan() {
            ask::test(session, function, &version).await.with_context(|| {
                format!("version {version} of {function} does not answer, and the alias {LIVE} stays where it is")
            })?;
        }
        lead(session, function, &version).await?;
    }
    concurrency(session, function, front.ready).await?;
    if session.is_plan() {
        return Ok(());
    }
    ask::test(session, function, LIVE).await.with_context(|| format!("{function} does not answer"))?;
    session.progress.say(&format!("{function} answers"));
    Ok(())
}

/// The version that the alias leads to.
pub(super) async fn live_version(session: &Session, function: &str) -> anyhow::Result<String> {
    let alias = alias(session, function).await?;
    Ok(alias.function_version().context("Lambda names no version of the alias")?.to_owned())
}

/// The endpoint that a version asks.
pub(super) async fn endpoint_of(session: &Session, function: &str, version: &str) -> anyhow::Result<Option<String>> {
    let served = configuration(session, function, Some(version)).await?;
    let variables = served.environment().and_then(|environment| environment.variables());
    Ok(variables.and_then(|variables| variables.get("UNSPSC_ENDPOINT")).cloned())
}

pub(super) async fn alias(session: &Session, function: &str) -> anyhow::Result<GetAliasOutput> {
    let request = session.clients.lambda.get_alias().function_name(function).name(LIVE);
    request.send().await.map_err(failed("GetAlias")).with_context(|| format!("cannot look at the alias of {function}"))
}

/// Whether a second version has a share of the alias's calls.
pub(super) fn is_shared(alias: &GetAliasOutput) -> bool {
    let weights = alias.routing_config().and_then(AliasRoutingConfiguration::additional_version_weights);
    weights.is_some_and(|weights| !weights.is_empty())
}

/// What the function, or a version of it, is, once nothing is under way with it any more.
pub(super) async fn configuration(
    session: &Session,
    function: &str,
    version: Option<&str>,
) -> anyhow::Result<GetFunctionConfigurationOutput> {
    let request = session.clients.lambda.get_function_configuration().function_name(function);
    let request = request.set_qualifier(version.map(str::to_owned));
    let found = poll::until(session.pace, async || {
        let found = request.clone().send().await.map_err(failed("GetFunctionConfiguration"))?;
        let is_busy =
            found.state() == Some(&State::Pending) || found.last_update_status() == Some(&LastUpdateStatus::InProgress);
        Ok((!is_busy).then_some(found))
    })
    .await?;
    if found.state() == Some(&State::Failed) {
        let why = found.state_reason().unwrap_or("Lambda gives no reason");
        bail!("{function} could not be made: {why}");
    }
    Ok(found)
}

/// What the function is after a change.
async fn changed(session: &Session, function: &str) -> anyhow::Result<()> {
    let found = configuration(session, function, None).await?;
    if found.last_update_status() == Some(&LastUpdateStatus::Failed) {
        let why = found.last_update_status_reason().unwrap_or("Lambda gives no reason");
        bail!("the last change of {function} has failed: {why}");
    }
    Ok(())
}

/// Whether a version is what the function is now: then Lambda would publish no other.
fn is_same(one: &GetFunctionConfigurationOutput, other: &GetFunctionConfigurationOutput) -> bool {
    let of = |one: &GetFunctionConfigurationOutput| {
        let variables = one.environment().and_then(|environment| environment.variables()).cloned();
        (
            one.code_sha256().map(str::to_owned),
            one.memory_size(),
            one.timeout(),
            one.architectures().to_vec(),
            variables,
        )
    };
    of(one) == of(other)
}

/// Has the function run the package at `place`, and waits until it does.
async fn update_code(session: &Session, release: &Release<'_>, place: &S3Uri) -> anyhow::Result<()> {
    let Release { front, function, .. } = release;
    let processor = Processor::from(front.processor().as_str());
    let request = session.clients.lambda.update_function_code().function_name(*function).architectures(processor);
    let request = request.s3_bucket(&place.bucket).s3_key(&place.key);
    let _step = session.changing(&format!("giving {function} its code"));
    request.send().await.map_err(failed("UpdateFunctionCode")).with_context(|| format!("cannot change {function}"))?;
    if !session.is_plan() {
        changed(session, function).await?;
        session.progress.say(&format!("{function} has the code of {place}"));
    }
    Ok(())
}

/// Makes a version of what the function is now; of what has not changed Lambda makes no other.
async fn publish(session: &Session, function: &str, package: &Package) -> anyhow::Result<String> {
    let request = session.clients.lambda.publish_version().function_name(function);
    // Should somebody else have changed the code meanwhile, it is refused.
    let published = request.code_sha256(package.code_sha256()).send().await.map_err(failed("PublishVersion"));
    let published = published.with_context(|| format!("cannot publish a version of {function}"))?;
    if session.is_plan() {
        return Ok(NEXT_VERSION.to_owned());
    }
    let version = published.version().context("Lambda names no version")?.to_owned();
    configuration(session, function, Some(&version)).await?;
    session.progress.say(&format!("version {version} of {function} is published"));
    Ok(version)
}

/// Has the alias lead to the version again, if it does not any more.
pub(super) async fn keep(session: &Session, function: &str, version: &str) -> anyhow::Result<()> {
    if live_version(session, function).await? == version {
        return Ok(());
    }
    lead(session, function, version).await
}

/// Has the alias lead to the version, and to nothing else, and waits until it does.
async fn lead(session: &Session, function: &str, version: &str) -> anyhow::Result<()> {
    let request = session.clients.lambda.update_alias().function_name(function).name(LIVE).function_version(version);
    // Weights of another version would stay otherwise.
    let alone = AliasRoutingConfiguration::builder().set_additional_version_weights(Some([].into())).build();
    let moved = request.routing_config(alone).send().await.map_err(failed("UpdateAlias"));
    moved.with_context(|| format!("cannot move the alias {LIVE} of {function}"))?;
    if session.is_plan() {
        return Ok(());
    }
    let _step = session.progress.step(&format!("moving the alias {LIVE} to version {version}"));
    // While environments of the new version are made ready Lambda sends calls to the old one, by weights of its own.
    poll::until(session.pace, async || {
        let request = session.clients.lambda.get_alias().function_name(function).name(LIVE);
        let alias = request.send().await.map_err(failed("GetAlias"))?;
        Ok((alias.function_version() == Some(version) && !is_shared(&alias)).then_some(()))
    })
    .await?;
    session.progress.say(&format!("alias {LIVE} of {function} leads to version {version}"));
    Ok(())
}

/// Waits until as many environments are ready as are to be kept so.
async fn concurrency(session: &Session, function: &str, wanted: i32) -> anyhow::Result<()> {
    if wanted == 0 {
        return Ok(());
    }
    if session.is_plan() {
        return match provisioned(session, function).await? {
            None => Ok(put(session, function, wanted).await?),
            Some(_) => Ok(()),
        };
    }
    let step = session.progress.step(&format!("waiting until {wanted} environments of {function} are ready"));
    let mut is_put = false;
    let found = poll::until(session.pace, async || {
        let found = match provisioned(session, function).await {
            // The stack has it from the beginning; an alias that somebody has made anew has not.
            Ok(None) if !is_put => {
                put(session, function, wanted).await?;
                is_put = true;
                return Ok(None);
            }
            found => found?,
        };
        let Some(found) = found else { return Ok(None) };
        if found.status == ProvisionedConcurrencyStatusEnum::Failed && !is_put {
            // It may have failed for the version of before, and Lambda does not try again by itself.
            put(session, function, wanted).await?;
            is_put = true;
            return Ok(None);
        }
        step.update(format!("{} of {} environments of {function} are ready", found.available, found.requested));
        Ok((found.status != ProvisionedConcurrencyStatusEnum::InProgress).then_some(found))
    })
    .await?;
    drop(step);
    if found.status == ProvisionedConcurrencyStatusEnum::Failed {
        let why = found.reason.unwrap_or_else(|| "Lambda gives no reason".to_owned());
        bail!("provisioned concurrency of {function} has failed: {why}");
    }
    session.progress.say(&format!("{} environments of {function} are ready", found.available));
    Ok(())
}

/// What is kept ready of the alias.
pub(super) struct Provisioned {
    pub(super) status: ProvisionedConcurrencyStatusEnum,
    pub(super) reason: Option<String>,
    pub(super) requested: i32,
    pub(super) available: i32,
}

/// What is kept ready of the alias, if anything is to be.
pub(super) async fn provisioned(session: &Session, function: &str) -> Result<Option<Provisioned>, ServiceError> {
    let request = session.clients.lambda.get_provisioned_concurrency_config().function_name(function).qualifier(LIVE);
    let found = match request.send().await.map_err(failed("GetProvisionedConcurrencyConfig")) {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    Ok(Some(Provisioned {
        status: found.status().cloned().unwrap_or(ProvisionedConcurrencyStatusEnum::InProgress),
        reason: found.status_reason().map(str::to_owned),
        requested: found.requested_provisioned_concurrent_executions().unwrap_or_default(),
        available: found.available_provisioned_concurrent_executions().unwrap_or_default(),
    }))
}

async fn put(session: &Session, function: &str, wanted: i32) -> Result<(), ServiceError> {
    let request = session.clients.lambda.put_provisioned_concurrency_config().function_name(function).qualifier(LIVE);
    let request = request.provisioned_concurrent_executions(wanted);
    request.send().await.map(drop).map_err(failed("PutProvisionedConcurrencyConfig"))
}
