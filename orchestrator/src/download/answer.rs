//! What an answer's status and headers mean for a download.

use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::retry::retry_after;

/// By what a server's file is known to be the same as before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validator {
    /// `ETag`, with its quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, an HTTP date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_modified: Option<String>,
}

impl Validator {
    /// What the server says about the file.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { etag: text(headers, ETAG), last_modified: text(headers, LAST_MODIFIED) }
    }

    /// What to send as `If-Range`: weak tags promise no equality of bytes (RFC 9110, 13.1.5).
    pub(crate) fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/")).or(self.last_modified.as_deref())
    }

    /// Whether nothing in `other` speaks against its being the same file.
    fn agrees_with(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        agree(&self.etag, &other.etag) && agree(&self.last_modified, &other.last_modified)
    }
}

/// What is there of a file of which the rest has been asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Have<'a> {
    /// Its first bytes, so many.
    pub(crate) bytes: u64,
    /// Length of the whole in bytes, where the server had declared one.
    pub(crate) total: Option<u64>,
    /// Which file they are the beginning of.
    pub(crate) validator: &'a Validator,
}

/// What to do with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is the whole file, of so many bytes where declared.
    Whole(Option<u64>),
    /// It is the rest of the file, of so many bytes in all.
    Rest(u64),
    /// What is there cannot be continued: ask for the whole file.
    StartOver,
}

/// What to do with an answer, when `have` is there already and the rest of it was asked for, or when all was.
///
/// # Errors
/// When the body is not to be used.
pub(crate) fn next(
    status: StatusCode,
    headers: &HeaderMap,
    have: Option<Have<'_>>,
    now: Timestamp,
) -> Result<Next, Error> {
    match (status, have) {
        (StatusCode::OK, _) => {
            check_body(headers)?;
            let total = number(headers, CONTENT_LENGTH);
            if total.is_none() && text(headers, TRANSFER_ENCODING).is_none() {
                let reason = "the server declares no length, so that half a file would look like a whole one";
                return Err(Error::Refused(reason.to_owned()));
            }
            Ok(Next::Whole(total))
        }
        (StatusCode::PARTIAL_CONTENT, Some(have)) => {
            check_body(headers)?;
            let range = text(headers, CONTENT_RANGE).and_then(|text| content_range(&text));
            Ok(range.and_then(|range| rest(range, headers, have)).unwrap_or(Next::StartOver))
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Ok(Next::StartOver),
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS, _) => {
            Err(Error::Busy { status, wait: retry_after(headers, now) })
        }
        _ if status.is_server_error() => Err(Error::Busy { status, wait: retry_after(headers, now) }),
        _ => Err(Error::Refused(format!("the server answered {status}"))),
    }
}

/// Refuses what is no file of data whatever the status says.
fn check_body(headers: &HeaderMap) -> Result<(), Error> {
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
        return Err(Error::Refused(WEB_PAGE.to_owned()));
    }
    match text(headers, CONTENT_ENCODING) {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
            Err(Error::Refused(format!("the server sent the file in the coding `{coding}`, which was not asked for")))
        }
        _ => Ok(()),
    }
}

/// Portals answer with a page about their error, and 200.
pub(crate) const WEB_PAGE: &str = "the server sent a web page instead of the file";

/// Whether a file that begins like this is a web page.
pub(crate) fn looks_like_html(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    [b"<!doctype".as_slice(), b"<html"]
        .iter()
        .any(|mark| head.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
}

/// First and last byte of a part, counted from 0, and the length of the whole where it is told.
type ContentRange = (u64, u64, Option<u64>);

/// Understands `bytes 5-9/10` and `bytes 5-9/*`.
fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}

/// How to go on with a part, unless it does not begin where we ended, stops before the end, or is one of another file.
fn rest((first, last, total): ContentRange, headers: &HeaderMap, have: Have<'_>) -> Option<Next> {
    // Servers may send less than was asked for; without a total that could not be told.
    let total = total.or(have.total)?;
    let fits = first == have.bytes
        && last + 1 == total
        && have.total.is_none_or(|declared| declared == total)
        && number(headers, CONTENT_LENGTH).is_none_or(|length| length == last - first + 1)
        && have.validator.agrees_with(&Validator::of(headers));
    fits.then_some(Next::Rest(total))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|value| value.trim().to_owned())
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn ask(status: u16, pairs: &[(HeaderName, &str)], have: Option<Have<'_>>) -> Result<Next, Error> {
        next(StatusCode::from_u16(status).unwrap(), &headers(pairs), have, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_whole_file() {
        assert_eq!(ask(200, &[(CONTENT_LENGTH, "10")], None).unwrap(), Next::Whole(Some(10)));
        assert_eq!(ask(200, &[(TRANSFER_ENCODING, "chunked")], None).unwrap(), Next::Whole(None));
        let validator = Validator::default();
        let have = Have { bytes: 5, total: Some(10), validator: &validator };
        assert_eq!(ask(200, &[(CONTENT_LENGTH, "12")], Some(have)).unwrap(), Next::Whole(Some(12)));
        let refused: [&[(HeaderName, &str)]; 3] = [
            &[],
            &[(CONTENT_LENGTH, "10"), (CONTENT_TYPE, "Text/HTML; charset=utf-8")],
            &[(CONTENT_LENGTH, "10"), (CONTENT_ENCODING, "gzip")],
        ];
        for pairs in refused {
            assert!(matches!(ask(200, pairs, None), Err(Error::Refused(_))), "{pairs:?}");
        }
    }

    #[test]
    fn the_rest_of_the_file() {
        let validator = Validator { etag: Some("\"a\"".to_owned()), last_modified: None };
        let have = Have { bytes: 5, total: Some(10), validator: &validator };
        let cases: [(&[(HeaderName, &str)], Next); 10] = [
            (&[(CONTENT_RANGE, "bytes 5-9/10")], Next::Rest(10)),
            (&[(CONTENT_RANGE, "bytes 5-9/*"), (ETAG, "\"a\"")], Next::Rest(10)),
            (&[(CONTENT_RANGE, "bytes 4-9/10")], Next::StartOver),
            (&[(CONTENT_RANGE, "bytes 5-8/10")], Next::StartOver),
            (&[(CONTENT_RANGE, "bytes 5-10/11")], Next::StartOver),
            (&[(CONTENT_RANGE, "bytes 5-9/10"), (ETAG, "\"b\"")], Next::StartOver),
            (&[(CONTENT_RANGE, "bytes 5-9/10"), (CONTENT_LENGTH, "6")], Next::StartOver),
            (&[(CONTENT_RANGE, "bytes */10")], Next::StartOver),
            (&[(CONTENT_RANGE, "lines 5-9/10")], Next::StartOver),
            (&[], Next::StartOver),
        ];
        for (pairs, expected) in cases {
            assert_eq!(ask(206, pairs, Some(have)).unwrap(), expected, "{pairs:?}");
        }
        assert_eq!(ask(416, &[], Some(have)).unwrap(), Next::StartOver);
        let unknown = Some(Have { total: None, ..have });
        assert_eq!(ask(206, &[(CONTENT_RANGE, "bytes 5-9/10")], unknown).unwrap(), Next::Rest(10));
        assert_eq!(ask(206, &[(CONTENT_RANGE, "bytes 5-9/*")], unknown).unwrap(), Next::StartOver);
        // Unasked for, they are nonsense, and asking for the whole again would never end.
        assert!(matches!(ask(206, &[(CONTENT_RANGE, "bytes 0-9/10")], None), Err(Error::Refused(_))));
        assert!(matches!(ask(416, &[], None), Err(Error::Refused(_))));
    }

    #[test]
    fn other_answers() {
        for status in [400, 401, 403, 404, 410, 204, 304] {
            assert!(matches!(ask(status, &[], None), Err(Error::Refused(_))), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(ask(status, &[], None), Err(Error::Busy { .. })), "{status}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, 0, None)));
        for text in ["", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -9/10", "bytes 5-9/x"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn weak_tags_do_not_vouch_for_bytes() {
        let validator = |etag: Option<&str>, date: Option<&str>| Validator {
            etag: etag.map(ToOwned::to_owned),
            last_modified: date.map(ToOwned::to_owned),
        };
        assert_eq!(validator(Some("\"a\""), Some("date")).if_range(), Some("\"a\""));
        assert_eq!(validator(Some("W/\"a\""), Some("date")).if_range(), Some("date"));
        assert_eq!(validator(Some("W/\"a\""), None).if_range(), None);
    }

    #[test]
    fn web_pages() {
        for head in ["<!DOCTYPE html>", " \r\n<HTML lang=en>", "\u{feff}<html>"] {
            assert!(looks_like_html(head.as_bytes()), "{head}");
        }
        for head in ["", "<ht", "description,unspsc", "\"<html>\",43"] {
            assert!(!looks_like_html(head.as_bytes()), "{head}");
        }
    }
}
