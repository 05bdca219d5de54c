//! Size of a chart and the margins that its labels need, in SVG units, so that charts that stand side by side are alike.

/// Width of the whole.
pub const WIDTH: f64 = 420.0;
/// Height of the whole.
pub const HEIGHT: f64 = 240.0;
/// Margin for the numbers at the left.
pub const LEFT: f64 = 48.0;
/// Margin for the names of lines at the right.
pub const RIGHT: f64 = 74.0;
/// Margin for the title.
pub const TOP: f64 = 28.0;
/// Margin for the numbers and the name of the axis below.
pub const BOTTOM: f64 = 34.0;
