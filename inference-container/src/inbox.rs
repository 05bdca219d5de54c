//! Between the requests and the model's thread: what waits, what is refused, what comes next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;
use unspsc_artifact::TokenIds;
use unspsc_hierarchy::Probabilities;

use crate::api_error::ApiError;
use crate::deadline::Deadline;
use crate::metrics::{Metrics, Stage};
use crate::queue::{Queue, QueueLimits, Waiting};
use crate::rate::{Rate, whole_seconds};
use crate::traces;

/// What the model says of one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// `[labels]`
    pub(crate) logits: Vec<f32>,
    /// What head and index say together, where the model has an index.
    pub(crate) probabilities: Option<Probabilities>,
    /// The pooled vector, `[hidden]`, where it was asked for.
    pub(crate) embedding: Option<Vec<f32>>,
}

/// The row of a text, or [`ApiError::ModelFailure`].
pub(crate) type Answer = Result<Row, ApiError>;

/// Texts of one request, which run together or in parts.
#[derive(Debug)]
pub(crate) struct Job {
    texts: VecDeque<TokenIds>,
    /// Whether the pooled vectors are wanted as well.
    pub(crate) embeddings: bool,
    /// Takes the answers of each run, in order.
    reply: mpsc::UnboundedSender<Vec<Answer>>,
    /// The request's, so that a fault is logged with its id.
    pub(crate) span: Span,
    /// The request's.
    pub(crate) trace: Context,
    /// When the request began to wait; absent once part of it has run.
    waits_since: Option<Instant>,
}

impl Job {
    /// A job for `texts`, with the pooled vectors where `embeddings` are wanted; and where its answers come.
    pub(crate) fn new(texts: Vec<TokenIds>, embeddings: bool) -> (Self, mpsc::UnboundedReceiver<Vec<Answer>>) {
        let (reply, answers) = mpsc::unbounded_channel();
        let (texts, waits_since) = (texts.into(), Some(Instant::now()));
        let (span, trace) = (Span::current(), Context::current());
        (Self { texts, embeddings, reply, span, trace, waits_since }, answers)
    }

    pub(crate) fn texts(&self) -> impl ExactSizeIterator<Item = &TokenIds> {
        self.texts.iter()
    }

    pub(crate) fn answer(self, answers: Vec<Answer>) {
        // Who has left needs none.
        drop(self.reply.send(answers));
    }
}

impl Waiting for Job {
    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|text| text.ids.len())
    }

    fn take_first(&mut self, texts: usize) -> Self {
        let texts = self.texts.drain(..texts.min(self.texts.len())).collect();
        let (reply, span, trace) = (self.reply.clone(), self.span.clone(), self.trace.clone());
        Self { texts, embeddings: self.embeddings, reply, span, trace, waits_since: self.waits_since.take() }
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// What the model's thread does next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Show that the model works, and tell these if it does.
    Proof(Vec<oneshot::Sender<()>>),
    /// Run these.
    Batch(Vec<Job>),
}

/// The requests that wait, shared by their handlers and the model's thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    queue: Queue<Job>,
    rate: Rate,
    /// Tokens that run now.
    running: usize,
    proofs: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new(limits: QueueLimits, metrics: Arc<Metrics>) -> Self {
        let (queue, rate) = (Queue::new(limits), Rate::new(limits.batch_tokens));
        let state = State { queue, rate, running: 0, proofs: Vec::new(), closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), metrics }
    }

    /// Whether a request of `tokens` that is to be answered by `deadline` would be taken now; if not, the refusal.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the queue is full, [`ApiError::DeadlineExceeded`] if the estimate is that the answer
    /// would come too late, [`ApiError::Internal`] if the model's thread has ended.
    pub(crate) fn check(&self, tokens: usize, deadline: Deadline) -> Result<(), ApiError> {
        let mut state = self.lock();
        self.forget_abandoned(&mut state);
        state.refusal(tokens, deadline).map_or(Ok(()), Err)
    }

    /// Lets `job` wait for its turn until `deadline`.
    ///
    /// # Errors
    /// Those of [`Inbox::check`].
    pub(crate) fn offer(&self, job: Job, deadline: Deadline) -> Result<(), ApiError> {
        let mut state = self.lock();
        self.forget_abandoned(&mut state);
        if let Some(refusal) = state.refusal(job.lengths().sum(), deadline) {
            return Err(refusal);
        }
        state.queue.push(job);
        self.metrics.queue_is(state.queue.len(), state.queue.tokens());
        self.wake.notify_one();
        Ok(())
    }

    /// The refusal for a request that has waited until `deadline`.
    pub(crate) fn too_late(&self, deadline: Deadline) -> ApiError {
        let state = self.lock();
        deadline.exceeded(Some(state.rate.retry_after(state.backlog())))
    }

    /// Asks for a proof that the model works, before whatever waits.
    pub(crate) fn ask_for_proof(&self, reply: oneshot::Sender<()>) {
        let mut state = self.lock();
        state.proofs.retain(|asked| !asked.is_closed());
        if !state.closed {
            state.proofs.push(reply);
            self.wake.notify_one();
        }
    }

    /// Ends it: what waits is dropped, and [`Inbox::next`] has no more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        while !state.queue.take_batch().is_empty() {}
        state.proofs.clear();
        self.wake.notify_all();
    }

    /// What to do next, as soon as there is something; nothing once the inbox is closed.
    pub(crate) fn next(&self) -> Option<Work> {
        let idle = |state: &mut State| !state.closed && state.proofs.is_empty() && state.queue.len() == 0;
        let mut state = self.lock();
        state.running = 0;
        let mut state = self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        if !state.proofs.is_empty() {
            return Some(Work::Proof(std::mem::take(&mut state.proofs)));
        }
        self.forget_abandoned(&mut state);
        let batch = state.queue.take_batch();
        state.running = batch.iter().flat_map(Waiting::lengths).sum();
        self.metrics.queue_is(state.queue.len(), state.queue.tokens());
        for (job, since) in batch.iter().filter_map(|job| Some((job, job.waits_since?))) {
            self.metrics.stage_took(Stage::Queue, since.elapsed());
            traces::stage_took(&job.trace, Stage::Queue, since, since.elapsed());
        }
        Some(Work::Batch(batch))
    }

    /// A run of `tokens` took that long.
    pub(crate) fn measured(&self, tokens: usize, took: Duration) {
        self.lock().rate.measured(tokens, took);
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    fn forget_abandoned(&self, state: &mut State) {
        self.metrics.abandoned(state.queue.drop_abandoned());
    }

    /// Nothing in here panics halfway through a change, so that the state is whole whatever a thread has met.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tokens before those of whoever comes last.
    fn backlog(&self) -> usize {
        self.running + self.queue.tokens()
    }

    /// Why a request of `tokens` cannot be taken now.
    fn refusal(&self, tokens: usize, deadline: Deadline) -> Option<ApiError> {
        if self.closed {
            return Some(ApiError::Internal("the model's thread has ended".into()));
        }
        if !self.queue.has_room(tokens) {
            return Some(ApiError::Overloaded { retry_after: self.rate.retry_after(self.backlog()) });
        }
        let wait = self.rate.time_for(self.running + self.queue.tokens_ahead(tokens) + tokens)?;
        let left = deadline.left();
        if wait <= left {
            return None;
        }
        let never = self.rate.time_for(tokens).is_some_and(|alone| alone > deadline.allowed());
        Some(deadline.exceeded((!never).then(|| whole_seconds(wait.saturating_sub(left)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proof_is_given_before_what_waits_already() {
        let limits = QueueLimits { jobs: 9.try_into().unwrap(), tokens: 99, batch_tokens: 9 };
        let inbox = Inbox::new(limits, Arc::new(Metrics::new()));
        let (job, _answers) = Job::new(vec![TokenIds { ids: vec![1, 2], ..TokenIds::default() }], false);
        inbox.offer(job, Deadline::within(Duration::from_secs(60))).unwrap();
        let (reply, _proof) = oneshot::channel();
        inbox.ask_for_proof(reply);
        assert!(matches!(inbox.next(), Some(Work::Proof(askers)) if askers.len() == 1));
        assert!(matches!(inbox.next(), Some(Work::Batch(jobs)) if jobs.len() == 1));
    }
}
