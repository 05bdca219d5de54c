//! The folder tree that SageMaker mounts into a container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The tree under `/opt/ml`, or under another root when run elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptMl {
    root: PathBuf,
}

impl OptMl {
    /// Where SageMaker mounts the tree.
    pub const ROOT: &'static str = "/opt/ml";

    /// The tree under `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder that holds the whole tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `input/config/hyperparameters.json`: a flat object whose values are strings.
    #[must_use]
    pub fn hyperparameters(&self) -> PathBuf {
        self.root.join("input/config/hyperparameters.json")
    }

    /// `input/config/inputdataconfig.json`: channel name to [`Channel`].
    #[must_use]
    pub fn input_data_config(&self) -> PathBuf {
        self.root.join("input/config/inputdataconfig.json")
    }

    /// `input/config/resourceconfig.json`: [`ResourceConfig`].
    #[must_use]
    pub fn resource_config(&self) -> PathBuf {
        self.root.join("input/config/resourceconfig.json")
    }

    /// `input/config/checkpointconfig.json`: [`CheckpointConfig`]; there only for jobs with checkpoints.
    #[must_use]
    pub fn checkpoint_config(&self) -> PathBuf {
        self.root.join("input/config/checkpointconfig.json")
    }

    /// `input/data/CHANNEL`: the files of one channel.
    #[must_use]
    pub fn channel(&self, name: &str) -> PathBuf {
        self.root.join("input/data").join(name)
    }

    /// `model`: what a job leaves here becomes `model.tar.gz`; an endpoint finds it here again, read-only.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// `checkpoints`: filled from S3 at the start and synced to it while the job runs, for jobs with checkpoints; what is
    /// deleted here is deleted there.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// `output/data`: what a job leaves here becomes `output.tar.gz`.
    #[must_use]
    pub fn output_data(&self) -> PathBuf {
        self.root.join("output/data")
    }

    /// `output/failure`: why a job failed; SageMaker shows its first 1,024 characters.
    #[must_use]
    pub fn failure(&self) -> PathBuf {
        self.root.join("output/failure")
    }
}

/// One channel of `inputdataconfig.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Channel {
    /// MIME type of the channel's objects; often absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `File`, `FastFile` or `Pipe`.
    pub training_input_mode: String,
    /// `FullyReplicated` or `ShardedByS3Key`.
    pub s3_distribution_type: String,
    /// `None` or `RecordIO`.
    pub record_wrapper_type: String,
}

/// `inputdataconfig.json`: channels by name.
pub type InputDataConfig = BTreeMap<String, Channel>;

/// `resourceconfig.json`; the platform may add further keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceConfig {
    /// This container's name, such as `algo-1`.
    pub current_host: String,
    /// All containers' names, sorted.
    pub hosts: Vec<String>,
    /// The network interface that joins the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_interface_name: Option<String>,
}

/// `checkpointconfig.json`, which no document of the platform describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckpointConfig {
    /// The folder that the platform syncs, as the container sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_path: Option<PathBuf>,
}
