//! Hyperparameters: typed here, strings on the wire.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use unspsc_taxonomy::Level;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// A pretrained transformer encoder with a classification head.
    Encoder,
    /// The recurrent baseline, trained from scratch: there to be compared with, not to be served.
    Rnn,
}

/// How token vectors become one vector for the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token, as Hugging Face sequence classifiers do.
    Cls,
    /// The mean over the tokens, as sentence encoders such as MiniLM were trained.
    Mean,
}

/// What each class's rows count in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassWeights {
    /// Every row counts the same.
    None,
    /// A class's rows together count as much as any other's: rows / (classes · rows of the class), scikit-learn's `balanced`.
    Balanced,
}

/// What the network computes in while it is trained; weights and optimiser are float32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// bfloat16 where the hardware has it, float16 on older GPUs, float32 on other CPUs.
    Auto,
    /// Single precision.
    Float32,
    /// Half precision, with dynamic loss scaling.
    Float16,
    /// Half precision with single precision's range.
    BFloat16,
}

macro_rules! words {
    ($type:ty, $($variant:path => $word:literal),+) => {
        impl Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($variant => $word),+ })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok($variant),)+
                    _ => Err(format!("allowed: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(ModelKind, ModelKind::Encoder => "encoder", ModelKind::Rnn => "rnn");
words!(Pooling, Pooling::Cls => "cls", Pooling::Mean => "mean");
words!(ClassWeights, ClassWeights::None => "none", ClassWeights::Balanced => "balanced");
words!(
    Precision,
    Precision::Auto => "auto",
    Precision::Float32 => "float32",
    Precision::Float16 => "float16",
    Precision::BFloat16 => "bfloat16"
);

/// Everything that a training job can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    /// `model`: what is trained.
    pub model: ModelKind,
    /// `level`: the level of the labels; codes finer than it are cut, coarser ones rejected.
    pub level: Level,
    /// `head_level`: level of what the head tells apart. A label is the sum of the probabilities of what lies in it; where this is no
    /// finer than `level`, labels stand for themselves. Ignored by `rnn`.
    pub head_level: Level,
    /// `epochs`: passes over the training rows; the last may be a part of one.
    pub epochs: f64,
    /// `batch_size`: rows a step.
    pub batch_size: usize,
    /// `max_batch_tokens`: tokens, filled-up ones included, that go through the network at a time. A step with more of them
    /// is split, and its gradients are added up.
    pub max_batch_tokens: usize,
    /// `learning_rate`: AdamW's step size after warm-up.
    pub learning_rate: f64,
    /// `adam_epsilon`: AdamW's denominator term.
    pub adam_epsilon: f64,
    /// `weight_decay`: decoupled; not applied to biases and LayerNorm.
    pub weight_decay: f64,
    /// `warmup_ratio`: share of the steps in which the rate rises from 0; it falls linearly to 0 in the others.
    pub warmup_ratio: f64,
    /// `max_length`: tokens (words for `rnn`) that are read of a description.
    pub max_length: usize,
    /// `pooling`: how token vectors become one; ignored by `rnn`.
    pub pooling: Pooling,
    /// `logit_adjustment`: weight τ of the log class prior added to the logits in the loss (Menon et al. 2021,
    /// <https://arxiv.org/abs/2007.07314>); 0 trains for accuracy, 1 for balanced accuracy.
    pub logit_adjustment: f64,
    /// `label_smoothing`: share of the target that is spread evenly over all labels.
    pub label_smoothing: f64,
    /// `class_weights`: what each class's rows count in the loss.
    pub class_weights: ClassWeights,
    /// `early_stopping_patience`: epochs in a row that are no better on validation after which training ends; 0 means that it
    /// never ends early.
    pub early_stopping_patience: usize,
    /// `tuned_share`: weight of the trained encoder in the one that is judged and kept; the rest is the pretrained encoder, which
    /// knows more of the world than any training set. Ignored by `rnn`.
    pub tuned_share: f64,
    /// `precision`: what the encoder computes in while it is trained; ignored by `rnn`, which is too small to gain by it.
    pub precision: Precision,
    /// `seed`: of the split, the initial head, the batch order and dropout.
    pub seed: u64,
    /// `checkpoint_seconds`: time between two checkpoints; 0 means one at the end of every epoch and none within.
    pub checkpoint_seconds: f64,
}

/// A hyperparameter that is not taken, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HyperparameterError {
    /// No such name.
    #[error("hyperparameter `{name}` is unknown; {hint}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// The value is no number or word of the kind wanted, or out of range.
    #[error("hyperparameter `{name}` is `{value}`, {allowed}")]
    Value {
        /// The hyperparameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be taken.
        allowed: String,
    },
}

impl Hyperparameters {
    /// Every name, in the order of the documentation.
    pub const NAMES: [&'static str; 20] = [
        "model",
        "level",
        "head_level",
        "epochs",
        "batch_size",
        "max_batch_tokens",
        "learning_rate",
        "adam_epsilon",
        "weight_decay",
        "warmup_ratio",
        "max_length",
        "pooling",
        "logit_adjustment",
        "label_smoothing",
        "class_weights",
        "early_stopping_patience",
        "tuned_share",
        "precision",
        "seed",
        "checkpoint_seconds",
    ];

    /// The recommended values for one kind of model.
    #[must_use]
    pub fn defaults(model: ModelKind) -> Self {
        let encoder = Self {
            model,
            level: Level::Segment,
            head_level: Level::Class,
            epochs: 2.0,
            batch_size: 32,
            max_batch_tokens: 16_384,
            learning_rate: 2e-4,
            adam_epsilon: 1e-8,
            weight_decay: 0.01,
            warmup_ratio: 0.1,
            max_length: 64,
            pooling: Pooling::Mean,
            logit_adjustment: 1.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            early_stopping_patience: 10,
            tuned_share: 0.5,
            precision: Precision::Auto,
            seed: 17,
            checkpoint_seconds: 300.0,
        };
        match model {
            ModelKind::Encoder => encoder,
            // The reference project's values for its recurrent network.
            ModelKind::Rnn => {
                Self { epochs: 200.0, batch_size: 1024, learning_rate: 1e-3, warmup_ratio: 0.0, ..encoder }
            }
        }
    }

    /// Reads the string map of `hyperparameters.json`; what is absent has the default of the model kind.
    ///
    /// Values may be bare (`128`, `adamw`) or JSON-quoted (`"\"128\""`), as the SageMaker SDKs send either. Names
    /// that begin with `sagemaker_` and `_tuning_objective_metric` are the platform's and are ignored.
    ///
    /// # Errors
    /// Names an unknown hyperparameter with the nearest known one, or a bad value with what is allowed.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self, HyperparameterError> {
        let ours = |name: &str| !name.starts_with("sagemaker_") && name != "_tuning_objective_metric";
        let values: BTreeMap<&str, String> =
            map.iter().filter(|(name, _)| ours(name)).map(|(name, value)| (name.as_str(), unquote(value))).collect();
        if let Some(name) = values.keys().find(|name| !Self::NAMES.contains(*name)) {
            return Err(HyperparameterError::Unknown { name: (*name).to_owned(), hint: nearest(name) });
        }
        let raw = Raw(values);
        let default = Self::defaults(raw.word("model", ModelKind::Encoder)?);
        Ok(Self {
            model: default.model,
            level: raw.word("level", default.level)?,
            head_level: raw.word("head_level", default.head_level)?,
            epochs: raw.number("epochs", default.epochs, 0.001..=10_000.0)?,
            batch_size: raw.number("batch_size", default.batch_size, 1..=65_536)?,
            max_batch_tokens: raw.number("max_batch_tokens", default.max_batch_tokens, 1..=1_048_576)?,
            learning_rate: raw.number("learning_rate", default.learning_rate, 1e-8..=1.0)?,
            adam_epsilon: raw.number("adam_epsilon", default.adam_epsilon, 1e-12..=1e-2)?,
            weight_decay: raw.number("weight_decay", default.weight_decay, 0.0..=1.0)?,
            warmup_ratio: raw.number("warmup_ratio", default.warmup_ratio, 0.0..=0.9)?,
            max_length: raw.number("max_length", default.max_length, 3..=512)?,
            pooling: raw.word("pooling", default.pooling)?,
            logit_adjustment: raw.number("logit_adjustment", default.logit_adjustment, 0.0..=4.0)?,
            label_smoothing: raw.number("label_smoothing", default.label_smoothing, 0.0..=0.9)?,
            class_weights: raw.word("class_weights", default.class_weights)?,
            early_stopping_patience: raw.number(
                "early_stopping_patience",
                default.early_stopping_patience,
                0..=10_000,
            )?,
            tuned_share: raw.number("tuned_share", default.tuned_share, 0.0..=1.0)?,
            precision: raw.word("precision", default.precision)?,
            seed: raw.number("seed", default.seed, 0..=u64::from(u32::MAX))?,
            checkpoint_seconds: raw.number("checkpoint_seconds", default.checkpoint_seconds, 0.0..=86_400.0)?,
        })
    }

    /// The string form of all of them; [`Hyperparameters::from_map`] reads it back unchanged.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let entries: [(&str, String); 20] = [
            ("model", self.model.to_string()),
            ("level", self.level.to_string()),
            ("head_level", self.head_level.to_string()),
            ("epochs", self.epochs.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("max_batch_tokens", self.max_batch_tokens.to_string()),
            ("learning_rate", self.learning_rate.to_string()),
            ("adam_epsilon", self.adam_epsilon.to_string()),
            ("weight_decay", self.weight_decay.to_string()),
            ("warmup_ratio", self.warmup_ratio.to_string()),
            ("max_length", self.max_length.to_string()),
            ("pooling", self.pooling.to_string()),
            ("logit_adjustment", self.logit_adjustment.to_string()),
            ("label_smoothing", self.label_smoothing.to_string()),
            ("class_weights", self.class_weights.to_string()),
            ("early_stopping_patience", self.early_stopping_patience.to_string()),
            ("tuned_share", self.tuned_share.to_string()),
            ("precision", self.precision.to_string()),
            ("seed", self.seed.to_string()),
            ("checkpoint_seconds", self.checkpoint_seconds.to_string()),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Values by name, unquoted.
struct Raw<'a>(BTreeMap<&'a str, String>);

impl Raw<'_> {
    fn word<T: FromStr<Err: Display>>(&self, name: &'static str, default: T) -> Result<T, HyperparameterError> {
        let Some(value) = self.0.get(name) else { return Ok(default) };
        value.parse().map_err(|error: T::Err| HyperparameterError::Value {
            name,
            value: value.clone(),
            allowed: error.to_string(),
        })
    }

    fn number<T>(&self, name: &'static str, default: T, allowed: RangeInclusive<T>) -> Result<T, HyperparameterError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.0.get(name) else { return Ok(default) };
        let (low, high) = allowed.into_inner();
        let number = value.parse().ok().filter(|number| (&low..=&high).contains(&number));
        number.ok_or_else(|| HyperparameterError::Value {
            name,
            value: value.clone(),
            allowed: format!("allowed: {low} to {high}"),
        })
    }
}

/// Undoes the JSON quoting that some SDKs add: `"\"adamw\""` becomes `adamw`; anything else stays as it is.
fn unquote(value: &str) -> String {
    serde_json::from_str::<String>(value).unwrap_or_else(|_| value.trim().to_owned())
}

fn nearest(name: &str) -> String {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(name, candidate);
    match Hyperparameters::NAMES.iter().min_by_key(|candidate| distance(candidate)) {
        Some(best) if distance(best) <= 1 + name.len() / 3 => format!("did you mean `{best}`?"),
        _ => format!("known are {}", Hyperparameters::NAMES.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn round_trip() {
        for model in [ModelKind::Encoder, ModelKind::Rnn] {
            let hyperparameters = Hyperparameters { seed: 3, epochs: 1.5, ..Hyperparameters::defaults(model) };
            assert_eq!(Hyperparameters::from_map(&hyperparameters.to_map()), Ok(hyperparameters.clone()));
            assert_eq!(hyperparameters.to_map().len(), Hyperparameters::NAMES.len());
        }
    }

    #[test]
    fn bare_and_quoted_values_and_the_platforms_own_names() {
        let read = Hyperparameters::from_map(&map(&[
            ("epochs", "\"7\""),
            ("learning_rate", "3e-5"),
            ("model", "\"encoder\""),
            ("sagemaker_program", "\"x.py\""),
            ("_tuning_objective_metric", "validation:accuracy"),
        ]));
        let read = read.unwrap();
        assert_eq!((read.epochs, read.learning_rate, read.model), (7.0, 3e-5, ModelKind::Encoder));
    }

    #[test]
    fn the_model_kind_chooses_the_defaults() {
        let rnn = Hyperparameters::from_map(&map(&[("model", "rnn")])).unwrap();
        assert_eq!((rnn.epochs, rnn.batch_size, rnn.max_length), (200.0, 1024, 64));
    }

    #[test]
    fn errors_show_the_way_out() {
        for (name, value, message) in [
            ("epoch", "1", "hyperparameter `epoch` is unknown; did you mean `epochs`?"),
            ("zzzzzzzzzz", "1", "hyperparameter `zzzzzzzzzz` is unknown; known are model, level, head_level"),
            ("epochs", "0", "hyperparameter `epochs` is `0`, allowed: 0.001 to 10000"),
            ("learning_rate", "nan", "hyperparameter `learning_rate` is `nan`, allowed: 0.00000001 to 1"),
            ("pooling", "max", "hyperparameter `pooling` is `max`, allowed: cls, mean"),
            ("level", "genus", "`genus` is no UNSPSC level"),
        ] {
            let error = Hyperparameters::from_map(&map(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
