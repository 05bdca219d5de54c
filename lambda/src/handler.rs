//! One invocation: from the event to the answer and its line in the log.

use std::convert::Infallible;
use std::time::SystemTime;

use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::RawValue;
use tracing::Instrument as _;

use crate::answer::{Answer, Refusal};
use crate::asking::{Asked, ask};
use crate::deadline::Deadline;
use crate::endpoint::{Endpoint, Failure};
use crate::event::Event;
use crate::question::Question;
use crate::settings::Settings;

/// What a line of the log holds of a request, where it may; CloudWatch takes more, and nobody reads it.
const LOGGED_BYTES: usize = 10_000;

/// Answers invocations.
#[derive(Debug)]
pub(crate) struct Handler {
    settings: Settings,
    endpoint: Endpoint,
}

impl Handler {
    /// One with these settings.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { endpoint: Endpoint::new(&settings), settings }
    }

    /// Answers one invocation: what is wrong with it stands in the answer.
    pub(crate) async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Infallible> {
        let LambdaEvent { payload, context } = event;
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        Ok(self.answer(&payload, &context).instrument(span).await)
    }

    async fn answer(&self, event: &RawValue, context: &Context) -> Answer {
        let Event { document, source, end } = Event::read(event, &self.settings);
        // Whoever gives up first.
        let end: SystemTime = end.map_or(context.deadline(), |end| end.min(context.deadline()));
        let deadline = Deadline::before(end);
        let question = document.and_then(|document| Question::new(document, self.settings.max_descriptions));
        let (form, descriptions) =
            question.as_ref().map_or(("none", 0), |question| (question.form, question.descriptions));
        let (outcome, requests) = match question {
            Ok(question) => self.asked(question, deadline).await,
            Err(refusal) => (Err(refusal), 0),
        };
        let reason = outcome.as_ref().err().map(|refusal| refusal.detail.code.clone());
        let answer = Answer::new(outcome, source, &context.request_id);
        let (status, source) = (answer.status(), source.word());
        let milliseconds = u64::try_from(deadline.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status, reason, source, form, descriptions, requests, milliseconds, "answered");
        answer
    }

    /// What the endpoint says, and after how many requests.
    async fn asked(&self, question: Question, deadline: Deadline) -> (Result<Box<RawValue>, Refusal>, u32) {
        if self.settings.logs_descriptions {
            let text = String::from_utf8_lossy(&question.body);
            tracing::info!(document = &text[..text.floor_char_boundary(LOGGED_BYTES)], "asked");
        }
        let Asked { outcome, requests } = ask(&self.endpoint, question.body, deadline).await;
        let outcome = outcome.map_err(|failure| {
            let refusal = failure.clone().into_refusal();
            // The caller's own mistakes are no trouble of the function's.
            if refusal.status >= 500 {
                tracing::error!("{failure}");
                if let (true, Failure::Container { message, .. }) = (self.settings.logs_descriptions, &failure) {
                    tracing::error!(
                        words = &message[..message.floor_char_boundary(LOGGED_BYTES)],
                        "the container's words"
                    );
                }
            }
            refusal
        });
        (outcome, requests)
    }
}
