//! Parallel coordinates: an axis a hyperparameter, the objective at the right, a line a trial.

use std::fmt::Write as _;

use unspsc_page::escape;

use super::super::report::Report;
use super::super::trials::{Trial, plain};
use super::{Axis, Colour, tooltip};

/// Size of the chart and its margins, in SVG units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 116.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 30.0;

/// The chart.
pub(super) fn chart(report: &Report, axes: &[(&str, Axis)], objective: &Axis, colour: &Colour<'_>) -> String {
    let label = format!("Values of {} trials and what came of them", report.trials.len());
    let mut svg = format!(
        "<div class=\"wide\"><svg class=\"trials large\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\n"
    );
    let metric = plain(&report.objective);
    let gap = (WIDTH - LEFT - RIGHT) / axes.len().max(1) as f64;
    let all = axes.iter().map(|(name, axis)| (*name, axis)).chain([(metric.as_str(), objective)]);
    let best = report.best.as_ref();
    let (lines, last): (Vec<&Trial>, Vec<&Trial>) = report.trials.iter().partition(|trial| Some(&trial.job) != best);
    for trial in lines.into_iter().chain(last) {
        line(&mut svg, report, trial, &Lines { axes, objective, colour, gap });
    }
    // Last, so that no line hides a number.
    for (index, (name, axis)) in all.enumerate() {
        draw(&mut svg, LEFT + index as f64 * gap, name, axis, index);
    }
    svg.push_str("</svg></div>\n");
    svg
}

/// What lines are drawn by.
struct Lines<'a> {
    axes: &'a [(&'a str, Axis)],
    objective: &'a Axis,
    colour: &'a Colour<'a>,
    gap: f64,
}

fn y(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

fn draw(svg: &mut String, x: f64, name: &str, axis: &Axis, index: usize) {
    // Names of neighbours would meet: every second one stands a line higher.
    let above = TOP - 12.0 - if index % 2 == 1 { 16.0 } else { 0.0 };
    let _ = write!(
        svg,
        "<path class=\"axis\" d=\"M{x:.1} {:.1}V{:.1}\"/><text class=\"title middle\" x=\"{x:.1}\" y=\"{above}\">{}</text>",
        y(1.0),
        y(0.0),
        escape(name)
    );
    for (place, text) in axis.ticks() {
        let _ = write!(
            svg,
            "<text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x - 7.0,
            y(place) + 4.0,
            escape(&text)
        );
    }
    svg.push('\n');
}

fn line(svg: &mut String, report: &Report, trial: &Trial, lines: &Lines<'_>) {
    let places = lines.axes.iter().map(|(name, axis)| axis.place_of(trial.values.get(*name)?));
    let mut points = String::new();
    let mut x = LEFT;
    for place in places {
        if let Some(place) = place {
            let _ = write!(points, "{x:.1},{:.1} ", y(place));
        }
        x += lines.gap;
    }
    let is_best = Some(&trial.job) == report.best.as_ref();
    let width = if is_best { 3.5 } else { 1.5 };
    let title = tooltip(report, trial);
    let Some((value, place)) = trial.objective.and_then(|value| Some((value, lines.objective.place(value)?))) else {
        let foot = HEIGHT - BOTTOM + 18.0;
        let _ = writeln!(
            svg,
            "<g class=\"none\"><polyline points=\"{points}{x:.1},{foot:.1}\">{title}</polyline>\
             <text x=\"{:.1}\" y=\"{:.1}\">× {}</text></g>",
            x + 4.0,
            foot + 4.0,
            trial.number
        );
        return;
    };
    let _ = writeln!(
        svg,
        "<g {}><polyline class=\"c\" style=\"stroke-width:{width}\" points=\"{points}{x:.1},{:.1}\">{title}</polyline>\
         <circle class=\"c\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"{width}\"/>{}</g>",
        lines.colour.of(value),
        y(place),
        y(place),
        if is_best {
            format!("<text class=\"c name\" x=\"{:.1}\" y=\"{:.1}\">best: {value:.4}</text>", x + 8.0, y(place) + 4.0)
        } else {
            String::new()
        }
    );
}
