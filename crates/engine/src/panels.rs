//! Panels: neighbouring outputs of a dense layer, whose weights stand in consecutive memory.

use std::ops::Range;

use crate::kernels::MatrixMut;

/// Neighbouring outputs, and their weights as a kernel wants them.
pub(crate) struct Panel<W> {
    pub(crate) outputs: Range<usize>,
    pub(crate) weights: W,
}

/// The panels of the outputs `some`, which begin and end where panels do.
pub(crate) fn of_outputs<'a, W>(panels: &'a [Panel<W>], some: &Range<usize>) -> &'a [Panel<W>] {
    let first = panels.partition_point(|panel| panel.outputs.start < some.start);
    let end = panels.partition_point(|panel| panel.outputs.end <= some.end);
    &panels[first..end]
}

/// Calls `product` with the weights of each panel and its columns of `out`; threads share the panels, at least `grain`
/// each.
pub(crate) fn share<W: Sync>(
    panels: &[Panel<W>],
    mut out: MatrixMut<'_>,
    grain: usize,
    product: &(impl Fn(&W, MatrixMut<'_>) + Sync),
) {
    if panels.len() >= 2 * grain && rayon::current_num_threads() > 1 {
        let (left, right) = panels.split_at(panels.len() / 2);
        let (left_out, right_out) = out.split_columns(left.iter().map(|panel| panel.outputs.len()).sum());
        rayon::join(|| share(left, left_out, grain, product), || share(right, right_out, grain, product));
        return;
    }
    for panel in panels {
        let (columns, rest) = out.split_columns(panel.outputs.len());
        product(&panel.weights, columns);
        out = rest;
    }
}
