//! `unspsc infra status`: both stacks, what they offer, and whether the Lambda is what its stack has made.

use crate::options::InfraStatusArgs;
use crate::progress::print;
use crate::session::Session;
use crate::stacks::{self, Stack};
use crate::{lambda, tables};

use super::{base_name, front_name};

/// Shows both stacks.
pub(crate) async fn run(session: &Session, args: &InfraStatusArgs) -> anyhow::Result<()> {
    let base = stacks::look(session, &base_name(&args.stack)).await?;
    let front = stacks::look(session, &front_name(&args.stack)).await?;
    let mut table = tables::table(["stack", "status", "changed", "reason"]);
    for (name, stack) in [(base_name(&args.stack), &base), (front_name(&args.stack), &front)] {
        let Some(stack) = stack else {
            table.add_row([name.as_str(), "not there", "", ""]);
            continue;
        };
        let changed = stack.changed.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        table.add_row([
            name,
            stack.status.clone(),
            changed.map(|time| time.to_string()).unwrap_or_default(),
            stack.reason.clone().unwrap_or_default(),
        ]);
    }
    tables::keep_whole(&mut table, 0..3);
    print(&table.to_string())?;
    for stack in base.iter().chain(&front) {
        outputs(stack)?;
    }
    if let Some(front) = &front
        && front.outputs.contains_key("FunctionName")
    {
        lambda::show(session, front, &args.stack).await?;
    }
    if base.is_none() {
        session.progress.say(&format!(
            "`{}` makes {}",
            session.command(&format!("infra up{}", args.stack.option())),
            base_name(&args.stack)
        ));
    }
    Ok(())
}

fn outputs(stack: &Stack) -> anyhow::Result<()> {
    if stack.outputs.is_empty() {
        return Ok(());
    }
    let mut table = tables::table([format!("{} offers", stack.name), String::new()]);
    for (key, value) in &stack.outputs {
        table.add_row([key, value]);
    }
    tables::keep_whole(&mut table, 0..2);
    print(&format!("\n{table}"))
}
