//! Recall by class as horizontal bars.

use std::fmt::Write as _;

use unspsc_contract::ClassRecall;

use crate::escape;

/// Height of one bar with its space.
const ROW: f64 = 20.0;
/// Where the bars begin, and how long the longest is.
const BARS_LEFT: f64 = 470.0;
const BARS_WIDTH: f64 = 330.0;
/// Characters of a title that fit before the bars.
const TITLE_CHARS: usize = 50;

/// A horizontal bar a class, of the length of its recall.
#[must_use]
pub fn recall_bars<'a>(classes: impl ExactSizeIterator<Item = &'a ClassRecall>) -> String {
    let height = classes.len() as f64 * ROW;
    let width = BARS_LEFT + BARS_WIDTH + 80.0;
    let mut svg = format!("<svg class=\"bars\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Recall\">");
    for (index, class) in classes.enumerate() {
        let top = index as f64 * ROW;
        let text = top + 14.0;
        let title = class.title.as_deref().unwrap_or_default();
        let short: String = title.chars().take(TITLE_CHARS).collect();
        let dots = if short.len() < title.len() { "…" } else { "" };
        let _ = write!(
            svg,
            "<text class=\"code\" x=\"0\" y=\"{text}\">{}</text><text x=\"76\" y=\"{text}\">{}{dots}</text>",
            escape(&class.label),
            escape(&short)
        );
        let (y, length) = (top + 4.0, class.recall * BARS_WIDTH);
        let _ = write!(
            svg,
            "<rect class=\"rail\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{BARS_WIDTH}\" height=\"12\"/>\
             <rect class=\"bar\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{text}\">{:.0} % of {}</text>",
            BARS_LEFT + BARS_WIDTH + 8.0,
            100.0 * class.recall,
            class.rows
        );
    }
    svg.push_str("</svg>\n");
    svg
}
