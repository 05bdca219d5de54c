//! Queries, quantised each by its largest magnitude.

use super::{BLOCK, QueryBlock};

/// What the largest magnitude of a query becomes.
const LIMIT: f32 = 127.0;

/// The stored number that stands for zero.
const STORED_ZERO: i32 = 8;

/// Quantised queries.
pub(crate) struct Queries {
    /// `[queries, blocks]`
    values: Vec<QueryBlock>,
    /// What a sum of products is made a cosine by: `[queries]`.
    scales: Vec<QueryScale>,
}

/// What turns a query's sums of products with stored numbers into cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct QueryScale {
    /// What a step is of a query of length 1; none where the query is zero or not finite, and so has no direction.
    step: Option<f32>,
    /// What the sum would be if all stored values were zero.
    zero: i32,
}

impl QueryScale {
    /// Whether the query has a direction.
    pub(crate) fn has_direction(self) -> bool {
        self.step.is_some()
    }

    /// The cosine that a sum of products stands for, with a stored vector of `scale`.
    #[inline(always)]
    pub(crate) fn cosine(self, sum: i32, scale: f32) -> f32 {
        (sum - self.zero) as f32 * scale * self.step.unwrap_or(0.0)
    }
}

impl Queries {
    /// Takes `queries`, `[queries, hidden]`, of any length.
    pub(crate) fn quantise(queries: &[f32], hidden: usize) -> Self {
        let blocks = hidden.div_ceil(BLOCK);
        let mut all = Self { values: Vec::new(), scales: Vec::new() };
        for query in queries.chunks_exact(hidden) {
            let start = all.values.len();
            all.values.resize(start + blocks, [0; BLOCK]);
            all.scales.push(quantise(query, all.values[start..].as_flattened_mut()));
        }
        all
    }

    /// `[queries, blocks]`
    pub(crate) fn values(&self) -> &[QueryBlock] {
        &self.values
    }

    /// `[queries]`
    pub(crate) fn scales(&self) -> &[QueryScale] {
        &self.scales
    }
}

/// Writes the whole numbers that stand for `query`.
fn quantise(query: &[f32], values: &mut [i8]) -> QueryScale {
    let largest = query.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !query.iter().all(|value| value.is_finite()) {
        return QueryScale { step: None, zero: 0 };
    }
    let mut squares = 0.0_f64;
    for (value, x) in values.iter_mut().zip(query) {
        // The quotient comes first: the inverse of a very small magnitude would be infinite.
        let share = x / largest;
        *value = (share * LIMIT).round() as i8;
        squares += f64::from(share).powi(2);
    }
    let sum: i32 = values.iter().map(|value| i32::from(*value)).sum();
    let step = 1.0 / (f64::from(LIMIT) * squares.sqrt());
    QueryScale { step: Some(step as f32), zero: STORED_ZERO * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_one_direction_whatever_its_length() {
        for factor in [1.0, 1e-38, 1e37] {
            let queries = Queries::quantise(&[3.0 * factor, -4.0 * factor, 0.0], 3);
            assert_eq!((queries.values().len(), &queries.values()[0][..4]), (1, &[95_i8, -127, 0, 0][..]));
            let scale = queries.scales()[0];
            // The product with a stored vector of 15, 1, 8 and so on, which is 7 * (1, -1, 0) of scale 1 / (7 √2).
            let cosine = scale.cosine(15 * 95 - 127, 1.0 / (7.0 * 2_f32.sqrt()));
            assert!((cosine - 1.4 / 2_f32.sqrt()).abs() < 0.002, "{cosine}");
        }
    }

    #[test]
    fn what_has_no_direction_says_so() {
        let queries = Queries::quantise(&[0.0, 0.0, f32::NAN, 1.0, f32::INFINITY, 1.0, 1.0, 0.0], 2);
        let directed: Vec<bool> = queries.scales().iter().map(|scale| scale.has_direction()).collect();
        assert_eq!(directed, [false, false, false, true]);
    }
}
