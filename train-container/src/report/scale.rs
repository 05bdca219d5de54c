//! Where numbers lie on a chart, and at which of them grid lines stand.

/// Numbers a chart's axis has at most.
const MAX_TICKS: usize = 8;

/// Powers of ten of which each has a grid line.
const MAX_DECADES: f64 = 6.0;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// Distance between grid lines.
    step: f64,
    logarithmic: bool,
}

impl Scale {
    /// From a round number below all `values` to one above, with grid lines at least `finest` apart.
    pub(super) fn round(values: impl Iterator<Item = f64>, finest: f64) -> Self {
        let (low, high) = range(values);
        let step = step(high - low).max(finest);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step, logarithmic: false }
    }

    /// From the least of `values` to the largest.
    pub(super) fn exact(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        Self { low, high, step: step(high - low), logarithmic: false }
    }

    /// By powers of ten; what is not positive has no place on it.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values.filter(|value| *value > 0.0).map(f64::log10));
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        Self { low, high, step: ((high - low) / MAX_DECADES).ceil(), logarithmic: true }
    }

    /// Where `value` lies, from 0 to 1; the middle where there is but one value.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 }
    }

    /// The values with a grid line; `whole` asks for whole numbers.
    pub(super) fn ticks(&self, whole: bool) -> Vec<f64> {
        let step = if whole { self.step.ceil() } else { self.step };
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0..MAX_TICKS).map(|index| (first + index as f64) * step);
        let ticks = ticks.take_while(|tick| *tick <= self.high + step * 1e-9);
        ticks.map(|tick| if self.logarithmic { 10_f64.powf(tick) } else { tick }).collect()
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let range = finite.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    });
    range.unwrap_or_default()
}

/// A round distance between grid lines for a range: 1, 2 or 5 times a power of ten, about four of them.
fn step(range: f64) -> f64 {
    let rough = if range > 0.0 { range / 4.0 } else { 0.01 };
    let power = 10_f64.powf(rough.log10().floor());
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|multiple| multiple * power >= rough * (1.0 - 1e-9));
    multiple.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], wanted: &[f64]) {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
        assert!(found.len() == wanted.len() && found.iter().zip(wanted).all(close), "{found:?}");
    }

    #[test]
    fn grid_lines_stand_at_round_values() {
        near(&[3.7, 0.45, 0.02, 90.0, 0.0, 2e-4].map(step), &[1.0, 0.2, 0.005, 50.0, 0.01, 5e-5]);
        near(&Scale::round([0.3, 2.1].into_iter(), 0.1).ticks(false), &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        near(&Scale::round([0.3, 2.1].into_iter(), 1.0).ticks(false), &[0.0, 1.0, 2.0, 3.0]);
        near(&Scale::exact([1.0, 3.0].into_iter()).ticks(true), &[1.0, 2.0, 3.0]);
        near(&Scale::exact([1.0, 221.0].into_iter()).ticks(true), &[100.0, 200.0]);
        near(&Scale::logarithmic([3e-4, 0.02, 0.0].into_iter()).ticks(false), &[1e-4, 1e-3, 1e-2, 1e-1]);
    }

    #[test]
    fn every_value_has_a_place() {
        assert_eq!(Scale::exact([7.0].into_iter()).place(7.0), 0.5);
        assert_eq!(Scale::exact([1.0, 3.0].into_iter()).place(3.0), 1.0);
        assert!((Scale::logarithmic([0.001, 1.0].into_iter()).place(0.1) - 2.0 / 3.0).abs() < 1e-12);
        assert!(Scale::round(std::iter::empty(), 0.1).place(0.0).is_finite());
    }
}
