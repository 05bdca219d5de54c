//! Hyperparameter ranges: what a request says of them, and values by their place in a range.
//!
//! A place is a number from 0 to below 1. Every strategy works on places, and the range turns them into values on its scale, so that a strategy
//! knows nothing of scales, integers and categories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// SageMaker's limit of hyperparameters that are searched.
const MAX_PARAMETERS: usize = 30;
/// SageMaker's limit of values of one categorical hyperparameter.
const MAX_VALUES: usize = 30;
/// Where `Auto` takes the logarithmic scale: a range over two orders of magnitude or more.
const WIDE: f64 = 100.0;
/// The largest place.
const LAST_PLACE: f64 = 1.0 - f64::EPSILON;
/// Up to here every integer is a number of its own in floating point.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Values of hyperparameters by name, as SageMaker passes them on.
pub(super) type Values = BTreeMap<String, String>;

/// `ParameterRanges`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ParameterRanges {
    integer_parameter_ranges: Vec<NumberRange>,
    continuous_parameter_ranges: Vec<NumberRange>,
    categorical_parameter_ranges: Vec<CategoricalRange>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// `IntegerParameterRange` or `ContinuousParameterRange`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NumberRange {
    name: String,
    min_value: String,
    max_value: String,
    #[serde(default)]
    scaling_type: ScalingType,
}

/// `CategoricalParameterRange`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CategoricalRange {
    name: String,
    values: Vec<String>,
}

/// `HyperParameterScalingType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum ScalingType {
    #[default]
    Auto,
    Linear,
    Logarithmic,
    ReverseLogarithmic,
}

/// A hyperparameter that is searched.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    domain: Domain,
}

#[derive(Debug, Clone)]
enum Domain {
    Categories(Vec<String>),
    Interval(Interval),
}

/// The numbers from `low` to `high`, both among them.
#[derive(Debug, Clone)]
struct Interval {
    low: f64,
    high: f64,
    scale: Scale,
    whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
    ReverseLogarithmic,
}

impl ParameterRanges {
    /// The hyperparameters in the order of their names, whose ranges are all of some use.
    pub(super) fn parameters(&self) -> Result<Vec<Parameter>, ApiError> {
        let integers = self.integer_parameter_ranges.iter().map(|range| range.parameter(true));
        let numbers = self.continuous_parameter_ranges.iter().map(|range| range.parameter(false));
        let categories = self.categorical_parameter_ranges.iter().map(CategoricalRange::parameter);
        let mut parameters = integers.chain(numbers).chain(categories).collect::<Result<Vec<_>, _>>()?;
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        if parameters.is_empty() {
            return Err(ApiError::validation("ParameterRanges must name at least one hyperparameter to search."));
        }
        if parameters.len() > MAX_PARAMETERS {
            return Err(ApiError::validation(format!(
                "ParameterRanges names {} hyperparameters, and at most {MAX_PARAMETERS} can be searched.",
                parameters.len()
            )));
        }
        if let Some([twice, _]) = parameters.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(invalid(&twice.name, "is there twice"));
        }
        Ok(parameters)
    }
}

impl NumberRange {
    fn parameter(&self, whole: bool) -> Result<Parameter, ApiError> {
        let read = |text: &str| {
            let number = if whole { text.trim().parse::<i64>().ok().map(|number| number as f64) } else { number(text) };
            let kind = if whole { "an integer" } else { "a number" };
            let fits = number.filter(|number| !whole || number.abs() <= MAX_INTEGER);
            fits.ok_or_else(|| invalid(&self.name, &format!("has the limit '{text}', which is not {kind}")))
        };
        let (low, high) = (read(&self.min_value)?, read(&self.max_value)?);
        if low >= high {
            return Err(invalid(&self.name, "has a MinValue that is not less than its MaxValue"));
        }
        let scale = self.scale(low, high, whole)?;
        let domain = Domain::Interval(Interval { low, high, scale, whole });
        Ok(Parameter { name: self.name.clone(), domain })
    }

    fn scale(&self, low: f64, high: f64, whole: bool) -> Result<Scale, ApiError> {
        match self.scaling_type {
            ScalingType::Linear => Ok(Scale::Linear),
            ScalingType::Auto if low > 0.0 && high / low >= WIDE => Ok(Scale::Logarithmic),
            ScalingType::Auto => Ok(Scale::Linear),
            ScalingType::Logarithmic if low > 0.0 => Ok(Scale::Logarithmic),
            ScalingType::Logarithmic => {
                Err(invalid(&self.name, "is Logarithmic, which is for values greater than 0 only"))
            }
            ScalingType::ReverseLogarithmic if !whole && low >= 0.0 && high < 1.0 => Ok(Scale::ReverseLogarithmic),
            ScalingType::ReverseLogarithmic => {
                Err(invalid(&self.name, "is ReverseLogarithmic, which is for continuous values from 0 to below 1 only"))
            }
        }
    }
}

impl CategoricalRange {
    fn parameter(&self) -> Result<Parameter, ApiError> {
        if self.values.is_empty() || self.values.len() > MAX_VALUES {
            return Err(invalid(&self.name, &format!("must have 1 to {MAX_VALUES} values")));
        }
        let mut sorted: Vec<&String> = self.values.iter().collect();
        sorted.sort();
        if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
            return Err(invalid(&self.name, &format!("has the value '{twice}' twice")));
        }
        Ok(Parameter { name: self.name.clone(), domain: Domain::Categories(self.values.clone()) })
    }
}

impl Parameter {
    /// The values of a categorical hyperparameter.
    pub(super) fn categories(&self) -> Option<&[String]> {
        match &self.domain {
            Domain::Categories(values) => Some(values),
            Domain::Interval(_) => None,
        }
    }

    /// How many values there are; infinitely many of a continuous one.
    pub(super) fn size(&self) -> f64 {
        match &self.domain {
            Domain::Categories(values) => values.len() as f64,
            Domain::Interval(interval) if interval.whole => interval.high - interval.low + 1.0,
            Domain::Interval(_) => f64::INFINITY,
        }
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> String {
        match &self.domain {
            Domain::Categories(values) => {
                values.get(whole(place * values.len() as f64)).or(values.last()).cloned().unwrap_or_default()
            }
            Domain::Interval(interval) => interval.value(place),
        }
    }

    /// The place of a value; none if it lies outside of the range.
    pub(super) fn place(&self, value: &str) -> Option<f64> {
        match &self.domain {
            Domain::Categories(values) => {
                let index = values.iter().position(|known| known == value)?;
                Some((index as f64 + 0.5) / values.len() as f64)
            }
            Domain::Interval(interval) => interval.place(number(value)?),
        }
    }
}

impl Interval {
    fn value(&self, place: f64) -> String {
        let (from, to) = self.scaled_limits();
        let value = self.scale.undo(from + place * (to - from));
        if self.whole {
            format!("{}", value.floor().clamp(self.low, self.high) as i64)
        } else {
            format!("{}", value.clamp(self.low, self.high))
        }
    }

    fn place(&self, value: f64) -> Option<f64> {
        if value < self.low || value > self.high {
            return None;
        }
        let (from, to) = self.scaled_limits();
        let middle = if self.whole { value + 0.5 } else { value };
        Some(((self.scale.apply(middle) - from) / (to - from)).clamp(0.0, LAST_PLACE))
    }

    /// The limits on the scale; an integer has the stretch up to the next one to itself, so that the last is as likely as the first.
    fn scaled_limits(&self) -> (f64, f64) {
        let end = if self.whole { self.high + 1.0 } else { self.high };
        (self.scale.apply(self.low), self.scale.apply(end))
    }
}

impl Scale {
    fn apply(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.ln(),
            Self::ReverseLogarithmic => -(-value).ln_1p(),
        }
    }

    fn undo(self, scaled: f64) -> f64 {
        match self {
            Self::Linear => scaled,
            Self::Logarithmic => scaled.exp(),
            Self::ReverseLogarithmic => -(-scaled).exp_m1(),
        }
    }
}

/// The number without its fraction; none below 0, and no more than there can be.
pub(super) fn whole(number: f64) -> usize {
    // The cast saturates.
    usize::try_from(number as i64).unwrap_or_default()
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn invalid(name: &str, problem: &str) -> ApiError {
    ApiError::validation(format!("The range of the hyperparameter '{name}' {problem}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parameters(ranges: Value) -> Result<Vec<Parameter>, ApiError> {
        serde_json::from_value::<ParameterRanges>(ranges).unwrap().parameters()
    }

    fn one(kind: &str, low: &str, high: &str, scaling: &str) -> Result<Parameter, ApiError> {
        let range = json!({ "Name": "p", "MinValue": low, "MaxValue": high, "ScalingType": scaling });
        parameters(json!({ kind: [range] })).map(|mut parameters| parameters.remove(0))
    }

    fn continuous(low: &str, high: &str, scaling: &str) -> f64 {
        let parameter = one("ContinuousParameterRanges", low, high, scaling).unwrap();
        assert!(parameter.place(&parameter.value(0.0)).unwrap() < 1e-9, "{scaling}");
        let middle: f64 = parameter.value(0.5).parse().unwrap();
        assert!((parameter.place(&middle.to_string()).unwrap() - 0.5).abs() < 1e-9, "{scaling}: {middle}");
        assert!(parameter.place(high).unwrap() < 1.0 && parameter.place("-7").is_none());
        middle
    }

    #[test]
    fn the_middle_of_a_range_depends_on_its_scale() {
        let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-9 * wanted, "{value}, not {wanted}");
        close(continuous("0.0001", "0.1", "Linear"), 0.05005);
        close(continuous("0.0001", "0.1", "Logarithmic"), 0.001 * 10_f64.sqrt());
        close(continuous("0.9", "0.999", "ReverseLogarithmic"), 0.99);
        close(continuous("0.0001", "0.1", "Auto"), 0.001 * 10_f64.sqrt());
        close(continuous("0.1", "0.5", "Auto"), 0.3);
        close(continuous("0", "1000", "Auto"), 500.0);
    }

    #[test]
    fn every_integer_is_met_and_none_outside() {
        for scaling in ["Linear", "Logarithmic"] {
            let parameter = one("IntegerParameterRanges", "1", "4", scaling).unwrap();
            let values: std::collections::BTreeSet<_> =
                (0..1000).map(|place| parameter.value(f64::from(place) / 1000.0)).collect();
            assert_eq!(values, ["1", "2", "3", "4"].map(str::to_owned).into(), "{scaling}");
            for value in values {
                assert_eq!(parameter.value(parameter.place(&value).unwrap()), value, "{scaling}");
            }
        }
        let parameter = one("IntegerParameterRanges", "-3", "3", "Auto").unwrap();
        assert_eq!(
            (parameter.value(0.0), parameter.value(LAST_PLACE), parameter.size()),
            ("-3".into(), "3".into(), 7.0)
        );
    }

    #[test]
    fn a_category_is_passed_on_as_it_was_written() {
        let range = json!({ "CategoricalParameterRanges": [{ "Name": "p", "Values": ["\"adamw\"", "sgd", "12"] }] });
        let parameter = parameters(range).unwrap().remove(0);
        assert_eq!([0.0, 0.5, LAST_PLACE].map(|place| parameter.value(place)), ["\"adamw\"", "sgd", "12"]);
        assert_eq!((parameter.place("sgd"), parameter.place("other")), (Some(0.5), None));
    }

    #[test]
    fn a_range_of_no_use_is_refused_and_named() {
        for (kind, low, high, scaling, words) in [
            ("ContinuousParameterRanges", "1", "1", "Auto", "MinValue that is not less"),
            ("ContinuousParameterRanges", "nan", "1", "Auto", "the limit 'nan', which is not a number"),
            ("IntegerParameterRanges", "0.5", "2", "Auto", "the limit '0.5', which is not an integer"),
            ("ContinuousParameterRanges", "0", "1", "Logarithmic", "greater than 0"),
            ("ContinuousParameterRanges", "0", "1", "ReverseLogarithmic", "from 0 to below 1"),
            ("IntegerParameterRanges", "1", "2", "ReverseLogarithmic", "from 0 to below 1"),
        ] {
            let message = one(kind, low, high, scaling).unwrap_err().to_string();
            assert!(message.starts_with("The range of the hyperparameter 'p'") && message.contains(words), "{message}");
        }
        let categories = |values: Value| json!({ "CategoricalParameterRanges": [{ "Name": "p", "Values": values }] });
        let message = parameters(categories(json!(["a", "b", "a"]))).unwrap_err().to_string();
        assert!(message.contains("'a' twice"), "{message}");
        assert!(parameters(categories(json!([]))).is_err() && parameters(json!({})).is_err());
    }
}
