//! `POST /invocations`: what is asked in which form, and the answer in the form that the caller likes best.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::answering::answer;
use crate::api_error::ApiError;
use crate::deadline::Deadline;
use crate::encoding;
use crate::incoming::Incoming;
use crate::media::{ContentType, Media, negotiate};
use crate::records::Records;
use crate::request::document::Place;
use crate::request::{AnswerOptions, Document, RequestLimits, Shape};
use crate::service::Service;
use crate::stream::Streaming;

/// Answers one request.
pub(crate) async fn invoke(service: Service, limits: RequestLimits, request: Request) -> Result<Response, ApiError> {
    let deadline = service.deadline();
    let (parts, body) = request.into_parts();
    let kind = ContentType::of(&parts.headers)?;
    let (media, fields) = negotiate(&parts.headers, kind, limits.default_accept)?;
    let options = AnswerOptions::default_of(&limits).with(fields, &limits)?;
    if media == Media::Csv && (options.logits == Some(true) || options.embeddings) {
        return Err(ApiError::NotForCsv("a vector"));
    }
    let incoming = Incoming::new(&parts.headers, body, limits.max_body_bytes, service.bodies())?;
    match Records::of(kind, options, limits) {
        Some(records) => Streaming::new(service, incoming, records, media, deadline).respond().await,
        None => whole(&service, deadline, incoming, options, limits, media).await,
    }
}

/// Answers a body that is one JSON document.
async fn whole(
    service: &Service,
    deadline: Deadline,
    mut incoming: Incoming,
    options: AnswerOptions,
    limits: RequestLimits,
    media: Media,
) -> Result<Response, ApiError> {
    let body = deadline.wait(incoming.whole()).await??;
    let read = move || {
        let document = Document::parse(&body, Place::Body, options, &limits)?;
        let Document { shape, options, .. } = &document;
        // A single description has its logits unasked, and loses them here.
        let vectors = options.embeddings || *shape != Shape::Single && options.logits == Some(true);
        if media == Media::Csv && vectors {
            return Err(ApiError::NotForCsv("a vector"));
        }
        Ok(vec![Ok(document)])
    };
    let answer = answer(service, deadline, read).await?.into_iter().next();
    let answer = answer.ok_or_else(|| ApiError::Internal("an answer is missing".into()))??;
    Ok(respond(media, encoding::document(answer, media)?))
}

/// A good answer.
pub(crate) fn respond(media: Media, body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, media.as_str())], body.into()).into_response()
}
