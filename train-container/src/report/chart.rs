//! Line charts as inline SVG.

use std::fmt::Write as _;

use unspsc_page::escape;
use unspsc_page::plot::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH};

use super::scale::Scale;

/// One curve.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) colour: Colour,
    /// Place in the run and value, ascending.
    pub(super) points: Vec<(f64, f64)>,
}

/// What a curve is drawn in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Colour {
    /// The one to look at.
    Accent,
    /// What stands beside it.
    Plain,
    /// What is too noisy to be looked at alone.
    Faint,
    /// One of many, by its share of the way from the first to the last.
    Ramp(f64),
}

impl Colour {
    /// Class and, for what the style sheet cannot know, style. The ramp goes from blue by way of purple to red: all of
    /// it can be read on white and on black.
    fn attributes(self) -> String {
        match self {
            Self::Accent => "class=\"b\"".into(),
            Self::Plain => "class=\"a\"".into(),
            Self::Faint => "class=\"a faint\"".into(),
            Self::Ramp(share) => {
                format!("class=\"c\" style=\"color:hsl({:.0} 65% var(--ramp))\"", 212.0 + 163.0 * share)
            }
        }
    }
}

/// How values lie along their axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Values {
    /// Evenly; grid lines are at least so far apart, that no two get the same label.
    Even(f64),
    /// By powers of ten.
    Logarithmic,
}

/// What is drawn, beside the curves.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What the places are: `epoch`, `step`, `minutes`.
    pub(super) places: &'a str,
    pub(super) values: Values,
    /// A place that is marked.
    pub(super) marked: Option<f64>,
}

/// Least distance between the names at the curves' ends.
const NAME_HEIGHT: f64 = 13.0;

/// With few points each is a measurement that one wants to see; with many the dots would be the line.
const MAX_DOTS: usize = 25;

/// Both axes.
struct Axes {
    x: Scale,
    y: Scale,
}

impl Axes {
    fn x(&self, place: f64) -> f64 {
        LEFT + self.x.place(place) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart<'_> {
    /// The chart of `lines`, with values written by `label`.
    pub(super) fn draw(&self, lines: &[Line<'_>], label: impl Fn(f64) -> String) -> String {
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let values = points().map(|(_, value)| *value);
        let y = match self.values {
            Values::Even(finest) => Scale::round(values, finest),
            Values::Logarithmic => Scale::logarithmic(values),
        };
        let axes = Axes { x: Scale::exact(points().map(|(place, _)| *place)), y };
        let Self { title, places, .. } = self;
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title} by {places}\">");
        let _ = write!(svg, "<text class=\"title\" x=\"0\" y=\"14\">{title}</text>");
        self.grid(&mut svg, &axes, label);
        if let Some(marked) = self.marked {
            let (x, bottom) = (axes.x(marked), HEIGHT - BOTTOM);
            let _ = write!(svg, "<path class=\"best\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
        }
        let mut ends: Vec<(f64, &Line<'_>)> = Vec::new();
        for line in lines {
            curve(&mut svg, &axes, line, self.values == Values::Logarithmic);
            ends.extend(line.points.last().map(|(_, value)| (axes.y(*value), line)));
        }
        names(&mut svg, ends);
        svg.push_str("</svg>\n");
        svg
    }

    /// Horizontal lines with values, and the places below.
    fn grid(&self, svg: &mut String, axes: &Axes, label: impl Fn(f64) -> String) {
        for value in axes.y.ticks(false) {
            let (y, right) = (axes.y(value), WIDTH - RIGHT);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let (x, y, label) = (LEFT - 6.0, y + 4.0, label(value));
            let _ = write!(svg, "<text class=\"tick end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
        }
        for place in axes.x.ticks(true) {
            let (x, y) = (axes.x(place), HEIGHT - BOTTOM + 16.0);
            let _ = write!(svg, "<text class=\"tick middle\" x=\"{x:.1}\" y=\"{y}\">{place:.0}</text>");
        }
        let (x, y) = (WIDTH - RIGHT, HEIGHT - 3.0);
        let _ = write!(svg, "<text class=\"tick end\" x=\"{x}\" y=\"{y}\">{}</text>", self.places);
    }
}

fn curve(svg: &mut String, axes: &Axes, line: &Line<'_>, logarithmic: bool) {
    let drawn = || line.points.iter().filter(|(_, value)| value.is_finite() && (!logarithmic || *value > 0.0));
    let colour = line.colour.attributes();
    let points: Vec<String> =
        drawn().map(|(place, value)| format!("{:.1},{:.1}", axes.x(*place), axes.y(*value))).collect();
    let _ = write!(svg, "<polyline {colour} points=\"{}\"/>", points.join(" "));
    let dots = points.len() <= MAX_DOTS && !matches!(line.colour, Colour::Ramp(_));
    for (place, value) in drawn().filter(|_| dots) {
        let (x, y) = (axes.x(*place), axes.y(*value));
        let _ = write!(svg, "<circle {colour} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
    }
}

/// The curves' names at their right ends, moved apart where they would overlap, and up where they would leave the
/// chart.
fn names(svg: &mut String, mut ends: Vec<(f64, &Line<'_>)>) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::MIN;
    for (y, _) in &mut ends {
        *y = y.max(free);
        free = *y + NAME_HEIGHT;
    }
    let mut lowest = HEIGHT - BOTTOM;
    for (y, _) in ends.iter_mut().rev() {
        *y = y.min(lowest);
        lowest = *y - NAME_HEIGHT;
    }
    for (y, line) in ends {
        let (x, y) = (WIDTH - RIGHT + 8.0, y + 4.0);
        let colour = line.colour.attributes().replacen("class=\"", "class=\"name ", 1);
        let _ = write!(svg, "<text {colour} x=\"{x}\" y=\"{y:.1}\">{}</text>", escape(line.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(values: Values, points: &[(f64, f64)], curves: usize) -> String {
        let line = |_| Line { name: "curve", colour: Colour::Accent, points: points.to_vec() };
        let lines: Vec<Line<'_>> = (0..curves).map(line).collect();
        let chart = Chart { title: "Loss", places: "step", values, marked: Some(1.0) };
        chart.draw(&lines, |value| format!("{value:.2}"))
    }

    #[test]
    fn one_point_equal_values_zeros_and_no_point_at_all_are_drawn_too() {
        for points in [&[][..], &[(1.0, 0.5)], &[(1.0, 0.0), (2.0, 0.0)], &[(1.0, 0.5), (2.0, f64::NAN)]] {
            for values in [Values::Even(0.01), Values::Logarithmic] {
                let svg = draw(values, points, 1);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
        assert!(draw(Values::Even(0.01), &[(1.0, 0.5)], 1).contains("<circle"));
    }

    #[test]
    fn names_of_curves_that_end_together_stand_apart_and_on_the_chart() {
        let svg = draw(Values::Even(0.01), &[(1.0, 1.0), (2.0, 0.0)], 8);
        let name = |part: &str| part.split("y=\"").nth(1)?.split('"').next()?.parse::<f64>().ok();
        let places: Vec<f64> = svg.split("<text class=\"name").skip(1).filter_map(name).collect();
        assert_eq!(places.len(), 8);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= NAME_HEIGHT - 0.1), "{places:?}");
        assert!(places.iter().all(|y| (TOP..=HEIGHT - BOTTOM + 4.1).contains(y)), "{places:?}");
    }

    #[test]
    fn no_two_grid_lines_have_the_same_label() {
        let svg = draw(Values::Even(0.01), &[(1.0, 0.441), (2.0, 0.449)], 1);
        let labels: Vec<&str> =
            svg.split("tick end").skip(1).filter_map(|part| part.split(['>', '<']).nth(1)).collect();
        assert_eq!(labels, ["0.44", "0.45", "step"]);
    }
}
