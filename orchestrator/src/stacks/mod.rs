//! Stacks of CloudFormation: looked at, changed by change sets that are shown first, followed, explained and deleted.

mod change;
mod delete;
mod events;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, bail};
use aws_sdk_cloudformation::types::{Stack as Described, TemplateStage};

use crate::aws::{ServiceError, failed};
use crate::confirm;
use crate::content::MANAGED_BY;
use crate::session::Session;

pub(crate) use self::change::{Consent, take_back};
pub(crate) use self::delete::delete;

/// The status of a stack that holds nothing yet but change sets, and shows no tags.
const REVIEW: &str = "REVIEW_IN_PROGRESS";

/// What a stack is to be.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The template's text.
    pub(crate) template: &'static str,
    pub(crate) parameters: BTreeMap<&'static str, String>,
    /// Parameters that are no reason for a change by themselves.
    pub(crate) momentary: &'static [&'static str],
}

/// A stack as CloudFormation has it.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) name: String,
    /// By which it is found after it was deleted, too.
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
    /// When it was made or changed, in seconds since 1970.
    pub(crate) changed: Option<i64>,
    is_ours: bool,
}

/// How a stack stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Something is under way.
    Busy,
    /// It is there and can be changed.
    Stands,
    /// It has never come about, or its deletion has failed: it can only be deleted.
    Failed,
    /// A change of it could not be taken back: somebody has to help.
    Stuck,
    /// It has been deleted.
    Gone,
}

impl Stack {
    fn new(described: &Described) -> anyhow::Result<Self> {
        let name = described.stack_name().context("CloudFormation describes a stack without a name")?.to_owned();
        let pairs = |pairs: Vec<(Option<&str>, Option<&str>)>| -> BTreeMap<String, String> {
            pairs.into_iter().filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned()))).collect()
        };
        let parameters =
            described.parameters().iter().map(|one| (one.parameter_key(), one.parameter_value())).collect();
        let outputs = described.outputs().iter().map(|one| (one.output_key(), one.output_value())).collect();
        let (key, value) = MANAGED_BY;
        Ok(Self {
            id: described.stack_id().unwrap_or(&name).to_owned(),
            status: described.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: described.stack_status_reason().map(str::to_owned),
            parameters: pairs(parameters),
            outputs: pairs(outputs),
            changed: described.last_updated_time().or(described.creation_time()).map(aws_smithy_types::DateTime::secs),
            is_ours: described.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(value)),
            name,
        })
    }

    /// How it stands.
    pub(crate) fn state(&self) -> State {
        match self.status.as_str() {
            REVIEW => State::Failed,
            "DELETE_COMPLETE" => State::Gone,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => State::Failed,
            "UPDATE_ROLLBACK_FAILED" | "IMPORT_ROLLBACK_FAILED" => State::Stuck,
            status if status.ends_with("_IN_PROGRESS") => State::Busy,
            _ => State::Stands,
        }
    }

    /// The output `key`, which the template has.
    pub(crate) fn output(&self, key: &str) -> anyhow::Result<&str> {
        let value = self.outputs.get(key).map(String::as_str);
        value.with_context(|| format!("{self} has no output {key}: it was made from another template"))
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stack {}", self.name)
    }
}

/// The stack with this name or id, if it is there.
pub(crate) async fn look(session: &Session, name: &str) -> anyhow::Result<Option<Stack>> {
    described(session, name).await?.map(|stack| Stack::new(&stack)).transpose()
}

/// The stacks of this program, of whatever name, that keep environments of a Lambda ready.
pub(crate) async fn fronts(session: &Session) -> anyhow::Result<Vec<String>> {
    let (mut pages, mut found) = (session.clients.cloudformation.describe_stacks().into_paginator().send(), Vec::new());
    while let Some(page) = pages.next().await {
        for described in page.map_err(failed("DescribeStacks"))?.stacks() {
            let stack = Stack::new(described)?;
            let is_ready = stack.parameters.get("ProvisionedConcurrency").is_some_and(|ready| ready != "0");
            if stack.is_ours && is_ready && !matches!(stack.state(), State::Failed | State::Gone) {
                found.push(stack.to_string());
            }
        }
    }
    Ok(found)
}

async fn described(session: &Session, name: &str) -> Result<Option<Described>, ServiceError> {
    let answer = session.clients.cloudformation.describe_stacks().stack_name(name).send().await;
    match answer.map_err(failed("DescribeStacks")) {
        Err(error) if error.is_missing() => Ok(None),
        answer => Ok(answer?.stacks().first().cloned()),
    }
}

/// The stack, where it is ours, once nothing is under way any more and it can be changed.
pub(crate) async fn settled(session: &Session, name: &str) -> anyhow::Result<Option<Stack>> {
    match over(session, name).await? {
        Some(stack) if stack.state() == State::Stuck => Err(events::stuck(session, &stack).await),
        stack => Ok(stack),
    }
}

/// The stack, where it is ours, once nothing is under way any more; one that is stuck can still be deleted.
pub(crate) async fn over(session: &Session, name: &str) -> anyhow::Result<Option<Stack>> {
    loop {
        let Some(stack) = look(session, name).await? else { return Ok(None) };
        let is_ours = stack.is_ours || stack.status == REVIEW && change::are_ours(session, &stack).await?;
        if !is_ours {
            bail!("{stack} is there and was not made by this program: choose another --name");
        }
        match stack.state() {
            State::Gone => return Ok(None),
            State::Busy if session.is_plan() => bail!("{stack} is {}: plan when that is over", stack.status),
            State::Busy => {
                session.progress.say(&format!("{stack} is {}, which is followed", stack.status));
                // What it comes to is seen by whoever asked.
                events::follow(session, &stack, &events::Seen::default()).await?;
            }
            State::Stands | State::Failed | State::Stuck => return Ok(Some(stack)),
        }
    }
}

/// The same once one that can only be deleted is gone.
pub(crate) async fn cleared(session: &Session, name: &str, consent: &Consent) -> anyhow::Result<Option<Stack>> {
    let mut there = settled(session, name).await?;
    if let Some(stack) = there.take_if(|stack| stack.state() == State::Failed) {
        clear(session, &stack, consent).await?;
    }
    Ok(there)
}

/// Sees to it that the stack, of which `there` is [cleared], is as it is wanted: nothing is done where it is so, and what it
/// takes otherwise is shown and confirmed first. Nothing comes of it in a plan.
pub(crate) async fn bring(
    session: &Session,
    wanted: &Wanted,
    there: Option<Stack>,
    consent: &Consent,
) -> anyhow::Result<Option<Stack>> {
    if let Some(stack) = &there
        && is_same(session, stack, wanted).await?
    {
        session.progress.say(&format!("{stack} is as it should be: nothing to change"));
        return Ok(there);
    }
    change::apply(session, wanted, there.as_ref(), consent).await
}

/// Whether template and parameters of the stack are those that are wanted.
async fn is_same(session: &Session, stack: &Stack, wanted: &Wanted) -> anyhow::Result<bool> {
    let differs =
        |(key, value): (&&str, &String)| !wanted.momentary.contains(key) && stack.parameters.get(*key) != Some(value);
    if wanted.parameters.iter().any(differs) {
        return Ok(false);
    }
    let request = session.clients.cloudformation.get_template().stack_name(&stack.id);
    let answer = request.template_stage(TemplateStage::Original).send().await.map_err(failed("GetTemplate"))?;
    Ok(answer.template_body().is_some_and(|body| body.trim() == wanted.template.trim()))
}

/// Deletes a stack that can only be deleted, after it was said why, and only with consent where it may hold something.
async fn clear(session: &Session, stack: &Stack, consent: &Consent) -> anyhow::Result<()> {
    if stack.status == REVIEW {
        return delete(session, stack).await;
    }
    let why = events::first_failure(session, stack).await?.map(|event| format!(" ({event})")).unwrap_or_default();
    let goes = format!("{stack} is {}{why}: it is deleted and made anew", stack.status);
    // What such a stack had made is taken back already.
    let is_empty = stack.status == "ROLLBACK_COMPLETE";
    if !is_empty && !session.is_plan() && !consent.yes {
        let unasked = format!("{goes}, with what it still holds: confirm with --yes");
        if !confirm::asked(session, [&goes], "delete what is left of it?", &unasked).await? {
            bail!("nothing was changed");
        }
    } else {
        session.progress.say(&goes);
    }
    delete(session, stack).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_follows_from_the_status() {
        for (status, state) in [
            ("REVIEW_IN_PROGRESS", State::Failed),
            ("ROLLBACK_COMPLETE", State::Failed),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", State::Busy),
            ("UPDATE_ROLLBACK_IN_PROGRESS", State::Busy),
            ("UPDATE_ROLLBACK_COMPLETE", State::Stands),
            ("UPDATE_ROLLBACK_FAILED", State::Stuck),
            ("CREATE_COMPLETE", State::Stands),
            ("DELETE_COMPLETE", State::Gone),
        ] {
            let stack = Stack {
                name: "s".to_owned(),
                id: "s".to_owned(),
                status: status.to_owned(),
                reason: None,
                parameters: BTreeMap::new(),
                outputs: BTreeMap::new(),
                changed: None,
                is_ours: true,
            };
            assert_eq!(stack.state(), state, "{status}");
        }
    }
}
