//! A series that never grows beyond a bound, however long the run.

use unspsc_contract::Series;

/// Rows that a series holds at most: two a pixel of the report's charts.
const MAX_ROWS: usize = 512;

/// Keeps means over equally many observations, twice as many whenever the series is full.
#[derive(Debug)]
pub(super) struct History {
    series: Series,
    /// Observations a row.
    stride: usize,
    /// Observations of the next row: how many, the place of the last one, and the sums of their values.
    pending: (usize, f64, Vec<f64>),
}

impl History {
    /// A series by the first of `columns`.
    pub(super) fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        Self { series: Series { columns, rows: Vec::new() }, stride: 1, pending: (0, 0.0, Vec::new()) }
    }

    /// Adds what was observed at `place`, one value for each further column. A row with a value that is not there or
    /// not finite is left out: it has no place in a mean or in JSON.
    pub(super) fn push(&mut self, place: f64, values: impl IntoIterator<Item = f64>) {
        let values: Vec<f64> = values.into_iter().collect();
        if values.len() + 1 != self.series.columns.len() || !values.iter().all(|value| value.is_finite()) {
            return;
        }
        let (count, last, sums) = &mut self.pending;
        sums.resize(values.len(), 0.0);
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        (*count, *last) = (*count + 1, place);
        if *count == self.stride {
            self.series.rows.extend(row(&std::mem::take(&mut self.pending)));
        }
        if self.series.rows.len() == MAX_ROWS {
            self.halve();
        }
    }

    /// Two rows become one, with the place of the second and the mean of their values.
    fn halve(&mut self) {
        let mean = |pair: &[Vec<f64>]| {
            let [first, second] = pair else { return pair.concat() };
            let mean = |(column, (a, b)): (usize, (&f64, &f64))| if column == 0 { *b } else { f64::midpoint(*a, *b) };
            first.iter().zip(second).enumerate().map(mean).collect()
        };
        self.series.rows = self.series.rows.chunks(2).map(mean).collect();
        self.stride *= 2;
    }

    /// The series, with what is left over in a last row.
    pub(super) fn series(&self) -> Series {
        let mut series = self.series.clone();
        series.rows.extend(row(&self.pending));
        series
    }
}

fn row((count, last, sums): &(usize, f64, Vec<f64>)) -> Option<Vec<f64>> {
    (*count > 0).then(|| std::iter::once(*last).chain(sums.iter().map(|sum| sum / *count as f64)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_thinned_to_means_and_a_short_one_is_not() {
        let history = |steps: i32| {
            let mut history = History::new(["step", "value"]);
            (1..=steps).for_each(|step| history.push(f64::from(step), [f64::from(step)]));
            history.series()
        };
        assert_eq!(history(3).rows, [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]);
        let long = history(100_003);
        assert!((MAX_ROWS / 2..=MAX_ROWS).contains(&long.rows.len()), "{}", long.rows.len());
        assert_eq!(long.rows[0], [256.0, 128.5]);
        assert_eq!(long.rows[1], [512.0, 384.5]);
        assert_eq!(long.rows.last().unwrap()[0], 100_003.0);
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let mut history = History::new(["step", "a", "b"]);
        history.push(1.0, [1.0, f64::NAN]);
        history.push(2.0, [1.0]);
        history.push(2.0, [1.0, 2.0]);
        assert_eq!(history.series().rows, [[2.0, 1.0, 2.0]]);
    }
}
