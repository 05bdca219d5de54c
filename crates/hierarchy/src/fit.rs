//! Weights and thresholds from held-out rows.

use unspsc_taxonomy::{Code, Level};

use crate::evidence::{Child, Children, Evidence};
use crate::newton::{Choice, Vector, maximise};
use crate::{Found, Hierarchy, LevelWeights, Threshold, Weights};

/// A held-out row: what it is, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its code, at whatever level it is known.
    pub code: Code,
    /// Of the head's outputs, `[outputs]`.
    pub logits: Vec<f32>,
    /// What the index has for it, without the row itself.
    pub found: Found,
}

/// What cosines may be divided by.
const TEMPERATURES: [f64; 4] = [0.03, 0.05, 0.07, 0.1];

/// What may be taken off the cosine of a text.
const TEXT_PENALTIES: [f64; 4] = [0.0, 0.05, 0.1, 0.15];

/// The precisions that thresholds are looked for.
const PRECISIONS: [f64; 9] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99];

/// Rows above a threshold that are too few to say anything of it.
const MIN_ROWS: usize = 20;

/// The weights under which the codes of `rows` are most probable, without thresholds; `hierarchy` says what the head knows.
#[must_use]
pub fn fit(hierarchy: &Hierarchy, rows: &[Judged]) -> Weights {
    let mut best: Option<(f64, Weights)> = None;
    for temperature in TEMPERATURES {
        for text_penalty in TEXT_PENALTIES {
            let weights = Weights { temperature, text_penalty, ..hierarchy.weights().clone() };
            let (loss, weights) = fit_levels(&hierarchy.clone().with(weights), rows);
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, weights));
            }
        }
    }
    best.map_or_else(|| hierarchy.weights().clone(), |(_, weights)| weights)
}

/// The best weights of each level, and the sum of −ln of the probabilities of the rows' codes.
fn fit_levels(hierarchy: &Hierarchy, rows: &[Judged]) -> (f64, Weights) {
    let mut choices: Vec<Vec<Choice>> = vec![Vec::new(); Level::ALL.len()];
    for row in rows {
        let evidence = hierarchy.evidence(&row.logits, &row.found);
        for (choices, level) in choices.iter_mut().zip(Level::ALL) {
            choices.extend(choice(&evidence, row.code, level));
        }
    }
    let (mut loss, mut weights) = (0.0, hierarchy.weights().clone());
    for (choices, level) in choices.into_iter().zip(Level::ALL) {
        let of_level = weights.levels.entry(level).or_default();
        let LevelWeights { head, search, words, other, other_by_distance, other_by_words, thresholds: _ } = *of_level;
        let guess = [head, search, words, other, other_by_distance, other_by_words];
        let (fitted, of_choices) = believing(choices, guess);
        let [head, search, words, other, other_by_distance, other_by_words] = fitted;
        *of_level =
            LevelWeights { head, search, words, other, other_by_distance, other_by_words, thresholds: Vec::new() };
        loss += of_choices;
    }
    (loss, weights)
}

/// The best weights of which those of head, vectors and words are not negative: none is ever taken for its opposite.
fn believing(mut choices: Vec<Choice>, guess: Vector) -> (Vector, f64) {
    let mut best = maximise(&choices, guess);
    for believed in 0..3 {
        if best.0[believed] < 0.0 {
            choices.iter_mut().flat_map(|choice| &mut choice.alternatives).for_each(|it| it[believed] = 0.0);
            best = maximise(&choices, guess);
            best.0[believed] = 0.0;
        }
    }
    best
}

/// The choice among the children of the ancestor of `code` above `level`, where the code reaches that level.
fn choice(evidence: &Evidence<'_>, code: Code, level: Level) -> Option<Choice> {
    let parent = Level::ALL.into_iter().take_while(|other| *other < level).last().map(|above| code.at(above));
    if !code.reaches(level) {
        return None;
    }
    let Children { children, distance, best_words } = evidence.children(level, parent);
    let alternative = |child: &Child| [child.head, child.search, child.words, 0.0, 0.0, 0.0];
    let mut alternatives: Vec<_> = children.iter().map(alternative).collect();
    alternatives.push([0.0, 0.0, 0.0, 1.0, distance, best_words]);
    let right = children.iter().position(|child| child.code == code.at(level)).unwrap_or(children.len());
    (!children.is_empty()).then_some(Choice { alternatives, right })
}

/// The weights of `hierarchy` with the least probability, at each level and for each precision, that `rows` ask for: the most
/// answers of which that share is right.
#[must_use]
pub fn fit_thresholds(hierarchy: &Hierarchy, rows: &[Judged]) -> Weights {
    let mut answers: Vec<Vec<(f64, bool)>> = vec![Vec::new(); Level::ALL.len()];
    for row in rows {
        let path = hierarchy.probabilities(&row.logits, &row.found).path();
        for (answers, (level, code, probability)) in answers.iter_mut().zip(path) {
            if row.code.reaches(level) {
                answers.push((probability, row.code.at(level) == code));
            }
        }
    }
    let mut weights = hierarchy.weights().clone();
    for (mut answers, level) in answers.into_iter().zip(Level::ALL) {
        answers.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let threshold = |precision| Threshold { precision, probability: least_probability(&answers, precision) };
        weights.levels.entry(level).or_default().thresholds = PRECISIONS.map(threshold).to_vec();
    }
    weights
}

/// The least probability at which the share `precision` of the more or equally probable answers is right; `answers` descend.
fn least_probability(answers: &[(f64, bool)], precision: f64) -> Option<f64> {
    let (mut rows, mut right, mut least) = (0, 0, None);
    for same in answers.chunk_by(|one, other| one.0 == other.0) {
        rows += same.len();
        right += same.iter().filter(|(_, hit)| *hit).count();
        if rows >= MIN_ROWS && right as f64 >= precision * rows as f64 {
            least = same.first().map(|(probability, _)| *probability);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Near;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    fn near(text: &str, is_text: bool, cosine: f32) -> Near {
        Near { code: code(text), text: is_text, cosine }
    }

    /// Rows of two segments. The head says `head` for the right one; the nearest title is the right one and the nearest text the
    /// other, in three rows of four.
    fn rows(head: f32) -> (Hierarchy, Vec<Judged>) {
        let hierarchy = Hierarchy::new(&["10101500".into(), "20101500".into()], Weights::even()).unwrap();
        let row = |index: usize| {
            let (right, wrong) =
                if index.is_multiple_of(2) { ("10101501", "20101501") } else { ("20101501", "10101501") };
            let (title, text) = if index.is_multiple_of(4) { (wrong, right) } else { (right, wrong) };
            let logits = if right.starts_with('1') { vec![head, 0.0] } else { vec![0.0, head] };
            let near = vec![near(title, false, 0.8), near(text, true, 0.82)];
            Judged { code: code(right), logits, found: Found { near, words: Vec::new() } }
        };
        (hierarchy, (0..400).map(row).collect())
    }

    fn share_right(hierarchy: &Hierarchy, rows: &[Judged]) -> f64 {
        let is_right = |row: &&Judged| {
            let path = hierarchy.probabilities(&row.logits, &row.found).path();
            path.first().is_some_and(|(level, found, _)| *found == row.code.at(*level))
        };
        rows.iter().filter(is_right).count() as f64 / rows.len() as f64
    }

    #[test]
    fn what_is_right_more_often_is_believed() {
        let (hierarchy, rows) = rows(0.0);
        let fitted = fit(&hierarchy, &rows);
        assert!(fitted.text_penalty > 0.0, "{fitted:?}");
        assert!((share_right(&hierarchy.clone().with(fitted), &rows) - 0.75).abs() < 1e-9);
        let (hierarchy, rows) = self::rows(3.0);
        let fitted = fit(&hierarchy, &rows);
        assert!(fitted.levels[&Level::Segment].head > 1.0, "{fitted:?}");
        assert_eq!(share_right(&hierarchy.with(fitted), &rows), 1.0);
    }

    #[test]
    fn words_that_tell_are_believed() {
        let (hierarchy, mut rows) = rows(0.0);
        rows.iter_mut().for_each(|row| row.found.words = vec![(row.code, 6.0), (code("30101501"), 5.5)]);
        let fitted = fit(&hierarchy, &rows);
        assert!(fitted.levels[&Level::Segment].words > 0.4, "{fitted:?}");
        assert_eq!(share_right(&hierarchy.with(fitted), &rows), 1.0);
    }

    #[test]
    fn probabilities_are_as_often_right_as_they_say() {
        let (hierarchy, rows) = rows(0.0);
        let hierarchy = hierarchy.clone().with(fit(&hierarchy, &rows));
        let path = hierarchy.probabilities(&rows[1].logits, &rows[1].found).path();
        assert!((path[0].2 - 0.75).abs() < 0.02, "{path:?}");
    }

    #[test]
    fn a_threshold_takes_all_answers_of_one_probability_together() {
        let mut answers = vec![(0.9, true); 30];
        answers.extend([(0.8, true), (0.8, true), (0.8, false), (0.8, false)]);
        answers.extend(vec![(0.4, false); 30]);
        assert_eq!(least_probability(&answers, 0.99), Some(0.9));
        assert_eq!(least_probability(&answers, 0.94), Some(0.8));
        assert_eq!(least_probability(&answers, 0.5), Some(0.4));
        assert_eq!(least_probability(&answers[30..], 0.9), None);
        assert_eq!(least_probability(&answers[..10], 0.5), None, "too few to say");
    }

    #[test]
    fn thresholds_are_those_of_the_path() {
        let (hierarchy, rows) = rows(0.0);
        let hierarchy = hierarchy.clone().with(fit(&hierarchy, &rows));
        let weights = fit_thresholds(&hierarchy, &rows);
        assert!(weights.threshold(Level::Segment, 0.7).is_some());
        assert_eq!(weights.threshold(Level::Segment, 0.9), None, "three in four are right at most");
    }
}
