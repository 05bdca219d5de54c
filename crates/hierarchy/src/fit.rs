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

/// The first weights: those of head, vectors and words.
const BELIEVED: usize = 3;

/// Fewer rows above a threshold say nothing of it.
const MIN_ROWS: usize = 20;

/// So many wrong answers above a threshold must be allowed by its precision: 1 of 40 says more of 0.95 than 0 of 20.
const ALLOWED: f64 = 2.0;

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
        let LevelWeights { head, vectors, words, other, other_by_distance, other_by_words, thresholds: _ } = *of_level;
        let guess = [head, vectors, words, other, other_by_distance, other_by_words];
        let (fitted, of_choices) = believing(choices, guess);
        let [head, vectors, words, other, other_by_distance, other_by_words] = fitted;
        *of_level =
            LevelWeights { head, vectors, words, other, other_by_distance, other_by_words, thresholds: Vec::new() };
        loss += of_choices;
    }
    (loss, weights)
}

/// The best weights of which those of head, vectors and words are not negative: none is ever taken for its opposite.
fn believing(mut choices: Vec<Choice>, mut guess: Vector) -> (Vector, f64) {
    loop {
        let best = maximise(&choices, guess);
        let Some(disbelieved) = (0..BELIEVED).find(|at| best.0[*at] < 0.0) else { return best };
        // What speaks for nothing stays at its guess.
        guess[disbelieved] = 0.0;
        choices.iter_mut().flat_map(|choice| &mut choice.alternatives).for_each(|it| it[disbelieved] = 0.0);
    }
}

/// The choice among the children of the ancestor of `code` above `level`, where the code reaches that level.
fn choice(evidence: &Evidence<'_>, code: Code, level: Level) -> Option<Choice> {
    let parent = Level::ALL.into_iter().take_while(|other| *other < level).last().map(|above| code.at(above));
    if !code.reaches(level) {
        return None;
    }
    let Children { children, distance, best_words } = evidence.children(level, parent);
    let alternative = |child: &Child| [child.head, child.vectors, child.words, 0.0, 0.0, 0.0];
    let mut alternatives: Vec<_> = children.iter().map(alternative).collect();
    alternatives.push([0.0, 0.0, 0.0, 1.0, distance, best_words]);
    let right = children.iter().position(|child| child.code == code.at(level)).unwrap_or(children.len());
    (!children.is_empty()).then_some(Choice { alternatives, right })
}

/// The weights of `hierarchy` with the least probabilities, at each level and for each precision, that `rows` ask for: with the
/// most answers of which that share is right.
#[must_use]
pub fn fit_thresholds(hierarchy: &Hierarchy, rows: &[Judged]) -> Weights {
    let mut of_level: Vec<Vec<Answer>> = vec![Vec::new(); Level::ALL.len()];
    let mut paths: Vec<Vec<Answer>> = Vec::with_capacity(rows.len());
    for row in rows {
        let probabilities = hierarchy.probabilities(&row.logits, &row.found);
        let answer = |level: Level, code: Code, probability: f64| Answer {
            probability,
            is_right: row.code.reaches(level).then(|| row.code.at(level) == code),
        };
        for (answers, level) in of_level.iter_mut().zip(Level::ALL) {
            answers.extend(probabilities.at(level).first().map(|(code, p)| answer(level, *code, *p)));
        }
        paths.push(probabilities.path().into_iter().map(|(level, code, p)| answer(level, code, p)).collect());
    }
    let mut weights = hierarchy.weights().clone();
    weights.levels.values_mut().for_each(|level| level.thresholds.clear());
    for precision in PRECISIONS {
        let on_path = on_path(&paths, precision);
        for ((level, on_path), answers) in Level::ALL.into_iter().zip(on_path).zip(&of_level) {
            let probability = least_probability(answers.clone(), precision);
            weights.levels.entry(level).or_default().thresholds.push(Threshold { precision, probability, on_path });
        }
    }
    weights
}

/// An answer at a level, which is right or wrong where the row's code reaches that level.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    probability: f64,
    is_right: Option<bool>,
}

/// The least probability at each level, coarse to fine, for the answers of `paths` that stand at it when each goes as deep as it
/// can: of those that no finer level has taken.
fn on_path(paths: &[Vec<Answer>], precision: f64) -> Vec<Option<f64>> {
    let mut rest: Vec<&Vec<Answer>> = paths.iter().collect();
    let mut least = vec![None; Level::ALL.len()];
    for (place, least) in least.iter_mut().enumerate().rev() {
        *least = least_probability(rest.iter().filter_map(|path| path.get(place).copied()).collect(), precision);
        rest.retain(|path| path.get(place).zip(*least).is_none_or(|(answer, least)| answer.probability < least));
    }
    least
}

/// The least probability at which the share `precision` of the more or equally probable answers is right.
fn least_probability(mut answers: Vec<Answer>, precision: f64) -> Option<f64> {
    answers.retain(|answer| answer.is_right.is_some());
    answers.sort_unstable_by(|a, b| b.probability.total_cmp(&a.probability));
    let (mut rows, mut right, mut least) = (0, 0, None);
    for same in answers.chunk_by(|one, other| one.probability == other.probability) {
        rows += same.len();
        right += same.iter().filter(|answer| answer.is_right == Some(true)).count();
        let says_something = rows >= MIN_ROWS && rows as f64 * (1.0 - precision) >= ALLOWED - 1e-9;
        if says_something && right as f64 >= precision * rows as f64 {
            least = same.first().map(|answer| answer.probability);
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

    /// So many answers of this probability, right or wrong.
    fn answers(of: &[(usize, f64, bool)]) -> Vec<Answer> {
        let answer = |(count, probability, right): &(usize, f64, bool)| {
            vec![Answer { probability: *probability, is_right: Some(*right) }; *count]
        };
        of.iter().flat_map(answer).collect()
    }

    #[test]
    fn a_threshold_takes_all_answers_of_one_probability_together() {
        let all = answers(&[(40, 0.9, true), (2, 0.8, true), (2, 0.8, false), (30, 0.4, false)]);
        let least = |precision| least_probability(all.clone(), precision);
        assert_eq!([0.95, 0.9, 0.5].map(least), [Some(0.8), Some(0.8), Some(0.4)]);
        assert_eq!(least_probability(all[40..].to_vec(), 0.9), None);
        assert_eq!(least_probability(all[..10].to_vec(), 0.5), None, "too few to say");
        assert_eq!(least(0.96), None, "44 rows do not allow two wrong ones");
        let unknown = vec![Answer { probability: 0.9, is_right: None }; 100];
        assert_eq!(least_probability(unknown, 0.5), None);
    }

    #[test]
    fn who_goes_as_deep_as_can_be_trusted_is_right_as_often_as_asked_at_each_level() {
        // Easy rows, sure at both levels, and hard ones, of which the segment is right in half.
        let path = |segment: (f64, bool), family: (f64, bool)| {
            [segment, family].map(|(probability, right)| Answer { probability, is_right: Some(right) }).to_vec()
        };
        let mut paths = vec![path((0.95, true), (0.9, true)); 60];
        paths.extend(vec![path((0.6, true), (0.1, false)); 10]);
        paths.extend(vec![path((0.6, false), (0.1, false)); 10]);
        assert_eq!(on_path(&paths, 0.8), [None, Some(0.9), None, None], "the easy rows do not speak for the hard ones");
        let segments = paths.iter().map(|path| path[0]).collect();
        assert_eq!(least_probability(segments, 0.8), Some(0.6), "which they do where all are answered");
    }

    #[test]
    fn what_misleads_is_not_believed_at_all() {
        let (hierarchy, mut rows) = rows(-3.0);
        for row in &mut rows {
            let other = if row.code == code("10101501") { "20101501" } else { "10101501" };
            row.found = Found { near: vec![near(other, false, 0.9)], words: vec![(row.code, 6.0), (code(other), 5.0)] };
        }
        let fitted = fit(&hierarchy, &rows);
        let LevelWeights { head, vectors, words, .. } = fitted.levels[&Level::Segment];
        assert_eq!((head, vectors), (0.0, 0.0), "{fitted:?}");
        assert!(words > 0.5, "{fitted:?}");
        assert_eq!(share_right(&hierarchy.with(fitted), &rows), 1.0);
    }

    #[test]
    fn thresholds_are_those_of_the_rows() {
        let (hierarchy, rows) = rows(0.0);
        let hierarchy = hierarchy.clone().with(fit(&hierarchy, &rows));
        let weights = fit_thresholds(&hierarchy, &rows);
        let segment = |precision| weights.threshold(Level::Segment, precision).copied().unwrap();
        assert!(segment(0.7).probability.is_some());
        assert_eq!(segment(0.9).probability, None, "three in four are right at most");
        assert_eq!(segment(0.7).on_path, None, "the commodity has taken all");
        assert!(weights.threshold(Level::Commodity, 0.7).is_some_and(|it| it.on_path.is_some()));
    }
}
