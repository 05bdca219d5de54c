//! `unspsc status`: what this program has made and how it stands.

mod endpoints;
mod jobs;

use std::collections::HashSet;

use aws_sdk_sagemaker::primitives::DateTime;
use jiff::Timestamp;

use crate::content::{self, MANAGED_BY};
use crate::logs::{self, Kind};
use crate::options::StatusArgs;
use crate::progress::print;
use crate::session::Session;

/// Shows everything, or one job or endpoint with its details.
pub(crate) async fn run(session: &Session, args: &StatusArgs) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        let jobs = jobs::table(session, args.since).await?;
        let endpoints = endpoints::table(session).await?;
        return print(&format!("{jobs}\n\n{endpoints}"));
    };
    print(&match logs::find(session, name).await? {
        Kind::Job => jobs::details(session, name).await?,
        Kind::Endpoint => endpoints::details(session, name).await?,
    })
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
    fn moments_spans_and_lists_can_be_read() {
        assert_eq!(moment(Some(&DateTime::from_secs(1_764_374_400))), "2025-11-29 00:00:00");
        assert_eq!(moment(None), "–");
        let spans = [(-5, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")];
        spans.iter().for_each(|(seconds, text)| assert_eq!(span(*seconds), *text));
        let fields = [("a", Some("1".to_owned())), ("b", None), ("long", Some("2".to_owned()))];
        assert_eq!(listed(&fields), "a     1\nlong  2");
    }
}
