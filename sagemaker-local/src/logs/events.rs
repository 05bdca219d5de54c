//! The lines of a stream, a page at a time, from either end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::follower::Times;
use super::{invalid, not_found};
use crate::error::ApiError;
use crate::platform::Platform;
use crate::time::Time;

/// CloudWatch's limits of a page: events, and bytes with [`EVENT_OVERHEAD`] for each.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 1024 * 1024;
const EVENT_OVERHEAD: usize = 26;

/// The request of `GetLogEvents`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventFilter {
    #[serde(default)]
    log_group_name: String,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    start_from_head: bool,
}

/// Where a page begins, and which way it goes from there; a token of the API is its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// From this event on.
    Forward(usize),
    /// The events before this one.
    Backward(usize),
}

impl Place {
    fn parse(token: &str) -> Result<Self, ApiError> {
        let bad = || invalid("The specified nextToken is invalid.");
        let (way, number) = token.split_once('/').ok_or_else(bad)?;
        let number = number.parse().map_err(|_| bad())?;
        match way {
            "f" => Ok(Self::Forward(number)),
            "b" => Ok(Self::Backward(number)),
            _ => Err(bad()),
        }
    }
}

/// One line of a log.
#[derive(Debug)]
struct Event {
    at: Time,
    message: String,
}

/// `GetLogEvents`.
pub(crate) fn get_events(platform: &Platform, request: &EventFilter) -> Result<Value, ApiError> {
    let stream = platform.store.read(|state| {
        let group = state.log_streams.get(&request.log_group_name).ok_or_else(|| not_found("group"))?;
        group.get(&request.log_stream_name).cloned().ok_or_else(|| not_found("stream"))
    })?;
    let place = request.next_token.as_deref().map(Place::parse).transpose()?;
    let read = read(&platform.folder.root().join(&stream.file), stream.created);
    let mut events = read.map_err(|error| ApiError::internal(format!("cannot read the log: {error}")))?;
    let (from, to) = (request.start_time.unwrap_or(i64::MIN), request.end_time.unwrap_or(i64::MAX));
    events.retain(|event| (from..to).contains(&event.at.millis()));
    let place =
        place.unwrap_or(if request.start_from_head { Place::Forward(0) } else { Place::Backward(events.len()) });
    let (start, end) = page(&events, place, request.limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS));
    let told: Vec<Value> = events
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|event| {
            let at = event.at.millis();
            json!({ "timestamp": at, "message": event.message, "ingestionTime": at })
        })
        .collect();
    Ok(json!({
        "events": told,
        "nextForwardToken": format!("f/{end}"),
        "nextBackwardToken": format!("b/{start}"),
    }))
}

/// The range of events that fits a page.
fn page(events: &[Event], place: Place, limit: usize) -> (usize, usize) {
    let mut bytes = 0;
    let mut fits = |event: &&Event| {
        bytes += event.message.len() + EVENT_OVERHEAD;
        bytes <= MAX_BYTES
    };
    match place {
        Place::Forward(start) => {
            let start = start.min(events.len());
            (start, start + events.iter().skip(start).take(limit).take_while(&mut fits).count())
        }
        Place::Backward(end) => {
            let end = end.min(events.len());
            (end - events.iter().take(end).rev().take(limit).take_while(&mut fits).count(), end)
        }
    }
}

/// The lines of the log; a last one that has no end yet is left out. No file is an empty log.
fn read(log: &Path, created: Time) -> std::io::Result<Vec<Event>> {
    let times = Times::read(log, created);
    let mut reader = match File::open(log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => BufReader::new(opened?),
    };
    let (mut events, mut end, mut line) = (Vec::new(), 0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        end += line.len() as u64;
        if line.pop_if(|last| *last == b'\n').is_none() {
            break;
        }
        let message = String::from_utf8_lossy(&line).chars().take(MAX_BYTES / 4).collect();
        events.push(Event { at: times.at(end), message });
        line.clear();
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(number: usize, bytes: usize) -> Vec<Event> {
        (0..number).map(|_| Event { at: Time::from_millis(0), message: "x".repeat(bytes) }).collect()
    }

    #[test]
    fn pages_go_both_ways_and_meet() {
        let events = events(5, 1);
        assert_eq!(page(&events, Place::Forward(0), 2), (0, 2));
        assert_eq!(page(&events, Place::Forward(4), 2), (4, 5));
        assert_eq!(page(&events, Place::Forward(9), 2), (5, 5));
        assert_eq!(page(&events, Place::Backward(5), 2), (3, 5));
        assert_eq!(page(&events, Place::Backward(1), 2), (0, 1));
    }

    #[test]
    fn a_page_has_at_most_a_mebibyte() {
        let events = events(5, MAX_BYTES / 2 - EVENT_OVERHEAD);
        assert_eq!(page(&events, Place::Forward(1), 10), (1, 3));
        assert_eq!(page(&events, Place::Backward(5), 10), (3, 5));
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        assert_eq!(Place::parse("f/3").unwrap(), Place::Forward(3));
        for token in ["", "f", "x/1", "f/x"] {
            assert!(Place::parse(token).is_err(), "{token}");
        }
    }
}
