//! A stack is deleted.

use anyhow::Context as _;

use crate::aws::failed;
use crate::session::Session;
use crate::undo::Started;

use super::{Stack, events};

/// Deletes the stack and waits until it is gone.
pub(crate) async fn delete(session: &Session, stack: &Stack) -> anyhow::Result<()> {
    let request = session.clients.cloudformation.delete_stack().stack_name(&stack.id);
    let ask = async || request.clone().send().await.map(drop).map_err(failed("DeleteStack"));
    if session.is_plan() {
        return Ok(ask().await?);
    }
    let seen = events::Seen::before(session, stack).await?;
    let going = Started::Stack(stack.name.clone());
    session.undo.note(going.clone());
    ask().await.with_context(|| format!("cannot delete {stack}"))?;
    events::follow(session, stack, &seen).await?;
    session.undo.settle(&going);
    events::gone(session, stack).await
}
