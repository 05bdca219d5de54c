//! Groups and streams: which there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{invalid, not_found};
use crate::error::ApiError;
use crate::names::{ACCOUNT, REGION};
use crate::platform::Platform;
use crate::time::Time;

/// CloudWatch's page of groups and of streams, and its largest.
const MAX_PAGE: usize = 50;

/// Streams by group and name.
pub(crate) type LogStreams = BTreeMap<String, BTreeMap<String, LogStream>>;

/// One stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LogStream {
    /// Its file, below the state folder.
    pub(crate) file: PathBuf,
    pub(crate) created: Time,
}

/// The request of `DescribeLogGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupFilter {
    #[serde(default)]
    log_group_name_prefix: String,
    next_token: Option<String>,
    limit: Option<usize>,
}

/// The request of `DescribeLogStreams`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamFilter {
    log_group_name: String,
    #[serde(default)]
    log_stream_name_prefix: String,
    #[serde(default)]
    order_by: OrderBy,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
enum OrderBy {
    #[default]
    LogStreamName,
    LastEventTime,
}

/// `DescribeLogGroups`.
pub(crate) fn describe_groups(platform: &Platform, request: &GroupFilter) -> Result<Value, ApiError> {
    let group = |(name, streams): (&String, &BTreeMap<String, LogStream>)| {
        let created = streams.values().map(|stream| stream.created.millis()).min();
        json!({
            "logGroupName": name,
            "creationTime": created,
            "metricFilterCount": 0,
            "arn": format!("{}:*", arn(name)),
            "storedBytes": 0,
        })
    };
    let wanted = |(name, _): &(&String, &BTreeMap<String, LogStream>)| name.starts_with(&request.log_group_name_prefix);
    let groups = platform.store.read(|state| state.log_streams.iter().filter(wanted).map(group).collect());
    let (groups, token) = page(groups, request.next_token.as_deref(), request.limit)?;
    Ok(json!({ "logGroups": groups, "nextToken": token }))
}

/// `DescribeLogStreams`.
pub(crate) fn describe_streams(platform: &Platform, request: &StreamFilter) -> Result<Value, ApiError> {
    let by_time = request.order_by == OrderBy::LastEventTime;
    if by_time && !request.log_stream_name_prefix.is_empty() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let group = &request.log_group_name;
    let mut streams: Vec<(i64, Value)> = platform.store.read(|state| {
        let streams = state.log_streams.get(group).ok_or_else(|| not_found("group"))?;
        let wanted = streams.iter().filter(|(name, _)| name.starts_with(&request.log_stream_name_prefix));
        Ok::<_, ApiError>(wanted.map(|(name, stream)| described(platform.folder.root(), group, name, stream)).collect())
    })?;
    if by_time {
        streams.sort_by_key(|(last, _)| *last);
    }
    if request.descending {
        streams.reverse();
    }
    let streams = streams.into_iter().map(|(_, stream)| stream).collect();
    let (streams, token) = page(streams, request.next_token.as_deref(), request.limit)?;
    Ok(json!({ "logStreams": streams, "nextToken": token }))
}

/// When the stream was last written to, and what is told of it.
fn described(root: &Path, group: &str, name: &str, stream: &LogStream) -> (i64, Value) {
    let times = super::follower::Times::read(&root.join(&stream.file), stream.created);
    let length = fs::metadata(root.join(&stream.file)).map_or(0, |file| file.len());
    let (first, last) = (times.at(1).millis(), times.at(length).millis());
    let mut told = json!({
        "logStreamName": name,
        "creationTime": stream.created.millis(),
        "arn": format!("{}:log-stream:{name}", arn(group)),
        "storedBytes": 0,
    });
    if let (Some(members), true) = (told.as_object_mut(), length > 0) {
        members.insert("firstEventTimestamp".to_owned(), first.into());
        members.insert("lastEventTimestamp".to_owned(), last.into());
        members.insert("lastIngestionTime".to_owned(), last.into());
    }
    (if length > 0 { last } else { 0 }, told)
}

fn arn(group: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}")
}

fn page(all: Vec<Value>, token: Option<&str>, limit: Option<usize>) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let start: usize = match token {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("The specified nextToken is invalid."))?,
    };
    let end = start.saturating_add(limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE));
    let next = (end < all.len()).then(|| end.to_string());
    Ok((all.into_iter().skip(start).take(end - start).collect(), next))
}
