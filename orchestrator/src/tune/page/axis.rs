//! Where values lie on an axis, from 0 to 1, and which of them are written beside it.

use super::super::range::Range;
use super::super::trials::short;

/// Where a range that chooses its own scale is drawn logarithmically: SageMaker's own rule is not known, and this is ours.
const WIDE: f64 = 100.0;
/// Steps between two numbers on an axis, about.
const STEPS: f64 = 4.0;

/// An axis.
#[derive(Debug)]
pub(super) enum Axis {
    /// Numbers, on a linear or a logarithmic scale.
    Numbers { low: f64, high: f64, is_logarithmic: bool, is_whole: bool },
    /// One of these, at even distances.
    Words(Vec<String>),
}

impl Axis {
    /// The axis of a hyperparameter.
    pub(super) fn of(range: &Range) -> Self {
        match (range, range.limits()) {
            (_, Some((low, high))) => {
                let is_wide = low > 0.0 && high / low >= WIDE;
                let is_logarithmic = low > 0.0 && (range.is_logarithmic() || is_wide);
                Self::Numbers { low, high, is_logarithmic, is_whole: range.count().is_some() }
            }
            (Range::Values(values), _) => Self::Words(values.clone()),
            (Range::Between { .. }, None) => Self::Words(Vec::new()),
        }
    }

    /// An axis on which all of `values` lie within round limits; none without values.
    pub(super) fn around(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let low = values.clone().reduce(f64::min)?;
        let high = values.reduce(f64::max)?;
        let (low, high) = if high - low < 1e-6 { (low - 0.01, high + 0.01) } else { (low, high) };
        let step = step(high - low);
        Some(Self::Numbers {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            is_logarithmic: false,
            is_whole: false,
        })
    }

    /// The place of a number; none beside the axis or where it has none.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let Self::Numbers { low, high, is_logarithmic, .. } = self else { return None };
        let place = if *is_logarithmic { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
    }

    /// The place of a value as it was given to a trial.
    pub(super) fn place_of(&self, value: &str) -> Option<f64> {
        match self {
            Self::Numbers { .. } => self.place(value.parse().ok()?),
            Self::Words(words) => {
                let index = words.iter().position(|word| word == value)?;
                Some((index as f64 + 0.5) / words.len() as f64)
            }
        }
    }

    /// Places with what stands there.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let (low, high, is_logarithmic, is_whole) = match self {
            Self::Numbers { low, high, is_logarithmic, is_whole } => (*low, *high, *is_logarithmic, *is_whole),
            Self::Words(words) => {
                return words.iter().filter_map(|word| Some((self.place_of(word)?, word.clone()))).collect();
            }
        };
        let mut numbers: Vec<f64> = if is_logarithmic {
            let powers = (low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32;
            powers.map(|power| format!("1e{power}").parse().unwrap_or(f64::NAN)).collect()
        } else {
            let step = if is_whole { step(high - low).max(1.0) } else { step(high - low) };
            let first = (low / step - 1e-9).ceil() as i64;
            (first..).map(|number| number as f64 * step).take_while(|number| *number <= high + 1e-9 * step).collect()
        };
        if numbers.len() < 2 {
            numbers = vec![low, high];
        }
        let text = |number: f64| {
            if is_logarithmic { format!("{number:e}") } else { short(&format!("{number:.9}")) }
        };
        numbers.into_iter().filter_map(|number| Some((self.place(number)?, text(number)))).collect()
    }
}

/// A round distance between numbers over a stretch of `span`: 1, 2 or 5 times a power of ten.
fn step(span: f64) -> f64 {
    let rough = (span / STEPS).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|multiple| multiple * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, text: &str) -> Axis {
        Axis::of(&Range::parse(name, text).unwrap())
    }

    #[test]
    fn a_logarithmic_range_has_its_middle_at_the_geometric_mean() {
        let axis = axis("learning_rate", "1e-5..1e-3:log");
        assert!((axis.place_of("1e-4").unwrap() - 0.5).abs() < 1e-9);
        let texts: Vec<String> = axis.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["1e-5", "1e-4", "1e-3"]);
        assert_eq!(axis.place_of("1"), None);
    }

    #[test]
    fn words_stand_at_even_distances_and_numbers_at_round_ones() {
        let places: Vec<f64> = axis("batch_size", "32,64").ticks().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [0.25, 0.75]);
        assert_eq!(axis("epochs", "1..2").ticks(), [(0.0, "1".to_owned()), (1.0, "2".to_owned())]);
        let around = Axis::around([0.431, 0.4449].into_iter()).unwrap();
        let texts: Vec<String> = around.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["0.43", "0.435", "0.44", "0.445"]);
        assert!(
            Axis::around([0.5].into_iter()).unwrap().place(0.5).is_some() && Axis::around([].into_iter()).is_none()
        );
    }
}
