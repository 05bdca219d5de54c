//! What the model runs next: a pure rule over the requests that wait.
//!
//! The rule is weighted fair queueing with every request as a flow of its own (Demers, Keshav and Shenker, "Analysis and
//! simulation of a fair queueing algorithm", SIGCOMM 1989). The queue's clock counts the tokens that it has handed to the
//! model. A request's next part has a finish tag: the clock at the request's arrival plus [`YIELD`] times the tokens of
//! the request up to the end of that part. The smallest tag runs first.
//!
//! So the shortest goes first among requests that came together, a long list leaves others their turn, and it still
//! gets about one token in [`YIELD`] however many short requests keep coming. The bound: once `YIELD` times a request's own
//! tokens have run, nobody who arrives can pass it, and what is before it was waiting already. Between its arrival and
//! its end the model therefore runs at most `YIELD · own + most tokens in the queue + one run` tokens.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

/// How many times its own tokens a request leaves to later, shorter ones. With 4, a list of 1,000 texts lets single
/// texts pass until four times its own work has been done, and has about a quarter of the model until then.
pub(crate) const YIELD: usize = 4;

/// Texts of one request that wait for the model.
pub(crate) trait Waiting {
    /// How many tokens each of its texts has, in order.
    fn lengths(&self) -> impl Iterator<Item = usize>;

    /// Takes off its first `texts` texts.
    fn take_first(&mut self, texts: usize) -> Self;

    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool;
}

/// How much may wait and how much may run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// Requests that may wait.
    pub(crate) jobs: NonZeroUsize,
    /// Tokens that may wait, where there is more than one request.
    pub(crate) tokens: usize,
    /// Tokens of one run, where it has more than one text.
    pub(crate) batch_tokens: usize,
}

/// The requests that wait.
#[derive(Debug)]
pub(crate) struct Queue<J> {
    limits: QueueLimits,
    waiting: VecDeque<Entry<J>>,
    /// Tokens of all that wait.
    tokens: usize,
    /// Tokens that have been handed out since the start: the queue's clock.
    clock: usize,
}

#[derive(Debug)]
struct Entry<J> {
    job: J,
    /// What is left of its tokens.
    tokens: usize,
    /// The finish tag of the part before: the clock at its arrival for the first.
    tag: usize,
}

impl<J: Waiting> Queue<J> {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), tokens: 0, clock: 0 }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many tokens wait.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether a request of `tokens` may wait too. One alone always may: the body's limit bounds it.
    pub(crate) fn has_room(&self, tokens: usize) -> bool {
        self.waiting.is_empty()
            || (self.len() < self.limits.jobs.get() && self.tokens.saturating_add(tokens) <= self.limits.tokens)
    }

    /// Lets `job` wait, whatever [`Queue::has_room`] says.
    pub(crate) fn push(&mut self, job: J) {
        let tokens = job.lengths().sum();
        self.tokens += tokens;
        self.waiting.push_back(Entry { job, tokens, tag: self.clock });
    }

    /// Forgets the requests that nobody waits for, and says how many they were.
    pub(crate) fn drop_abandoned(&mut self) -> usize {
        let before = self.len();
        self.waiting.retain(|entry| !entry.job.is_abandoned());
        self.tokens = self.waiting.iter().map(|entry| entry.tokens).sum();
        before - self.len()
    }

    /// How many of the waiting tokens would run before the end of a request of `tokens` that arrived now.
    pub(crate) fn tokens_ahead(&self, tokens: usize) -> usize {
        let tag = self.clock.saturating_add(tokens.saturating_mul(YIELD));
        self.waiting.iter().map(|entry| entry.tokens.min(tag.saturating_sub(entry.tag) / YIELD)).sum()
    }

    /// Takes what runs next: the parts with the smallest tags, until the next one would exceed the tokens of one run,
    /// and at least one text. Of a list that does not fit, the first texts are taken; the rest waits on.
    pub(crate) fn take_batch(&mut self) -> Vec<J> {
        let budget = self.limits.batch_tokens;
        let next_tag = |entry: &Entry<J>| entry.tag + YIELD * entry.tokens.min(budget);
        self.waiting.make_contiguous().sort_by_key(next_tag);
        let (mut batch, mut room) = (Vec::new(), budget);
        while let Some(mut entry) = self.waiting.pop_front() {
            let least = usize::from(batch.is_empty());
            let (texts, tokens) = fitting(entry.job.lengths(), room, least);
            if texts > 0 {
                batch.push(entry.job.take_first(texts));
                entry.tokens -= tokens;
                entry.tag += YIELD * tokens;
                room = room.saturating_sub(tokens);
                self.tokens -= tokens;
                self.clock += tokens;
            }
            if entry.tokens > 0 {
                self.waiting.push_front(entry);
                break;
            }
        }
        batch
    }
}

/// How many of the first texts have at most `room` tokens together, though at least `least`; and how many tokens.
fn fitting(lengths: impl Iterator<Item = usize>, room: usize, least: usize) -> (usize, usize) {
    let (mut texts, mut total) = (0, 0);
    for length in lengths {
        if texts >= least && total + length > room {
            break;
        }
        texts += 1;
        total += length;
    }
    (texts, total)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
