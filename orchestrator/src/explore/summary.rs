//! The survey in the terminal: at most 24 lines.

use crate::tables::{align_numbers, count, table};

use super::lengths::Lengths;
use super::survey::{Imbalance, Origin, Rows, Survey};
use super::warnings::warnings;
use super::{LIMITS, percent, short};

/// Sources and warnings that have a line of their own; the page has all of them.
const SOURCES: usize = 4;
const WARNINGS: usize = 4;
/// Characters of a source's name that leave a table's row on one line.
const NAME: usize = 40;

/// The most important figures.
pub(crate) fn describe(survey: &Survey) -> String {
    let mut warnings = warnings(survey);
    if warnings.len() > WARNINGS {
        let more = warnings.len() - (WARNINGS - 1);
        warnings.truncate(WARNINGS - 1);
        warnings.push(format!("{more} more on the page."));
    }
    let warnings: String = warnings.iter().map(|warning| format!("! {warning}\n")).collect();
    format!("{}\n{}\n{}\n{warnings}", sources(survey), sizes(survey), lengths(survey)).trim_end().to_owned()
}

/// Rows by source.
fn sources(survey: &Survey) -> String {
    let mut rows = table(["source", survey.before, "training", "validation", "test"]);
    let mut add = |name: String, Rows { before, sides }: Rows| {
        rows.add_row([name, before.map_or_else(unknown, count)].into_iter().chain(sides.map(count)));
    };
    let shown = if survey.sources.len() > SOURCES { SOURCES - 1 } else { SOURCES };
    survey.sources.iter().take(shown).for_each(|origin| add(short(&origin.name, NAME), origin.rows));
    if let Some(others) = survey.sources.get(shown..).filter(|others| !others.is_empty()) {
        add(format!("{} others", count(others.len())), Origin::sum(others));
    }
    align_numbers(&mut rows, 1..5);
    format!("{rows}\n")
}

/// Classes, imbalance and what was dropped.
fn sizes(survey: &Survey) -> String {
    let counts = &survey.manifest.counts;
    let before = survey.classes.iter().filter(|class| class.rows.before.is_some_and(|rows| rows > 0)).count();
    let before = if before > 0 { count(before) } else { unknown() };
    let ratio = |imbalance: Option<Imbalance>| imbalance.map_or_else(unknown, |imbalance| imbalance.to_string());
    let mut sizes = table(["classes", survey.before, "training"]);
    sizes.add_row(["with rows".to_owned(), before, count(counts.classes)]);
    let imbalance = [ratio(survey.imbalance_before()), ratio(survey.imbalance_after())];
    sizes.add_row(["largest : smallest".to_owned()].into_iter().chain(imbalance));
    align_numbers(&mut sizes, 1..3);
    let share = percent(survey.dropped() as f64 / counts.rows.max(1) as f64);
    let rejects = counts.rejects.values().sum::<usize>() - survey.contradicting();
    let reasons = [
        ("duplicates", counts.duplicates),
        ("contradictions", survey.contradicting()),
        ("other rejects", rejects),
        ("caps", counts.capped),
    ];
    let reasons = reasons.map(|(reason, rows)| format!("{reason} {}", count(rows))).join(", ");
    let (dropped, read) = (count(survey.dropped()), count(counts.rows));
    format!("{sizes}\n{dropped} of {read} rows dropped ({share}): {reasons}\n")
}

/// Lengths in words and tokens, or why there are no tokens.
fn lengths(survey: &Survey) -> String {
    let [low, high] = LIMITS;
    let mut lengths =
        table(["length in", "median", "mode", "longest", &format!("cut at {low}"), &format!("cut at {high}")]);
    let mut add = |name: &str, found: &Lengths| {
        let cut = LIMITS.map(|limit| percent(found.share_beyond(limit)));
        let figures = [found.median().to_string(), count(found.mode()), count(found.longest())];
        lengths.add_row([name.to_owned()].into_iter().chain(figures).chain(cut));
    };
    add("words", &survey.words);
    let missing = match &survey.tokens {
        Ok(tokens) => {
            add("tokens", tokens);
            String::new()
        }
        Err(reason) => format!("{}\n", without_tokens(reason)),
    };
    align_numbers(&mut lengths, 1..6);
    format!("{lengths}\n{missing}")
}

/// Why there are no tokens, and how there would be.
pub(crate) fn without_tokens(reason: &str) -> String {
    format!("Tokens are not counted ({reason}): run scripts/setup, or name an encoder's folder with --encoder.")
}

fn unknown() -> String {
    "–".to_owned()
}
