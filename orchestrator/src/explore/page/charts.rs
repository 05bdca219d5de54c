//! The page's figures as inline SVG.

use std::fmt::Write as _;

use unspsc_page::escape;

use crate::explore::lengths::Lengths;
use crate::explore::{LIMITS, percent};
use crate::tables::count;

/// Size of a histogram and the margins that its labels need, in SVG units.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 6.0;
const BOTTOM: f64 = 36.0;
/// Height of a line of text; four marks at most stand one below the other above the columns.
const LINE: f64 = 16.0;
const TOP: f64 = 5.5 * LINE;

/// Lengths that have a column of their own at most; what is longer shares the last one.
const MOST_COLUMNS: usize = 140;
/// Share of the texts that may end up in the last column, so that a few long texts do not flatten all others.
const TAIL: f64 = 0.005;

/// Where lengths and numbers of texts lie on a histogram.
struct Scale {
    /// The last length with a column of its own, counted from 1.
    end: usize,
    /// Columns, that of the longer texts included.
    columns: usize,
    /// Texts between two grid lines.
    step: usize,
    /// Texts at the uppermost grid line.
    high: usize,
}

impl Scale {
    fn of(lengths: &Lengths) -> Self {
        let enough = (1..MOST_COLUMNS).find(|end| lengths.share_beyond(*end) <= TAIL).unwrap_or(MOST_COLUMNS);
        let end = enough.max(10).next_multiple_of(5);
        let columns = end + usize::from(lengths.beyond(end) > 0);
        let most = (1..=end).map(|length| lengths.of(length)).chain([lengths.beyond(end)]).max().unwrap_or(0);
        let step = step(most);
        Self { end, columns, step, high: most.max(1).next_multiple_of(step) }
    }

    /// Width of a column with its space.
    fn width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.columns as f64
    }

    /// The middle of the column of `length`.
    fn x(&self, length: f64) -> f64 {
        LEFT + (length - 0.5) * self.width()
    }

    fn y(&self, texts: usize) -> f64 {
        HEIGHT - BOTTOM - texts as f64 / self.high as f64 * (HEIGHT - TOP - BOTTOM)
    }
}

/// A round distance between grid lines up to `most`: 1, 2 or 5 times a power of ten, about four of them.
fn step(most: usize) -> usize {
    let rough = most.div_ceil(4).max(1);
    let power = 10_usize.pow(rough.ilog10());
    [1, 2, 5].into_iter().map(|multiple| multiple * power).find(|step| *step >= rough).unwrap_or(10 * power)
}

/// A column for each length in `unit`; median, mode and the limits of models are marked.
pub(crate) fn histogram(title: &str, unit: &str, lengths: &Lengths) -> String {
    let scale = Scale::of(lengths);
    let (median, mode, longest) = (lengths.median(), lengths.mode(), lengths.longest());
    let label = format!("{title}: median {median}, mode {mode}, longest {longest} {unit}");
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escape(&label));
    let _ = write!(svg, "<text class=\"title\" x=\"0\" y=\"14\">{}</text>", escape(title));
    axes(&mut svg, &scale, unit);
    let width = scale.width();
    for column in 1..=scale.columns {
        let texts = if column > scale.end { lengths.beyond(scale.end) } else { lengths.of(column) };
        let (x, y) = (scale.x(column as f64) - 0.44 * width, scale.y(texts));
        let (wide, high) = (0.88 * width, HEIGHT - BOTTOM - y);
        if texts > 0 {
            let _ =
                write!(svg, "<rect class=\"bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"/>");
        }
    }
    marks(&mut svg, &scale, lengths);
    svg.push_str("</svg>\n");
    svg
}

/// Horizontal lines with numbers of texts, and the lengths below.
fn axes(svg: &mut String, scale: &Scale, unit: &str) {
    let right = WIDTH - RIGHT;
    for texts in (0..=scale.high).step_by(scale.step) {
        let (y, x) = (scale.y(texts), LEFT - 6.0);
        let (text, label) = (y + 4.0, count(texts));
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
        let _ = write!(svg, "<text class=\"tick end\" x=\"{x}\" y=\"{text:.1}\">{label}</text>");
    }
    let every = [1, 2, 5, 10, 20].into_iter().find(|every| scale.end / every <= 10).unwrap_or(20);
    let y = HEIGHT - BOTTOM + 15.0;
    // The column of all that is longer has a name of its own below it.
    let clear = if scale.columns > scale.end { scale.end.saturating_sub(every) } else { scale.end };
    for length in (1..=clear).filter(|length| length % every == 0 || *length == 1) {
        let _ =
            write!(svg, "<text class=\"tick middle\" x=\"{:.1}\" y=\"{y}\">{length}</text>", scale.x(length as f64));
    }
    let (below, middle) = (HEIGHT - 4.0, f64::midpoint(LEFT, right));
    let _ = write!(svg, "<text class=\"tick middle\" x=\"{middle}\" y=\"{below}\">{}</text>", escape(unit));
    if scale.columns > scale.end {
        let _ = write!(svg, "<text class=\"tick end\" x=\"{right}\" y=\"{y}\">&gt; {}</text>", scale.end);
    }
}

/// Median, mode and limits, each on a line of its own; what lies beyond the last column is said at the right.
///
/// The leftmost mark has the topmost line: its own line runs down beside the names of those further right.
fn marks(svg: &mut String, scale: &Scale, lengths: &Lengths) {
    let (median, mode) = (lengths.median(), lengths.mode());
    let mut marks = if median == mode as f64 {
        vec![(median, format!("median and mode {median}"))]
    } else {
        vec![(median, format!("median {median}")), (mode as f64, format!("mode {mode}"))]
    };
    let cut = |limit: usize| format!("cut at {limit}: {}", percent(lengths.share_beyond(limit)));
    let (near, far): (Vec<usize>, Vec<usize>) = LIMITS.into_iter().partition(|limit| *limit <= scale.end);
    // A text that is cut has a word or token more than the limit.
    marks.extend(near.into_iter().map(|limit| (limit as f64 + 0.5, cut(limit))));
    marks.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut y = 14.0 + LINE + 4.0;
    for (length, name) in marks {
        let (x, from, bottom) = (scale.x(length), y - 10.0, HEIGHT - BOTTOM);
        let (side, text) = if x > WIDTH - 120.0 { ("mark end", x - 5.0) } else { ("mark", x + 5.0) };
        let _ = write!(svg, "<path class=\"best\" d=\"M{x:.1} {from}V{bottom}\"/>");
        let _ = write!(svg, "<text class=\"{side}\" x=\"{text:.1}\" y=\"{y}\">{}</text>", escape(&name));
        y += LINE;
    }
    if !far.is_empty() {
        let (x, text) = (WIDTH - RIGHT, far.into_iter().map(cut).collect::<Vec<_>>().join(", "));
        let _ = write!(svg, "<text class=\"tick end\" x=\"{x}\" y=\"14\">{} →</text>", escape(&text));
    }
}

/// Size of a class's bars, in SVG units.
const BAR_WIDTH: f64 = 220.0;
const BAR_HEIGHT: f64 = 17.6;
/// Length of the bar of one row: a logarithm would be 0 there, and nothing to be seen.
const STUB: f64 = 6.0;

/// Lengths of bars for numbers of rows up to `most`, on a scale of powers of ten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bars {
    most: usize,
}

impl Bars {
    /// For numbers of rows up to `most`.
    pub(crate) fn up_to(most: usize) -> Self {
        Self { most: most.max(10) }
    }

    fn length(self, rows: usize) -> f64 {
        if rows == 0 { 0.0 } else { STUB + (rows as f64).log10() / (self.most as f64).log10() * (BAR_WIDTH - STUB) }
    }

    fn powers(self) -> impl Iterator<Item = usize> {
        (0..).map(|power| 10_usize.pow(power)).take_while(move |rows| *rows <= self.most)
    }

    /// The scale above the bars.
    pub(crate) fn scale(self) -> String {
        let mut svg = open("logarithmic scale");
        for rows in self.powers() {
            let x = self.length(rows);
            let side = if x > BAR_WIDTH - 20.0 { "end" } else { "middle" };
            let label = match rows {
                1_000_000.. => format!("{}M", rows / 1_000_000),
                1_000.. => format!("{}k", rows / 1_000),
                _ => rows.to_string(),
            };
            let _ = write!(svg, "<text class=\"tick {side}\" x=\"{x:.1}\" y=\"13\">{label}</text>");
        }
        svg + "</svg>"
    }

    /// The bars of one class: rows before, where that is known, above training rows.
    pub(crate) fn pair(self, before: Option<usize>, training: usize) -> String {
        let label = match before {
            Some(before) => format!("{} before, {} in training", count(before), count(training)),
            None => format!("{} in training", count(training)),
        };
        let mut svg = open(&label);
        for rows in self.powers() {
            let _ = write!(svg, "<path class=\"grid\" d=\"M{:.1} -3V21\"/>", self.length(rows));
        }
        if let Some(before) = before {
            let _ = write!(svg, "<rect class=\"was\" y=\"2\" width=\"{:.1}\" height=\"6\"/>", self.length(before));
        }
        let (y, height) = if before.is_some() { (9, 6) } else { (4, 10) };
        let length = self.length(training);
        let _ = write!(svg, "<rect class=\"bar\" y=\"{y}\" width=\"{length:.1}\" height=\"{height}\"/>");
        svg + "</svg>"
    }
}

fn open(label: &str) -> String {
    format!("<svg viewBox=\"0 0 {BAR_WIDTH} {BAR_HEIGHT}\" role=\"img\" aria-label=\"{label}\">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_powers_of_ten_and_one_row_can_be_seen() {
        let bars = Bars::up_to(10_000);
        assert_eq!([0, 1, 100, 10_000].map(|rows| bars.length(rows)), [0.0, STUB, 113.0, BAR_WIDTH]);
        assert_eq!(bars.powers().collect::<Vec<_>>(), [1, 10, 100, 1_000, 10_000]);
    }

    #[test]
    fn limits_are_marked_on_the_axis_or_said_beside_it() {
        let short: Lengths = [3; 1000].into_iter().chain([70, 200]).collect();
        let svg = histogram("Words", "words", &short);
        assert!(svg.contains("median and mode 3") && svg.contains(">&gt; 10<"), "{svg}");
        assert!(svg.contains("cut at 64: 0.2 %, cut at 128: &lt; 0.1 % →"), "{svg}");
        let long: Lengths = (1..=200).collect();
        let svg = histogram("Words", "words", &long);
        assert!(svg.contains("cut at 64: 68.0 %<") && svg.contains("cut at 128: 36.0 %<"), "{svg}");
        assert!(svg.contains("median 100.5") && svg.contains("mode 1<"), "{svg}");
    }

    #[test]
    fn grid_lines_stand_at_round_numbers() {
        assert_eq!([0, 3, 9, 90, 76_416].map(step), [1, 1, 5, 50, 20_000]);
    }

    #[test]
    fn nothing_to_draw_is_drawn_too() {
        let svg = histogram("Words", "words", &Lengths::default()) + &Bars::up_to(0).pair(Some(0), 0);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
