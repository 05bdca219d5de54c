//! What a stack tells of an operation while it is under way, and why it failed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use aws_sdk_cloudformation::types::{ResourceStatus, StackEvent};

use crate::aws::{ServiceError, failed};
use crate::poll;
use crate::session::Session;

use super::{Stack, State, look};

/// What begins an operation.
const BEGINNINGS: [&str; 5] =
    ["REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
/// An operation that was asked for has begun within this time.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);
/// What CloudFormation says of resources that failed because another one had.
const CANCELLED: &str = "cancelled";

/// Something that happened to a resource of a stack.
#[derive(Debug, Clone)]
pub(super) struct Event {
    id: String,
    resource: String,
    kind: String,
    status: String,
    reason: Option<String>,
    is_of_stack: bool,
}

impl Event {
    fn new(event: &StackEvent) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            id: text(event.event_id()),
            resource: text(event.logical_resource_id()),
            kind: text(event.resource_type()),
            status: text(event.resource_status().map(ResourceStatus::as_str)),
            reason: event.resource_status_reason().map(str::to_owned),
            is_of_stack: event.resource_type() == Some("AWS::CloudFormation::Stack")
                && event.logical_resource_id() == event.stack_name(),
        }
    }

    /// Whether it is a failure, and not that of another resource.
    fn is_failure(&self) -> bool {
        let is_cancelled = self.reason.as_ref().is_some_and(|reason| reason.contains(CANCELLED));
        self.status.ends_with("_FAILED") && !is_cancelled
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status, self.kind, self.resource)?;
        self.reason.iter().try_for_each(|reason| write!(f, ": {}", reason.trim_end_matches('.')))
    }
}

/// Events that are of the past, or were told.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<BTreeSet<String>>);

impl Seen {
    /// All of the stack's last operation.
    pub(super) async fn before(session: &Session, stack: &Stack) -> anyhow::Result<Self> {
        let ids = operation(session, stack).await?.into_iter().map(|event| event.id);
        Ok(Self(Mutex::new(ids.collect())))
    }

    /// Whether there is no past.
    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether something has happened since.
    pub(super) async fn is_past(&self, session: &Session, stack: &Stack) -> anyhow::Result<bool> {
        let events = operation(session, stack).await?;
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(events.iter().any(|event| !seen.contains(&event.id)))
    }

    /// Those of `events` that are new, which they are once.
    fn fresh(&self, events: Vec<Event>) -> Vec<Event> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.into_iter().filter(|event| seen.insert(event.id.clone())).collect()
    }
}

/// Tells what happens until nothing is under way any more; the stack as it is then, or nothing if it is gone.
pub(super) async fn follow(session: &Session, stack: &Stack, seen: &Seen) -> anyhow::Result<Option<Stack>> {
    let step = session.progress.step(&format!("following {stack}"));
    let (asked, mut has_begun) = (Instant::now(), seen.is_empty());
    let after = poll::until(session.pace, async || {
        let now = super::described(session, &stack.id).await?;
        // The end is in the events when the stack says that it has come.
        for event in seen.fresh(operation(session, stack).await?) {
            has_begun = true;
            step.update(format!("{stack}: {} {}", event.resource, event.status));
            if event.is_of_stack || !event.status.ends_with("_IN_PROGRESS") {
                session.progress.say(&format!("  {event}"));
            }
        }
        let Some(now) = now else { return Ok(Some(None)) };
        let status = now.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default();
        let is_over = !status.ends_with("_IN_PROGRESS") && (has_begun || asked.elapsed() > BEGINS_WITHIN);
        Ok(is_over.then_some(Some(now)))
    });
    let after = after.await?.map(|now| Stack::new(&now)).transpose()?;
    Ok(after.filter(|stack| stack.state() != State::Gone))
}

/// The events of the stack's last operation, in their order.
async fn operation(session: &Session, stack: &Stack) -> Result<Vec<Event>, ServiceError> {
    let (mut events, mut token) = (Vec::new(), None);
    'pages: loop {
        let request = session.clients.cloudformation.describe_stack_events().stack_name(&stack.id);
        let page = match request.set_next_token(token).send().await.map_err(failed("DescribeStackEvents")) {
            Err(error) if error.is_missing() => break,
            page => page?,
        };
        // The latest come first.
        for event in page.stack_events().iter().map(Event::new) {
            let is_beginning = event.is_of_stack && BEGINNINGS.contains(&event.status.as_str());
            events.push(event);
            if is_beginning {
                break 'pages;
            }
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    events.reverse();
    Ok(events)
}

/// What went wrong first in the stack's last operation.
pub(super) async fn first_failure(session: &Session, stack: &Stack) -> anyhow::Result<Option<Event>> {
    let events = operation(session, stack).await?;
    let of_resource = events.iter().find(|event| event.is_failure() && !event.is_of_stack).cloned();
    Ok(of_resource.or_else(|| events.into_iter().find(Event::is_failure)))
}

/// Why the stack is not what it should be, and what has become of it.
pub(super) async fn failure(session: &Session, stack: &Stack) -> anyhow::Error {
    let event = match first_failure(session, stack).await {
        Ok(event) => event,
        Err(error) => return error,
    };
    let why = event.map(|event| event.to_string()).or_else(|| stack.reason.clone());
    let why = why.unwrap_or_else(|| "CloudFormation gives no reason".to_owned());
    let now = match stack.status.as_str() {
        "ROLLBACK_COMPLETE" => "what it had made is taken back, and the same command makes it anew",
        "UPDATE_ROLLBACK_COMPLETE" => "the change is taken back, and all is as it was before",
        "DELETE_FAILED" => "what is left of it stays, and the same command goes on with it",
        _ => "the same command tells how it stands",
    };
    anyhow!("{stack} is {}: {why}; {now}", stack.status)
}

/// What to do about a stack whose change could not be taken back.
pub(super) async fn stuck(session: &Session, stack: &Stack) -> anyhow::Error {
    let event = match first_failure(session, stack).await {
        Ok(event) => event,
        Err(error) => return error,
    };
    let why = event.as_ref().map(|event| format!(" ({event})")).unwrap_or_default();
    let skipped = event.map_or_else(|| "RESOURCE".to_owned(), |event| event.resource);
    anyhow!(
        "{stack} is {status}: a change failed, and so did taking it back{why}. Mend what that names, run `aws cloudformation \
         continue-update-rollback --stack-name {name}`, with `--resources-to-skip {skipped}` if it cannot be mended, and then the \
         same command again",
        status = stack.status,
        name = stack.name,
    )
}

/// Fails unless the stack is gone or can be changed.
pub(super) async fn gone(session: &Session, stack: &Stack) -> anyhow::Result<()> {
    match look(session, &stack.id).await? {
        Some(left) if left.state() != State::Gone => Err(failure(session, &left).await),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_with_another_resource_is_no_failure_of_its_own() {
        let event = |status: &str, reason: &str| Event {
            id: "1".to_owned(),
            resource: "Bucket".to_owned(),
            kind: "AWS::S3::Bucket".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            is_of_stack: false,
        };
        assert!(!event("CREATE_FAILED", "Resource creation cancelled").is_failure());
        assert!(!event("CREATE_COMPLETE", "").is_failure());
        let failed = event("CREATE_FAILED", "unspsc-1 already exists.");
        assert!(failed.is_failure());
        assert_eq!(failed.to_string(), "CREATE_FAILED AWS::S3::Bucket Bucket: unspsc-1 already exists");
    }
}
