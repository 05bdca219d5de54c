//! From rows and answers to figures.

use std::collections::BTreeMap;

use unspsc_contract::{AutoScores, EvaluationReport, Failures, LevelScores};
use unspsc_scores::{Confusion, Coverage, Hierarchical, Reliability, Top};
use unspsc_taxonomy::{Code, Level, Titles};

use super::answers::Answer;
use super::rows::LabelledRows;
use super::worst;

/// Levels whose worst codes are listed; below them most codes have a row or two.
const LISTED: [Level; 2] = [Level::Segment, Level::Family];
/// Places of failed rows that are named.
const MAX_PLACES: usize = 10;

/// How good the `answers`, one a row, are.
pub(super) fn judge(
    rows: &LabelledRows,
    answers: &[Answer],
    answered_by: &str,
    precision: f64,
    titles: &Titles,
) -> EvaluationReport {
    let scores = |level| Some((level, level_scores(rows, answers, level, precision, titles)?));
    EvaluationReport {
        evaluated_by: concat!("unspsc ", env!("CARGO_PKG_VERSION")).to_owned(),
        answered_by: answered_by.to_owned(),
        data: rows.data.clone(),
        precision,
        levels: Level::ALL.into_iter().filter_map(scores).collect(),
        auto: auto_scores(rows, answers),
        failures: failures(rows, answers),
    }
}

/// A row whose code reaches the level in question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) description: &'a str,
    /// The row's code, at whatever level.
    pub(super) code: Code,
    pub(super) answer: &'a Answer,
}

/// Figures of one level; none where no row reaches it or no answer does.
fn level_scores(
    rows: &LabelledRows,
    answers: &[Answer],
    level: Level,
    precision: f64,
    titles: &Titles,
) -> Option<LevelScores> {
    let judged = rows.rows.iter().zip(answers).filter(|(row, _)| row.code.reaches(level));
    let judged = judged.map(|(row, answer)| Judged { description: &row.description, code: row.code, answer });
    let judged: Vec<Judged<'_>> = judged.collect();
    judged.iter().find(|row| row.answer.best(level).is_some())?;
    let (mut confusion, mut top, mut classes) = (Confusion::default(), Top::<5>::default(), Classes::default());
    let (mut reliability, mut coverage) = (Reliability::default(), Coverage::default());
    for Judged { code, answer, .. } in &judged {
        let truth = code.at(level);
        let best = answer.best(level);
        let hit = best.is_some_and(|best| best.code == truth);
        let confidence = best.map_or(0.0, |best| best.probability);
        confusion.count(classes.place(truth), best.map(|best| classes.place(best.code)));
        top.count(&truth, answer.by_level.get(&level).into_iter().flatten().map(|guess| guess.code));
        reliability.count(confidence, hit);
        coverage.count(confidence, hit);
    }
    let covered = coverage.at(precision);
    let worst = if LISTED.contains(&level) { worst::classes(&judged, level, titles) } else { Vec::new() };
    Some(LevelScores {
        rows: confusion.total(),
        classes: confusion.found().count(),
        accuracy: confusion.accuracy(),
        balanced_accuracy: confusion.balanced_accuracy(),
        macro_f1: confusion.macro_f1(),
        top5_accuracy: top.accuracy(),
        ece: reliability.error(),
        bins: reliability.report(),
        coverage: covered.share,
        coverage_threshold: covered.threshold,
        worst,
    })
}

/// Codes in the order in which they came.
#[derive(Debug, Default)]
struct Classes(BTreeMap<Code, usize>);

impl Classes {
    fn place(&mut self, code: Code) -> usize {
        let next = self.0.len();
        *self.0.entry(code).or_insert(next)
    }
}

/// Figures of the answers at the level that the classifier chose; none where it chose none.
fn auto_scores(rows: &LabelledRows, answers: &[Answer]) -> Option<AutoScores> {
    answers.iter().find(|answer| answer.label.is_some())?;
    let (mut hierarchical, mut levels, mut needs_review) = (Hierarchical::default(), BTreeMap::new(), 0);
    for (row, answer) in rows.rows.iter().zip(answers) {
        // Nothing says whether what lies below the row's own level is right.
        hierarchical.count(row.code, answer.label.map(|label| label.at(row.code.level())));
        let Some(label) = answer.label else { continue };
        if answer.needs_review {
            needs_review += 1;
            continue;
        }
        let level: &mut unspsc_contract::AutoLevel = levels.entry(label.level()).or_default();
        level.rows += 1;
        level.judged += usize::from(row.code.reaches(label.level()));
        level.right += usize::from(row.code.reaches(label.level()) && row.code.at(label.level()) == label);
    }
    Some(AutoScores {
        hierarchical_precision: hierarchical.precision(),
        hierarchical_recall: hierarchical.recall(),
        hierarchical_f1: hierarchical.f1(),
        levels,
        needs_review,
    })
}

/// Rows without an answer, by the error's code.
fn failures(rows: &LabelledRows, answers: &[Answer]) -> BTreeMap<String, Failures> {
    let mut failures: BTreeMap<String, Failures> = BTreeMap::new();
    for (row, answer) in rows.rows.iter().zip(answers) {
        let Some(error) = &answer.error else { continue };
        let new = || Failures { rows: 0, message: error.message.clone(), places: Vec::new() };
        let failed = failures.entry(error.code.clone()).or_insert_with(new);
        failed.rows += 1;
        if failed.places.len() < MAX_PLACES {
            failed.places.push(rows.place(row));
        }
    }
    failures
}

#[cfg(test)]
mod tests;
