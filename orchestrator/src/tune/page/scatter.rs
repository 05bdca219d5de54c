//! What came of trials by the value of one hyperparameter.

use std::fmt::Write as _;

use unspsc_page::escape;
use unspsc_page::plot::{BOTTOM, HEIGHT, LEFT, TOP, WIDTH};

use super::super::report::Report;
use super::super::trials::{Trial, plain};
use super::{Axis, Colour, tooltip};

/// Margin at the right: nothing is written there but the last number of the axis.
const RIGHT: f64 = 24.0;

fn x(place: f64) -> f64 {
    LEFT + 8.0 + place * (WIDTH - LEFT - RIGHT - 8.0)
}

fn y(place: f64) -> f64 {
    HEIGHT - BOTTOM - 8.0 - place * (HEIGHT - TOP - BOTTOM - 8.0)
}

/// The chart of the hyperparameter `name`.
pub(super) fn chart(report: &Report, name: &str, axis: &Axis, objective: &Axis, colour: &Colour<'_>) -> String {
    let title = escape(name);
    let mut svg = format!(
        "<svg class=\"trials\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0} by {title}\">\
         <text class=\"title\" x=\"0\" y=\"14\">{0} by {title}</text>\n",
        escape(&plain(&report.objective))
    );
    for (place, text) in objective.ticks() {
        let y = y(place);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
        let _ = write!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 6.0, y + 4.0);
    }
    for (place, text) in axis.ticks() {
        let (x, below) = (x(place), HEIGHT - BOTTOM + 18.0);
        let _ = write!(svg, "<text class=\"tick middle\" x=\"{x:.1}\" y=\"{below}\">{}</text>", escape(&text));
    }
    svg.push('\n');
    for trial in &report.trials {
        dot(&mut svg, report, trial, name, axis, &(objective, colour));
    }
    svg.push_str("</svg>\n");
    svg
}

fn dot(
    svg: &mut String,
    report: &Report,
    trial: &Trial,
    name: &str,
    axis: &Axis,
    (objective, colour): &(&Axis, &Colour<'_>),
) {
    let Some(x) = trial.values.get(name).and_then(|value| axis.place_of(value)).map(x) else { return };
    let title = tooltip(report, trial);
    let Some((value, place)) = trial.objective.and_then(|value| Some((value, objective.place(value)?))) else {
        let foot = HEIGHT - BOTTOM;
        let _ = writeln!(svg, "<g class=\"none\"><text class=\"middle\" x=\"{x:.1}\" y=\"{foot}\">×{title}</text></g>");
        return;
    };
    let is_best = Some(&trial.job) == report.best.as_ref();
    let (y, radius) = (y(place), if is_best { 7.0 } else { 5.0 });
    let _ = writeln!(
        svg,
        "<g {}><circle class=\"c\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">{title}</circle>\
         <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
        colour.of(value),
        x + radius + 3.0,
        y - 4.0,
        trial.number
    );
}
