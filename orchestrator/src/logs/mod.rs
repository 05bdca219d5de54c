//! `unspsc logs`: what jobs and endpoints have logged.

mod reading;
mod tail;

use std::time::Duration;

use jiff::Timestamp;

use crate::aws::ServiceError;
use crate::kinds::{self, Kind};
use crate::lambda;
use crate::options::LogsArgs;
use crate::poll;
use crate::progress::print;
use crate::session::Session;

use self::reading::Reading;

pub(crate) use self::tail::{Line, Source, Tail};

/// What is shown of a Lambda, whose log has weeks in many streams, unless it is asked for more.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What has a log of its own.
const LOGGING: [Kind; 3] = [Kind::Training, Kind::Transform, Kind::Endpoint];

/// Prints the lines, and with `--follow` those to come.
pub(crate) async fn run(session: &Session, args: &LogsArgs) -> anyhow::Result<()> {
    let mut found = kinds::look(session, &args.name).await?;
    // A log outlives its endpoint, such as one that did not come up and was taken down.
    let is_gone = found.is_empty();
    let function = Some(&args.name).filter(|name| is_gone && lambda::is_function(name));
    if is_gone {
        found.extend(LOGGING);
    } else if found.len() > 1 {
        let nouns: Vec<String> = found.iter().map(|kind| kind.with_article()).collect();
        session.progress.say(&format!("{} is the name of {}: their lines together", args.name, nouns.join(" and of ")));
    }
    let span = args.since.or(function.map(|_| DAY));
    let since = span.map(|span| Timestamp::now().as_millisecond() - i64::try_from(span.as_millis()).unwrap_or(0));
    let mut reading = Reading::begin(session, &args.name, &found, since, args.follow).await?;
    if let Some(function) = function {
        reading.read_lambda(function);
    }
    let lines = reading.new_lines(session).await?;
    if is_gone && !reading.has_streams() && !reading.has_lambda() {
        return Err(kinds::nothing(session, &args.name));
    }
    if function.is_some() && args.since.is_none() {
        session.progress.say("what was logged in the last day; --since shows more, or less");
    }
    let is_lambda = reading.has_lambda();
    if is_gone && !is_lambda {
        session.progress.say(&format!("{} is not there any more; this is what it has logged", args.name));
    }
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
            // Asked first, read second: whatever was said before the end is in the log by then.
            let is_over = !is_lambda && are_over(session, &found, &args.name).await?;
            reading.look_for_trials(session).await?;
            let lines = reading.new_lines(session).await?;
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

/// Whether nothing of this name will log any more.
async fn are_over(session: &Session, found: &[Kind], name: &str) -> Result<bool, ServiceError> {
    for kind in found {
        let is_over = match kinds::state(session, *kind, name).await {
            // An endpoint was deleted.
            Err(error) if error.is_missing() => true,
            outcome => outcome?.is_over,
        };
        if !is_over {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A line with the time and the instance that it is of.
fn shown(line: &Line) -> String {
    let time = Timestamp::from_millisecond(line.time).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    format!("{} {} {}", time.unwrap_or_default(), line.stream, line.text)
}
