//! A change set: made, shown, confirmed, executed.

use anyhow::{Context as _, bail};
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetType, Parameter, Replacement, ResourceChange, Tag,
};
use comfy_table::Table;

use crate::aws::{ServiceError, failed};
use crate::confirm;
use crate::content::{Content, MANAGED_BY};
use crate::poll;
use crate::session::Session;
use crate::tables;
use crate::undo::Started;

use super::{REVIEW, Stack, Wanted, events, look};

/// What the names of change sets say that they are.
const CHANGE: &str = "change";

/// Whether what is shown is also wanted.
#[derive(Debug)]
pub(crate) struct Consent {
    /// It was said beforehand.
    pub(crate) yes: bool,
    /// The verb, for whoever cannot be asked.
    pub(crate) verb: &'static str,
}

/// Changes the stack, which is made where it is not there; nothing comes of it in a plan.
pub(super) async fn apply(
    session: &Session,
    wanted: &Wanted,
    there: Option<&Stack>,
    consent: &Consent,
) -> anyhow::Result<Option<Stack>> {
    let Wanted { name, template, parameters, .. } = wanted;
    let set = Content::of(&(name, template, parameters))?.name(CHANGE);
    let started = Started::ChangeSet { stack: name.clone(), name: set.clone() };
    session.undo.note(started.clone());
    create(session, wanted, &set, there.is_some()).await?;
    if session.is_plan() {
        execute(session, name, &set).await?;
        session.undo.settle(&started);
        return Ok(None);
    }
    let described = {
        let _step = session.progress.step(&format!("asking CloudFormation what stack {name} needs"));
        ready(session, name, &set).await?
    };
    let Some(described) = described else {
        take_back(session, name, &set).await?;
        session.undo.settle(&started);
        session.progress.say(&format!("stack {name} is as it should be: nothing to change"));
        return Ok(there.cloned());
    };
    show(session, wanted, there, &changes(session, described).await?);
    if !consent.yes {
        let unasked = format!(
            "this changes stack {name}: confirm with --yes; `unspsc plan {}` prints the request and changes nothing",
            consent.verb
        );
        if !confirm::asked(session, [""; 0], "make these changes?", &unasked).await? {
            bail!("nothing was changed");
        }
    }
    run(session, name, &set, &started).await
}

/// Executes the change set and follows what it does.
async fn run(session: &Session, name: &str, set: &str, started: &Started) -> anyhow::Result<Option<Stack>> {
    let before = look(session, name).await?.with_context(|| format!("stack {name} has gone meanwhile"))?;
    let seen = events::Seen::before(session, &before).await?;
    let going = Started::Stack(name.to_owned());
    session.undo.note(going.clone());
    // One that is executed cannot be deleted; one that is not, after all, the next run deletes with its stack.
    session.undo.settle(started);
    if let Err(error) = execute(session, name, set).await {
        // It is under way, or through, after all: the answer got lost.
        let is_under_way = look(session, &before.id).await?.is_some_and(|now| now.status != before.status);
        if !(is_under_way || error.is_transient() && seen.is_past(session, &before).await?) {
            session.undo.settle(&going);
            session.undo.note(started.clone());
            return Err(error).with_context(|| format!("cannot change stack {name}"));
        }
    }
    let after = events::follow(session, &before, &seen).await?;
    session.undo.settle(&going);
    match after {
        Some(after) if matches!(after.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE") => {
            session.progress.say(&format!("{after} is {}", after.status));
            Ok(Some(after))
        }
        Some(after) => Err(events::failure(session, &after).await),
        None => bail!("stack {name} has gone meanwhile: somebody has deleted it"),
    }
}

/// Makes the change set `set`; one of its name is of an earlier run, and may be of the past.
async fn create(session: &Session, wanted: &Wanted, set: &str, is_there: bool) -> anyhow::Result<()> {
    let Wanted { name, template, parameters, .. } = wanted;
    let kind = if is_there { ChangeSetType::Update } else { ChangeSetType::Create };
    let parameters =
        parameters.iter().map(|(key, value)| Parameter::builder().parameter_key(*key).parameter_value(value).build());
    let (key, value) = MANAGED_BY;
    let request = session.clients.cloudformation.create_change_set().stack_name(name).change_set_name(set);
    let request = request.change_set_type(kind).template_body(*template).set_parameters(Some(parameters.collect()));
    // Roles and policies have names of their own.
    let request =
        request.capabilities(Capability::CapabilityNamedIam).tags(Tag::builder().key(key).value(value).build());
    let ask = async || request.clone().send().await.map(drop).map_err(failed("CreateChangeSet"));
    let made = match ask().await {
        Err(error) if error.is_taken() => {
            take_back(session, name, set).await?;
            ask().await
        }
        // Nothing has changed: there is a change set where CloudFormation sees that later.
        Err(ServiceError::Refused { message, .. }) if is_unchanged(&message) => Ok(()),
        made => made,
    };
    made.with_context(|| format!("cannot ask CloudFormation what stack {name} needs"))
}

/// Whether all change sets of the stack are this program's, by their names.
pub(super) async fn are_ours(session: &Session, stack: &Stack) -> Result<bool, ServiceError> {
    let ours = Content::prefix(CHANGE);
    let mut token = None;
    loop {
        let request = session.clients.cloudformation.list_change_sets().stack_name(&stack.id).set_next_token(token);
        let page = match request.send().await.map_err(failed("ListChangeSets")) {
            // It has gone meanwhile, and nobody's is there.
            Err(error) if error.is_missing() => return Ok(true),
            page => page?,
        };
        let mut names = page.summaries().iter().filter_map(|summary| summary.change_set_name());
        if names.any(|name| !name.starts_with(&ours)) {
            return Ok(false);
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(true);
        }
    }
}

/// Whether this is CloudFormation's way to say that a stack is as it should be.
fn is_unchanged(reason: &str) -> bool {
    ["didn't contain changes", "No updates are to be performed"].iter().any(|words| reason.contains(words))
}

/// The change set once it is made; nothing if it would change nothing.
async fn ready(session: &Session, stack: &str, set: &str) -> anyhow::Result<Option<DescribeChangeSetOutput>> {
    let described = poll::until(session.pace, async || {
        let described = match page(session, stack, set, None).await {
            Err(error) if error.is_missing() => return Ok(Some(None)),
            described => described?,
        };
        let is_over = matches!(described.status(), Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed));
        Ok(is_over.then_some(Some(described)))
    });
    let Some(described) = described.await? else { return Ok(None) };
    if described.status() == Some(&ChangeSetStatus::CreateComplete) {
        return Ok(Some(described));
    }
    let reason = described.status_reason().unwrap_or("no reason given");
    if is_unchanged(reason) {
        return Ok(None);
    }
    bail!("CloudFormation cannot make out what stack {stack} needs: {reason}")
}

async fn page(
    session: &Session,
    stack: &str,
    set: &str,
    token: Option<String>,
) -> Result<DescribeChangeSetOutput, ServiceError> {
    let request = session.clients.cloudformation.describe_change_set().stack_name(stack).change_set_name(set);
    request.set_next_token(token).send().await.map_err(failed("DescribeChangeSet"))
}

/// All changes of the change set, whose first page was read.
async fn changes(session: &Session, mut first: DescribeChangeSetOutput) -> anyhow::Result<Vec<ResourceChange>> {
    let mut all = Vec::new();
    loop {
        all.extend(first.changes().iter().filter_map(|change| change.resource_change().cloned()));
        let Some(token) = first.next_token().map(str::to_owned) else { return Ok(all) };
        let (stack, set) = (first.stack_name().unwrap_or_default(), first.change_set_name().unwrap_or_default());
        first = page(session, stack, set, Some(token)).await?;
    }
}

/// Shows what is going to be done.
fn show(session: &Session, wanted: &Wanted, there: Option<&Stack>, changes: &[ResourceChange]) {
    let is_new = if there.is_some() { "changes" } else { "is new" };
    session.progress.say(&format!("stack {} {is_new}:", wanted.name));
    if let Some(values) = there.and_then(|there| values(wanted, there)) {
        session.progress.say(&values.to_string());
    }
    let mut table = tables::table(["action", "resource", "type", "replaced"]);
    for change in changes {
        let replaced = match change.replacement().map(Replacement::as_str) {
            Some("True") => "yes: a new one is made, and the old one deleted",
            Some("Conditional") => "perhaps",
            _ => "",
        };
        table.add_row([
            change.action().map(ChangeAction::as_str).unwrap_or_default(),
            change.logical_resource_id().unwrap_or_default(),
            change.resource_type().unwrap_or_default(),
            replaced,
        ]);
    }
    tables::keep_whole(&mut table, 0..3);
    session.progress.say(&table.to_string());
}

/// The parameters that become others, before and after.
fn values(wanted: &Wanted, there: &Stack) -> Option<Table> {
    let mut table = tables::table(["parameter", "now", "then"]);
    for (key, then) in wanted.parameters.iter().filter(|(key, _)| !wanted.momentary.contains(key)) {
        let now = there.parameters.get(*key);
        if now != Some(then) {
            table.add_row([key, now.map(String::as_str).unwrap_or_default(), then.as_str()]);
        }
    }
    tables::keep_whole(&mut table, 0..3);
    (!table.is_empty()).then_some(table)
}

async fn execute(session: &Session, stack: &str, set: &str) -> Result<(), ServiceError> {
    let request = session.clients.cloudformation.execute_change_set().stack_name(stack).change_set_name(set);
    // By it a second request is known for the same.
    let request = request.client_request_token(set);
    request.send().await.map(drop).map_err(failed("ExecuteChangeSet"))
}

/// Deletes a change set that is not to be executed, and the stack that was only made for it.
pub(crate) async fn take_back(session: &Session, stack: &str, set: &str) -> anyhow::Result<()> {
    let request = session.clients.cloudformation.delete_change_set().stack_name(stack).change_set_name(set);
    match request.send().await.map(drop).map_err(failed("DeleteChangeSet")) {
        Err(error) if !error.is_missing() => return Err(error.into()),
        _ => {}
    }
    match look(session, stack).await? {
        Some(left) if left.status == REVIEW && are_ours(session, &left).await? => super::delete(session, &left).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_set_without_changes_is_no_failure() {
        assert!(is_unchanged("The submitted information didn't contain changes. Submit different information to ..."));
        assert!(is_unchanged("No updates are to be performed."));
        assert!(!is_unchanged("Template error: unresolved resource dependencies"));
    }
}
