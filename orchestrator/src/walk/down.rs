//! `unspsc down`: first what costs by the hour, then what is stored, if that is wanted.

use anyhow::bail;

use crate::options::DownArgs;
use crate::session::Session;
use crate::stacks::Stack;
use crate::{confirm, deploy, destroy, infra, stacks};

use super::steps::Steps;

/// Goes all steps down.
pub(crate) async fn down(session: &Session, args: &DownArgs) -> anyhow::Result<()> {
    let (base, front) = infra::both(session, &args.stack).await?;
    // The one that the Lambda asks may have another name.
    let asked = front.as_ref().and_then(|front| front.parameters.get("EndpointName"));
    let endpoint = args.endpoint.as_ref().or(asked).unwrap_or(&args.stack.name);
    let stores = match &base {
        Some(base) => infra::stores(session, base).await?,
        None => Vec::new(),
    };
    let full = infra::full(&stores);
    let goes = full.is_none() || args.delete_data;
    let there = match deploy::describe(session, endpoint).await {
        Err(error) if error.is_missing() => None,
        described => Some(described?).map(|_| format!("endpoint {endpoint} and what belongs to it")),
    };
    let name = |stack: &Stack| stack.to_string();
    let lines = front.iter().map(name).chain(there).chain(base.iter().filter(|_| goes).map(name));
    let lines: Vec<String> = lines.chain(full.clone().filter(|_| goes)).collect();
    if !lines.is_empty() && !session.is_plan() && !args.yes {
        let unasked = "this takes down the Lambda, the endpoint and what they stand on: confirm with --yes, or see with `unspsc plan \
                       down` what would be done";
        if !confirm::asked(session, lines, "delete all of this?", unasked).await? {
            bail!("nothing was deleted");
        }
    }
    if base.is_some() && goes {
        infra::refuse_what_is_used(session, Some(endpoint)).await?;
    }
    let mut steps = Steps::new(session, 3, "down");
    steps.begin("the Lambda", "");
    if let Some(front) = &front {
        stacks::delete(session, front).await?;
    }
    steps.begin(&format!("endpoint {endpoint}"), "");
    if !destroy::destroy(session, endpoint).await? {
        bail!("endpoint {endpoint} is somebody else's, and stays");
    }
    steps.begin("bucket, repositories, role and policy", "");
    if let Some(base) = base.as_ref().filter(|_| goes) {
        infra::delete(session, base, &stores).await?;
    }
    steps.end();
    if session.is_plan() {
        return Ok(());
    }
    // Others may run by the same role, or in the same account.
    let running = destroy::running(session).await?;
    let paid = match running.as_slice() {
        [] => "nothing is left that costs by the hour".to_owned(),
        _ => format!("what else was made by this program still runs, and is paid for: {}", running.join(", ")),
    };
    match (base, full.filter(|_| !goes)) {
        (Some(base), Some(full)) => session.progress.say(&format!(
            "{paid}; {base} stays, with {full}: `{}` deletes that too, and it cannot be had back",
            session.command(&format!("down --delete-data --yes{}", args.stack.option()))
        )),
        _ => session.progress.say(&format!("{paid}, and nothing of --name {}", args.stack.name)),
    }
    Ok(())
}
