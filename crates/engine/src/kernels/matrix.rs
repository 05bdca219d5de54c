//! Matrix products in float32 by the `gemm` crate, behind views whose bounds are checked.

use std::marker::PhantomData;

use gemm::Parallelism;

/// A read-only view of a matrix in a slice: element `(r, c)` stands at `r * row_stride + c * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values, `row_stride` apart.
    ///
    /// # Panics
    /// If the last element would lie outside `values`: the caller's arithmetic is wrong.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(values.len(), rows, columns, row_stride);
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// A writable view of a matrix: rows of consecutive values that do not overlap. It can be divided by columns, so that
/// threads share the work of a product.
pub(crate) struct MatrixMut<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: while a view lives, nothing else reaches its elements, so that it may move to another thread as `&mut [f32]`
// may: `new` borrows the slice exclusively, and `split_columns` divides the elements between two views.
#[allow(unsafe_code)]
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// Rows of `columns` values, `row_stride` apart.
    ///
    /// # Panics
    /// If rows overlap or the last element would lie outside `values`: the caller's arithmetic is wrong.
    pub(crate) fn new(values: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(values.len(), rows, columns, row_stride);
        assert!(row_stride >= columns, "rows of {columns} values overlap at a stride of {row_stride}");
        Self { first: values.as_mut_ptr(), rows, columns, row_stride, borrow: PhantomData }
    }

    /// The first `at` columns, and the others.
    ///
    /// # Panics
    /// If there are fewer columns: the caller's arithmetic is wrong.
    pub(crate) fn split_columns(self, at: usize) -> (Self, Self) {
        assert!(at <= self.columns, "{} columns cannot be divided at {at}", self.columns);
        let right = Self { first: self.first.wrapping_add(at), columns: self.columns - at, ..self };
        (Self { columns: at, ..self }, right)
    }

    /// One row.
    ///
    /// # Panics
    /// If there are fewer rows: the caller's arithmetic is wrong.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "there is no row {row} of {}", self.rows);
        // SAFETY: `new` checked that all rows lie inside the slice, dividing keeps to the view's columns, and while `self`
        // is borrowed nothing else reaches them.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.first.add(row * self.row_stride), self.columns)
        }
    }
}

fn assert_fits(len: usize, rows: usize, columns: usize, row_stride: usize) {
    let needed = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + columns };
    assert!(needed <= len, "a {rows}x{columns} matrix of stride {row_stride} needs {needed} values, there are {len}");
}

/// `out = scale * left · right`, or with `add` what is in `out` plus that, on the calling thread.
///
/// # Panics
/// If the shapes do not fit together: the caller's arithmetic is wrong.
pub(crate) fn multiply(out: &mut MatrixMut<'_>, left: Matrix<'_>, right: Matrix<'_>, scale: f32, add: bool) {
    assert_eq!((left.rows, left.columns, right.columns), (out.rows, right.rows, out.columns), "shapes of a product");
    let stride = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    // SAFETY: the views' constructors checked that every element that their strides reach lies inside their slices, so
    // also that a stride fits an isize wherever it is used; dividing a view keeps that. `out` alone reaches its
    // elements, as the comment on `Send` says. The three shapes were compared above.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            left.columns,
            out.first,
            1,
            stride(out.row_stride),
            add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values without a pattern that could hide exchanged indices.
    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    #[test]
    fn agrees_with_the_definition() {
        for (rows, inner, columns) in [(1, 1, 1), (1, 32, 8), (8, 32, 8), (3, 17, 65), (40, 384, 57), (70, 64, 130)] {
            let (left, right) = (values(rows * inner, 1), values(inner * columns, 2));
            let before = values(rows * (columns + 3), 3);
            for add in [false, true] {
                let mut out = before.clone();
                let mut view = MatrixMut::new(&mut out, rows, columns, columns + 3);
                let right_view = Matrix::new(&right, columns, inner, inner).transposed();
                multiply(&mut view, Matrix::new(&left, rows, inner, inner), right_view, 0.5, add);
                for (at, got) in out.iter().enumerate() {
                    let (r, c) = (at / (columns + 3), at % (columns + 3));
                    let product: f64 = (0..inner)
                        .map(|k| {
                            f64::from(left[r * inner + k]) * f64::from(right.get(c * inner + k).map_or(0.0, |v| *v))
                        })
                        .sum();
                    let start = f64::from(before[at]);
                    let expected = match (c < columns, add) {
                        (false, _) => start,
                        (true, false) => 0.5 * product,
                        (true, true) => start + 0.5 * product,
                    };
                    assert!((f64::from(*got) - expected).abs() < 5e-5, "{rows}x{inner}x{columns} at {r},{c}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "needs 12 values, there are 11")]
    fn a_view_outside_its_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 11], 3, 4, 4);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn overlapping_rows_cannot_be_written() {
        let _ = MatrixMut::new(&mut [0.0; 12], 3, 4, 3);
    }

    #[test]
    fn a_view_divided_by_columns_is_filled_by_its_parts() {
        let (left, right) = (values(5 * 7, 1), values(7 * 10, 2));
        let (left, right) = (Matrix::new(&left, 5, 7, 7), Matrix::new(&right, 7, 10, 10));
        let mut whole = [0.0; 50];
        multiply(&mut MatrixMut::new(&mut whole, 5, 10, 10), left, right, 1.0, false);
        let mut parts = [0.0; 50];
        let (mut first, mut second) = MatrixMut::new(&mut parts, 5, 10, 10).split_columns(3);
        let narrow = |start: usize, columns: usize| Matrix::new(&right.values[start..], 7, columns, 10);
        std::thread::scope(|scope| {
            scope.spawn(|| multiply(&mut second, left, narrow(3, 7), 1.0, false));
            multiply(&mut first, left, narrow(0, 3), 1.0, false);
        });
        assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn rows_of_a_part_are_its_columns() {
        let mut values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let (mut left, mut right) = MatrixMut::new(&mut values, 3, 4, 4).split_columns(1);
        assert_eq!((left.row_mut(2), right.row_mut(1)), ([8.0].as_mut_slice(), [5.0, 6.0, 7.0].as_mut_slice()));
    }

    #[test]
    #[should_panic(expected = "4 columns cannot be divided at 5")]
    fn a_view_cannot_be_divided_outside() {
        let _ = MatrixMut::new(&mut [0.0; 12], 3, 4, 4).split_columns(5);
    }
}
