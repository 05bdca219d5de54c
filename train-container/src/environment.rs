//! Where a job's settings and folders come from: `SM_*` variables, else the files under `/opt/ml`, else defaults.
//!
//! The platform itself sets no `SM_*` for containers that are not built on AWS's toolkit; other drivers do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use unspsc_contract::{CheckpointConfig, Hyperparameters, InputDataConfig, ModelKind, OptMl, ResourceConfig};

use crate::{Options, TrainError};

/// Looks a variable up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that a job is told, checked.
#[derive(Debug, PartialEq)]
pub(crate) struct Environment {
    /// How to train.
    pub(crate) hyperparameters: Hyperparameters,
    /// Rows to train on.
    pub(crate) training: PathBuf,
    /// Rows to choose the epoch by; cut from training where absent.
    pub(crate) validation: Option<PathBuf>,
    /// Rows to judge by; cut from training where absent.
    pub(crate) test: Option<PathBuf>,
    /// Titles of the code list, to be searched; segments and families are known without.
    pub(crate) titles: Option<PathBuf>,
    /// The pretrained encoder; the RNN baseline needs none.
    pub(crate) encoder: Option<PathBuf>,
    /// Where the model directory is written.
    pub(crate) model_dir: PathBuf,
    /// Where the reports are written.
    pub(crate) output_data_dir: PathBuf,
    /// Where checkpoints are kept; none where the job was created without them.
    pub(crate) checkpoints: Option<PathBuf>,
}

impl Environment {
    /// Reads the files under `options.base_dir` and asks `variables`.
    ///
    /// # Errors
    /// Names the file, variable, hyperparameter or channel that is missing or not what it should be.
    pub(crate) fn resolve(options: &Options, variables: Lookup<'_>) -> Result<Self, TrainError> {
        // A variable that is there and empty says nothing.
        let variables: Lookup<'_> = &|name| variables(name).filter(|value| !value.is_empty());
        let files = OptMl::new(&options.base_dir);
        refuse_several_hosts(&files, variables)?;
        let hyperparameters = Hyperparameters::from_map(&hyperparameters(&files, variables)?)?;
        let channels = Channels { listed: read(&files.input_data_config())?.unwrap_or_default(), files, variables };
        let encoder = match hyperparameters.model {
            ModelKind::Encoder => Some(encoder(&channels, options)?),
            ModelKind::Rnn => None,
        };
        let folder = |name: &str, default: PathBuf| variables(name).map_or(default, PathBuf::from);
        Ok(Self {
            hyperparameters,
            training: training(&channels)?,
            validation: channels.find("validation")?,
            test: channels.find("test")?,
            titles: channels.find("titles")?,
            encoder,
            model_dir: folder("SM_MODEL_DIR", channels.files.model()),
            output_data_dir: folder("SM_OUTPUT_DATA_DIR", channels.files.output_data()),
            checkpoints: checkpoints(&channels.files)?,
        })
    }
}

/// The folder that the platform syncs with S3: it is there for jobs with a `CheckpointConfig` and for no others.
fn checkpoints(files: &OptMl) -> Result<Option<PathBuf>, TrainError> {
    let configured = read::<CheckpointConfig>(&files.checkpoint_config())?.and_then(|config| config.local_path);
    // Written as the container sees it; the tree may stand elsewhere.
    let folder = match configured {
        Some(path) => path.strip_prefix(OptMl::ROOT).map(|below| files.root().join(below)).unwrap_or(path),
        None => files.checkpoints(),
    };
    Ok(Some(folder).filter(|folder| folder.is_dir()))
}

/// The string map of `hyperparameters.json`, overlaid with `SM_HPS`, overlaid with one `SM_HP_NAME` each.
fn hyperparameters(files: &OptMl, variables: Lookup<'_>) -> Result<BTreeMap<String, String>, TrainError> {
    let mut values: Map<String, Value> = read(&files.hyperparameters())?.unwrap_or_default();
    values.extend(variable::<Map<String, Value>>("SM_HPS", variables)?.unwrap_or_default());
    for name in Hyperparameters::NAMES {
        if let Some(value) = variables(&format!("SM_HP_{}", name.to_uppercase())) {
            values.insert(name.to_owned(), Value::String(value));
        }
    }
    // SageMaker writes strings, the toolkit's SM_HPS has numbers: both become the text that the parser reads.
    let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// More than one host would train the same model several times over.
fn refuse_several_hosts(files: &OptMl, variables: Lookup<'_>) -> Result<(), TrainError> {
    let hosts = match variable::<Vec<String>>("SM_HOSTS", variables)? {
        Some(hosts) => hosts,
        None => read::<ResourceConfig>(&files.resource_config())?.map(|resources| resources.hosts).unwrap_or_default(),
    };
    if hosts.len() > 1 {
        let (count, names) = (hosts.len(), hosts.join(", "));
        let reason = format!("the job has {count} hosts ({names}); training runs on one: set InstanceCount to 1");
        return Err(TrainError::Setting(reason));
    }
    Ok(())
}

/// The channels that the job has.
struct Channels<'a> {
    listed: InputDataConfig,
    files: OptMl,
    variables: Lookup<'a>,
}

impl Channels<'_> {
    /// The folder of channel `name`, if the job has it: by variable, by `inputdataconfig.json`, or because it is there.
    fn find(&self, name: &str) -> Result<Option<PathBuf>, TrainError> {
        self.named(name).map_or_else(|| self.mounted(name), |folder| Ok(Some(folder)))
    }

    fn named(&self, name: &str) -> Option<PathBuf> {
        (self.variables)(&format!("SM_CHANNEL_{}", name.to_uppercase())).map(PathBuf::from)
    }

    fn mounted(&self, name: &str) -> Result<Option<PathBuf>, TrainError> {
        let listed = self.listed.get(name);
        if listed.is_some_and(|channel| channel.training_input_mode == "Pipe") {
            let reason = format!("channel `{name}` comes in Pipe mode; use File or FastFile");
            return Err(TrainError::Data(reason));
        }
        Ok(Some(self.files.channel(name)).filter(|folder| listed.is_some() || folder.exists()))
    }
}

/// The two names of the required channel.
const TRAINING: [&str; 2] = ["training", "train"];

/// The required channel, under one of its two names; where a variable names it, whatever lies under the other counts not.
fn training(channels: &Channels<'_>) -> Result<PathBuf, TrainError> {
    let found = match TRAINING.map(|name| channels.named(name)) {
        [None, None] => (channels.mounted(TRAINING[0])?, channels.mounted(TRAINING[1])?),
        [training, train] => (training, train),
    };
    match found {
        (Some(folder), None) | (None, Some(folder)) => Ok(folder),
        (None, None) => Err(TrainError::Data(format!(
            "there is no channel `training` (or `train`): put CSV files with the columns `description` and `unspsc` \
             into {}",
            channels.files.channel("training").display()
        ))),
        (Some(_), Some(_)) => {
            Err(TrainError::Data("there are two channels to train on, `training` and `train`: keep one".into()))
        }
    }
}

/// The folder of the pretrained encoder.
fn encoder(channels: &Channels<'_>, options: &Options) -> Result<PathBuf, TrainError> {
    let folder = channels.find("model")?.or_else(|| options.encoder.clone());
    folder.ok_or_else(|| {
        let reason = "there is no pretrained encoder: give a channel `model` with config.json, model.safetensors and \
                      tokenizer.json, or set UNSPSC_ENCODER to such a folder";
        TrainError::NoEncoder(reason.into())
    })
}

/// The JSON file at `path`; none where there is no such file.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrainError::Setting(format!("cannot read {}: {error}", path.display()))),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| TrainError::Setting(format!("{} is malformed: {error}", path.display()))),
    }
}

/// The JSON value of a variable; none where it is not set.
fn variable<T: serde::de::DeserializeOwned>(name: &str, variables: Lookup<'_>) -> Result<Option<T>, TrainError> {
    let parse = |text: String| serde_json::from_str(&text);
    variables(name).map(parse).transpose().map_err(|error| TrainError::Setting(format!("{name} is malformed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    /// A base directory with the given files, and what resolving it yields.
    fn resolve(files: Pairs<'_>, variables: Pairs<'_>) -> (PathBuf, Result<Environment, TrainError>) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let base_dir = root.path().to_owned();
        let options = Options { command: None, base_dir: base_dir.clone(), encoder: Some("/encoder".into()) };
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        (base_dir, Environment::resolve(&options, &lookup))
    }

    const HYPERPARAMETERS: &str = "input/config/hyperparameters.json";
    const CHANNELS: &str = "input/config/inputdataconfig.json";
    const RESOURCES: &str = "input/config/resourceconfig.json";
    const ROWS: (&str, &str) = ("input/data/training/rows.csv", "");

    #[test]
    fn defaults_where_nothing_but_the_data_is_there() {
        let (root, environment) = resolve(&[ROWS], &[]);
        let expected = Environment {
            hyperparameters: Hyperparameters::defaults(ModelKind::Encoder),
            training: root.join("input/data/training"),
            validation: None,
            test: None,
            titles: None,
            encoder: Some("/encoder".into()),
            model_dir: root.join("model"),
            output_data_dir: root.join("output/data"),
            checkpoints: None,
        };
        assert_eq!(environment.unwrap(), expected);
    }

    #[test]
    fn variables_go_before_files_and_files_before_defaults() {
        let files = [
            ROWS,
            (HYPERPARAMETERS, r#"{"epochs": "2", "batch_size": "\"8\"", "seed": "3", "level": "family"}"#),
            ("input/data/test/rows.csv", ""),
            ("input/data/model/config.json", ""),
        ];
        let variables = [
            ("SM_HPS", r#"{"batch_size": 16, "seed": 4}"#),
            ("SM_HP_SEED", "5"),
            ("SM_CHANNEL_TEST", "/elsewhere/test"),
            ("SM_MODEL_DIR", "/elsewhere/model"),
            ("SM_OUTPUT_DATA_DIR", "/elsewhere/data"),
            // The other name of the channel that lies there as a folder; and one that says nothing.
            ("SM_CHANNEL_TRAIN", "/elsewhere/train"),
            ("SM_HOSTS", ""),
        ];
        let (root, environment) = resolve(&files, &variables);
        let environment = environment.unwrap();
        let values = environment.hyperparameters.to_map();
        let found = ["epochs", "batch_size", "seed", "level"].map(|name| values[name].as_str());
        assert_eq!(found, ["2", "16", "5", "family"]);
        assert_eq!(environment.training, PathBuf::from("/elsewhere/train"));
        assert_eq!(environment.test, Some("/elsewhere/test".into()));
        assert_eq!(environment.encoder, Some(root.join("input/data/model")));
        assert_eq!(environment.model_dir, PathBuf::from("/elsewhere/model"));
        assert_eq!(environment.output_data_dir, PathBuf::from("/elsewhere/data"));
    }

    #[test]
    fn a_listed_channel_counts_even_without_a_folder() {
        let listed = (CHANNELS, r#"{"train": {"TrainingInputMode": "File"}, "validation": {"Extra": 1}}"#);
        let (root, environment) = resolve(&[listed, (HYPERPARAMETERS, r#"{"model": "rnn"}"#)], &[]);
        let environment = environment.unwrap();
        assert_eq!(environment.training, root.join("input/data/train"));
        assert_eq!(environment.validation, Some(root.join("input/data/validation")));
        assert_eq!(environment.encoder, None);
    }

    #[test]
    fn checkpoints_are_kept_where_the_platform_mounts_a_folder() {
        let there = ("checkpoints/step", "");
        let found = |files: Pairs<'_>| {
            let (root, environment) = resolve(files, &[]);
            environment.unwrap().checkpoints.map(|folder| folder.strip_prefix(root).map(Path::to_owned).unwrap())
        };
        let config = |path: &'static str| ("input/config/checkpointconfig.json", path);
        assert_eq!(found(&[ROWS, there]), Some("checkpoints".into()));
        assert_eq!(found(&[ROWS, config("{}")]), None);
        let elsewhere = config(r#"{"LocalPath": "/opt/ml/other"}"#);
        assert_eq!(found(&[ROWS, ("other/step", ""), elsewhere]), Some("other".into()));
        assert_eq!(found(&[ROWS, there, elsewhere]), None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let pipe = r#"{"training": {"TrainingInputMode": "Pipe"}}"#;
        let hosts = r#"{"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]}"#;
        let cases: [(Pairs<'_>, Pairs<'_>, &str, u8); 9] = [
            (&[], &[], "no channel `training` (or `train`)", 4),
            (&[ROWS, ("input/data/train/a.csv", "")], &[], "two channels to train on", 4),
            (&[ROWS, (HYPERPARAMETERS, r#"{"epoch": "3"}"#)], &[], "did you mean `epochs`?", 3),
            (&[ROWS, (HYPERPARAMETERS, "{")], &[], "hyperparameters.json is malformed", 3),
            (&[ROWS], &[("SM_HPS", "[]")], "SM_HPS is malformed", 3),
            (&[ROWS, (CHANNELS, pipe)], &[], "channel `training` comes in Pipe mode", 4),
            (&[ROWS, (RESOURCES, hosts)], &[], "2 hosts (algo-1, algo-2)", 3),
            (&[ROWS], &[("SM_HOSTS", r#"["a", "b"]"#)], "2 hosts (a, b)", 3),
            (&[ROWS, (RESOURCES, "{}")], &[], "resourceconfig.json is malformed", 3),
        ];
        for (files, variables, message, code) in cases {
            let error = resolve(files, variables).1.unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.exit_code(), code, "{error}");
        }
        // One host named by the variable overrules the file.
        assert!(resolve(&[ROWS, (RESOURCES, hosts)], &[("SM_HOSTS", r#"["algo-1"]"#)]).1.is_ok());
    }

    #[test]
    fn an_encoder_is_asked_for_in_one_sentence() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("input/data/train")).unwrap();
        let options = Options { command: None, base_dir: root.path().to_owned(), encoder: None };
        let error = Environment::resolve(&options, &|_| None).unwrap_err();
        assert!(error.to_string().contains("UNSPSC_ENCODER"), "{error}");
        assert_eq!(error.exit_code(), 5);
    }
}
