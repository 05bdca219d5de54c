//! Checkpoints: where a run stands, so that it can be killed at any moment and go on as if it had not been.
//!
//! One is a folder `step-STEP-epoch-EPOCH-TAG` with the trained weights, the optimiser's two moments and the best weights
//! so far as safetensors, `state.json`, and a manifest of lengths and hashes. Random numbers need no state: the order of
//! an epoch's batches follows from seed and epoch, a step's dropout from seed and step.

mod folder;
mod identity;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;
use unspsc_artifact::Weights;
use unspsc_contract::EpochReport;

use crate::TrainError;
use crate::data::Data;
use crate::environment::Environment;
use crate::precision::LossScale;
use crate::tensors::{self, Tensors};
use folder::Unusable;
use identity::Identity;

/// Checkpoints of one run that are kept: the newest, and the one before should the newest turn out torn.
const KEPT: usize = 2;

/// A checkpoint that is being written.
const PARTIAL: &str = ".partial";

const STATE: &str = "state.json";
/// The trained weights.
pub(crate) const WEIGHTS: &str = "weights.safetensors";
/// The optimiser's running mean of the gradients.
pub(crate) const MEAN: &str = "mean.safetensors";
/// The optimiser's running mean of their squares.
pub(crate) const VARIANCE: &str = "variance.safetensors";
/// The weights of the best epoch so far.
pub(crate) const BEST: &str = "best.safetensors";

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The epoch under way, from 0; the number of epochs where all are done.
    pub(crate) epoch: usize,
    /// Batches of this epoch that are done.
    pub(crate) batches: usize,
    /// Steps that are done, over all epochs.
    pub(crate) step: usize,
    /// Rows of this epoch that are done.
    pub(crate) rows: usize,
    /// Sum of the loss over them, each times its weight.
    pub(crate) loss_sum: f64,
    /// Sum of their weights.
    pub(crate) weight_sum: f64,
    /// Seconds that this epoch's steps have taken.
    pub(crate) seconds: f64,
}

/// All that a checkpoint holds beside tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) position: Position,
    /// Updates that the optimiser has made.
    pub(crate) updates: i32,
    /// What the next loss is multiplied by.
    pub(crate) loss_scale: LossScale,
    /// One entry a finished epoch.
    pub(crate) epochs: Vec<EpochReport>,
    /// The epoch, counted from 1, whose weights are the best.
    pub(crate) best_epoch: Option<usize>,
    /// Token ids of the rows of the word embedding that are trained.
    pub(crate) words: Vec<i64>,
}

/// The file's layout.
#[derive(Serialize)]
struct StateFile<'a> {
    identity: &'a Identity,
    state: &'a State,
}

/// A whole checkpoint of this run.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    folder: PathBuf,
    pub(crate) state: State,
}

impl Checkpoint {
    /// The tensors of `file`, in the order of `parameters`, which have the names and shapes.
    pub(crate) fn read(&self, file: &str, parameters: &[(String, Tensor)]) -> Result<Vec<Tensor>, TrainError> {
        let weights = Weights::read(&self.folder.join(file)).map_err(TrainError::Model)?;
        parameters.iter().map(|(name, parameter)| tensors::read(&weights, name, &parameter.size())).collect()
    }
}

/// The checkpoints of one run.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    identity: Identity,
    tag: String,
    interval: Duration,
    last: Instant,
    saved: Position,
}

impl Checkpoints {
    /// Those of the run that `environment` asks for on `data`; none where the platform mounts no folder for them.
    pub(crate) fn open(environment: &Environment, data: &Data) -> Option<Self> {
        let folder = environment.checkpoints.clone()?;
        let identity = Identity::of(environment, data);
        let tag = identity.tag();
        let interval = Duration::from_secs_f64(environment.hyperparameters.checkpoint_seconds);
        Some(Self { folder, identity, tag, interval, last: Instant::now(), saved: Position::default() })
    }

    /// The newest whole checkpoint of this run. Those that are newer and cannot be used are named in the log.
    pub(crate) fn newest(&mut self) -> Option<Checkpoint> {
        for name in names(&self.folder).iter().rev() {
            match self.load(&self.folder.join(name)) {
                Ok(checkpoint) => {
                    let Position { epoch, step, .. } = checkpoint.state.position;
                    tracing::info!("going on from checkpoint {name}: {step} steps and {epoch} epochs are done");
                    self.saved = checkpoint.state.position.clone();
                    return Some(checkpoint);
                }
                Err(reason) => tracing::warn!("checkpoint {name} is not used, {reason}"),
            }
        }
        None
    }

    fn load(&self, folder: &Path) -> Result<Checkpoint, Unusable> {
        folder::verify(folder)?;
        let bytes = fs::read(folder.join(STATE)).map_err(|error| Unusable::Torn(format!("{STATE}: {error}")))?;
        // Another version may have another layout: the identity, which says so, is looked at before the rest.
        let layout = |error: serde_json::Error| Unusable::Foreign(format!("{STATE} has another layout: {error}"));
        let mut file: Value = serde_json::from_slice(&bytes).map_err(layout)?;
        let mut part = |name: &str| file.get_mut(name).map(Value::take).unwrap_or_default();
        self.identity.check(&serde_json::from_value(part("identity")).map_err(layout)?)?;
        Ok(Checkpoint { folder: folder.to_owned(), state: serde_json::from_value(part("state")).map_err(layout)? })
    }

    /// Whether the next checkpoint's time has come, at the end of an epoch or within one.
    pub(crate) fn due(&self, epoch_ends: bool) -> bool {
        self.last.elapsed() >= self.interval && (epoch_ends || !self.interval.is_zero())
    }

    /// Writes a checkpoint, if anything was done since the last one. One that cannot be written is a warning: the run
    /// itself does not need it.
    pub(crate) fn save(&mut self, state: &State, files: &[(&str, Tensors)]) {
        if (state.position.step, state.position.epoch) == (self.saved.step, self.saved.epoch) {
            return;
        }
        let started = Instant::now();
        let Position { step, epoch, .. } = state.position;
        let name = format!("step-{step:08}-epoch-{epoch:05}-{}", self.tag);
        match self.write(&name, state, files) {
            Ok(bytes) => {
                let (size, seconds) = (bytes as f64 / 1e6, started.elapsed().as_secs_f64());
                tracing::info!("checkpoint {name}: {size:.1} MB in {seconds:.2} s");
                self.saved = state.position.clone();
                self.prune(&name);
            }
            Err(error) => {
                tracing::warn!("no checkpoint {name}: {error}");
                // Half a checkpoint would fill the disk, and the platform would copy it to S3.
                let _ = fs::remove_dir_all(self.folder.join(PARTIAL));
            }
        }
        self.last = Instant::now();
    }

    fn write(&self, name: &str, state: &State, files: &[(&str, Tensors)]) -> Result<u64, TrainError> {
        // One name for all: what a kill leaves of one is cleared away by the next.
        let partial = self.folder.join(PARTIAL);
        let failed = |source| TrainError::Write { path: partial.clone(), source };
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(failed)?;
        }
        fs::create_dir_all(&partial).map_err(failed)?;
        for (file, values) in files {
            tensors::write(&partial.join(file), values)?;
        }
        let json = serde_json::to_vec(&StateFile { identity: &self.identity, state });
        json.map_err(std::io::Error::from).and_then(|json| fs::write(partial.join(STATE), json)).map_err(failed)?;
        folder::publish(&partial, &self.folder.join(name)).map_err(failed)
    }

    /// Deletes this run's checkpoints before the last [`KEPT`] ones, and those after `newest`, which are torn.
    fn prune(&self, newest: &str) {
        let own = names(&self.folder).into_iter().filter(|name| name.ends_with(&self.tag));
        let (mut old, torn): (Vec<String>, Vec<String>) = own.partition(|name| name.as_str() <= newest);
        old.truncate(old.len().saturating_sub(KEPT));
        for name in old.iter().chain(&torn) {
            if let Err(error) = fs::remove_dir_all(self.folder.join(name)) {
                tracing::warn!("checkpoint {name} cannot be deleted: {error}");
            }
        }
    }
}

/// Names of the checkpoints in `folder`, whoever wrote them, in the order of their steps.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with("step-"));
    names.sort();
    names
}
