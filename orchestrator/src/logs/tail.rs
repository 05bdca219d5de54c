//! Lines of CloudWatch Logs, each once, in the order of their time.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::LogStream;

use crate::aws::{ServiceError, failed};

/// Pages of one stream that are read in a row; what is behind them comes next time.
const MAX_PAGES: usize = 50;

/// A stream's last line may be known so late: an hour, in milliseconds.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogStream.html>.
const KNOWN_LATE: i64 = 60 * 60 * 1000;

/// Where something logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The log group.
    pub(crate) group: String,
    /// What the names of its streams begin with.
    pub(crate) prefix: Option<String>,
    /// What its streams are shown with, beside those of others.
    label: String,
}

impl Source {
    /// Where a training job logs: a stream for each instance.
    pub(crate) fn of_job(job: &str) -> Self {
        Self::of_streams("/aws/sagemaker/TrainingJobs", job)
    }

    /// Where a trial logs, which is shown by what its name has beyond that of its tuning job.
    pub(crate) fn of_trial(tuning: &str, trial: &str) -> Self {
        let label = trial.strip_prefix(tuning).unwrap_or(trial).trim_start_matches('-');
        Self { label: format!("{label}/"), ..Self::of_job(trial) }
    }

    /// Where a transform job logs: two streams for each instance, one of the container and one about the data.
    pub(crate) fn of_transform(job: &str) -> Self {
        Self::of_streams("/aws/sagemaker/TransformJobs", job)
    }

    /// Where an endpoint logs: a stream for each instance.
    pub(crate) fn of_endpoint(endpoint: &str) -> Self {
        Self { group: format!("/aws/sagemaker/Endpoints/{endpoint}"), prefix: None, label: String::new() }
    }

    /// Where a Lambda logs: a stream for each environment.
    pub(crate) fn of_lambda(function: &str) -> Self {
        Self { group: format!("/aws/lambda/{function}"), prefix: None, label: String::new() }
    }

    fn of_streams(group: &str, job: &str) -> Self {
        Self { group: group.to_owned(), prefix: Some(format!("{job}/")), label: String::new() }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When it was written, in milliseconds since 1970.
    pub(crate) time: i64,
    /// The stream, without what all of them begin with.
    pub(crate) stream: String,
    /// What it says.
    pub(crate) text: String,
}

/// A log that grows.
#[derive(Debug)]
pub(crate) struct Tail {
    source: Source,
    /// Lines before this time are left out: milliseconds since 1970.
    since: Option<i64>,
    /// Where to go on in each stream.
    tokens: BTreeMap<String, Option<String>>,
    /// Whether there is such a log group.
    has_group: bool,
    /// Whether there are streams that have ended before `since`, which are not read.
    has_past: bool,
}

impl Tail {
    /// From the first line, or the first one that is not before `since`.
    pub(crate) fn new(source: &Source, since: Option<i64>) -> Self {
        Self { source: source.clone(), since, tokens: BTreeMap::new(), has_group: false, has_past: false }
    }

    /// Whether there was a log when lines were last asked for.
    pub(crate) fn has_streams(&self) -> bool {
        self.has_past || !self.tokens.is_empty()
    }

    /// Whether its log group was there when lines were last asked for.
    pub(crate) fn has_group(&self) -> bool {
        self.has_group
    }

    /// The lines that have come since the last call; none where there is no log yet.
    pub(crate) async fn new_lines(&mut self, client: &Client) -> Result<Vec<Line>, ServiceError> {
        match self.find_streams(client).await {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            outcome => outcome?,
        }
        let mut lines = Vec::new();
        let streams: Vec<String> = self.tokens.keys().cloned().collect();
        for stream in streams {
            match self.read(client, &stream, &mut lines).await {
                // Streams are deleted when they are old; and what was read before an error must not get lost with it.
                Err(error) if error.is_missing() || !lines.is_empty() => {}
                outcome => outcome?,
            }
        }
        lines.sort_by_key(|line: &Line| line.time);
        Ok(lines)
    }

    /// Instances come while the job or endpoint lives, and with them streams.
    async fn find_streams(&mut self, client: &Client) -> Result<(), ServiceError> {
        let mut token = None;
        loop {
            let request = client.describe_log_streams().log_group_name(&self.source.group);
            let request = request.set_log_stream_name_prefix(self.source.prefix.clone()).set_next_token(token);
            let page = request.send().await.map_err(failed("DescribeLogStreams"))?;
            self.has_group = true;
            for stream in page.log_streams() {
                if is_past(stream, self.since) {
                    self.has_past = true;
                } else if let Some(name) = stream.log_stream_name() {
                    self.tokens.entry(name.to_owned()).or_insert(None);
                }
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, client: &Client, stream: &str, lines: &mut Vec<Line>) -> Result<(), ServiceError> {
        let shown = stream.strip_prefix(self.source.prefix.as_deref().unwrap_or_default()).unwrap_or(stream);
        let shown = format!("{}{shown}", self.source.label);
        for _ in 0..MAX_PAGES {
            let token = self.tokens.get(stream).cloned().flatten();
            let request = client.get_log_events().log_group_name(&self.source.group).log_stream_name(stream);
            let request = request.start_from_head(true).set_start_time(self.since).set_next_token(token.clone());
            let page = request.send().await.map_err(failed("GetLogEvents"))?;
            lines.extend(page.events().iter().map(|event| Line {
                time: event.timestamp().unwrap_or_default(),
                stream: shown.clone(),
                text: event.message().unwrap_or_default().trim_end().to_owned(),
            }));
            let next = page.next_forward_token().map(str::to_owned);
            // The service has no page behind the one whose token it gives back.
            let is_last = next.is_none() || next == token;
            if next.is_some() {
                self.tokens.insert(stream.to_owned(), next);
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}

/// Whether the stream has had its last line before the time from which on lines are wanted.
fn is_past(stream: &LogStream, since: Option<i64>) -> bool {
    let last = stream.last_event_timestamp().zip(since);
    last.is_some_and(|(last, since)| last + KNOWN_LATE < since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_ended_before_what_is_asked_for_are_not_read() {
        let stream = |last: Option<i64>| LogStream::builder().set_last_event_timestamp(last).build();
        let since = Some(10 * KNOWN_LATE);
        assert!(is_past(&stream(Some(9 * KNOWN_LATE - 1)), since));
        // Its last line may be later than is known.
        assert!(!is_past(&stream(Some(9 * KNOWN_LATE)), since));
        assert!(!is_past(&stream(Some(1)), None) && !is_past(&stream(None), since));
    }
}
