//! The page's two sections by class: rows, and texts to look at.

use std::fmt::Write as _;

use unspsc_page::escape;

use crate::explore::survey::{Class, MAX_CLASSES, Sample, Survey};
use crate::explore::{percent, short};
use crate::tables::count;

use super::NAME;
use super::charts::Bars;

/// Sources that are named with the samples of a class.
const MAX_CLASS_SOURCES: usize = 4;
/// Characters of a sample that are shown.
const TEXT: usize = 140;

/// Rows by class, as bars and numbers.
pub(super) fn classes(survey: &Survey) -> String {
    let shown = &survey.classes[..survey.classes.len().min(MAX_CLASSES)];
    let before = survey.knows_before();
    let bars = Bars::up_to(shown.iter().map(|class| class.rows.first().max(class.rows.sides[0])).max().unwrap_or(0));
    let key = if before {
        format!("<span class=\"key was\"></span>{}<span class=\"key\"></span>training", survey.before)
    } else {
        "Training rows".to_owned()
    };
    let bounded = if shown.len() < survey.classes.len() { format!(", {MAX_CLASSES} shown") } else { String::new() };
    let mut html = format!(
        "<section>\n<h2>Rows by class</h2>\n<div class=\"wide long\"><table class=\"figures\">\n<caption>{key}; logarithmic \
         scale, largest class first{bounded}</caption>\n<thead><tr><th scope=\"col\" class=\"word\">class</th>\
         <th scope=\"col\" class=\"bars\">{}</th>",
        bars.scale()
    );
    let columns = before.then_some(survey.before).into_iter().chain(["training", "validation", "test"]);
    html.extend(columns.map(|column| format!("<th scope=\"col\">{column}</th>")));
    html.push_str("</tr></thead>\n<tbody>\n");
    for class in shown {
        let (rows, pair) = (class.rows, bars.pair(class.rows.before, class.rows.sides[0]));
        let _ = write!(html, "<tr><th scope=\"row\" class=\"word\">{}</th><td class=\"bars\">{pair}</td>", name(class));
        let numbers = before.then(|| rows.before.unwrap_or(0)).into_iter().chain(rows.sides);
        html.extend(numbers.map(|number| format!("<td>{}</td>", count(number))));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    if let Some(others) = survey.classes.get(MAX_CLASSES..).filter(|others| !others.is_empty()) {
        let rows: usize = others.iter().map(|class| class.rows.first()).sum();
        let largest = others.first().map_or(0, |class| class.rows.first());
        let _ = writeln!(
            html,
            "<p class=\"note\">{} smaller classes with {} rows together, {} at most each, are not shown.</p>",
            count(others.len()),
            count(rows),
            count(largest)
        );
    }
    html + "</section>\n"
}

/// Code or group, and the title where there is one, as HTML.
fn name(class: &Class) -> String {
    let label = short(class.label.as_str(), NAME);
    match &class.title {
        Some(title) => format!("<code>{}</code> {}", escape(&label), escape(&short(title, NAME))),
        None => escape(&label).into_owned(),
    }
}

/// Some texts of each class.
pub(super) fn samples(survey: &Survey) -> String {
    let mut html = String::from(
        "<section>\n<h2>Texts of each class</h2>\n<p class=\"note\">Drawn from the training rows by the seed; those of \
         validation and test stay unseen.</p>\n<div class=\"texts\">\n",
    );
    for class in survey.classes.iter().take(MAX_CLASSES) {
        let first: usize = class.sources.iter().map(|(_, rows)| rows).sum();
        let source = |(place, rows): &(usize, usize)| {
            let name = survey.sources.get(*place).map_or_else(String::new, |origin| short(&origin.name, NAME));
            format!("{name} {}", percent(*rows as f64 / first.max(1) as f64))
        };
        let mut named: Vec<String> = class.sources.iter().take(MAX_CLASS_SOURCES).map(source).collect();
        named.extend((class.sources.len() > MAX_CLASS_SOURCES).then(|| "others".to_owned()));
        let text = |sample: &Sample| {
            let made = if sample.made { " <i>(made)</i>" } else { "" };
            format!("{}{made}", escape(&short(&sample.text, TEXT)))
        };
        let texts: Vec<String> = class.samples.iter().map(text).collect();
        let texts = if texts.is_empty() { "<i>no training row</i>".to_owned() } else { texts.join(" <b>·</b> ") };
        let _ = writeln!(
            html,
            "<article><h3>{}</h3><p class=\"note\">{} rows: {}</p><p>{texts}</p></article>",
            name(class),
            count(first),
            escape(&named.join(", "))
        );
    }
    html + "</div>\n</section>\n"
}
