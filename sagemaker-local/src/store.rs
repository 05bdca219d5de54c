//! The records of all resources: in memory, and in one file that is replaced at every change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::hosting::{Endpoint, EndpointConfig, EndpointStatus, Model};
use crate::logs::{LogStream, LogStreams};
use crate::names;
use crate::scaling::{self, Activity, ScalableTarget, ScalingPolicy};
use crate::tags::Tags;
use crate::time::Time;
use crate::training::TrainingJob;
use crate::transform::TransformJob;
use crate::tuning::{self, TuningJob};

/// What a job's record says when its server ended before it did.
pub(crate) const JOB_STOPPED: &str = "InternalServerError: the local platform was stopped while the job ran";
/// The same for an endpoint.
pub(crate) const ENDPOINT_STOPPED: &str = "InternalServerError: the local platform was stopped while the endpoint ran";

/// SageMaker's limit for the text of a `FailureReason`.
pub(crate) const MAX_REASON_CHARS: usize = 1024;

/// As much of `reason` as a `FailureReason` holds.
pub(crate) fn failure_reason(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// A record as a `Describe…` operation answers it.
pub(crate) fn description(record: &impl Serialize) -> Result<Value, ApiError> {
    let mut description = serde_json::to_value(record)?;
    if let Some(members) = description.as_object_mut() {
        // What the platform keeps for itself.
        members.retain(|name, _| !name.starts_with('_'));
    }
    Ok(description)
}

/// All records, by name; scaling records by the id of the resource that they scale.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub(crate) training_jobs: BTreeMap<String, TrainingJob>,
    pub(crate) transform_jobs: BTreeMap<String, TransformJob>,
    pub(crate) tuning_jobs: BTreeMap<String, TuningJob>,
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) endpoint_configs: BTreeMap<String, EndpointConfig>,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) scalable_targets: BTreeMap<String, ScalableTarget>,
    pub(crate) scaling_policies: Vec<ScalingPolicy>,
    pub(crate) scaling_activities: Vec<Activity>,
    pub(crate) tags: Tags,
    pub(crate) log_streams: LogStreams,
}

impl State {
    /// Ends what a server that was killed has left running on paper.
    pub(crate) fn recover(&mut self) {
        let now = Time::now();
        for job in self.training_jobs.values_mut().filter(|job| !job.is_over()) {
            job.fail(JOB_STOPPED, now);
        }
        for job in self.transform_jobs.values_mut().filter(|job| !job.is_over()) {
            job.fail(JOB_STOPPED, now);
        }
        tuning::recover(self, now);
        let deleting = |endpoint: &Endpoint| endpoint.endpoint_status == EndpointStatus::Deleting;
        let gone: Vec<String> =
            self.endpoints.iter().filter(|(_, endpoint)| deleting(endpoint)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.remove_endpoint(&name);
        }
        for endpoint in self.endpoints.values_mut() {
            if endpoint.endpoint_status != EndpointStatus::Failed {
                endpoint.fail(ENDPOINT_STOPPED, now);
            }
        }
    }

    /// Whether there is a resource of SageMaker with this ARN.
    pub(crate) fn has_resource(&self, arn: &str) -> bool {
        let prefix = names::arn("", "");
        let resource = arn.strip_prefix(prefix.trim_end_matches('/')).and_then(|rest| rest.split_once('/'));
        resource.is_some_and(|(kind, name)| match kind {
            "training-job" => self.training_jobs.contains_key(name),
            "transform-job" => self.transform_jobs.contains_key(name),
            TuningJob::KIND => self.tuning_jobs.contains_key(name),
            "model" => self.models.contains_key(name),
            "endpoint-config" => self.endpoint_configs.contains_key(name),
            "endpoint" => self.endpoints.contains_key(name),
            _ => false,
        })
    }

    /// Notes that the file, which lies below the state folder, is a stream of the group.
    pub(crate) fn note_stream(&mut self, group: &str, stream: String, file: PathBuf, created: Time) {
        self.log_streams.entry(group.to_owned()).or_default().insert(stream, LogStream { file, created });
    }

    /// Takes the endpoint away, and with it its tags and what scales its variants.
    pub(crate) fn remove_endpoint(&mut self, name: &str) {
        self.endpoints.remove(name);
        scaling::end_activities(self, name, Some("the endpoint was deleted"), Time::now());
        self.tags.remove(&names::arn("endpoint", name));
        let prefix = format!("endpoint/{name}/");
        self.scalable_targets.retain(|resource, _| !resource.starts_with(&prefix));
        self.scaling_policies.retain(|policy| !policy.resource_id.starts_with(&prefix));
    }
}

/// Why the records cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read or replaced.
    #[error("cannot keep records in {}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The file is not what this version writes.
    #[error("cannot read the records in {}: {reason}; move the file away to start with none", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
}

/// The records, shared.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    state: Mutex<State>,
}

impl Store {
    /// Reads the records at `path`; none if there is no file.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let state = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|reason| StoreError::Format { path: path.clone(), reason })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(reason) => return Err(StoreError::Io { path, reason }),
        };
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// Looks at the records.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the records in memory and on disk; neither changes if `change` or the writing fails.
    pub(crate) fn update<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = state.clone();
        let outcome = change(&mut next)?;
        self.write(&next)?;
        *state = next;
        Ok(outcome)
    }

    /// Writes beside the file and renames, so that a kill leaves the old records or the new ones, never half of them.
    fn write(&self, state: &State) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(state)
            .map_err(|reason| StoreError::Format { path: self.path.clone(), reason })?;
        let fresh = self.path.with_extension("json.new");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &self.path))
            .map_err(|reason| StoreError::Io { path: self.path.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(name: &str, status: &str) -> TrainingJob {
        let mut job = crate::training::example(name);
        job.training_job_status = serde_json::from_value(json!(status)).unwrap();
        job
    }

    #[test]
    fn records_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let store = Store::open(path.clone()).unwrap();
        store
            .update(|state| {
                state.training_jobs.insert("one".to_owned(), job("one", "InProgress"));
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let again = Store::open(path).unwrap();
        let text = |store: &Store| store.read(|state| serde_json::to_value(state).unwrap());
        assert_eq!(text(&store), text(&again));
        assert_eq!(text(&again)["training_jobs"]["one"]["TrainingJobStatus"], "InProgress");
    }

    #[test]
    fn a_change_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state.json")).unwrap();
        let outcome: Result<(), ApiError> = store.update(|state| {
            state.training_jobs.insert("one".to_owned(), job("one", "InProgress"));
            Err(ApiError::validation("no"))
        });
        assert!(outcome.is_err());
        assert!(store.read(|state| state.training_jobs.is_empty()));
        assert!(!folder.path().join("state.json").exists());
    }

    #[test]
    fn a_file_of_another_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "[").unwrap();
        assert!(Store::open(path).unwrap_err().to_string().contains("state.json"));
    }

    #[test]
    fn what_ran_when_the_server_died_has_failed_and_what_was_over_stays() {
        let mut state = State::default();
        for (name, status) in [("ran", "InProgress"), ("stopping", "Stopping"), ("done", "Completed")] {
            state.training_jobs.insert(name.to_owned(), job(name, status));
        }
        state.transform_jobs.insert("ran".to_owned(), crate::transform::example("ran"));
        state.recover();
        let transform = serde_json::to_value(&state.transform_jobs["ran"]).unwrap();
        assert_eq!(
            (&transform["TransformJobStatus"], &transform["FailureReason"]),
            (&"Failed".into(), &JOB_STOPPED.into())
        );
        for name in ["ran", "stopping"] {
            let job = serde_json::to_value(&state.training_jobs[name]).unwrap();
            assert_eq!(job["TrainingJobStatus"], "Failed");
            assert_eq!(job["FailureReason"], JOB_STOPPED);
        }
        assert_eq!(serde_json::to_value(&state.training_jobs["done"]).unwrap()["TrainingJobStatus"], "Completed");
    }
}
