//! Which classes are taken for which: a heat map, and the most frequent mistakes in words.

use std::collections::HashMap;
use std::fmt::Write as _;

use unspsc_contract::Evaluation;
use unspsc_page::{escape, table};

/// Classes that the map shows; more cannot be told apart.
const MAX_CLASSES: usize = 60;

/// Mistakes that are listed.
const MAX_MISTAKES: usize = 10;

/// Side of a cell and width of the labels, in SVG units.
const CELL: f64 = 13.0;
const LABELS: f64 = 74.0;

/// Heat map and mistakes of the `name` split; nothing where no row was judged.
pub(super) fn section(split: &Evaluation, name: &str) -> String {
    if split.confusion.cells.is_empty() {
        return String::new();
    }
    let shown = shown(split);
    let all = split.confusion.labels.len();
    let cut = if shown.len() < all {
        format!(" The {} classes with most rows of {all}.", shown.len())
    } else {
        String::new()
    };
    format!(
        "<section><h2>Confusion</h2>\n<p class=\"note\">Each line holds the {name} rows of one class, by the \
         class that they were taken for; the darker, the larger the share. What is right lies on the diagonal.{cut}\
         </p>\n{}{}</section>\n",
        map(split, &shown),
        mistakes(split)
    )
}

/// Places in [`ConfusionMatrix::labels`](unspsc_contract::ConfusionMatrix) of the classes with most rows, in their
/// order.
fn shown(split: &Evaluation) -> Vec<usize> {
    let mut rows = vec![0; split.confusion.labels.len()];
    for [truth, predicted, count] in &split.confusion.cells {
        for place in [*truth, *predicted] {
            if let Some(rows) = rows.get_mut(place) {
                *rows += count;
            }
        }
    }
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(rows.get(*place)));
    places.truncate(MAX_CLASSES);
    places.sort_unstable();
    places
}

fn map(split: &Evaluation, shown: &[usize]) -> String {
    let labels = &split.confusion.labels;
    let place: HashMap<usize, f64> = shown.iter().zip(0..).map(|(label, place)| (*label, f64::from(place))).collect();
    let mut totals: HashMap<usize, usize> = HashMap::new();
    split.confusion.cells.iter().for_each(|[truth, _, count]| *totals.entry(*truth).or_default() += count);
    let side = shown.len() as f64 * CELL;
    let size = LABELS + side;
    // A few classes make a small map and not a coarse one.
    let mut svg = format!(
        "<svg class=\"confusion\" viewBox=\"0 0 {size} {size}\" style=\"max-width:{:.0}px\" role=\"img\" \
         aria-label=\"Confusion by class\"><rect class=\"rail\" x=\"{LABELS}\" y=\"{LABELS}\" width=\"{side}\" \
         height=\"{side}\"/>",
        size * 1.2
    );
    for (label, place) in shown.iter().filter_map(|label| Some((labels.get(*label)?, place.get(label)?))) {
        let at = LABELS + place * CELL;
        let (label, middle, end) = (escape(label), at + CELL - 3.0, LABELS - 5.0);
        let _ = write!(
            svg,
            "<text class=\"tick end\" x=\"{end}\" y=\"{middle}\">{label}</text>\
             <text class=\"tick\" transform=\"translate({middle} {end}) rotate(-90)\">{label}</text>"
        );
    }
    for [truth, predicted, count] in &split.confusion.cells {
        let (Some(x), Some(y), Some(total)) = (place.get(predicted), place.get(truth), totals.get(truth)) else {
            continue;
        };
        let share = *count as f64 / (*total).max(1) as f64;
        let class = if truth == predicted { "right" } else { "wrong" };
        let of = |place: &usize| escape(labels.get(*place).map_or("", String::as_str));
        let _ = write!(
            svg,
            // The root keeps single mistakes visible.
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{CELL}\" height=\"{CELL}\" fill-opacity=\"{:.2}\">\
             <title>{} taken for {}: {count} of {total}</title></rect>",
            LABELS + x * CELL,
            LABELS + y * CELL,
            share.sqrt(),
            of(truth),
            of(predicted)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The pairs of classes that are confused most often.
fn mistakes(split: &Evaluation) -> String {
    let titles: HashMap<&str, &str> =
        split.classes.iter().filter_map(|class| Some((class.label.as_str(), class.title.as_deref()?))).collect();
    let mut wrong: Vec<&[usize; 3]> = split.confusion.cells.iter().filter(|cell| cell[0] != cell[1]).collect();
    wrong.sort_by_key(|cell| std::cmp::Reverse(cell[2]));
    if wrong.is_empty() {
        return "<p>Nothing was taken for anything else.</p>\n".into();
    }
    let class = |place: usize| {
        let label = split.confusion.labels.get(place).map_or("", String::as_str);
        titles.get(label).map_or_else(|| label.to_owned(), |title| format!("{label} {title}"))
    };
    let row = |[truth, predicted, count]: &[usize; 3]| vec![class(*truth), class(*predicted), count.to_string()];
    let rows = wrong.into_iter().take(MAX_MISTAKES).map(row);
    table("The most frequent mistakes", ["class", "taken for", "rows"], 2, rows)
}

#[cfg(test)]
mod tests {
    use unspsc_contract::{ClassRecall, ConfusionMatrix};

    use super::*;

    fn split(labels: usize, cells: Vec<[usize; 3]>) -> Evaluation {
        let labels: Vec<String> = (0..labels).map(|label| format!("{}000000", 10 + label)).collect();
        let class =
            ClassRecall { label: "10000000".into(), title: Some("Live <plants>".into()), rows: 4, recall: 0.75 };
        Evaluation { confusion: ConfusionMatrix { labels, cells }, classes: vec![class], ..Evaluation::default() }
    }

    #[test]
    fn a_cell_has_the_share_of_its_line_and_the_worst_mistake_comes_first() {
        let html = section(&split(3, vec![[0, 0, 3], [0, 1, 1], [1, 1, 2], [2, 1, 5]]), "test");
        let cell = "class=\"wrong\" x=\"87\" y=\"74\" width=\"13\" height=\"13\" fill-opacity=\"0.50\">\
                    <title>10000000 taken for 11000000: 1 of 4";
        assert!(html.contains(cell), "{html}");
        assert_eq!((html.matches("class=\"right\"").count(), html.matches("class=\"wrong\"").count()), (2, 2));
        let places = ["12000000</th>", "10000000 Live &lt;plants&gt;</th>"].map(|text| html.find(text).unwrap());
        assert!(places.is_sorted(), "{html}");
        assert!(section(&Evaluation::default(), "test").is_empty());
    }

    #[test]
    fn of_thousands_of_classes_those_with_most_rows_are_shown() {
        let cells = (0..200).map(|class| [class, class, if class == 150 { 9 } else { 1 }]).collect();
        let html = section(&split(200, cells), "test");
        assert!(html.contains("The 60 classes with most rows of 200.") && html.contains("taken for 160000000: 9 of 9"));
        assert!(html.contains("Nothing was taken for anything else"));
    }
}
