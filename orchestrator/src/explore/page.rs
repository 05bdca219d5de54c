//! The survey as one HTML file.

mod charts;
mod classes;
mod facts;

use std::fmt::Write as _;

use unspsc_page::{document, escape, table, tiles};

use crate::tables::count;

use super::lengths::{LONGEST, Lengths};
use super::overlap::Overlaps;
use super::summary::without_tokens;
use super::survey::{Origin, Rows, Survey};
use super::warnings::warnings;
use super::{LIMITS, percent, short};

use charts::histogram;
use classes::{classes, samples};
use facts::facts;

/// Sources that have a row of their own, and those whose overlaps are shown.
const MAX_SOURCES: usize = 40;
const MAX_OVERLAPS: usize = 12;
/// Characters of names that are shown.
const NAME: usize = 160;

/// What the survey does not know.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// What people call the data.
    pub(crate) name: String,
    /// The command that was given.
    pub(crate) command: String,
    /// Columns that it named.
    pub(crate) columns: Vec<String>,
}

/// The whole page.
pub(crate) fn page(survey: &Survey, about: &About) -> String {
    let options = &survey.manifest.options;
    let title = match options.groups {
        Some(_) => format!("{} in groups", about.name),
        None => format!("{} at {} level", about.name, options.level),
    };
    let sections = [
        verdict(survey),
        sources(survey),
        classes(survey),
        lengths(survey),
        fate(survey),
        overlaps(survey),
        samples(survey),
        facts(survey, about),
    ];
    document("Data exploration", &title, &sections.concat())
}

/// The numbers that one looks for first, and what is off.
fn verdict(survey: &Survey) -> String {
    let counts = &survey.manifest.counts;
    let (before, after) = (survey.imbalance_before(), survey.imbalance_after());
    let ratios: Vec<String> = [before, after].into_iter().flatten().map(|imbalance| imbalance.ratio()).collect();
    let median = [Some(&survey.words), survey.tokens.as_ref().ok()];
    let medians: Vec<String> = median.into_iter().flatten().map(|lengths| lengths.median().to_string()).collect();
    let dropped = survey.dropped() as f64 / counts.rows.max(1) as f64;
    let sides = if before.is_some() { "before → in training" } else { "in training" };
    let tokens = if medians.len() > 1 { " / tokens" } else { "" };
    let mut html = tiles(&[
        (count(survey.usable()), "usable rows".to_owned()),
        (count(counts.classes), "classes with training rows".to_owned()),
        (ratios.join(" → "), format!("largest class to smallest, {sides}")),
        (percent(dropped), format!("of {} rows dropped", count(counts.rows))),
        (medians.join(" / "), format!("words{tokens} in the median text")),
    ]);
    let warnings = warnings(survey);
    if warnings.is_empty() {
        html.push_str(
            "<p class=\"lead\">Nothing conspicuous: no tiny classes, few repetitions, no contradictions to speak \
             of.</p>\n",
        );
        return html;
    }
    html.push_str("<section>\n<h2>What to look at</h2>\n<ul class=\"warnings\">\n");
    for warning in warnings {
        let _ = writeln!(html, "<li>{}</li>", escape(&warning));
    }
    html + "</ul>\n</section>\n"
}

/// Rows by source.
fn sources(survey: &Survey) -> String {
    let before = survey.knows_before();
    let mut head = vec!["source"];
    head.extend(before.then_some(survey.before));
    head.extend(survey.overlaps.is_some().then_some("distinct texts"));
    head.extend(["training", "validation", "test"]);
    let row = |name: String, rows: Rows, distinct: Option<usize>| {
        let mut cells = vec![name];
        cells.extend(before.then(|| count(rows.before.unwrap_or(0))));
        cells.extend(survey.overlaps.is_some().then(|| distinct.map_or_else(String::new, count)));
        cells.extend(rows.sides.map(count));
        cells
    };
    let distinct = |place: usize| survey.overlaps.as_ref()?.distinct.get(&place).copied();
    let mut rows: Vec<Vec<String>> = (survey.sources.iter().take(MAX_SOURCES).enumerate())
        .map(|(place, origin)| row(short(&origin.name, NAME), origin.rows, distinct(place)))
        .collect();
    if let Some(others) = survey.sources.get(MAX_SOURCES..).filter(|others| !others.is_empty()) {
        rows.push(row(format!("{} smaller sources", count(others.len())), Origin::sum(others), None));
    }
    if survey.sources.len() > 1 {
        rows.push(row("all".to_owned(), Origin::sum(&survey.sources), None));
    }
    let caption = match (before, survey.overlaps.is_some()) {
        (true, true) => {
            "Usable rows as loaded, and what became of them. A text of several rows counts once: \
             as title of a commodity in its list, else where it came first."
        }
        (true, false) => "Rows of the prepared set before augmentation, and after.",
        (false, _) => "Rows of the prepared set; those before preparation are not in its folder.",
    };
    format!("<section>\n<h2>Rows by source</h2>\n{}</section>\n", table(caption, head, 1, rows))
}

/// How long the texts are.
fn lengths(survey: &Survey) -> String {
    let mut charts = histogram("Words in a text", "words", &survey.words);
    let [low, high] = LIMITS;
    let row = |name: &str, lengths: &Lengths| {
        let cut = |limit: usize| format!("{} ({})", percent(lengths.share_beyond(limit)), count(lengths.beyond(limit)));
        let figures = [lengths.median().to_string(), count(lengths.mode()), count(lengths.longest())];
        [name.to_owned()].into_iter().chain(figures).chain(LIMITS.map(cut)).collect()
    };
    let mut rows: Vec<Vec<String>> = vec![row("words", &survey.words)];
    let mut note = String::new();
    match &survey.tokens {
        Ok(tokens) => {
            charts += &histogram("Tokens in a text", "tokens", tokens);
            rows.push(row("tokens", tokens));
        }
        Err(reason) => note = format!("<p class=\"note\">{}</p>\n", escape(&without_tokens(reason))),
    }
    let head = ["length in", "median", "mode", "longest"].map(str::to_owned);
    let head = head.into_iter().chain([low, high].map(|limit| format!("cut at {limit}")));
    let texts = count(survey.words.texts());
    let mut caption = format!("Of the {texts} texts of training, validation and test");
    if let Ok(tokens) = &survey.tokens {
        caption += "; tokens are those of the encoder, with the special ones";
        if tokens.longest() == LONGEST {
            caption += &format!("; a text of more than {LONGEST} counts as that long");
        }
    }
    caption.push('.');
    format!(
        "<section>\n<h2>Length of the texts</h2>\n<div class=\"charts\">{charts}</div>\n{note}{}</section>\n",
        table(&caption, head, 1, rows)
    )
}

/// What became of the rows that were read.
fn fate(survey: &Survey) -> String {
    let counts = &survey.manifest.counts;
    let read = counts.rows.max(1) as f64;
    let row = |what: String, rows: usize| vec![what, count(rows), percent(rows as f64 / read)];
    let mut rows = vec![row("read".to_owned(), counts.rows)];
    rows.extend(counts.rejects.iter().map(|(reason, number)| row(format!("rejected: {reason}"), *number)));
    for (what, number) in [
        ("left out: same text and label again", counts.duplicates),
        ("left out: above the cap of a label", counts.capped),
        ("training", counts.train.saturating_sub(survey.made())),
        ("validation", counts.validation),
        ("test", counts.test),
    ] {
        rows.push(row(what.to_owned(), number));
    }
    if survey.made() > 0 {
        rows.push(vec!["made by augmentation, for training".to_owned(), count(survey.made()), String::new()]);
    }
    let repeats: usize = survey.manifest.sources.iter().map(|source| source.repeats).sum();
    let mut caption = "Every row that was read is in one of the lines below".to_owned();
    if repeats > 0 {
        caption += &format!("; {} repetitions that belong to a file's layout do not count", count(repeats));
    }
    caption.push('.');
    let table = table(&caption, ["what became of the rows", "rows", "share"], 1, rows);
    format!("<section>\n<h2>What became of the rows</h2>\n{table}</section>\n")
}

/// Texts that sources share.
fn overlaps(survey: &Survey) -> String {
    let body = match &survey.overlaps {
        None => "<p>A prepared set holds each text once: what its sources share can be seen in the data that it was \
                 made of.</p>\n"
            .to_owned(),
        Some(_) if survey.sources.len() < 2 => "<p>There is one source only.</p>\n".to_owned(),
        Some(overlaps) => matrix(survey, overlaps),
    };
    format!("<section>\n<h2>Texts that sources share</h2>\n{body}</section>\n")
}

fn matrix(survey: &Survey, overlaps: &Overlaps) -> String {
    let shown = survey.sources.len().min(MAX_OVERLAPS);
    let cell = |one: usize, other: usize| {
        if one == other {
            return overlaps.distinct.get(&one).map_or_else(String::new, |texts| format!("({})", count(*texts)));
        }
        let shared = overlaps.between(one, other);
        match (shared.texts, shared.contradicting) {
            (0, _) => "0".to_owned(),
            (texts, 0) => count(texts),
            (texts, contradicting) => format!("{}, {} contested", count(texts), count(contradicting)),
        }
    };
    let row = |(place, origin): (usize, &Origin)| {
        let name = format!("{} {}", place + 1, short(&origin.name, NAME));
        [name]
            .into_iter()
            .chain((0..shown).map(|other| if other <= place { cell(place, other) } else { String::new() }))
            .collect()
    };
    let head = ["source".to_owned()].into_iter().chain((1..=shown).map(|number| number.to_string()));
    let caption = "Distinct texts that two sources both hold; contested are those with more than one label between the \
                   two. In brackets: all distinct texts of the source.";
    let mut html = table(caption, head, 1, survey.sources.iter().take(shown).enumerate().map(row));
    if shown < survey.sources.len() {
        let _ = writeln!(html, "<p class=\"note\">The {shown} largest of {} sources.</p>", count(survey.sources.len()));
    }
    html
}

#[cfg(test)]
mod tests;
