//! What came of trials over time.

use std::fmt::Write as _;

use super::super::report::Report;
use super::super::trials::Trial;
use super::{Axis, Colour, tooltip};

/// Size of the chart and its margins, in SVG units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 268.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;

/// A unit of time with its length in seconds.
const UNITS: [(&str, f64); 3] = [("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)];

fn x(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn y(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

/// A trial with its seconds from the first start.
struct Span<'a> {
    trial: &'a Trial,
    from: f64,
    to: f64,
}

/// The chart; empty where no trial has run.
pub(super) fn chart(report: &Report, objective: &Axis, colour: &Colour<'_>) -> String {
    let Some(begin) = report.trials.iter().filter_map(|trial| trial.started).min() else { return String::new() };
    let since = |time: jiff::Timestamp| (time.as_millisecond() - begin.as_millisecond()) as f64 / 1000.0;
    let span = |trial| span(trial, since);
    let mut spans: Vec<Span<'_>> = report.trials.iter().filter_map(span).collect();
    spans.sort_by(|one, other| one.to.total_cmp(&other.to));
    let last = spans.last().map_or(1.0, |span| span.to).max(1.0);
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| last >= 2.0 * seconds).unwrap_or(("seconds", 1.0));
    let time = Axis::Numbers { low: 0.0, high: last / seconds, is_logarithmic: false, is_whole: false };
    let mut svg = format!(
        "<div class=\"wide\"><svg class=\"trials large\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Objective over time\">\n"
    );
    frame(&mut svg, objective, &time, unit);
    let place = |at: f64| x(time.place(at / seconds).unwrap_or_default());
    best_so_far(&mut svg, &spans, objective, colour, &place);
    for Span { trial, from, to } in &spans {
        let (from, to, title) = (place(*from), place(*to), tooltip(report, trial));
        let Some((value, height)) = trial.objective.and_then(|value| Some((value, y(objective.place(value)?)))) else {
            let foot = y(0.0) + 10.0;
            let _ = writeln!(
                svg,
                "<g class=\"none\"><path d=\"M{from:.1} {foot:.1}H{to:.1}\">{title}</path>\
                 <text x=\"{:.1}\" y=\"{:.1}\">×</text></g>",
                to + 1.0,
                foot + 4.0
            );
            continue;
        };
        let radius = if Some(&trial.job) == report.best.as_ref() { 7.0 } else { 5.0 };
        let _ = writeln!(
            svg,
            "<g {}><path class=\"run\" d=\"M{from:.1} {height:.1}H{to:.1}\">{title}</path>\
             <circle class=\"c\" cx=\"{to:.1}\" cy=\"{height:.1}\" r=\"{radius}\">{title}</circle>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            colour.of(value),
            to + radius + 3.0,
            height - 4.0,
            trial.number
        );
    }
    svg.push_str("</svg></div>\n");
    svg
}

fn span(trial: &Trial, since: impl Fn(jiff::Timestamp) -> f64) -> Option<Span<'_>> {
    let from = since(trial.started?);
    Some(Span { trial, from, to: trial.ended.map_or(from, since).max(from) })
}

fn frame(svg: &mut String, objective: &Axis, time: &Axis, unit: &str) {
    for (place, text) in objective.ticks() {
        let y = y(place);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
        let _ = write!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 8.0, y + 4.0);
    }
    for (place, text) in time.ticks() {
        let _ = write!(
            svg,
            "<text class=\"tick middle\" x=\"{:.1}\" y=\"{}\">{text}</text>",
            x(place),
            HEIGHT - BOTTOM + 28.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"tick end\" x=\"{}\" y=\"{}\">{unit} since the first trial began</text>",
        WIDTH - RIGHT,
        HEIGHT - 5.0
    );
}

/// The best until then, as steps.
fn best_so_far(
    svg: &mut String,
    spans: &[Span<'_>],
    objective: &Axis,
    colour: &Colour<'_>,
    place: &impl Fn(f64) -> f64,
) {
    let mut path = String::new();
    let mut best: Option<f64> = None;
    for Span { trial, to, .. } in spans {
        let Some(value) = trial.objective.filter(|value| best.is_none_or(|best| colour.search.is_better(*value, best)))
        else {
            continue;
        };
        let Some(height) = objective.place(value).map(y) else { continue };
        let _ = match best {
            None => write!(path, "M{:.1} {height:.1}", place(*to)),
            Some(_) => write!(path, "H{:.1}V{height:.1}", place(*to)),
        };
        best = Some(value);
    }
    if best.is_some() {
        let _ = writeln!(svg, "<path class=\"best\" fill=\"none\" d=\"{path}H{}\"/>", WIDTH - RIGHT);
    }
}
