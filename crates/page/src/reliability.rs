//! The reliability diagram: what the probabilities claim beside how often they are right.

use std::fmt::Write as _;

use unspsc_contract::ReliabilityBin;

use crate::escape;
use crate::plot::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH};

/// Space between the bars.
const GAP: f64 = 2.0;

/// Where a share of the range, or of the rows, lies.
fn x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn y(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

/// Share of right rows by claimed probability: bars of `bins`, dots of those `before` calibration, where they are known,
/// and the line on which both would be equal.
#[must_use]
pub fn reliability_diagram(title: &str, bins: &[ReliabilityBin], before: &[ReliabilityBin]) -> String {
    let mut svg = frame(title);
    bars(&mut svg, bins, |bin| bin.accuracy);
    let _ = write!(svg, "<path class=\"claimed\" d=\"M{} {}L{} {}\"/>", x(0.0), y(0.0), x(1.0), y(1.0));
    for bin in before.iter().filter(|bin| bin.rows > 0) {
        let (x, y) = (x(bin.confidence), y(bin.accuracy));
        let _ = write!(svg, "<circle class=\"a\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
    let (right, top) = (WIDTH - RIGHT + 8.0, y(1.0));
    let _ = write!(svg, "<text class=\"name tick\" x=\"{right}\" y=\"{:.1}\">as claimed</text></svg>", top + 4.0);
    svg
}

/// Share of the rows by claimed probability.
#[must_use]
pub fn probability_histogram(bins: &[ReliabilityBin]) -> String {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let mut svg = frame("Rows, by probability");
    bars(&mut svg, bins, |bin| bin.rows as f64 / rows.max(1) as f64);
    svg.push_str("</svg>");
    svg
}

/// Title, horizontal lines at quarters, and probabilities below; the element stays open.
fn frame(title: &str) -> String {
    let title = escape(title);
    let mut svg =
        format!("<svg class=\"reliability\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
    let _ = write!(svg, "<text class=\"title\" x=\"0\" y=\"14\">{title}</text>");
    for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (y, right, percent) = (y(quarter), WIDTH - RIGHT, 100.0 * quarter);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
        let _ = write!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{percent:.0} %</text>", LEFT - 6.0, y + 4.0);
        let (x, below) = (x(quarter), HEIGHT - BOTTOM + 16.0);
        let _ = write!(svg, "<text class=\"tick middle\" x=\"{x:.1}\" y=\"{below}\">{quarter}</text>");
    }
    let _ = write!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{}\">probability</text>", WIDTH - RIGHT, HEIGHT - 3.0);
    svg
}

/// A bar a bin that has rows, each with its figures for whoever points at it.
fn bars(svg: &mut String, bins: &[ReliabilityBin], share: impl Fn(&ReliabilityBin) -> f64) {
    let width = (x(1.0) - x(0.0)) / bins.len().max(1) as f64;
    for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
        let (left, top) = (x(0.0) + place as f64 * width + GAP / 2.0, y(share(bin)));
        let _ = write!(
            svg,
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{} rows: \
             {:.1} % claimed, {:.1} % right</title></rect>",
            width - GAP,
            y(0.0) - top,
            bin.rows,
            100.0 * bin.confidence,
            100.0 * bin.accuracy
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_height_of_what_is_right_and_empty_bins_none() {
        let mut bins = vec![ReliabilityBin::default(); 15];
        bins[14] = ReliabilityBin { rows: 3, confidence: 0.97, accuracy: 1.0 };
        bins[4] = ReliabilityBin { rows: 1, confidence: 0.3, accuracy: 0.0 };
        let svg = reliability_diagram("Right", &bins, &bins);
        let full = format!("height=\"{:.1}\"><title>3 rows: 97.0 % claimed, 100.0 % right", HEIGHT - TOP - BOTTOM);
        assert!(svg.contains(&full) && svg.contains("height=\"0.0\"><title>1 rows"), "{svg}");
        assert_eq!((svg.matches("<rect").count(), svg.matches("<circle").count()), (2, 2));
        assert!(probability_histogram(&bins).contains(&format!("height=\"{:.1}\"", 0.75 * (HEIGHT - TOP - BOTTOM))));
        let empty = reliability_diagram("Right", &[], &[]) + &probability_histogram(&[]);
        assert!(!empty.contains("NaN") && !empty.contains("<rect"));
    }
}
