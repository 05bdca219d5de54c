//! The thread that owns the model, and the handle by which requests reach it.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use unspsc_artifact::TokenIds;
use unspsc_engine::{Engine, EngineError, Logits};

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::queue::{Waiting, take_batch};
use crate::run::ServeError;

/// What is classified before the first request, and again after a fault.
const WARM_UP: &str = "office paper, white, 500 sheets";

/// A network: token ids to logits.
pub(crate) trait Model {
    /// Logits of every text, `[texts, labels]`.
    fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError>;
}

impl Model for Engine {
    fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError> {
        Engine::classify(self, batch)
    }
}

/// How much waits and how much runs at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerLimits {
    /// Jobs that may wait.
    pub(crate) queue_capacity: NonZeroUsize,
    /// Tokens of one run.
    pub(crate) max_batch_tokens: usize,
}

/// Logits by text, or what went wrong, for the log.
type Answer = Result<Vec<Vec<f32>>, String>;

/// Texts of one request that run together.
struct Job {
    texts: Vec<TokenIds>,
    reply: oneshot::Sender<Answer>,
}

impl Waiting for Job {
    fn tokens(&self) -> usize {
        tokens(&self.texts)
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

fn tokens(texts: &[TokenIds]) -> usize {
    texts.iter().map(|text| text.ids.len()).sum()
}

/// The served model, for request handlers: cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    jobs: mpsc::Sender<Job>,
    classifier: Arc<OnceLock<Classifier>>,
    /// The model has answered, and its thread lives.
    works: Arc<AtomicBool>,
    /// No further requests are wanted.
    stopping: Arc<AtomicBool>,
    max_batch_tokens: usize,
}

impl Service {
    /// Whether an inference has succeeded and requests are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.works.load(Ordering::Acquire) && !self.stopping.load(Ordering::Acquire)
    }

    /// From now on [`Service::is_ready`] is false; requests are still answered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Tokenizer and labels, once the model is loaded.
    pub(crate) fn classifier(&self) -> Result<&Classifier, ApiError> {
        self.classifier.get().ok_or(ApiError::NotReady)
    }

    /// How many jobs the queue still takes.
    #[cfg(test)]
    pub(crate) fn free_places(&self) -> usize {
        self.jobs.capacity()
    }

    /// The logits of `texts`, which may be any number: they run in parts within the token budget, and other requests
    /// have their turn between the parts. Where the queue is full, the first part is refused at once.
    pub(crate) async fn classify(&self, mut texts: Vec<TokenIds>) -> Result<Vec<Vec<f32>>, ApiError> {
        let mut logits = Vec::with_capacity(texts.len());
        while !texts.is_empty() {
            let rest = texts.split_off(part(&texts, self.max_batch_tokens));
            let (reply, answer) = oneshot::channel();
            let job = Job { texts, reply };
            let gone = || ApiError::Internal("the model's thread has ended".into());
            if logits.is_empty() {
                self.jobs.try_send(job).map_err(|error| match error {
                    TrySendError::Full(_) => ApiError::Overloaded,
                    TrySendError::Closed(_) => gone(),
                })?;
            } else {
                self.jobs.send(job).await.map_err(|_| gone())?;
            }
            logits.extend(answer.await.map_err(|_| gone())?.map_err(ApiError::Internal)?);
            texts = rest;
        }
        Ok(logits)
    }
}

/// How many of the first texts run together: as many as the budget allows, and at least one.
fn part(texts: &[TokenIds], max_tokens: usize) -> usize {
    let mut total = 0;
    let fitting = texts.iter().take_while(|text| {
        total += text.ids.len();
        total <= max_tokens
    });
    fitting.count().max(1).min(texts.len())
}

/// Starts the thread that runs `load` and then owns the model. What prevents it from ever being ready arrives at the
/// receiver; its sender is dropped once the model works.
pub(crate) fn start<M: Model + 'static>(
    load: impl FnOnce() -> Result<(Classifier, M), ServeError> + Send + 'static,
    limits: WorkerLimits,
) -> Result<(Service, oneshot::Receiver<ServeError>), ServeError> {
    let (sender, receiver) = mpsc::channel(limits.queue_capacity.get());
    let (failed, failure) = oneshot::channel();
    let service = Service {
        jobs: sender,
        classifier: Arc::default(),
        works: Arc::default(),
        stopping: Arc::default(),
        max_batch_tokens: limits.max_batch_tokens,
    };
    let (classifier, works) = (Arc::clone(&service.classifier), Arc::clone(&service.works));
    let body = move || {
        let worker = load().and_then(|(loaded, model)| {
            let mut worker = Worker { model, warm_up: loaded.tokens(WARM_UP)?, classes: loaded.classes(), works };
            worker.check().map_err(ServeError::WarmUp)?;
            classifier.set(loaded).map_err(|_| ServeError::WarmUp("the model was loaded twice".into()))?;
            Ok(worker)
        });
        match worker {
            Ok(worker) => {
                worker.works.store(true, Ordering::Release);
                drop(failed);
                tracing::info!("ready");
                worker.run(receiver, limits.max_batch_tokens);
            }
            // The receiver is gone only where the program ends anyway.
            Err(error) => drop(failed.send(error)),
        }
    };
    std::thread::Builder::new().name("model".into()).spawn(body).map_err(ServeError::Thread)?;
    Ok((service, failure))
}

/// The model's thread.
struct Worker<M> {
    model: M,
    warm_up: TokenIds,
    classes: usize,
    works: Arc<AtomicBool>,
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        self.works.store(false, Ordering::Release);
    }
}

impl<M: Model> Worker<M> {
    /// Answers jobs until there can be no more, or the model is broken for good.
    fn run(mut self, mut jobs: mpsc::Receiver<Job>, max_tokens: usize) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(job) = jobs.blocking_recv() else { return };
                waiting.push_back(job);
            }
            // What a run cannot take stays in the channel, whose capacity is the limit.
            let mut tokens: usize = waiting.iter().map(Waiting::tokens).sum();
            while tokens < max_tokens
                && let Ok(job) = jobs.try_recv()
            {
                tokens += job.tokens();
                waiting.push_back(job);
            }
            let batch = take_batch(&mut waiting, max_tokens);
            if self.answer(batch).is_err()
                && let Err(reason) = self.check()
            {
                tracing::error!("the model does not work any more: {reason}");
                return;
            }
        }
    }

    /// Answers every job of `batch`; a fault in one is kept from the others by running them one by one.
    fn answer(&mut self, batch: Vec<Job>) -> Result<(), ()> {
        let texts: Vec<TokenIds> = batch.iter().flat_map(|job| job.texts.iter().cloned()).collect();
        if texts.is_empty() {
            return Ok(());
        }
        match self.classify(&texts) {
            Ok(logits) => {
                let mut rows = logits.rows().map(<[f32]>::to_vec);
                for job in batch {
                    let answer = rows.by_ref().take(job.texts.len()).collect();
                    // Who has left needs no answer.
                    drop(job.reply.send(Ok(answer)));
                }
                Ok(())
            }
            Err(_) if batch.len() > 1 => {
                let outcomes: Vec<_> = batch.into_iter().map(|job| self.answer(vec![job])).collect();
                outcomes.into_iter().collect()
            }
            Err(reason) => {
                batch.into_iter().for_each(|job| drop(job.reply.send(Err(reason.clone()))));
                Err(())
            }
        }
    }

    /// Whether the model answers a text that it must be able to answer.
    fn check(&mut self) -> Result<(), String> {
        let text = self.warm_up.clone();
        self.classify(&[text]).map(drop)
    }

    /// Runs the model; a panic is an error like any other, and so is an answer of the wrong size.
    fn classify(&mut self, texts: &[TokenIds]) -> Result<Logits, String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.classify(texts)));
        let logits = outcome.map_err(|panic| panic_message(panic.as_ref()))?.map_err(|error| error.to_string())?;
        let fits = logits.rows().len() == texts.len() && logits.rows().all(|row| row.len() == self.classes);
        if fits { Ok(logits) } else { Err("the model gave logits of another number than asked for".into()) }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the model panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_runs_in_parts_within_the_budget() {
        let text = |tokens: usize| TokenIds { ids: vec![1; tokens], truncated: false };
        assert_eq!(part(&[text(3), text(3), text(3)], 6), 2);
        assert_eq!(part(&[text(9), text(1)], 6), 1, "a text above the budget runs alone");
        assert_eq!(part(&[text(1)], 6), 1);
        assert_eq!(part(&[], 6), 0);
    }
}
