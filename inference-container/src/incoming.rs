//! The body of a request as it arrives, within a limit.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use crate::api_error::ApiError;
use crate::held::{Bodies, Held};

/// Bytes that are allocated at a time for what is read ahead.
const BLOCK: usize = 64 << 10;

/// How long what nobody wants is read on, and how many bytes of it at most: see [`Incoming::drop`].
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 << 20;

/// A body that is read in chunks. Compression was undone before, so that the limit is on what a body expands to.
pub(crate) struct Incoming {
    body: Body,
    limit: usize,
    read: usize,
    /// What was read before anybody asked for it, in blocks of [`BLOCK`] bytes: chunks may be of one byte each, and would
    /// take up many times as much.
    ahead: VecDeque<BytesMut>,
    ended: bool,
    /// What is in memory of it until its request is answered.
    held: Held,
}

impl Incoming {
    /// Refuses a body at once that is declared longer than `limit` bytes, or in an encoding that is unknown. What is held
    /// of it counts among `bodies`.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limit: usize, bodies: &Bodies) -> Result<Self, ApiError> {
        let incoming = Self { body, limit, read: 0, ahead: VecDeque::new(), ended: false, held: bodies.begin() };
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            return Err(ApiError::UnsupportedEncoding(encoding));
        }
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(ApiError::TooLarge(limit));
        }
        Ok(incoming)
    }

    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        match self.ahead.pop_front() {
            Some(chunk) => {
                self.held.give_back(chunk.len());
                Ok(Some(chunk.freeze()))
            }
            None => self.receive().await,
        }
    }

    /// Reads on without handing anything out, until the body ends or fails. May be dropped at any time and called
    /// again.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), ApiError> {
        while let Some(chunk) = self.receive().await? {
            self.held.take(chunk.len())?;
            match self.ahead.back_mut() {
                Some(block) if block.len() + chunk.len() <= block.capacity() => block.extend_from_slice(&chunk),
                _ => {
                    let mut block = BytesMut::with_capacity(BLOCK.max(chunk.len()));
                    block.extend_from_slice(&chunk);
                    self.ahead.push_back(block);
                }
            }
        }
        Ok(())
    }

    /// All of it, which is held until this is dropped.
    pub(crate) async fn whole(&mut self) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.receive().await? {
            self.held.take(chunk.len())?;
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, ApiError> {
        while !self.ended {
            let Some(frame) = self.body.frame().await else {
                self.ended = true;
                break;
            };
            let frame = frame.map_err(|_| {
                self.ended = true;
                ApiError::UnreadableBody
            })?;
            // What is no data is a trailer, which nobody has asked for.
            let Ok(chunk) = frame.into_data() else { continue };
            self.read += chunk.len();
            if self.read > self.limit {
                return Err(ApiError::TooLarge(self.limit));
            }
            return Ok(Some(chunk));
        }
        Ok(None)
    }
}

/// A request that is refused before its body was read is answered at once, but its client may write on before it reads
/// the answer; if the connection were closed meanwhile, it would see a broken pipe in its place. So the rest is read and
/// thrown away for a while, as nginx does (`lingering_close`).
impl Drop for Incoming {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // None while the process ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut body = mem::take(&mut self.body);
        runtime.spawn(tokio::time::timeout(LINGER, async move {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > LINGER_BYTES {
                    break;
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use crate::held::MOST;

    use super::*;

    /// A body of so many chunks of a byte.
    fn chunks_of_one_byte(count: usize) -> Body {
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, std::convert::Infallible>::new(1);
        tokio::spawn(async move {
            for _ in 0..count {
                sender.send_data(Bytes::from_static(b"x")).await.unwrap();
            }
        });
        Body::new(body)
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_and_the_limit_is_on_all_of_it() {
        let mut incoming = Incoming::new(&HeaderMap::new(), Body::from("abc"), 3, &Bodies::default()).unwrap();
        incoming.read_ahead().await.unwrap();
        incoming.read_ahead().await.unwrap();
        assert_eq!(incoming.chunk().await, Ok(Some(Bytes::from("abc"))));
        assert_eq!(incoming.chunk().await, Ok(None));
        let many = chunks_of_one_byte(3 * BLOCK);
        let mut incoming = Incoming::new(&HeaderMap::new(), many, 3 * BLOCK, &Bodies::default()).unwrap();
        incoming.read_ahead().await.unwrap();
        assert_eq!(incoming.ahead.iter().map(BytesMut::capacity).collect::<Vec<_>>(), [BLOCK; 3]);
        let mut incoming = Incoming::new(&HeaderMap::new(), Body::from("abcd"), 3, &Bodies::default()).unwrap();
        assert_eq!(incoming.read_ahead().await, Err(ApiError::TooLarge(3)));
    }

    #[tokio::test]
    async fn what_is_held_of_a_body_counts_until_its_request_is_answered() {
        let bodies = Bodies::default();
        let mut others = bodies.begin();
        others.take(MOST - 4).unwrap();
        let body = |text: &'static str| Incoming::new(&HeaderMap::new(), Body::from(text), 9, &bodies).unwrap();
        let mut first = body("abc");
        assert_eq!(first.whole().await, Ok(b"abc".to_vec()));
        let refused = Err(ApiError::Overloaded { retry_after: 5 });
        assert_eq!(body("de").whole().await.map(drop), refused);
        assert_eq!(body("de").read_ahead().await, refused);
        // What is passed on is not held.
        assert_eq!(body("de").chunk().await, Ok(Some(Bytes::from("de"))));
        drop(first);
        let mut second = body("defg");
        second.read_ahead().await.unwrap();
        second.chunk().await.unwrap();
        assert_eq!(body("hijk").whole().await, Ok(b"hijk".to_vec()));
    }

    #[test]
    fn what_is_declared_too_long_or_unknown_is_refused_unread() {
        let headers = |name, value| [(name, HeaderValue::from_static(value))].into_iter().collect::<HeaderMap>();
        let refusal = |headers: &HeaderMap| Incoming::new(headers, Body::empty(), 9, &Bodies::default()).err();
        assert_eq!(refusal(&headers(header::CONTENT_LENGTH, "10")), Some(ApiError::TooLarge(9)));
        assert_eq!(refusal(&headers(header::CONTENT_LENGTH, "9")), None);
        assert_eq!(refusal(&headers(header::CONTENT_ENCODING, "identity")), None);
        let brotli = refusal(&headers(header::CONTENT_ENCODING, "br"));
        assert_eq!(brotli, Some(ApiError::UnsupportedEncoding("br".into())));
    }
}
