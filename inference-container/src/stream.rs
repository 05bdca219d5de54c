//! Bodies of many records: answered piece by piece while they arrive, in bounded memory.
//!
//! The answer begins before the body has ended. A client that reads it meanwhile, as HTTP allows, keeps what is held
//! here to a piece. One that first sends all of its body would wait for us as we wait for it; so when the answer has
//! found no room for a moment, the body is read on into memory, which then holds at most the body's allowed length.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use opentelemetry::trace::FutureExt as _;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::answering::{Answered, answer};
use crate::api_error::ApiError;
use crate::deadline::Deadline;
use crate::encoding::RecordWriter;
use crate::incoming::Incoming;
use crate::invocations::respond;
use crate::media::Media;
use crate::records::{Record, Records};
use crate::service::Service;

/// How long a piece waits before it tries again to have a place in a full queue. The request was let in; that others
/// came meanwhile must not cost its records.
const QUEUE_PAUSE: Duration = Duration::from_millis(50);

/// How long an answer waits for room before it is taken that the caller sends all before reading anything. Who reads
/// meanwhile is seldom so slow, and only costs memory if so.
const NO_ROOM: Duration = Duration::from_millis(100);

/// How long an answer waits for a caller who has sent all and reads nothing: as long as SageMaker waits for us.
pub(crate) const UNREAD: Duration = Duration::from_secs(60);

/// Why a stream ends before its body does; what is left of the answer is cut off, so that the caller sees the failure.
type Cut = Box<dyn std::error::Error + Send + Sync>;

/// A request of many records under way.
pub(crate) struct Streaming {
    service: Service,
    incoming: Incoming,
    records: Records,
    writer: RecordWriter,
    media: Media,
    deadline: Deadline,
}

impl Streaming {
    /// A request that is to be answered by `deadline`.
    pub(crate) fn new(
        service: Service,
        incoming: Incoming,
        records: Records,
        media: Media,
        deadline: Deadline,
    ) -> Self {
        Self { service, incoming, records, writer: RecordWriter::new(media), media, deadline }
    }

    /// The answer, which begins once the first piece is answered: until then a refusal is still an error of its own.
    pub(crate) async fn respond(mut self) -> Result<Response, ApiError> {
        let piece = self.next_piece().await?;
        if piece.is_empty() {
            return Err(ApiError::NoRecords);
        }
        let answers = answer(&self.service, self.deadline, || Ok(piece)).await?;
        let mut bytes = self.writer.begin(self.records.has_header())?;
        self.writer.write(answers, &mut bytes)?;
        let (sender, body) = Channel::<Bytes, Cut>::new(1);
        let media = self.media;
        tokio::spawn(self.run(sender, bytes).in_current_span().with_current_context());
        // A channel must not be asked again after its end, which compression does.
        Ok(respond(media, Body::new(body.fuse())))
    }

    /// Answers the rest; ends early where the caller has left.
    async fn run(mut self, mut sender: Sender<Bytes, Cut>, begun: Vec<u8>) {
        if let Err(error) = self.write_all(&mut sender, begun).await {
            tracing::warn!("an answer was cut off: {error}");
            sender.abort(Box::new(error));
        }
    }

    async fn write_all(&mut self, sender: &mut Sender<Bytes, Cut>, begun: Vec<u8>) -> Result<(), ApiError> {
        let mut bytes = begun;
        loop {
            if !self.send(sender, bytes).await? {
                return Ok(());
            }
            let piece = self.next_piece().await?;
            if piece.is_empty() {
                break;
            }
            bytes = Vec::new();
            let answers = self.answer_in_time(piece).await;
            self.writer.write(answers, &mut bytes)?;
        }
        self.send(sender, self.writer.end().to_vec()).await.map(drop)
    }

    /// The next records that are answered together; empty at the end of the body. Nobody is waited for longer than the
    /// request may take.
    async fn next_piece(&mut self) -> Result<Vec<Record>, ApiError> {
        loop {
            let piece = self.records.piece();
            if !piece.is_empty() {
                return Ok(piece);
            }
            match self.deadline.wait(self.incoming.chunk()).await?? {
                Some(chunk) => self.records.push(&chunk),
                None => {
                    self.records.end();
                    return Ok(self.records.piece());
                }
            }
        }
    }

    /// Hands `bytes` to the connection, and reads the body on where there is no room. False if the caller has left.
    async fn send(&mut self, sender: &mut Sender<Bytes, Cut>, bytes: Vec<u8>) -> Result<bool, ApiError> {
        if bytes.is_empty() {
            return Ok(true);
        }
        let mut sending = pin!(sender.send_data(bytes.into()));
        if let Ok(sent) = timeout(NO_ROOM, &mut sending).await {
            return Ok(sent.is_ok());
        }
        tokio::select! {
            sent = &mut sending => return Ok(sent.is_ok()),
            ended = self.deadline.wait(self.incoming.read_ahead()) => ended.unwrap_or(Ok(()))?,
        }
        // Who reads nothing is as good as gone.
        Ok(timeout(UNREAD, sending).await.is_ok_and(|sent| sent.is_ok()))
    }

    /// Answers `piece` once the queue has room. What no record of it can be answered for stands in the place of each.
    async fn answer_in_time(&mut self, piece: Vec<Record>) -> Vec<Answered> {
        loop {
            let records = piece.clone();
            match answer(&self.service, self.deadline, || Ok(records)).await {
                Err(ApiError::Overloaded { .. }) if !self.deadline.left().is_zero() => sleep(QUEUE_PAUSE).await,
                Err(error) => return vec![Err(error); piece.len()],
                Ok(answers) => return answers,
            }
        }
    }
}
