//! The life of a training job, from its tree to its archives, on one instance after another if need be.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::task::spawn_blocking;
use unspsc_contract::{OptMl, files};

use super::checkpoints::Checkpoints;
use super::metrics::{self, Scraper};
use super::record::{JobStatus, SecondaryStatus, TrainingJobSpec};
use super::{address, task_key, tree};
use crate::archive;
use crate::error::ApiError;
use crate::faults::{self, FaultKind};
use crate::folder::JobFolder;
use crate::logs::{self, Follower};
use crate::platform::Platform;
use crate::process::{self, Launch, Process};
use crate::storage::S3Uri;
use crate::store::{JOB_STOPPED, MAX_REASON_CHARS, failure_reason};
use crate::tasks::{Stop, StopSignal};
use crate::time::Time;

/// How often a running job's log is looked at, and its checkpoints.
const LOOK: Duration = Duration::from_millis(200);
/// How long a managed spot job waits before it asks for an instance again.
const CAPACITY_PAUSE: Duration = Duration::from_secs(1);
/// SageMaker's words where there is no machine of the wanted type.
const NO_CAPACITY: &str = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a \
                           different ML instance type or after some time.";

/// How a job ended, if not with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    Stopped,
    MaxRuntimeExceeded,
    MaxWaitTimeExceeded,
}

/// What became of a job on one instance.
#[derive(Debug)]
enum Attempt {
    Over(End),
    /// The spot instance was taken away.
    Interrupted,
    /// There was no instance.
    NoCapacity,
}

/// A job's `FailureReason`.
#[derive(Debug)]
struct Reason(String);

impl From<ApiError> for Reason {
    fn from(error: ApiError) -> Self {
        Self(format!("InternalServerError: {error}"))
    }
}

/// Runs the job `name` to its end and keeps its record.
pub(super) async fn run(platform: &Platform, name: &str, stop: StopSignal) {
    let record = platform.store.read(|state| {
        state
            .training_jobs
            .get(name)
            .map(|job| (job.spec.clone(), job.creation_time, job.training_job_status == JobStatus::Stopping))
    });
    let Some((spec, created, stopping)) = record else { return };
    let job = Job { platform, name, spec, created, folder: platform.folder.job(name) };
    // A stop that came before this task could be told of it stands in the record alone.
    let outcome = if stopping { Ok(End::Stopped) } else { job.attempts(stop).await };
    tracing::info!(job = name, ?outcome, "training job is over");
    let ended = job.change(|job, now| match outcome {
        Ok(End::Completed) if job.training_job_status == JobStatus::Stopping => {
            job.enter(SecondaryStatus::Stopped, now);
        }
        Ok(End::Completed) => job.enter(SecondaryStatus::Completed, now),
        Ok(End::Stopped) => job.enter(SecondaryStatus::Stopped, now),
        Ok(End::MaxRuntimeExceeded) => job.enter(SecondaryStatus::MaxRuntimeExceeded, now),
        Ok(End::MaxWaitTimeExceeded) => job.enter(SecondaryStatus::MaxWaitTimeExceeded, now),
        Err(Reason(reason)) => job.fail(&reason, now),
    });
    if let Err(error) = ended {
        tracing::error!(job = name, %error, "cannot record the end of the training job");
    }
    platform.tasks.finished(&task_key(name));
}

struct Job<'a> {
    platform: &'a Platform,
    name: &'a str,
    spec: TrainingJobSpec,
    created: Time,
    folder: JobFolder,
}

impl Job<'_> {
    /// Runs the job on one instance after another until it is over.
    async fn attempts(&self, mut stop: StopSignal) -> Result<End, Reason> {
        let spot = self.spec.enable_managed_spot_training;
        let mut retries = self.spec.retry_strategy.map_or(0, |strategy| strategy.maximum_retry_attempts);
        let mut trained = Duration::ZERO;
        loop {
            match self.stages(&mut stop, &mut trained).await? {
                Attempt::Over(end) => return Ok(end),
                Attempt::Interrupted => self.enter(SecondaryStatus::Interrupted)?,
                Attempt::NoCapacity if spot => {}
                Attempt::NoCapacity if retries == 0 => return Err(Reason(NO_CAPACITY.to_owned())),
                Attempt::NoCapacity => {
                    retries -= 1;
                    self.enter(SecondaryStatus::Restarting)?;
                }
            }
            tokio::select! {
                () = self.platform.clock.sleep(CAPACITY_PAUSE) => {}
                why = stop.stopped() => return stopped(why),
                () = self.waited_too_long() => return Ok(End::MaxWaitTimeExceeded),
            }
            self.enter(SecondaryStatus::Starting)?;
        }
    }

    /// Runs the job on one instance; adds what it trains to `trained`.
    async fn stages(&self, stop: &mut StopSignal, trained: &mut Duration) -> Result<Attempt, Reason> {
        if self.platform.faults.strike(FaultKind::Capacity, self.name).is_some() {
            return Ok(Attempt::NoCapacity);
        }
        let tree = OptMl::new(self.folder.opt_ml());
        self.enter(SecondaryStatus::Downloading)?;
        let mut checkpoints = self.download(&tree).await?;
        match stop.now() {
            Stop::No => {}
            why => return stopped(why).map(Attempt::Over),
        }
        self.enter(SecondaryStatus::Training)?;
        let begun = self.platform.clock.now();
        let left = Duration::from_secs(self.spec.stopping_condition.max_runtime_in_seconds).saturating_sub(*trained);
        let attempt = self.train(&tree, checkpoints.as_mut(), stop, left).await;
        *trained += self.platform.clock.now().since(begun);
        let Attempt::Over(end) = attempt? else { return Ok(Attempt::Interrupted) };
        self.enter(SecondaryStatus::Uploading)?;
        self.upload(&tree).await?;
        self.tidy(&tree).await;
        Ok(Attempt::Over(end))
    }

    /// Returns when a managed spot job has waited for instances and trained for as long as it may.
    async fn waited_too_long(&self) {
        match self.spec.stopping_condition.max_wait_time_in_seconds {
            Some(limit) if self.spec.enable_managed_spot_training => {
                let waited = self.platform.clock.now().since(self.created);
                self.platform.clock.sleep(Duration::from_secs(limit).saturating_sub(waited)).await;
            }
            _ => std::future::pending().await,
        }
    }

    /// Makes the tree anew and fills its channels, and its checkpoints where the job has any.
    async fn download(&self, tree: &OptMl) -> Result<Option<Checkpoints>, Reason> {
        let failed = |error: &dyn std::fmt::Display| Reason(format!("ClientError: Data download failed: {error}"));
        let (tree, spec, storage) = (tree.clone(), self.spec.clone(), self.platform.storage.clone());
        let built = spawn_blocking(move || tree::build(&tree, &spec, &storage)).await;
        built.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Runs `train` until it ends, is stopped, or has had the time that is `left`; what it logs and keeps is looked after meanwhile.
    async fn train(
        &self,
        tree: &OptMl,
        mut checkpoints: Option<&mut Checkpoints>,
        stop: &mut StopSignal,
        left: Duration,
    ) -> Result<Attempt, Reason> {
        let platform = self.platform;
        let launch = Launch {
            word: "train",
            image: self.spec.algorithm_specification.training_image.as_deref().unwrap_or_default(),
            opt_ml: tree.root(),
            port: None,
            is_offline: self.spec.enable_network_isolation,
            environment: self.environment(),
            log: self.folder.log(),
        };
        let mut watch = Watch {
            follower: Follower::new(self.folder.log()),
            scraper: Scraper::new(&self.spec.algorithm_specification.metric_definitions),
        };
        let process = platform.spawner.spawn(launch).await;
        let mut process = process.map_err(|error| Reason(format!("ClientError: {error}")))?;
        let attempt = tokio::select! {
            attempt = self.attend(&mut process, tree, stop, left) => attempt,
            never = self.look_after(&mut watch, checkpoints.as_deref_mut()) => match never {},
        };
        self.look(&mut watch, true);
        // What an instance had not yet sent when it was taken away is lost.
        if let (Some(checkpoints), false) = (checkpoints, matches!(attempt, Ok(Attempt::Interrupted))) {
            let kept = checkpoints.sync(&platform.storage).await;
            kept.map_err(|error| Reason(format!("ClientError: Artifact upload failed: {error}")))?;
        }
        attempt
    }

    /// Waits for the end of `train`, and brings it about where it is time.
    async fn attend(
        &self,
        process: &mut Process,
        tree: &OptMl,
        stop: &mut StopSignal,
        left: Duration,
    ) -> Result<Attempt, Reason> {
        let (platform, grace) = (self.platform, self.platform.job_grace());
        let internal = |error: std::io::Error| Reason(format!("InternalServerError: cannot wait for `train`: {error}"));
        let spot = self.spec.enable_managed_spot_training;
        let lost = if spot { self.fault(FaultKind::SpotInterruption) } else { None };
        let crash = self.fault(FaultKind::Crash);
        tokio::select! {
            status = process.wait() => {
                let status = status.map_err(internal)?;
                if let Some(said) = process.no_container(status, &logs::tail(&self.folder.log(), 0)) {
                    return Err(Reason(failure_reason(&format!("ClientError: Cannot start the container: {said}"))));
                }
                if status.success() { Ok(Attempt::Over(End::Completed)) } else { Err(failure(&tree.failure(), status)) }
            }
            why = stop.stopped() => {
                process.terminate(stop.grace(grace)).await.map_err(internal)?;
                stopped(why).map(Attempt::Over)
            }
            () = platform.clock.sleep(left) => {
                self.enter(SecondaryStatus::Stopping)?;
                process.terminate(stop.grace(grace)).await.map_err(internal)?;
                Ok(Attempt::Over(End::MaxRuntimeExceeded))
            }
            () = self.waited_too_long() => {
                self.enter(SecondaryStatus::Stopping)?;
                process.terminate(stop.grace(grace)).await.map_err(internal)?;
                Ok(Attempt::Over(End::MaxWaitTimeExceeded))
            }
            () = faults::after(lost) => {
                process.kill().await.map_err(internal)?;
                Ok(Attempt::Interrupted)
            }
            () = faults::after(crash) => {
                let status = process.kill().await.map_err(internal)?;
                Err(failure(&tree.failure(), status))
            }
        }
    }

    fn fault(&self, kind: FaultKind) -> Option<Duration> {
        self.platform.faults.strike(kind, self.name)
    }

    /// Reads the log for metrics and keeps the checkpoints, for as long as it is not dropped.
    async fn look_after(
        &self,
        watch: &mut Watch,
        mut checkpoints: Option<&mut Checkpoints>,
    ) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look(watch, false);
            if let Some(checkpoints) = &mut checkpoints
                && let Err(error) = checkpoints.sync(&self.platform.storage).await
            {
                // The next look may have more luck; the last one fails the job.
                tracing::warn!(job = self.name, %error, "cannot keep a checkpoint");
            }
        }
    }

    /// Reads what is new in the log, and records the metrics in it.
    fn look(&self, watch: &mut Watch, over: bool) {
        let now = self.platform.clock.now();
        let recorded = watch.follower.new_lines(now, over).map_err(|error| ApiError::internal(error.to_string()));
        let recorded = recorded.and_then(|lines| {
            let values = watch.scraper.values(&lines);
            if values.is_empty() {
                return Ok(());
            }
            self.change(|job, now| {
                metrics::add(&mut job.metric_history, &values, now);
                let definitions = &job.spec.algorithm_specification.metric_definitions;
                job.final_metric_data_list = metrics::last(&job.metric_history, definitions);
            })
        });
        if let Err(error) = recorded {
            tracing::warn!(job = self.name, %error, "cannot read metrics from the job's log");
        }
    }

    /// The variables that SageMaker itself sets, over those of the request.
    fn environment(&self) -> Vec<(String, String)> {
        let own = [
            ("TRAINING_JOB_NAME", self.name.to_owned()),
            ("TRAINING_JOB_ARN", crate::names::arn("training-job", self.name)),
        ];
        let asked = self.spec.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        asked.chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// Packs what the job has left and puts it into its bucket.
    async fn upload(&self, tree: &OptMl) -> Result<(), Reason> {
        let output = address(&self.spec.output_data_config.s3_output_path)?.join(&format!("{}/output", self.name));
        let model = output.join(files::MODEL_ARCHIVE);
        self.put(&tree.model(), files::MODEL_ARCHIVE, &model).await?;
        if archive::has_files(&tree.output_data()) {
            self.put(&tree.output_data(), files::OUTPUT_ARCHIVE, &output.join(files::OUTPUT_ARCHIVE)).await?;
        }
        Ok(())
    }

    async fn put(&self, folder: &Path, name: &str, uri: &S3Uri) -> Result<(), Reason> {
        let failed = |error: &dyn std::fmt::Display| Reason(format!("ClientError: Artifact upload failed: {error}"));
        if self.fault(FaultKind::FullDisk).is_some() {
            return Err(failed(&std::io::Error::from(std::io::ErrorKind::StorageFull)));
        }
        let (folder, packed) = (folder.to_path_buf(), self.folder.archive(name));
        let target = packed.clone();
        let done = spawn_blocking(move || archive::pack(&folder, &target)).await;
        done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        self.platform.storage.put(&packed, uri).await.map_err(|error| failed(&error))?;
        // The bucket has it; a second copy only takes room.
        let _ = tokio::fs::remove_file(packed).await;
        Ok(())
    }

    /// Deletes what the buckets have as well; what the job wrote under `output`, its log and its settings stay.
    async fn tidy(&self, tree: &OptMl) {
        let channels = self.spec.input_data_config.iter().map(|channel| tree.channel(&channel.channel_name));
        let checkpoints = self.spec.checkpoint_config.iter().map(|_| tree.checkpoints());
        for folder in channels.chain(checkpoints).chain([tree.model()]) {
            if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
                tracing::warn!(job = self.name, folder = %folder.display(), %error, "cannot delete what is in a bucket");
            }
        }
    }

    fn enter(&self, status: SecondaryStatus) -> Result<(), ApiError> {
        self.change(|job, now| job.enter(status, now))
    }

    fn change(&self, change: impl FnOnce(&mut super::TrainingJob, Time)) -> Result<(), ApiError> {
        self.platform.store.update(|state| {
            if let Some(job) = state.training_jobs.get_mut(self.name) {
                change(job, self.platform.clock.now());
            }
            Ok(())
        })
    }
}

/// What is read of a running job's log.
struct Watch {
    follower: Follower,
    scraper: Scraper,
}

fn stopped(why: Stop) -> Result<End, Reason> {
    if why == Stop::Platform { Err(Reason(JOB_STOPPED.to_owned())) } else { Ok(End::Stopped) }
}

/// The reason that SageMaker shows for a job whose program failed: its own words, if it left any, and how it ended.
fn failure(path: &Path, status: ExitStatus) -> Reason {
    const PREFIX: &str = "AlgorithmError: ";
    let end = format!(", {}", process::describe(status));
    let room = MAX_REASON_CHARS.saturating_sub(PREFIX.len() + end.len());
    let words = std::fs::read(path).map(|words| String::from_utf8_lossy(&words).trim().to_owned());
    let words = words.ok().filter(|words| !words.is_empty());
    let words = words.unwrap_or_else(|| "the program left no /opt/ml/output/failure".to_owned());
    Reason(format!("{PREFIX}{}{end}", words.chars().take(room).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::sync::Arc;

    use crate::store::StoreError;
    use crate::{LocalSageMaker, Runtime, Settings};

    /// What a `StopTrainingJob` does that comes between the record of a job and its task.
    #[tokio::test]
    async fn a_job_that_is_stopped_before_its_task_starts_never_runs() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let runtime = Runtime::Process { train: missing.clone(), serve: missing };
        let settings = Settings { runtime, ..Settings::new(folder.path().join("state")).unwrap() };
        let local = LocalSageMaker::start(settings).await.unwrap();
        let platform = Arc::clone(&local.platform);
        let mut job = super::super::example("job");
        job.enter(SecondaryStatus::Stopping, Time::now());
        let kept = platform.store.update(|state| {
            state.training_jobs.insert("job".to_owned(), job);
            Ok::<_, StoreError>(())
        });
        kept.unwrap();
        let shared = Arc::clone(&platform);
        platform.tasks.start(task_key("job"), |stop| async move { run(&shared, "job", stop).await });
        local.stop().await;
        let status = platform.store.read(|state| state.training_jobs["job"].secondary_status);
        assert_eq!(status, SecondaryStatus::Stopped);
    }

    #[test]
    fn a_failure_is_told_in_the_jobs_own_words_within_the_limit_of_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failure");
        let one = ExitStatus::from_raw(1 << 8);
        assert_eq!(
            failure(&path, ExitStatus::from_raw(9)).0,
            "AlgorithmError: the program left no /opt/ml/output/failure, killed by SIGKILL"
        );
        std::fs::write(&path, "no column unspsc\n").unwrap();
        assert_eq!(failure(&path, one).0, "AlgorithmError: no column unspsc, exit code: 1");
        std::fs::write(&path, "ä".repeat(3000)).unwrap();
        let long = failure(&path, one).0;
        assert_eq!(long.chars().count(), MAX_REASON_CHARS);
        assert!(long.ends_with("ä, exit code: 1"));
    }
}
