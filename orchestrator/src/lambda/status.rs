//! Where the alias leads, and whether that is what was deployed last.

use aws_sdk_lambda::types::ProvisionedConcurrencyStatusEnum;

use crate::deploy;
use crate::options::StackArgs;
use crate::progress::print;
use crate::session::Session;
use crate::stacks::Stack;

use super::release::{alias, configuration, is_shared, provisioned};
use super::{LIVE, asked, function_of};

/// Shows the alias of the stack's Lambda.
pub(crate) async fn show(session: &Session, front: &Stack, args: &StackArgs) -> anyhow::Result<()> {
    let function = function_of(front)?;
    let alias = alias(session, function).await?;
    let version = alias.function_version().unwrap_or("unknown");
    print(&format!("\n{}", described(session, front).await?))?;
    let served = configuration(session, function, Some(version)).await?;
    let latest = configuration(session, function, None).await?;
    print(&format!("alias {LIVE} of {function} leads to version {version}"))?;
    if is_shared(&alias) {
        print("  another version still has a share of the calls: Lambda is moving it, or somebody has given it one")?;
    }
    if served.code_sha256() != latest.code_sha256() {
        let endpoint = front.parameters.get("EndpointName").map_or("NAME", String::as_str);
        let deploy = session.command(&format!("lambda deploy --endpoint {endpoint}{}", args.option()));
        print(&format!("  the function has code that the alias does not lead to: `{deploy}` goes on with it"))?;
    }
    let made = front.parameters.get("LiveVersion").map(String::as_str).unwrap_or_default();
    let made = if made.is_empty() { "1" } else { made };
    if made != version {
        print(&format!(
            "  the stack was made or changed last with version {made}; `lambda deploy` has moved the alias since, and keeps it"
        ))?;
    }
    match provisioned(session, function).await? {
        None => print("  no environments are kept ready"),
        Some(found) => {
            let (available, requested) = (found.available, found.requested);
            let status = match found.status {
                ProvisionedConcurrencyStatusEnum::Failed => {
                    format!("FAILED: {}", found.reason.unwrap_or_else(|| "Lambda gives no reason".to_owned()))
                }
                status => status.as_str().to_owned(),
            };
            print(&format!("  {available} of {requested} environments are ready: {status}"))
        }
    }
}

/// What the stack has made the Lambda, in words.
async fn described(session: &Session, front: &Stack) -> anyhow::Result<String> {
    let has = |key: &str| front.parameters.get(key).map(String::as_str).unwrap_or_default();
    let endpoint = &asked(session, front).await?.unwrap_or_default();
    let next = match has("EndpointName") {
        next if next != endpoint => format!(" until `lambda deploy` has led it to {next}"),
        _ => String::new(),
    };
    let is_gone = match deploy::describe(session, endpoint).await {
        Err(error) if error.is_missing() => ", which is not there",
        described => described.map(|_| "")?,
    };
    let ready = match has("ProvisionedConcurrency") {
        "0" => "nothing is kept ready".to_owned(),
        ready => format!("{ready} to {} environments are kept ready", has("MaximumConcurrency")),
    };
    let topic = match has("AlarmTopicArn") {
        "" => "nobody",
        topic => topic,
    };
    let logged = if has("LogDescriptions") == "true" { "are" } else { "are not" };
    Ok(format!(
        "the Lambda asks endpoint {endpoint}{is_gone}{next}; {}, {} MB; {ready}; alarms tell {topic}; texts {logged} logged",
        has("Architecture"),
        has("MemorySize"),
    ))
}
