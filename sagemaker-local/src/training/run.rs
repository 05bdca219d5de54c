//! The life of a training job, from its tree to its archives.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::task::spawn_blocking;
use unspsc_contract::{OptMl, files};

use super::record::{JobStatus, MAX_REASON_CHARS, ModelArtifacts, SecondaryStatus, TrainingJobSpec};
use super::{address, metrics, task_key, tree};
use crate::archive;
use crate::error::ApiError;
use crate::folder::JobFolder;
use crate::platform::Platform;
use crate::process::{self, Launch};
use crate::storage::S3Uri;
use crate::store::JOB_STOPPED;
use crate::tasks::{Stop, StopSignal};
use crate::time::Time;

/// How a job ended, if not with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    Stopped,
    MaxRuntimeExceeded,
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
        state.training_jobs.get(name).map(|job| (job.spec.clone(), job.training_job_status == JobStatus::Stopping))
    });
    let Some((spec, stopping)) = record else { return };
    let job = Job { platform, name, spec, folder: platform.folder.job(name) };
    // A stop that came before this task could be told of it stands in the record alone.
    let outcome = if stopping { Ok(End::Stopped) } else { job.stages(stop).await };
    tracing::info!(job = name, ?outcome, "training job is over");
    let ended = job.change(|job, now| match outcome {
        Ok(End::Completed) if job.training_job_status == JobStatus::Stopping => {
            job.enter(SecondaryStatus::Stopped, now);
        }
        Ok(End::Completed) => job.enter(SecondaryStatus::Completed, now),
        Ok(End::Stopped) => job.enter(SecondaryStatus::Stopped, now),
        Ok(End::MaxRuntimeExceeded) => job.enter(SecondaryStatus::MaxRuntimeExceeded, now),
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
    folder: JobFolder,
}

impl Job<'_> {
    async fn stages(&self, mut stop: StopSignal) -> Result<End, Reason> {
        let tree = OptMl::new(self.folder.opt_ml());
        self.enter(SecondaryStatus::Downloading)?;
        self.download(&tree).await?;
        match stop.now() {
            Stop::No => {}
            Stop::Requested => return Ok(End::Stopped),
            Stop::Platform => return Err(Reason(JOB_STOPPED.to_owned())),
        }
        self.enter(SecondaryStatus::Training)?;
        let end = self.train(&tree, &mut stop).await;
        self.record_metrics().await?;
        let end = end?;
        self.enter(SecondaryStatus::Uploading)?;
        self.upload(&tree).await?;
        self.tidy(&tree).await;
        Ok(end)
    }

    /// Makes the tree and fills its channels.
    async fn download(&self, tree: &OptMl) -> Result<(), Reason> {
        let failed = |error: &dyn std::fmt::Display| Reason(format!("ClientError: Data download failed: {error}"));
        let (tree, spec, storage) = (tree.clone(), self.spec.clone(), self.platform.storage.clone());
        let built = spawn_blocking(move || tree::build(&tree, &spec, &storage)).await;
        built.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Runs `train` until it ends, is stopped, or has had its time.
    async fn train(&self, tree: &OptMl, stop: &mut StopSignal) -> Result<End, Reason> {
        let platform = self.platform;
        let launch = Launch {
            program: &platform.settings.train,
            word: "train",
            environment: self.environment(tree),
            log: self.folder.log(),
        };
        let process = platform.spawner.spawn(launch).await;
        let mut process = process.map_err(|error| Reason(format!("ClientError: {error}")))?;
        let limit = Duration::from_secs(self.spec.stopping_condition.max_runtime_in_seconds);
        let internal = |error: std::io::Error| Reason(format!("InternalServerError: cannot wait for `train`: {error}"));
        tokio::select! {
            status = process.wait() => {
                let status = status.map_err(internal)?;
                if status.success() { Ok(End::Completed) } else { Err(failure(&tree.failure(), status)) }
            }
            why = stop.stopped() => {
                process.terminate(stop.grace(platform.job_grace())).await.map_err(internal)?;
                if why == Stop::Platform { Err(Reason(JOB_STOPPED.to_owned())) } else { Ok(End::Stopped) }
            }
            () = tokio::time::sleep(limit) => {
                self.enter(SecondaryStatus::Stopping)?;
                process.terminate(stop.grace(platform.job_grace())).await.map_err(internal)?;
                Ok(End::MaxRuntimeExceeded)
            }
        }
    }

    /// The variables that SageMaker itself sets, over those of the request.
    fn environment(&self, tree: &OptMl) -> Vec<(String, String)> {
        let own = [
            ("SAGEMAKER_BASE_DIR", tree.root().display().to_string()),
            ("TRAINING_JOB_NAME", self.name.to_owned()),
            ("TRAINING_JOB_ARN", crate::names::arn("training-job", self.name)),
        ];
        let asked = self.spec.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        asked.chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    async fn record_metrics(&self) -> Result<(), Reason> {
        let (log, definitions) = (self.folder.log(), self.spec.algorithm_specification.metric_definitions.clone());
        let read =
            spawn_blocking(move || metrics::last_values(BufReader::new(File::open(log)?), &definitions, Time::now()));
        match read.await.map_err(std::io::Error::from).flatten() {
            Ok(values) => self.change(|job, _| job.final_metric_data_list = values).map_err(Reason::from),
            Err(error) => {
                // A job that did not start has no log, and its own reason to fail.
                tracing::warn!(job = self.name, %error, "cannot read metrics from the job's log");
                Ok(())
            }
        }
    }

    /// Packs what the job has left and puts it into its bucket.
    async fn upload(&self, tree: &OptMl) -> Result<(), Reason> {
        let output = address(&self.spec.output_data_config.s3_output_path)?.join(&format!("{}/output", self.name));
        let model = output.join(files::MODEL_ARCHIVE);
        self.put(&tree.model(), files::MODEL_ARCHIVE, &model).await?;
        self.change(|job, _| job.model_artifacts = Some(ModelArtifacts { s3_model_artifacts: model.to_string() }))?;
        if archive::has_files(&tree.output_data()) {
            self.put(&tree.output_data(), files::OUTPUT_ARCHIVE, &output.join(files::OUTPUT_ARCHIVE)).await?;
        }
        Ok(())
    }

    async fn put(&self, folder: &Path, name: &str, uri: &S3Uri) -> Result<(), Reason> {
        let failed = |error: &dyn std::fmt::Display| Reason(format!("ClientError: Artifact upload failed: {error}"));
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
        for folder in channels.chain([tree.model()]) {
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
                change(job, Time::now());
            }
            Ok(())
        })
    }
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
    use crate::{LocalSageMaker, Settings};

    /// What a `StopTrainingJob` does that comes between the record of a job and its task.
    #[tokio::test]
    async fn a_job_that_is_stopped_before_its_task_starts_never_runs() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let settings = Settings { train: missing, ..Settings::new(folder.path().join("state")).unwrap() };
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
