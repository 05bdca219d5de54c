//! What a run is, so that none is continued from another's checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use unspsc_contract::files;

use super::folder::{Unusable, hex};
use crate::TRAINED_BY;
use crate::data::Data;
use crate::environment::Environment;

/// The one hyperparameter that decides nothing about the weights.
const FREE: &str = "checkpoint_seconds";

/// The files of a pretrained encoder that decide about the weights.
const ENCODER: [&str; 3] = [files::CONFIG, files::TOKENIZER, files::WEIGHTS];

/// Everything that decides what a run ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    trained_by: String,
    hyperparameters: BTreeMap<String, String>,
    /// Fingerprint of the three splits.
    data: String,
    labels: Vec<String>,
    /// SHA-256 of the pretrained encoder's files.
    encoder: Option<String>,
}

impl Identity {
    /// The identity of the run that `environment` asks for on `data`.
    pub(super) fn of(environment: &Environment, data: &Data) -> Self {
        let mut hyperparameters = environment.hyperparameters.to_map();
        hyperparameters.remove(FREE);
        let encoder = environment.encoder.as_ref().map(|folder| {
            let mut digest = Sha256::new();
            for file in ENCODER {
                // A file that cannot be read is named where the encoder is loaded.
                let _ =
                    File::open(folder.join(file)).and_then(|mut file| io::copy(&mut file, &mut Hashed(&mut digest)));
            }
            hex(digest)
        });
        Self {
            trained_by: TRAINED_BY.into(),
            hyperparameters,
            data: data.summary.fingerprint.clone(),
            labels: data.labels.iter().map(ToString::to_string).collect(),
            encoder,
        }
    }

    /// Eight hexadecimal digits that tell the checkpoints of one run from those of another.
    pub(super) fn tag(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        hex(Sha256::new().chain_update(bytes)).chars().take(8).collect()
    }

    /// Says in what `found`, a checkpoint's identity, differs.
    pub(super) fn check(&self, found: &Self) -> Result<(), Unusable> {
        let foreign = |reason: String| Err(Unusable::Foreign(reason));
        if found.trained_by != self.trained_by {
            return foreign(format!("written by {}, this is {}", found.trained_by, self.trained_by));
        }
        let names = self.hyperparameters.keys().chain(found.hyperparameters.keys());
        let value = |identity: &Self, name: &str| identity.hyperparameters.get(name).cloned().unwrap_or_default();
        for name in names {
            let (was, is) = (value(found, name), value(self, name));
            if was != is {
                return foreign(format!("hyperparameter `{name}` was {was} and is {is}"));
            }
        }
        if found.data != self.data || found.labels != self.labels {
            return foreign(format!("trained on other data, of fingerprint {}", found.data));
        }
        if found.encoder != self.encoder {
            return foreign("begun from another pretrained encoder".into());
        }
        Ok(())
    }
}

/// A digest that can be copied into.
struct Hashed<'a>(&'a mut Sha256);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let identity = Identity {
            trained_by: TRAINED_BY.into(),
            hyperparameters: BTreeMap::from([("epochs".to_owned(), "3".to_owned())]),
            data: "abc".into(),
            labels: vec!["10000000".into()],
            encoder: Some("def".into()),
        };
        assert_eq!(identity.check(&identity.clone()), Ok(()));
        assert_eq!(identity.tag().len(), 8);
        let other = |change: fn(&mut Identity)| {
            let mut other = identity.clone();
            change(&mut other);
            assert_ne!(other.tag(), identity.tag());
            identity.check(&other).unwrap_err().to_string()
        };
        assert_eq!(
            other(|it| it.trained_by = "train 0.0.1".into()),
            format!("foreign: written by train 0.0.1, this is {TRAINED_BY}")
        );
        assert_eq!(
            other(|it| drop(it.hyperparameters.insert("epochs".into(), "4".into()))),
            "foreign: hyperparameter `epochs` was 4 and is 3"
        );
        assert!(other(|it| it.data.push('x')).contains("other data, of fingerprint abcx"));
        assert!(other(|it| it.labels.clear()).contains("other data"));
        assert!(other(|it| it.encoder = None).contains("another pretrained encoder"));
    }
}
