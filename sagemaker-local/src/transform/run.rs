//! The life of a transform job: its containers started, its objects answered, its containers stopped.
//!
//! Each instance takes one object after the other. An object that fails costs its own output and, in the end, the job; the other objects are
//! answered all the same. An instance that ends costs the job at once. As at SageMaker, a job that is stopped leaves no output.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::SpooledTempFile;
use tokio::task::JoinSet;
use unspsc_contract::OptMl;

use super::assemble::Assembler;
use super::check::address;
use super::data_log::DataLog;
use super::invoke::{Failure, Target};
use super::object::{self, Object};
use super::plan::{self, Plan};
use super::record::{TransformJob, TransformJobSpec, TransformStatus};
use super::task_key;
use crate::error::ApiError;
use crate::faults::FaultKind;
use crate::folder::TransformFolder;
use crate::hosting::{Container, Instance, InstanceSpec, NoInstance, unpack_model};
use crate::logs;
use crate::platform::Platform;
use crate::storage::{S3Uri, path_below};
use crate::store::JOB_STOPPED;
use crate::tasks::{Stop, StopSignal};
use crate::time::Time;

/// How much of what a container says about a bad request stands in the job's `FailureReason`, in characters.
const MAX_WORDS_CHARS: usize = 400;

/// A job's `FailureReason`.
#[derive(Debug)]
struct Reason(String);

impl From<ApiError> for Reason {
    fn from(error: ApiError) -> Self {
        Self::internal(&error)
    }
}

impl Reason {
    fn internal(error: &dyn std::fmt::Display) -> Self {
        Self(format!("InternalServerError: {error}"))
    }

    /// Why there is no instance, with SageMaker's word for whose fault it is.
    fn no_instance(gone: &NoInstance) -> Self {
        let reason = gone.reason("The model container");
        Self(match gone {
            NoInstance::Capacity => format!("CapacityError: {reason}"),
            NoInstance::Start(_) => reason,
            NoInstance::Unhealthy(..) => format!("AlgorithmError: {reason}"),
        })
    }
}

/// Runs the job `name` to its end and keeps its record.
pub(super) async fn run(platform: Arc<Platform>, name: String, container: Container, stop: StopSignal) {
    let record = platform.store.read(|state| {
        let job = state.transform_jobs.get(&name)?;
        Some((job.spec.clone(), job.creation_time, job.transform_job_status == TransformStatus::Stopping))
    });
    let Some((spec, created, stopping)) = record else { return };
    let folder = platform.folder.transform(&name);
    let job = Job { platform, name, container, spec, created, folder, progress: Mutex::default() };
    let job = Arc::new(job);
    // A stop that came before this task could be told of it stands in the record alone.
    let outcome = if stopping { Ok(TransformStatus::Stopped) } else { job.transform(stop).await };
    if matches!(outcome, Ok(TransformStatus::Stopped)) {
        job.discard().await;
    }
    // The bucket has what is worth keeping.
    let _ = tokio::fs::remove_dir_all(job.folder.scratch()).await;
    tracing::info!(job = job.name, ?outcome, "transform job is over");
    let ended = job.change(|job, now| match outcome {
        Ok(status) => job.enter(status, now),
        Err(Reason(reason)) => job.fail(&reason, now),
    });
    if let Err(error) = ended {
        tracing::error!(job = job.name, %error, "cannot record the end of the transform job");
    }
    job.platform.tasks.finished(&task_key(&job.name));
}

struct Job {
    platform: Arc<Platform>,
    name: String,
    container: Container,
    spec: TransformJobSpec,
    created: Time,
    folder: TransformFolder,
    progress: Mutex<Progress>,
}

/// What has become of the input so far.
#[derive(Debug, Default)]
struct Progress {
    total: usize,
    waiting: VecDeque<Object>,
    failed: Vec<(String, Failure)>,
    /// Outputs that are in their bucket.
    done: Vec<S3Uri>,
}

/// An instance, and where it and the platform write about it.
struct Worker {
    number: u32,
    instance: Instance,
    data_log: DataLog,
}

impl Job {
    /// Answers all objects; returns the status that the job ends with.
    async fn transform(self: &Arc<Self>, mut stop: StopSignal) -> Result<TransformStatus, Reason> {
        let started = tokio::select! {
            started = self.start() => started?,
            // Containers that are up by then are killed as they are dropped.
            why = stop.stopped() => return stopped(why),
        };
        let mut workers = JoinSet::new();
        for worker in started {
            let (job, stop) = (Arc::clone(self), stop.clone());
            workers.spawn(async move { job.work(worker, stop).await });
        }
        while let Some(worked) = workers.join_next().await {
            // The other containers are killed as the set is dropped.
            worked.map_err(|error| Reason::internal(&error))??;
        }
        match stop.now() {
            Stop::No => self.judge(),
            why => stopped(why),
        }
    }

    /// Unpacks the model, lists the input and brings all instances up, or none.
    async fn start(&self) -> Result<Vec<Worker>, Reason> {
        let source = address(&self.spec.transform_input.data_source.s3_data_source.s3_uri)?;
        let objects = self.platform.storage.objects(&source).map_err(|error| Reason::internal(&error))?;
        let waiting: VecDeque<Object> = objects.into_iter().map(|(key, file)| Object { key, file }).collect();
        *self.progress() = Progress { total: waiting.len(), waiting, ..Progress::default() };
        let scratch = self.folder.scratch();
        tokio::fs::create_dir_all(&scratch).await.map_err(|error| Reason::internal(&error))?;
        let model = OptMl::new(self.folder.opt_ml()).model();
        let unpacked = unpack_model(&self.platform, &self.container, model).await;
        unpacked.map_err(Reason)?;
        let mut starting = JoinSet::new();
        for number in 0..u32::try_from(self.spec.transform_resources.instance_count).unwrap_or(1) {
            let (platform, spec) = (Arc::clone(&self.platform), self.instance(number)?);
            starting.spawn(async move { (number, Instance::start(&platform, spec).await) });
        }
        let mut workers = Vec::new();
        while let Some(started) = starting.join_next().await {
            let (number, instance) = started.map_err(|error| Reason::internal(&error))?;
            let instance = instance.map_err(|gone| Reason::no_instance(&gone))?;
            workers.push(Worker { number, instance, data_log: DataLog::new(self.folder.data_log(number)) });
        }
        self.change(TransformJob::start)?;
        Ok(workers)
    }

    /// What the instance with this number runs as; its log streams are noted.
    fn instance(&self, number: u32) -> Result<InstanceSpec, ApiError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let seconds = self.created.millis() / 1000;
        let stream = format!("{}/i-{}-{seconds}", self.name, id.get(..17).unwrap_or(&id));
        let (log, data_log) = (self.folder.log_below(number), self.folder.data_log_below(number));
        self.platform.store.update(|state| {
            state.note_stream(logs::TRANSFORM_JOBS, format!("{stream}/data-log"), data_log, self.created);
            state.note_stream(logs::TRANSFORM_JOBS, stream, log, self.created);
            Ok::<_, ApiError>(())
        })?;
        let model = self.container.environment.clone();
        Ok(InstanceSpec {
            owner: self.name.clone(),
            image: self.container.image.clone().unwrap_or_default(),
            opt_ml: self.folder.opt_ml(),
            environment: model.into_iter().chain(plan::environment(&self.spec)).collect(),
            log: self.folder.log(number),
            ping_limit: self.platform.settings.ping_limit,
        })
    }

    /// Has one instance answer objects until none is left or the job is to stop.
    async fn work(&self, worker: Worker, mut stop: StopSignal) -> Result<(), Reason> {
        let Worker { number, mut instance, data_log } = worker;
        let (port, heard) = (instance.port(), stop.clone());
        tokio::select! {
            biased;
            gone = instance.ended(&self.platform) => return Err(Reason::no_instance(&gone)),
            () = self.objects(number, port, &data_log, heard) => {}
        }
        instance.terminate(&self.platform, stop.grace(self.platform.instance_grace())).await;
        Ok(())
    }

    async fn objects(&self, number: u32, port: u16, data_log: &DataLog, mut stop: StopSignal) {
        let say = |text: &str| data_log.say(self.platform.clock.now(), text);
        let told = tokio::select! {
            told = Target::parameters(&self.platform, port) => told,
            _ = stop.stopped() => return,
        };
        let told = told.unwrap_or_else(|error| {
            say(&format!("execution-parameters cannot be read, defaults are used: {error}"));
            plan::Parameters::default()
        });
        let plan = Plan::new(&self.spec, &told);
        say(&plan.summary());
        let target =
            Arc::new(Target { platform: Arc::clone(&self.platform), port, plan, folder: self.folder.scratch() });
        loop {
            let Some(object) = self.progress().waiting.pop_front() else { return };
            let output = self.folder.scratch().join(format!("output-{number}"));
            let answered = tokio::select! {
                answered = object::transform(&target, &object, output) => answered,
                _ = stop.stopped() => return,
            };
            // An output is either in its bucket and known to be there, or not there: no stop comes between.
            let kept = match answered {
                Ok(answers) => self.keep(&object, answers).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = kept {
                say(&self.told(&object.key, &failure));
                self.progress().failed.push((object.key, failure));
            }
        }
    }

    /// Puts the answers to an object into its bucket.
    async fn keep(&self, object: &Object, mut answers: Assembler<SpooledTempFile>) -> Result<(), Failure> {
        let full = self.platform.faults.strike(FaultKind::FullDisk, &self.name).is_some();
        let full = if full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        let file = full.and_then(|()| answers.finish()).map_err(|error| object::kept(&error))?;
        let uri = self.output(&object.key).map_err(|error| Failure::client(&error))?;
        self.platform.storage.put(file, &uri).await.map_err(|error| Failure::client(&error))?;
        self.progress().done.push(uri);
        Ok(())
    }

    /// Where the answers to the object `key` go.
    fn output(&self, key: &str) -> Result<S3Uri, ApiError> {
        let prefix = address(&self.spec.transform_input.data_source.s3_data_source.s3_uri)?;
        let output = address(&self.spec.transform_output.s3_output_path)?;
        Ok(output.join(&format!("{}.out", path_below(&prefix.key, key))))
    }

    /// A failure as SageMaker's data log tells it.
    fn told(&self, key: &str, failure: &Failure) -> String {
        let bucket = address(&self.spec.transform_input.data_source.s3_data_source.s3_uri);
        let object = bucket.map_or_else(|_| key.to_owned(), |uri| format!("{}/{key}", uri.bucket));
        let mut lines = vec![failure.message.as_str()];
        if let Some(words) = &failure.words {
            lines.extend(["", "Message:"].into_iter().chain(words.lines()));
        }
        lines.iter().map(|line| format!("{object}: {line}\n")).collect()
    }

    /// What the job's end is when every object has been tried.
    fn judge(&self) -> Result<TransformStatus, Reason> {
        let mut progress = self.progress();
        progress.failed.sort_by(|a, b| a.0.cmp(&b.0));
        let Some((key, failure)) = progress.failed.first() else { return Ok(TransformStatus::Completed) };
        let blamed = if failure.of_client { "ClientError" } else { "AlgorithmError" };
        let words: String = failure.words.iter().flat_map(|words| words.chars().take(MAX_WORDS_CHARS)).collect();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = if words.is_empty() { words } else { format!(": {words}") };
        Err(Reason(format!(
            "{blamed}: See job logs for more information. {} of {} objects failed; {key}: {}{words}",
            progress.failed.len(),
            progress.total,
            failure.message,
        )))
    }

    /// Takes the outputs of a job that was stopped out of their bucket.
    async fn discard(&self) {
        let done = std::mem::take(&mut self.progress().done);
        for uri in done {
            if let Err(error) = self.platform.storage.delete(&uri).await {
                tracing::warn!(job = self.name, %error, "cannot delete an output of a job that was stopped");
            }
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut TransformJob, Time)) -> Result<(), ApiError> {
        self.platform.store.update(|state| {
            if let Some(job) = state.transform_jobs.get_mut(&self.name) {
                change(job, self.platform.clock.now());
            }
            Ok(())
        })
    }
}

fn stopped(why: Stop) -> Result<TransformStatus, Reason> {
    if why == Stop::Platform { Err(Reason(JOB_STOPPED.to_owned())) } else { Ok(TransformStatus::Stopped) }
}
