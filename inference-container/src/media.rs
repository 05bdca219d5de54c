//! Which form the body has, and which form the answer shall have: Content-Type and Accept.

use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, header};
use mime::Mime;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::request::options::OptionFields;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    JsonLines,
    Csv,
}

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// One JSON document.
    Json,
    /// A document a line.
    JsonLines,
    /// A description a row.
    Csv,
    /// A description a line.
    Plain,
}

/// A media type that is none of an answer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of an answer; use application/json, application/jsonlines or text/csv")]
pub(crate) struct UnknownMedia(String);

impl Media {
    /// What is said in the answer's Content-Type.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonlines",
            Self::Csv => "text/csv",
        }
    }
}

impl FromStr for Media {
    type Err = UnknownMedia;

    fn from_str(text: &str) -> Result<Self, UnknownMedia> {
        match text.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/jsonlines" | "application/x-jsonlines" | "application/x-ndjson" => Ok(Self::JsonLines),
            "text/csv" => Ok(Self::Csv),
            _ => Err(UnknownMedia(text.to_owned())),
        }
    }
}

impl ContentType {
    /// The form that the headers declare; JSON where they say nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(text) = header_text(headers, header::CONTENT_TYPE).filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::Json);
        };
        let unsupported = || ApiError::UnsupportedMediaType(text.clone());
        let declared: Mime = text.trim().parse().map_err(|_| unsupported())?;
        let charset = declared.get_param(mime::CHARSET);
        if charset.is_some_and(|charset| charset != mime::UTF_8 && charset != "us-ascii") {
            return Err(unsupported());
        }
        match Media::from_str(declared.essence_str()) {
            Ok(Media::Json) => Ok(Self::Json),
            Ok(Media::JsonLines) => Ok(Self::JsonLines),
            Ok(Media::Csv) => Ok(Self::Csv),
            Err(_) if declared.essence_str() == mime::TEXT_PLAIN.essence_str() => Ok(Self::Plain),
            Err(_) => Err(unsupported()),
        }
    }

    /// The form of the answer where any is welcome: the body's own, so that an answer has a line for each of the
    /// body's.
    fn natural_answer(self) -> Media {
        match self {
            Self::Json => Media::Json,
            Self::JsonLines | Self::Plain => Media::JsonLines,
            Self::Csv => Media::Csv,
        }
    }
}

/// The form of the answer that Accept likes best, with the options among its parameters: SageMaker strips query
/// strings, and its own algorithms take options there as well, as in `application/jsonlines; verbose=true`
/// (<https://docs.aws.amazon.com/sagemaker/latest/dg/kNN-inference-formats.html>).
pub(crate) fn negotiate(
    headers: &HeaderMap,
    body: ContentType,
    default: Option<Media>,
) -> Result<(Media, OptionFields), ApiError> {
    let any = default.unwrap_or(body.natural_answer());
    let Some(text) = header_text(headers, header::ACCEPT).filter(|text| !text.trim().is_empty()) else {
        return Ok((any, OptionFields::default()));
    };
    let mut best: Option<(f32, Media, Mime)> = None;
    for range in text.split(',').filter_map(|range| range.trim().parse::<Mime>().ok()) {
        let weight = range.get_param("q").map_or(Some(1.0), |q| q.as_str().parse().ok()).unwrap_or(0.0);
        let heavier = best.as_ref().is_none_or(|(heaviest, ..)| weight > *heaviest);
        if weight > 0.0
            && heavier
            && let Some(media) = matching(&range, any)
        {
            best = Some((weight, media, range));
        }
    }
    best.map(|(_, media, range)| (media, options(&range))).ok_or(ApiError::NotAcceptable(text))
}

/// The form that a range such as `text/*` means here.
fn matching(range: &Mime, any: Media) -> Option<Media> {
    let within = |media: &Media| media.as_str().split('/').next() == Some(range.type_().as_str());
    match (range.type_(), range.subtype()) {
        (mime::STAR, mime::STAR) => Some(any),
        (_, mime::STAR) => [any, Media::Json, Media::Csv].into_iter().find(within),
        _ => range.essence_str().parse().ok(),
    }
}

/// Parameters are text; what reads as JSON is a number or a truth value, as it would be in a body.
fn options(range: &Mime) -> OptionFields {
    let read = |name: &str| {
        let text = range.get_param(name)?.as_str();
        Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
    };
    OptionFields {
        top_k: read("top_k"),
        depth: read("depth"),
        precision: read("precision"),
        threshold: read("threshold"),
        by_level: read("by_level"),
        logits: read("logits"),
        embeddings: read("embeddings"),
    }
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        [(name, HeaderValue::from_bytes(value.as_bytes()).unwrap())].into_iter().collect()
    }

    #[test]
    fn the_body_is_what_it_is_declared_as() {
        assert_eq!(ContentType::of(&HeaderMap::new()), Ok(ContentType::Json));
        for (text, expected) in [
            ("", Some(ContentType::Json)),
            ("Application/JSON; charset=utf-8", Some(ContentType::Json)),
            ("application/jsonlines", Some(ContentType::JsonLines)),
            ("application/x-jsonlines", Some(ContentType::JsonLines)),
            ("application/x-ndjson", Some(ContentType::JsonLines)),
            ("text/csv;charset=UTF-8", Some(ContentType::Csv)),
            ("text/plain", Some(ContentType::Plain)),
            ("text/csv; charset=latin1", None),
            ("application/x-www-form-urlencoded", None),
            ("nonsense", None),
            ("\u{e9}/x", None),
        ] {
            let expected = expected.ok_or(ApiError::UnsupportedMediaType(text.into()));
            assert_eq!(ContentType::of(&headers(header::CONTENT_TYPE, text)), expected, "{text}");
        }
    }

    #[test]
    fn the_answer_is_what_the_caller_likes_best() {
        for (accept, body, expected) in [
            ("", ContentType::Json, Some(Media::Json)),
            ("*/*", ContentType::JsonLines, Some(Media::JsonLines)),
            ("*/*", ContentType::Csv, Some(Media::Csv)),
            ("*/*", ContentType::Plain, Some(Media::JsonLines)),
            ("text/html, */*;q=0.1", ContentType::Json, Some(Media::Json)),
            ("text/csv;q=0.5, application/x-ndjson;q=0.9", ContentType::Json, Some(Media::JsonLines)),
            ("text/csv, application/json", ContentType::Json, Some(Media::Csv)),
            ("text/*", ContentType::Json, Some(Media::Csv)),
            ("application/*", ContentType::Csv, Some(Media::Json)),
            ("application/*", ContentType::JsonLines, Some(Media::JsonLines)),
            ("application/json;q=0", ContentType::Json, None),
            ("text/html", ContentType::Json, None),
            ("application/json;q=x", ContentType::Json, None),
        ] {
            let got = negotiate(&headers(header::ACCEPT, accept), body, None).map(|(media, _)| media);
            assert_eq!(got, expected.ok_or(ApiError::NotAcceptable(accept.into())), "{accept} of {body:?}");
        }
        let default = negotiate(&HeaderMap::new(), ContentType::Json, Some(Media::Csv)).unwrap();
        assert_eq!(default.0, Media::Csv);
    }

    #[test]
    fn options_stand_in_the_accept_header() {
        let accept = headers(header::ACCEPT, "application/jsonlines; top_k=3; depth=family; logits=true; verbose=1");
        let (media, options) = negotiate(&accept, ContentType::Csv, None).unwrap();
        assert_eq!(media, Media::JsonLines);
        assert_eq!((options.top_k, options.depth), (Some(json!(3)), Some(json!("family"))));
        assert_eq!((options.logits, options.threshold.is_none()), (Some(json!(true)), true));
    }
}
