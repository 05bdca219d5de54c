//! The handle by which requests reach the served model.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use unspsc_artifact::TokenIds;

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::deadline::Deadline;
use crate::health::Health;
use crate::held::Bodies;
use crate::inbox::{Answer, Inbox, Job};
use crate::metrics::Metrics;
use crate::queue::QueueLimits;

/// How long `/ping` waits for a proof: SageMaker gives up after 2 seconds.
const PROOF_LIMIT: Duration = Duration::from_millis(1500);

/// How much waits, how much runs at a time, and for how long a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceLimits {
    pub(crate) queue: QueueLimits,
    /// From a request's head to its last record.
    pub(crate) deadline: Duration,
}

/// The served model, for request handlers: cheap to clone. The model's thread ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: Arc<Inbox>,
    model: Arc<ModelState>,
    /// No further requests are wanted.
    stopping: AtomicBool,
    deadline: Duration,
    bodies: Bodies,
}

/// What the model's thread tells the handlers.
#[derive(Debug)]
pub(crate) struct ModelState {
    /// Tokenizer and labels, once loaded.
    pub(crate) classifier: OnceLock<Classifier>,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Service {
    /// A service without a model, and the two ends that the model's thread holds.
    pub(crate) fn new(limits: ServiceLimits, metrics: Arc<Metrics>) -> (Self, Arc<Inbox>, Arc<ModelState>) {
        let inbox = Arc::new(Inbox::new(limits.queue, Arc::clone(&metrics)));
        let model = Arc::new(ModelState { classifier: OnceLock::new(), health: Health::new(), metrics });
        let (stopping, deadline, bodies) = (AtomicBool::new(false), limits.deadline, Bodies::default());
        let shared = Shared { inbox: Arc::clone(&inbox), model: Arc::clone(&model), stopping, deadline, bodies };
        (Self(Arc::new(shared)), inbox, model)
    }

    /// Whether requests are welcome and an inference succeeds: the last one did and is recent, or one does now, which
    /// is run before whatever waits. Known within [`PROOF_LIMIT`].
    pub(crate) async fn is_healthy(&self) -> bool {
        let Shared { inbox, model, stopping, .. } = &*self.0;
        if stopping.load(Ordering::Acquire) || model.classifier.get().is_none() {
            return false;
        }
        if model.health.is_proved() {
            return true;
        }
        let (reply, proof) = oneshot::channel();
        inbox.ask_for_proof(reply);
        let Ok(proof) = timeout(PROOF_LIMIT, proof).await else {
            if model.health.failed() {
                tracing::error!("the model has not answered for 10 seconds; /ping fails until it does");
            }
            return false;
        };
        proof.is_ok()
    }

    /// From now on [`Service::is_healthy`] is false; requests are still answered.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Tokenizer and labels, once the model is loaded.
    ///
    /// # Errors
    /// [`ApiError::NotReady`] before that.
    pub(crate) fn classifier(&self) -> Result<&Classifier, ApiError> {
        self.0.model.classifier.get().ok_or(ApiError::NotReady)
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.model.metrics
    }

    /// What is held of the bodies of all requests.
    pub(crate) fn bodies(&self) -> &Bodies {
        &self.0.bodies
    }

    /// By when a request that begins now is answered.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::within(self.0.deadline)
    }

    /// Whether a request of one token would be taken, so that a full queue costs no tokenising.
    ///
    /// # Errors
    /// As [`Service::classify`].
    pub(crate) fn check_room(&self, deadline: Deadline) -> Result<(), ApiError> {
        self.0.inbox.check(1, deadline)
    }

    /// An answer for each of `texts`, which may be any number: they run in parts within the token budget, and other
    /// requests have their turn between the parts; with the pooled vectors where `embeddings` are wanted. Whoever drops
    /// this future gives up the request.
    ///
    /// # Errors
    /// At once if the queue is full or the deadline would be missed by the estimate; later if it is missed, or the model
    /// fails on every text.
    pub(crate) async fn classify(
        &self,
        texts: Vec<TokenIds>,
        embeddings: bool,
        deadline: Deadline,
    ) -> Result<Vec<Answer>, ApiError> {
        let count = texts.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let (job, mut answers) = Job::new(texts, embeddings);
        self.0.inbox.offer(job, deadline)?;
        let collected = async {
            let mut all: Vec<Answer> = Vec::with_capacity(count);
            while all.len() < count {
                let some = answers.recv().await;
                all.extend(some.ok_or_else(|| ApiError::Internal("the model's thread has ended".into()))?);
            }
            if all.iter().all(Result::is_err) { Err(ApiError::ModelFailure) } else { Ok(all) }
        };
        deadline.wait(collected).await.unwrap_or_else(|_| Err(self.0.inbox.too_late(deadline)))
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.inbox.waiting()
    }
}
