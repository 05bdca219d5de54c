//! The range of one hyperparameter, as it is written and as SageMaker has it.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use aws_sdk_sagemaker::types::builders::ParameterRangesBuilder;
use aws_sdk_sagemaker::types::{
    CategoricalParameterRange, ContinuousParameterRange, HyperParameterScalingType, IntegerParameterRange,
};

/// Hyperparameters that count something: limits without a fraction mean whole numbers.
const COUNTS: [&str; 6] =
    ["epochs", "batch_size", "max_batch_tokens", "max_length", "early_stopping_patience", "checkpoint_seconds"];
/// SageMaker's limit of values in a list.
const MOST_VALUES: usize = 30;
/// How ranges are written.
const SYNTAX: &str = "write LOW..HIGH, LOW..HIGH:log, or VALUE,VALUE";

/// The values that a hyperparameter may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Range {
    /// One of these.
    Values(Vec<String>),
    /// A number from the first to the second, both as they were written.
    Between {
        low: String,
        high: String,
        scale: Scale,
        /// Whole numbers only.
        whole: bool,
    },
}

/// How the numbers of a range are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As the service finds best.
    Auto,
    Linear,
    Log,
    ReverseLog,
}

impl Range {
    /// The range `text` of the hyperparameter `name`.
    pub(crate) fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let wrong = |problem: String| anyhow::anyhow!("the range of `{name}`, `{text}`, {problem}");
        let Some((low, rest)) = text.split_once("..") else {
            let values: Vec<String> = text.split(',').map(|value| value.trim().to_owned()).collect();
            if values.len() < 2 || values.iter().any(String::is_empty) {
                return Err(wrong(format!("is no range: {SYNTAX}, or fix it with --hyperparameter")));
            }
            if values.len() > MOST_VALUES {
                return Err(wrong(format!("has {} values, and {MOST_VALUES} at most are allowed", values.len())));
            }
            if let Some(twice) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
                return Err(wrong(format!("has `{}` twice", twice.1)));
            }
            return Ok(Self::Values(values));
        };
        let (high, scale) = rest.split_once(':').unwrap_or((rest, "auto"));
        let scale = match scale.trim() {
            "auto" => Scale::Auto,
            "linear" => Scale::Linear,
            "log" => Scale::Log,
            "reverse-log" => Scale::ReverseLog,
            other => return Err(wrong(format!("has the scale `{other}`: take linear, log or reverse-log"))),
        };
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let (Some(from), Some(to)) = (number(low), number(high)) else {
            return Err(wrong(format!("has a limit that is no number: {SYNTAX}")));
        };
        let whole = COUNTS.contains(&name) && [low, high].iter().all(|limit| limit.trim().parse::<i64>().is_ok());
        let problem = match scale {
            _ if from >= to => "has a lower limit that is not below the upper one",
            Scale::Log if from <= 0.0 => "is logarithmic, which is for numbers above 0",
            Scale::ReverseLog if whole || from < 0.0 || to >= 1.0 => {
                "is reverse-logarithmic, which is for fractions from 0 to below 1"
            }
            _ => return Ok(Self::Between { low: low.trim().into(), high: high.trim().into(), scale, whole }),
        };
        Err(wrong(problem.to_owned()))
    }

    /// Values that are all allowed if every value of the range is.
    pub(crate) fn corners(&self) -> Vec<String> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Between { low, high, .. } => vec![low.clone(), high.clone()],
        }
    }

    /// How many values there are; nothing of a continuous range.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::Values(values) => Some(values.len()),
            Self::Between { low, high, whole: true, .. } => {
                let (low, high): (i64, i64) = (low.parse().ok()?, high.parse().ok()?);
                usize::try_from(high.checked_sub(low)?.checked_add(1)?).ok()
            }
            Self::Between { whole: false, .. } => None,
        }
    }

    /// The limits of a range of numbers.
    pub(crate) fn limits(&self) -> Option<(f64, f64)> {
        match self {
            Self::Values(_) => None,
            Self::Between { low, high, .. } => Some((low.parse().ok()?, high.parse().ok()?)),
        }
    }

    /// Whether the numbers are spread by their magnitude.
    pub(crate) fn is_logarithmic(&self) -> bool {
        matches!(self, Self::Between { scale: Scale::Log, .. })
    }

    /// The values of `name` that a grid tries: a list as it is, every whole number, every power of ten on a logarithmic scale.
    pub(crate) fn as_values(&self, name: &str) -> anyhow::Result<Self> {
        let Self::Between { low, high, scale, whole } = self else { return Ok(self.clone()) };
        let values = match (whole, scale) {
            (true, _) if self.count().is_some_and(|count| count <= MOST_VALUES) => {
                let (low, high): (i64, i64) = (low.parse()?, high.parse()?);
                (low..=high).map(|value| value.to_string()).collect()
            }
            (false, Scale::Log) => powers(low, high)?,
            _ => bail!(
                "a grid tries lists of values, and {name}={self} is none: write them, such as --search {name}={low},{high}"
            ),
        };
        ensure!(values.len() <= MOST_VALUES, "{name}={self} has more than {MOST_VALUES} powers of ten");
        Ok(Self::Values(values))
    }

    /// Adds the range of `name` to those of a request.
    pub(crate) fn add_to(&self, ranges: ParameterRangesBuilder, name: &str) -> ParameterRangesBuilder {
        match self {
            Self::Values(values) => {
                let values = Some(values.clone());
                ranges.categorical_parameter_ranges(
                    CategoricalParameterRange::builder().name(name).set_values(values).build(),
                )
            }
            Self::Between { low, high, scale, whole: true } => ranges.integer_parameter_ranges(
                IntegerParameterRange::builder()
                    .name(name)
                    .min_value(low)
                    .max_value(high)
                    .scaling_type(scale.built())
                    .build(),
            ),
            Self::Between { low, high, scale, whole: false } => ranges.continuous_parameter_ranges(
                ContinuousParameterRange::builder()
                    .name(name)
                    .min_value(low)
                    .max_value(high)
                    .scaling_type(scale.built())
                    .build(),
            ),
        }
    }
}

/// `low` and its tenfolds up to `high`, and `high`.
fn powers(low: &str, high: &str) -> anyhow::Result<Vec<String>> {
    let (first, last): (f64, f64) = (low.parse()?, high.parse()?);
    let text = format!("{first:e}");
    let (mantissa, exponent) = text.split_once('e').context("a number has no exponent")?;
    let exponent: i32 = exponent.parse()?;
    let mut values = Vec::new();
    // Written and read again rather than multiplied, which would leave 9.999999999999999e-5 of 1e-5.
    for power in exponent.. {
        let value = format!("{mantissa}e{power}");
        if value.parse::<f64>()? >= last {
            break;
        }
        values.push(value);
    }
    values.push(format!("{last:e}"));
    Ok(values)
}

impl Scale {
    fn built(self) -> HyperParameterScalingType {
        match self {
            Self::Auto => HyperParameterScalingType::Auto,
            Self::Linear => HyperParameterScalingType::Linear,
            Self::Log => HyperParameterScalingType::Logarithmic,
            Self::ReverseLog => HyperParameterScalingType::ReverseLogarithmic,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => f.write_str(&values.join(",")),
            Self::Between { low, high, scale, .. } => {
                let scale = match scale {
                    Scale::Auto => "",
                    Scale::Linear => ":linear",
                    Scale::Log => ":log",
                    Scale::ReverseLog => ":reverse-log",
                };
                write!(f, "{low}..{high}{scale}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_meant_where_something_is_counted() {
        let is_whole =
            |name: &str, text: &str| matches!(Range::parse(name, text).unwrap(), Range::Between { whole: true, .. });
        assert!(is_whole("epochs", "1..2") && is_whole("batch_size", "16..128:log"));
        assert!(!is_whole("epochs", "0.5..2") && !is_whole("weight_decay", "0..1"));
    }

    #[test]
    fn a_range_is_printed_as_it_is_written() {
        for text in ["1..2", "1e-5..1e-3:log", "0.9..0.99:reverse-log", "0..1:linear", "a,b"] {
            assert_eq!(Range::parse("x", text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn grids_try_whole_numbers_and_powers_of_ten() {
        let values = |name: &str, text: &str| Range::parse(name, text).unwrap().as_values(name).unwrap().to_string();
        assert_eq!(values("epochs", "1..3"), "1,2,3");
        assert_eq!(values("learning_rate", "2e-5..1e-3:log"), "2e-5,2e-4,1e-3");
        assert_eq!(values("learning_rate", "0.001..0.01:log"), "1e-3,1e-2");
        let error = Range::parse("x", "0..1").unwrap().as_values("x").unwrap_err().to_string();
        assert!(error.contains("--search x=0,1"), "{error}");
    }

    #[test]
    fn a_range_of_no_use_is_refused() {
        for (text, said) in [
            ("5", "is no range: write LOW..HIGH"),
            ("1,,2", "is no range"),
            ("1,2,1", "has `1` twice"),
            ("2..1", "not below"),
            ("a..b", "no number"),
            ("1..nan", "no number"),
            ("0..1:log", "above 0"),
            ("0..1:reverse-log", "below 1"),
            ("0..1:square", "take linear, log or reverse-log"),
        ] {
            let error = Range::parse("x", text).unwrap_err().to_string();
            assert!(error.starts_with("the range of `x`") && error.contains(said), "{text}: {error}");
        }
    }
}
