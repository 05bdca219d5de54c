//! `unspsc logs`: what a job or an endpoint has logged.

mod tail;

use anyhow::bail;
use jiff::Timestamp;

use crate::aws::ServiceError;
use crate::options::LogsArgs;
use crate::progress::print;
use crate::session::Session;
use crate::{deploy, follow, poll};

pub(crate) use self::tail::{Line, Source, Tail};

/// Prints the lines, and with `--follow` those to come.
pub(crate) async fn run(session: &Session, args: &LogsArgs) -> anyhow::Result<()> {
    let kind = find(session, &args.name).await?;
    let source = match kind {
        Kind::Job => Source::of_job(&args.name),
        Kind::Endpoint => Source::of_endpoint(&args.name),
    };
    let since = args.since.map(|span| Timestamp::now().as_millisecond() - i64::try_from(span.as_millis()).unwrap_or(0));
    let mut tail = Tail::new(&source, since);
    let lines = tail.new_lines(&session.clients.logs).await?;
    if lines.is_empty() && !args.follow {
        session.progress.say(&format!("{} has logged nothing{}", args.name, since.map_or("", |_| " in that time")));
    }
    let skipped = args.tail.map_or(0, |count| lines.len().saturating_sub(count));
    for line in lines.iter().skip(skipped) {
        print(&shown(line))?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        let (is_over, lines) = poll::until(session.pace, async || {
            let is_over = kind == Kind::Job && follow::is_over(&follow::describe(session, &args.name).await?);
            let lines = tail.new_lines(&session.clients.logs).await?;
            Ok((is_over || !lines.is_empty()).then_some((is_over, lines)))
        })
        .await?;
        for line in &lines {
            print(&shown(line))?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A training job.
    Job,
    /// An endpoint.
    Endpoint,
}

/// What `name` stands for: an endpoint, which is what runs now, before the job that its model came from.
pub(crate) async fn find(session: &Session, name: &str) -> anyhow::Result<Kind> {
    if there(deploy::status(session, name).await)? {
        return Ok(Kind::Endpoint);
    }
    if there(follow::describe(session, name).await)? {
        return Ok(Kind::Job);
    }
    bail!("there is no job and no endpoint named {name}: `unspsc status` lists them")
}

fn there<T>(found: Result<T, ServiceError>) -> Result<bool, ServiceError> {
    match found {
        Err(error) if error.is_missing() => Ok(false),
        outcome => outcome.map(|_| true),
    }
}

/// A line with the time and the instance that it is of.
fn shown(line: &Line) -> String {
    let time = Timestamp::from_millisecond(line.time).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    format!("{} {} {}", time.unwrap_or_default(), line.stream, line.text)
}
