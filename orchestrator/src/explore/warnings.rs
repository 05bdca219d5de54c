//! What is off about a data set, in plain words.

use crate::prepare::damage;
use crate::tables::count;

use super::survey::{Class, Survey};
use super::{percent, short};

/// Rows below which a class is hard to learn and its recall a matter of luck.
const FEW: usize = 10;
/// Shares of rows or texts above which something is worth a sentence.
const MANY_DUPLICATES: f64 = 0.2;
const MANY_CONTRADICTIONS: f64 = 0.01;
const MANY_CUT: f64 = 0.01;
/// The model's default length in tokens.
const MODEL_TOKENS: usize = 64;
/// Classes, and pairs of sources, that a sentence names.
const NAMED: usize = 3;

/// A sentence for everything that is off, what matters most first.
pub(crate) fn warnings(survey: &Survey) -> Vec<String> {
    let all = [few(survey), absent(survey), overlap(survey), contradictions(survey), duplicates(survey), cut(survey)];
    let damaged = survey.manifest.sources.iter().filter_map(damage).map(|line| format!("{line}."));
    all.into_iter().flatten().chain(damaged).collect()
}

fn few(survey: &Survey) -> Option<String> {
    let classes: Vec<&Class> = survey.classes.iter().filter(|class| class.rows.after() < FEW).collect();
    let sizes = |class: &Class| count(class.rows.after());
    let (number, verb) = classes_have(&classes)?;
    Some(format!("{number} {verb} fewer than {FEW} rows, too few to learn from: {}.", named(&classes, sizes)))
}

fn absent(survey: &Survey) -> Option<String> {
    let classes: Vec<&Class> = survey.classes.iter().filter(|class| class.rows.sides.contains(&0)).collect();
    let missing = |class: &Class| {
        let sides = ["training", "validation", "test"].into_iter().zip(class.rows.sides);
        let missing: Vec<&str> = sides.filter(|(_, rows)| *rows == 0).map(|(side, _)| side).collect();
        format!("not in {}", missing.join(", "))
    };
    let (number, verb) = classes_have(&classes)?;
    let named = named(&classes, missing);
    Some(format!("{number} {verb} no row on at least one side, so that nothing can be measured there: {named}."))
}

fn classes_have(classes: &[&Class]) -> Option<(String, &'static str)> {
    match classes.len() {
        0 => None,
        1 => Some(("One class".to_owned(), "has")),
        number => Some((format!("{} classes", count(number)), "have")),
    }
}

/// The first of `classes` with what is to be said of each; the smallest come last in the survey, and first here.
fn named(classes: &[&Class], what: impl Fn(&Class) -> String) -> String {
    let one = |class: &&Class| format!("{} ({})", short(class.label.as_str(), 40), what(class));
    let mut parts: Vec<String> = classes.iter().rev().take(NAMED).map(one).collect();
    parts.extend(classes.len().checked_sub(NAMED + 1).map(|more| format!("{} more", count(more + 1))));
    parts.join(", ")
}

fn overlap(survey: &Survey) -> Option<String> {
    let mut pairs: Vec<_> = survey.overlaps.as_ref()?.shared.iter().filter(|(_, s)| s.contradicting > 0).collect();
    pairs.sort_by_key(|(_, shared)| std::cmp::Reverse(shared.contradicting));
    let name = |place: usize| survey.sources.get(place).map_or_else(String::new, |s| short(&s.name, 40));
    let one = |((one, other), shared): &(&(usize, usize), &super::overlap::Shared)| {
        let (texts, contradicting) = (count(shared.texts), count(shared.contradicting));
        format!("{} and {} on {contradicting} of {texts} shared texts", name(*one), name(*other))
    };
    let mut parts: Vec<String> = pairs.iter().take(NAMED).map(one).collect();
    parts.extend(pairs.len().checked_sub(NAMED + 1).map(|more| format!("{} more pairs", count(more + 1))));
    (!parts.is_empty()).then(|| format!("Sources disagree about the label: {}.", parts.join("; ")))
}

fn contradictions(survey: &Survey) -> Option<String> {
    let share = survey.contradicting() as f64 / survey.usable().max(1) as f64;
    (share > MANY_CONTRADICTIONS).then(|| {
        let rows = count(survey.contradicting());
        format!(
            "{} of the usable rows ({rows}) are dropped because other rows label their text otherwise.",
            percent(share)
        )
    })
}

fn duplicates(survey: &Survey) -> Option<String> {
    let share = survey.manifest.counts.duplicates as f64 / survey.usable().max(1) as f64;
    (share > MANY_DUPLICATES).then(|| {
        let rows = count(survey.manifest.counts.duplicates);
        format!("{} of the usable rows ({rows}) repeat a text with the same label.", percent(share))
    })
}

fn cut(survey: &Survey) -> Option<String> {
    let share = survey.tokens.as_ref().ok()?.share_beyond(MODEL_TOKENS);
    (share > MANY_CUT).then(|| {
        let share = percent(share);
        format!(
            "{share} of the texts have more than {MODEL_TOKENS} tokens: the model sees their beginning only, unless \
             the hyperparameter max_length says more."
        )
    })
}
