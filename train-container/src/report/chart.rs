//! The page's figures as inline SVG.

use std::fmt::Write as _;

use unspsc_contract::ClassRecall;
use unspsc_page::escape;

/// One curve.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Class of its colour in the style sheet.
    pub(super) class: &'static str,
    /// By epoch, from 1.
    pub(super) values: Vec<f64>,
}

/// Size of a chart and the margins that its labels need, in SVG units.
pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 240.0;
pub(super) const LEFT: f64 = 48.0;
pub(super) const RIGHT: f64 = 74.0;
pub(super) const TOP: f64 = 28.0;
pub(super) const BOTTOM: f64 = 34.0;

/// Least distance between the names at the curves' ends.
const NAME_HEIGHT: f64 = 13.0;

/// Where values and epochs lie on a chart.
struct Scale {
    low: f64,
    high: f64,
    epochs: usize,
}

impl Scale {
    fn of(curves: &[Line]) -> Self {
        let values = || curves.iter().flat_map(|line| line.values.iter().copied()).filter(|value| value.is_finite());
        let high = values().fold(f64::MIN_POSITIVE, f64::max);
        let low = values().fold(high, f64::min);
        let epochs = curves.iter().map(|line| line.values.len()).max().unwrap_or(0);
        let step = step(high - low);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, epochs }
    }

    fn x(&self, index: usize) -> f64 {
        let share = if self.epochs > 1 { index as f64 / (self.epochs - 1) as f64 } else { 0.5 };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// A round distance between grid lines for a range: 1, 2 or 5 times a power of ten, about four of them.
fn step(range: f64) -> f64 {
    let rough = (range / 4.0).max(0.01);
    let power = 10_f64.powf(rough.log10().floor());
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|multiple| multiple * power >= rough);
    multiple.unwrap_or(10.0) * power
}

/// A line chart over epochs; `best` is marked.
pub(super) fn lines(title: &str, curves: &[Line], best: Option<usize>, label: impl Fn(f64) -> String) -> String {
    let scale = Scale::of(curves);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title} by epoch\">");
    let _ = write!(svg, "<text class=\"title\" x=\"0\" y=\"14\">{title}</text>");
    grid(&mut svg, &scale, label);
    if let Some(best) = best {
        let (x, bottom) = (scale.x(best.saturating_sub(1)), HEIGHT - BOTTOM);
        let _ = write!(svg, "<path class=\"best\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
    }
    let mut ends: Vec<(f64, &Line)> = Vec::new();
    for line in curves {
        let point = |(index, value): (usize, &f64)| format!("{:.1},{:.1}", scale.x(index), scale.y(*value));
        let points: Vec<String> = line.values.iter().enumerate().map(point).collect();
        let _ = write!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.join(" "));
        // With few epochs each is a measurement that one wants to see; with many the dots would be the line.
        for (index, value) in line.values.iter().enumerate().filter(|_| scale.epochs <= 20) {
            let (x, y) = (scale.x(index), scale.y(*value));
            let _ = write!(svg, "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>", line.class);
        }
        ends.extend(line.values.last().map(|value| (scale.y(*value), line)));
    }
    names(&mut svg, ends);
    svg.push_str("</svg>");
    svg
}

/// Horizontal lines with values, and the epochs below.
fn grid(svg: &mut String, scale: &Scale, label: impl Fn(f64) -> String) {
    let step = step(scale.high - scale.low);
    let mut value = scale.low;
    while value <= scale.high + step / 2.0 {
        let (y, right) = (scale.y(value), WIDTH - RIGHT);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
        let (x, y, label) = (LEFT - 6.0, y + 4.0, label(value));
        let _ = write!(svg, "<text class=\"tick end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
        value += step;
    }
    let every = scale.epochs.div_ceil(10).max(1);
    for index in (0..scale.epochs).filter(|index| (index + 1) % every == 0) {
        let (x, y, epoch) = (scale.x(index), HEIGHT - BOTTOM + 16.0, index + 1);
        let _ = write!(svg, "<text class=\"tick middle\" x=\"{x:.1}\" y=\"{y}\">{epoch}</text>");
    }
    let _ = write!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{}\">epoch</text>", WIDTH - RIGHT, HEIGHT - 3.0);
}

/// The curves' names at their right ends, moved apart where they would overlap.
fn names(svg: &mut String, mut ends: Vec<(f64, &Line)>) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::MIN;
    for (y, line) in ends {
        let y = y.max(free);
        free = y + NAME_HEIGHT;
        let (x, y) = (WIDTH - RIGHT + 8.0, y + 4.0);
        let _ = write!(svg, "<text class=\"name {}\" x=\"{x}\" y=\"{y:.1}\">{}</text>", line.class, line.name);
    }
}

/// Height of one bar with its space.
const ROW: f64 = 20.0;
/// Where the bars begin, and how long the longest is.
const BARS_LEFT: f64 = 470.0;
const BARS_WIDTH: f64 = 330.0;
/// Characters of a title that fit before the bars.
const TITLE_CHARS: usize = 50;

/// A horizontal bar a class.
pub(super) fn bars<'a>(classes: impl ExactSizeIterator<Item = &'a ClassRecall>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_stand_at_round_values() {
        assert_eq!([3.7, 0.45, 0.02, 90.0, 0.0].map(step), [1.0, 0.2, 0.01, 50.0, 0.01]);
    }

    #[test]
    fn one_epoch_and_equal_values_are_drawn_too() {
        let curves = [Line { name: "flat", class: "a", values: vec![0.5] }];
        let svg = lines("Loss", &curves, Some(1), |value| format!("{value:.2}"));
        assert!(svg.contains("<circle") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
