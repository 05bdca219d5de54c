//! `unspsc status`: what this program has made and how it stands.

mod endpoints;
mod jobs;
mod transforms;
mod tuning;

use std::collections::HashSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use aws_sdk_sagemaker::primitives::DateTime;
use jiff::Timestamp;

use crate::content::{self, MANAGED_BY};
use crate::kinds::{self, Kind};
use crate::options::StatusArgs;
use crate::progress::print;
use crate::session::Session;

pub(crate) use self::tuning::result;

/// The largest page of a list.
const PAGE: i32 = 100;
/// Characters of a reason in a table on a terminal.
const REASON: usize = 60;

/// Shows everything, or what bears one name with its details.
pub(crate) async fn run(session: &Session, args: &StatusArgs) -> anyhow::Result<()> {
    let Some(name) = &args.name else { return print(&everything(session, args.since).await?) };
    let mut shown = Vec::new();
    for kind in kinds::find(session, name).await? {
        shown.push(match kind {
            Kind::Training => jobs::details(session, name).await?,
            Kind::Tuning => tuning::details(session, name).await?,
            Kind::Transform => transforms::details(session, name).await?,
            Kind::Endpoint => endpoints::details(session, name).await?,
        });
    }
    print(&shown.join("\n\n"))
}

/// A table for each kind of which there is something, and a line that names the others.
async fn everything(session: &Session, since: Duration) -> anyhow::Result<String> {
    let since = Timestamp::now().as_second().saturating_sub(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let since = DateTime::from_secs(since);
    let tunings = tuning::list(session, since).await?;
    let tables = [
        ("training jobs", jobs::table(session, since, &tunings).await?),
        ("tuning jobs", tuning::table(session, &tunings).await?),
        ("transform jobs", transforms::table(session, since).await?),
        ("endpoints", endpoints::table(session).await?),
    ];
    let none = tables.iter().filter(|(_, table)| table.is_none()).map(|(what, _)| format!("no {what}"));
    let none: Vec<String> = none.collect();
    let there = tables.into_iter().filter_map(|(_, table)| table.map(|table| table.to_string()));
    let none = (!none.is_empty()).then(|| none.join(", "));
    Ok(there.chain(none).collect::<Vec<_>>().join("\n\n"))
}

/// A job of any kind in a list.
#[derive(Debug)]
struct Listed {
    name: String,
    arn: String,
    status: String,
    created: Option<DateTime>,
    ended: Option<DateTime>,
}

impl Listed {
    /// For how long it has been there, or was until its end.
    fn took(&self) -> String {
        let end = self.ended.map_or_else(|| Timestamp::now().as_second(), |end| end.secs());
        self.created.map(|begin| span(end - begin.secs())).unwrap_or_default()
    }

    fn has_failed(&self) -> bool {
        self.status == "Failed"
    }
}

/// The `recent` jobs and those that are `running` besides, without those that are not ours.
async fn kept<T: AsRef<Listed>>(session: &Session, recent: Vec<T>, running: Vec<T>) -> anyhow::Result<Vec<T>> {
    let mut jobs = recent;
    for job in running {
        if jobs.iter().all(|other| other.as_ref().arn != job.as_ref().arn) {
            jobs.push(job);
        }
    }
    let managed = ours(session, jobs.iter().map(|job| job.as_ref().arn.clone())).await?;
    jobs.retain(|job| managed.contains(&job.as_ref().arn));
    Ok(jobs)
}

/// Those of `arns` that bear this program's tag.
async fn ours(session: &Session, arns: impl Iterator<Item = String>) -> anyhow::Result<HashSet<String>> {
    content::bearing(&session.clients.sagemaker, arns, MANAGED_BY.0, MANAGED_BY.1).await
}

/// A moment as people read it, in UTC.
fn moment(time: Option<&DateTime>) -> String {
    let time = time.and_then(|time| Timestamp::from_second(time.secs()).ok());
    time.map_or_else(|| "–".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Seconds as people read them.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A reason, unless it is empty.
fn reason(reason: Option<&str>) -> Option<String> {
    reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty())
}

/// A reason for a table, whose rows are lines: on a terminal its beginning, elsewhere all of it.
fn shortened(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if io::stdout().is_terminal() { beginning(&line) } else { line }
}

fn beginning(line: &str) -> String {
    let short: String = line.chars().take(REASON).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// Tags of the resource `arn`, in one line.
async fn tags(session: &Session, arn: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(arn) = arn else { return Ok(None) };
    let tags = content::tags_of(&session.clients.sagemaker, arn).await?;
    let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok((!tags.is_empty()).then(|| tags.join(", ")))
}

/// Fields and values, a line each, the values below each other; fields without a value are left out.
fn listed(fields: &[(&str, Option<String>)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, value): &(&str, Option<String>)| value.as_ref().map(|value| format!("{name:width$}  {value}"));
    fields.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_line_and_cut_on_a_terminal() {
        assert_eq!(shortened("one\ntwo"), "one two");
        assert_eq!(beginning("short"), "short");
        assert_eq!(beginning(&"ä".repeat(70)).chars().count(), REASON + 1);
    }

    #[test]
    fn moments_spans_and_lists_can_be_read() {
        assert_eq!(moment(Some(&DateTime::from_secs(1_764_374_400))), "2025-11-29 00:00:00");
        assert_eq!(moment(None), "–");
        let spans = [(-5, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")];
        spans.iter().for_each(|(seconds, text)| assert_eq!(span(*seconds), *text));
        let fields = [("a", Some("1".to_owned())), ("b", None), ("long", Some("2".to_owned()))];
        assert_eq!(listed(&fields), "a     1\nlong  2");
    }
}
