//! The `/opt/ml` tree of a training job.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unspsc_contract::{Channel, CheckpointConfig, InputDataConfig, OptMl, ResourceConfig};

use super::checkpoints::Checkpoints;
use super::record::{ChannelSpec, TrainingJobSpec};
use crate::storage::{S3Uri, S3UriError, Storage, StorageError};

/// The only host of a job.
const HOST: &str = "algo-1";

/// Why the tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Uri(#[from] S3UriError),
}

/// Makes the tree as SageMaker mounts it on a fresh instance, with every channel's data copied out of its bucket; returns the checkpoints of a
/// job that has any.
pub(super) fn build(tree: &OptMl, spec: &TrainingJobSpec, storage: &Storage) -> Result<Option<Checkpoints>, TreeError> {
    if tree.root().exists() {
        fs::remove_dir_all(tree.root()).map_err(|source| TreeError::Io { path: tree.root().to_path_buf(), source })?;
    }
    for folder in [tree.model(), tree.output_data(), tree.root().join("input/config")] {
        make(&folder)?;
    }
    write(&tree.hyperparameters(), &spec.hyper_parameters)?;
    write(&tree.input_data_config(), &input_data_config(spec))?;
    write(&tree.resource_config(), &resource_config())?;
    for channel in &spec.input_data_config {
        let folder = tree.channel(&channel.channel_name);
        make(&folder)?;
        let prefix: S3Uri = channel.data_source.s3_data_source.s3_uri.parse()?;
        storage.download(&prefix, &folder)?;
    }
    let Some(config) = &spec.checkpoint_config else { return Ok(None) };
    // As a container would see it, in every file.
    let local_path = OptMl::new(OptMl::ROOT).checkpoints();
    write(&tree.checkpoint_config(), &CheckpointConfig { local_path: Some(local_path) })?;
    Ok(Some(Checkpoints::restore(storage, tree.checkpoints(), config.s3_uri.parse()?)?))
}

fn input_data_config(spec: &TrainingJobSpec) -> InputDataConfig {
    let channel = |channel: &ChannelSpec| Channel {
        content_type: channel.content_type.clone(),
        training_input_mode: channel
            .input_mode
            .clone()
            .unwrap_or_else(|| spec.algorithm_specification.training_input_mode.clone()),
        s3_distribution_type: channel
            .data_source
            .s3_data_source
            .s3_data_distribution_type
            .clone()
            .unwrap_or_else(|| "FullyReplicated".to_owned()),
        record_wrapper_type: "None".to_owned(),
    };
    spec.input_data_config.iter().map(|spec| (spec.channel_name.clone(), channel(spec))).collect()
}

fn resource_config() -> ResourceConfig {
    ResourceConfig {
        current_host: HOST.to_owned(),
        hosts: vec![HOST.to_owned()],
        network_interface_name: Some("lo".to_owned()),
    }
}

fn make(folder: &Path) -> Result<(), TreeError> {
    fs::create_dir_all(folder).map_err(|source| TreeError::Io { path: folder.to_path_buf(), source })
}

fn write(path: &Path, content: &impl Serialize) -> Result<(), TreeError> {
    let text = serde_json::to_vec_pretty(content).map_err(io::Error::from);
    text.and_then(|text| fs::write(path, text)).map_err(|source| TreeError::Io { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_job_finds_what_sagemaker_would_mount() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = folder.path().join("s3/bucket");
        fs::create_dir_all(bucket.join("in")).unwrap();
        fs::write(bucket.join("in/a.csv"), "description,unspsc\n").unwrap();
        let mut spec = super::super::example("job").spec;
        spec.hyper_parameters = [("epochs".to_owned(), "3".to_owned())].into();
        spec.input_data_config = serde_json::from_value(json!([{
            "ChannelName": "training",
            "InputMode": "FastFile",
            "ContentType": "text/csv",
            "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in" } },
        }]))
        .unwrap();
        let tree = OptMl::new(folder.path().join("opt-ml"));
        build(&tree, &spec, &Storage::open(folder.path().join("s3")).unwrap()).unwrap();

        let read = |path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
        assert_eq!(read(tree.hyperparameters()), json!({ "epochs": "3" }));
        assert_eq!(read(tree.resource_config())["hosts"], json!(["algo-1"]));
        assert_eq!(
            read(tree.input_data_config()),
            json!({ "training": {
                "ContentType": "text/csv",
                "TrainingInputMode": "FastFile",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            } })
        );
        assert!(tree.channel("training").join("a.csv").is_file());
        assert!(tree.model().is_dir() && tree.output_data().is_dir() && !tree.checkpoints().exists());
    }
}
