//! Tables of embeddings.

use std::borrow::Cow;

use rayon::prelude::*;

/// A table of embeddings, `[rows, width]`.
pub(crate) enum Table {
    /// As trained.
    Float32 { values: Vec<f32>, width: usize },
    /// In half of the memory: 15 bits and a sign with a scale by row, which is far more exact than the products that
    /// follow.
    Int16 { values: Vec<i16>, width: usize, scales: Vec<f32> },
}

impl Table {
    /// Takes the rows of `values`, quantised if it is to be `small`.
    pub(crate) fn new(values: Cow<'_, [f32]>, width: usize, small: bool) -> Self {
        if !small {
            return Self::Float32 { values: values.into_owned(), width };
        }
        let mut quantised = vec![0; values.len()];
        let rows = values.par_chunks_exact(width).zip(quantised.par_chunks_exact_mut(width));
        let scales = rows.map(|(row, quantised)| quantise(row, quantised)).collect();
        Self::Int16 { values: quantised, width, scales }
    }

    /// Writes row number `row` to `out`, `[width]`.
    pub(crate) fn read(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Float32 { values, width } => out.copy_from_slice(&values[row * width..][..*width]),
            Self::Int16 { values, width, scales } => {
                let scale = scales[row];
                for (out, value) in out.iter_mut().zip(&values[row * width..][..*width]) {
                    *out = f32::from(*value) * scale;
                }
            }
        }
    }
}

/// Quantises a row and returns its scale.
fn quantise(row: &[f32], quantised: &mut [i16]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = (largest / f32::from(i16::MAX)).max(f32::MIN_POSITIVE);
    for (quantised, value) in quantised.iter_mut().zip(row) {
        *quantised = (value / scale).round() as i16;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_table_has_the_rows_of_the_exact_one_to_one_part_in_thirty_thousand() {
        let values: Vec<f32> = (0..5 * 96).map(|i| ((i * 7919) % 997) as f32 / 300.0 - 1.5).chain([0.0; 96]).collect();
        let (exact, small) = (Table::new(values.as_slice().into(), 96, false), Table::new(values.into(), 96, true));
        for row in 0..6 {
            let read = |table: &Table| {
                let mut out = [f32::NAN; 96];
                table.read(row, &mut out);
                out
            };
            let (exact, small) = (read(&exact), read(&small));
            let largest = exact.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let differs = |(a, b): (&f32, &f32)| (a - b).abs() > largest / 65_000.0;
            assert!(!exact.iter().zip(&small).any(differs), "row {row}");
        }
    }
}
