//! `unspsc invoke`: descriptions in, codes out.

mod ask;
mod input;
mod output;
mod show;
mod statement;
mod stream;

use anyhow::bail;

use crate::options::{AnswerFormat, InvokeArgs};
use crate::session::Session;
use crate::tables::count;
use crate::whole;

pub(crate) use ask::{ask, at_depth, patiently, refusal};
pub(crate) use show::describe;

use output::Output;

/// Asks an endpoint about all texts that there are, and writes its answers.
pub(crate) async fn run(session: &Session, args: &InvokeArgs) -> anyhow::Result<()> {
    let format = args.format.unwrap_or_else(|| args.output.as_deref().map_or(AnswerFormat::Table, AnswerFormat::of));
    if let (Some(file), Some(output)) = (&args.file, &args.output) {
        whole::refuse_input(file, output)?;
    }
    if args.statement {
        return statement::run(session, args, format).await;
    }
    let (input, total) = input::rows(args).await?;
    let mut output = Output::begin(format, args.output.as_deref(), input.header())?;
    let failures = stream::run(session, args, &input, total, &mut output).await?;
    if let Some(path) = output.finish()? {
        session.progress.say(&format!("written to {}", path.display()));
    }
    if failures > 0 {
        bail!("{} of {} descriptions could not be classified", count(failures), count(total));
    }
    Ok(())
}
