//! What a job leaves: the model directory, and the report for machines and for people.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use tch::{Device, Kind};
use unspsc_artifact::Scores;
use unspsc_contract::{DataSummary, Evaluation, Profile, RuleVerdict, TrainingReport, files};
use unspsc_dataset::Label;
use unspsc_taxonomy::Titles;

use crate::classifier::{Classifier, Provenance};
use crate::environment::Environment;
use crate::evaluation::Evaluated;
use crate::index::Levels;
use crate::report::{self, Circumstances};
use crate::training::Trained;
use crate::{TRAINED_BY, TrainError, precision};

/// What the job ran on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) device: Device,
    /// Threads of libtorch on the CPU.
    pub(crate) threads: i32,
    /// What the network computes in while it is trained.
    pub(crate) kind: Kind,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Device::Cuda(index) => write!(f, "GPU {index}")?,
            _ => write!(f, "CPU, {} threads", self.threads)?,
        }
        write!(f, ", {}", precision::name(self.kind))
    }
}

/// Everything that is worth keeping.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) machine: &'a Machine,
    pub(crate) data: &'a DataSummary,
    /// Labels by class index, those that no model can find last.
    pub(crate) labels: &'a [Label],
    pub(crate) trained: &'a Trained,
    /// None where the job was stopped first.
    pub(crate) test: Option<&'a Evaluated>,
    /// What was seen while training.
    pub(crate) observed: (Vec<RuleVerdict>, Profile),
}

impl Results<'_> {
    /// Writes the reports, with what head and index do together, after so many `seconds`.
    pub(crate) fn write_reports(&self, levels: Levels, seconds: f64) -> Result<(), TrainError> {
        let report = self.report(levels, seconds);
        let folder = &self.environment.output_data_dir;
        create(folder)?;
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| TrainError::System(format!("to write the report as JSON: {error}")))?;
        write(&folder.join(files::METRICS), (json + "\n").as_bytes())?;
        let circumstances = Circumstances {
            machine: self.machine.to_string(),
            encoder: self.environment.encoder.as_ref().map(|folder| folder.display().to_string()),
            best_epoch: self.trained.best.as_ref().map(|best| best.epoch),
            stopped: self.trained.stopped,
            manifest: self.origin().and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        };
        write(&folder.join(files::REPORT), report::page(&report, &circumstances).as_bytes())
    }

    /// Writes the model directory, the weights last: where they are, all is there.
    pub(crate) fn write_model(&self, classifier: &dyn Classifier) -> Result<(), TrainError> {
        create(&self.environment.model_dir)?;
        if let Some(bytes) = self.origin() {
            write(&self.environment.model_dir.join(files::DATASET), &bytes)?;
        }
        let scores = |test: &Evaluated| Scores {
            rows: test.confusion.total(),
            accuracy: test.confusion.accuracy(),
            balanced_accuracy: test.confusion.balanced_accuracy(),
        };
        let provenance = Provenance {
            data: self.data.clone(),
            test: self.test.map(scores),
            temperature: self.trained.temperature(),
        };
        classifier.write(&self.environment.model_dir, &provenance)
    }

    /// The note on the data's origin, where the training channel brings one that can be read: no model needs it.
    fn origin(&self) -> Option<Vec<u8>> {
        let path = self.environment.training.join(files::DATASET);
        let read = path.is_file().then(|| fs::read(&path))?;
        let warn = |error: &std::io::Error| {
            tracing::warn!("cannot read {}: {error}; the model goes without it", path.display());
        };
        read.inspect_err(warn).ok()
    }

    fn report(&self, levels: Levels, seconds: f64) -> TrainingReport {
        let titles = Titles::embedded().unwrap_or_default();
        let evaluation = |evaluated: &Evaluated| evaluated.report(self.labels, &titles);
        let settings = &self.environment.hyperparameters;
        TrainingReport {
            trained_by: TRAINED_BY.into(),
            model: settings.model.to_string(),
            level: settings.level,
            hyperparameters: settings.to_map(),
            data: self.data.clone(),
            epochs: self.trained.epochs.clone(),
            rules: self.observed.0.clone(),
            profile: self.observed.1.clone(),
            validation: self.trained.best.as_ref().map_or_else(Evaluation::default, |b| evaluation(&b.validation)),
            test: self.test.map_or_else(Evaluation::default, evaluation),
            levels,
            seconds,
        }
    }
}

/// Makes the folder of the model and tries whether a file can be written there, which leaves no trace. Reports that cannot
/// be written cost no model, so that they are not tried.
pub(crate) fn try_to_write(environment: &Environment) -> Result<(), TrainError> {
    let folder = &environment.model_dir;
    create(folder)?;
    let path = folder.join(".unspsc-can-be-written");
    fs::write(&path, "").and_then(|()| fs::remove_file(&path)).map_err(|source| {
        let reason = format!("{source}; the program runs as user {}", nix::unistd::geteuid());
        TrainError::Write { path: folder.clone(), source: io::Error::new(source.kind(), reason) }
    })
}

/// Hyperparameters on one line, as `epochs=3 seed=17`.
pub(crate) fn one_line(values: &BTreeMap<String, String>) -> String {
    values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn create(folder: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(|source| TrainError::Write { path: folder.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    fs::write(path, bytes).map_err(|source| TrainError::Write { path: path.to_owned(), source })
}
