//! The thread that owns the model.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;
use unspsc_artifact::TokenIds;
use unspsc_engine::{Engine, EngineError, Logits};
use unspsc_hierarchy::Probabilities;

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::inbox::{Answer, Inbox, Job, Row, Work};
use crate::index::Index;
use crate::metrics::{Metrics, Stage};
use crate::run::ServeError;
use crate::service::{ModelState, Service, ServiceLimits};
use crate::traces;

/// What is classified before the first request, after a fault, and as a proof for `/ping`.
const WARM_UP: &str = "office paper, white, 500 sheets";

/// Faults on single requests, with a model that otherwise works, are logged at most once in this time.
const FAULT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The name of the model's thread.
pub(crate) const THREAD: &str = "model";

/// A network: token ids to logits.
pub(crate) trait Model {
    /// Logits of every text, `[texts, labels]`.
    fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError>;

    /// What the title index adds to the logits of a batch: one for each text; none for a model without an index.
    fn search(&self, _batch: &[TokenIds], _logits: &Logits) -> Option<Vec<Probabilities>> {
        None
    }

    /// Called once it is known to work, and `/ping` says so.
    fn settle(&self) {}
}

/// The model of a model directory.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) index: Option<Arc<Index>>,
}

impl Model for Loaded {
    fn classify(&mut self, batch: &[TokenIds]) -> Result<Logits, EngineError> {
        self.engine.classify(batch)
    }

    fn search(&self, batch: &[TokenIds], logits: &Logits) -> Option<Vec<Probabilities>> {
        let index = self.index.as_ref()?;
        Some(self.engine.install(|| index.probabilities(batch, logits)))
    }

    fn settle(&self) {
        self.engine.settle();
    }
}

/// What the model says of a batch, and how long it took.
struct Said {
    logits: Logits,
    /// Of each text, where the model has an index.
    probabilities: Option<Vec<Probabilities>>,
    began: Instant,
    /// Until the logits were there.
    model: Duration,
    /// From then on, where the model has an index.
    search: Option<Duration>,
}

/// Starts the thread that runs `load` and then owns the model. What prevents it from ever being ready arrives at the
/// receiver; its sender is dropped once the model works. What happens is counted in `metrics`.
pub(crate) fn start<M: Model + 'static>(
    load: impl FnOnce() -> Result<(Classifier, M), ServeError> + Send + 'static,
    limits: ServiceLimits,
    metrics: Arc<Metrics>,
) -> Result<(Service, oneshot::Receiver<ServeError>), ServeError> {
    let (service, inbox, state) = Service::new(limits, metrics);
    let (failed, failure) = oneshot::channel();
    let body = move || {
        let worker = load().and_then(|(loaded, model)| {
            let (warm_up, classes) = (loaded.tokens(WARM_UP)?, loaded.classes());
            let mut worker = Worker { model, warm_up, classes, inbox, state, fault_logged: None };
            worker.classify_warm_up().map_err(ServeError::WarmUp)?;
            worker.state.classifier.set(loaded).map_err(|_| ServeError::WarmUp("the model was loaded twice".into()))?;
            Ok(worker)
        });
        match worker {
            Ok(worker) => {
                worker.state.health.succeeded();
                drop(failed);
                tracing::info!("ready");
                worker.model.settle();
                worker.run();
            }
            // The receiver is gone only where the program ends anyway.
            Err(error) => drop(failed.send(error)),
        }
    };
    std::thread::Builder::new().name(THREAD.into()).spawn(body).map_err(ServeError::Thread)?;
    Ok((service, failure))
}

/// The model's thread.
struct Worker<M> {
    model: M,
    warm_up: TokenIds,
    classes: usize,
    inbox: Arc<Inbox>,
    state: Arc<ModelState>,
    /// When a fault on a single request was logged last.
    fault_logged: Option<Instant>,
}

/// Whatever ends the thread: nobody waits in vain.
impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        self.state.health.failed();
        self.inbox.close();
    }
}

impl<M: Model> Worker<M> {
    /// Answers jobs until there can be no more. A model that does not work is tried again before each batch and at each
    /// `/ping`, so that it recovers by itself.
    fn run(mut self) {
        while let Some(work) = self.inbox.next() {
            match work {
                Work::Proof(askers) => {
                    if self.check(&Span::none()) {
                        for asker in askers {
                            // Who has left needs no proof.
                            let _ = asker.send(());
                        }
                    }
                }
                Work::Batch(batch) => self.answer(batch),
            }
        }
    }

    /// Answers every job of `batch`.
    fn answer(&mut self, batch: Vec<Job>) {
        let texts: Vec<TokenIds> = batch.iter().flat_map(Job::texts).cloned().collect();
        let jobs: Vec<&Job> = batch.iter().flat_map(|job| job.texts().map(move |_| job)).collect();
        let mut answers = self.answers(&texts, &jobs).into_iter();
        for job in batch {
            let own = answers.by_ref().take(job.texts().len()).collect();
            job.answer(own);
        }
    }

    /// The row of each of `texts`, which belong to the requests of `jobs`. A fault in one text is kept from the others by
    /// running halves of the texts again, down to the one that brings it.
    fn answers(&mut self, texts: &[TokenIds], jobs: &[&Job]) -> Vec<Answer> {
        let Some(Job { span, .. }) = jobs.first() else { return Vec::new() };
        if !self.state.health.works() && !self.check(span) {
            return texts.iter().map(|_| Err(ApiError::ModelFailure)).collect();
        }
        match self.classify(texts) {
            Ok(said) => {
                let tokens = texts.iter().map(|text| text.ids.len()).sum();
                self.works(span);
                self.inbox.measured(tokens, said.model + said.search.unwrap_or_default());
                self.state.metrics.ran(texts.len(), tokens);
                self.took(&said, jobs);
                rows(said, jobs)
            }
            Err(_) if texts.len() > 1 => {
                let half = texts.len() / 2;
                let mut answers = self.answers(&texts[..half], &jobs[..half]);
                answers.extend(self.answers(&texts[half..], &jobs[half..]));
                answers
            }
            Err(reason) => {
                if self.check(span) {
                    self.log_fault(span, &reason);
                }
                vec![Err(ApiError::ModelFailure)]
            }
        }
    }

    /// Counts the time of a run, and notes it in the trace of each of the requests of `jobs`.
    fn took(&self, said: &Said, jobs: &[&Job]) {
        let search = said.search.map(|took| (Stage::Search, said.began + said.model, took));
        for (stage, began, took) in [(Stage::Model, said.began, said.model)].into_iter().chain(search) {
            self.state.metrics.stage_took(stage, took);
            for same in jobs.chunk_by(|job, next| std::ptr::eq(*job, *next)) {
                traces::stage_took(&same[0].trace, stage, began, took);
            }
        }
    }

    /// Whether the model answers a text that it must be able to answer; a change is logged, once, for the request of
    /// `span`.
    fn check(&mut self, span: &Span) -> bool {
        match self.classify_warm_up() {
            Ok(()) => {
                self.works(span);
                true
            }
            Err(reason) => {
                if self.state.health.failed() {
                    let message = "the model does not work; invocations get 500 and /ping fails until it does";
                    span.in_scope(|| tracing::error!(reason, "{message}"));
                }
                false
            }
        }
    }

    /// Notes a success; that it is the first after a failure is logged.
    fn works(&self, span: &Span) {
        if self.state.health.succeeded() {
            span.in_scope(|| tracing::info!("the model works again"));
        }
    }

    /// Logs a fault on the request of `span`, unless one was logged a moment ago.
    fn log_fault(&mut self, span: &Span, reason: &str) {
        if self.fault_logged.is_none_or(|logged| logged.elapsed() >= FAULT_LOG_INTERVAL) {
            self.fault_logged = Some(Instant::now());
            span.in_scope(|| tracing::error!(reason, "the model failed on a request, and works otherwise"));
        }
    }

    fn classify_warm_up(&mut self) -> Result<(), String> {
        let text = self.warm_up.clone();
        self.classify(&[text]).map(drop)
    }

    /// Runs the model; a panic is an error like any other, and so is an answer of the wrong size.
    fn classify(&mut self, texts: &[TokenIds]) -> Result<Said, String> {
        let run = AssertUnwindSafe(|| -> Result<Said, EngineError> {
            let began = Instant::now();
            let logits = self.model.classify(texts)?;
            let model = began.elapsed();
            let probabilities = self.model.search(texts, &logits);
            let search = probabilities.as_ref().map(|_| began.elapsed().saturating_sub(model));
            Ok(Said { logits, probabilities, began, model, search })
        });
        let outcome = catch_unwind(run).map_err(|panic| panic_message(panic.as_ref()))?;
        let said = outcome.map_err(|error| error.to_string())?;
        let Said { logits, probabilities, .. } = &said;
        let fits = logits.rows().len() == texts.len() && logits.rows().all(|row| row.len() == self.classes);
        let fits = fits && probabilities.as_ref().is_none_or(|all| all.len() == texts.len());
        if fits { Ok(said) } else { Err("the model gave logits of another number than asked for".into()) }
    }
}

/// The row of each text, with its pooled vector where its request wants it.
fn rows(Said { logits, probabilities, .. }: Said, jobs: &[&Job]) -> Vec<Answer> {
    let (mut vectors, mut probabilities) = (logits.pooled(), probabilities.into_iter().flatten());
    let row = |(row, job): (&[f32], &&Job)| {
        let vector = vectors.next().filter(|_| job.embeddings);
        let embedding = vector.map(<[f32]>::to_vec);
        Ok(Row { logits: row.to_vec(), probabilities: probabilities.next(), embedding })
    };
    logits.rows().zip(jobs).map(row).collect()
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the model panicked: {}", text.unwrap_or("no message"))
}
