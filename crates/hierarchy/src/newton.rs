//! Newton's method for a conditional logit: a few weights that are shared by all alternatives.

/// How many weights there are.
pub(crate) const WEIGHTS: usize = 6;

/// What speaks for an alternative, or the weights of it.
pub(crate) type Vector = [f64; WEIGHTS];

/// One choice that was made.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) alternatives: Vec<Vector>,
    /// The place of the one that was right.
    pub(crate) right: usize,
}

/// What weights away from the first guess cost, in choices: so few do nothing to thousands of rows, and keep a handful from extremes.
const RIDGE: f64 = 1.0;

/// Steps after which it is left; five or six are usual.
const MAX_STEPS: usize = 50;

/// The weights under which the right alternatives of `choices` are most probable, and the sum of −ln of their probabilities.
pub(crate) fn maximise(choices: &[Choice], guess: Vector) -> (Vector, f64) {
    let mut weights = guess;
    let mut now = Objective::at(choices, weights, guess);
    for _ in 0..MAX_STEPS {
        let Some(step) = solve(now.curvature, now.slope) else { break };
        // The objective is convex, so that a short enough step downhill always helps.
        let shorter = (0..20).map(|halvings| 0.5_f64.powi(halvings));
        let next = shorter.map(|share| {
            let moved = std::array::from_fn(|i| weights[i] - share * step[i]);
            (moved, Objective::at(choices, moved, guess))
        });
        let Some((moved, better)) = next.into_iter().find(|(_, next)| next.value < now.value) else { break };
        let gain = now.value - better.value;
        (weights, now) = (moved, better);
        if gain < 1e-9 * now.value.abs().max(1.0) {
            break;
        }
    }
    (weights, now.loss)
}

/// The penalised loss with its derivatives.
struct Objective {
    loss: f64,
    value: f64,
    slope: Vector,
    curvature: [Vector; WEIGHTS],
}

impl Objective {
    fn at(choices: &[Choice], weights: Vector, guess: Vector) -> Self {
        let mut at = Self { loss: 0.0, value: 0.0, slope: [0.0; WEIGHTS], curvature: [[0.0; WEIGHTS]; WEIGHTS] };
        choices.iter().for_each(|choice| at.add(choice, &weights));
        at.value = at.loss;
        for i in 0..WEIGHTS {
            let away = weights[i] - guess[i];
            at.value += 0.5 * RIDGE * away * away;
            at.slope[i] += RIDGE * away;
            at.curvature[i][i] += RIDGE;
        }
        at
    }

    fn add(&mut self, choice: &Choice, weights: &Vector) {
        let score = |alternative: &Vector| alternative.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
        let scores: Vec<f64> = choice.alternatives.iter().map(score).collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
        let mut mean = [0.0; WEIGHTS];
        for (alternative, score) in choice.alternatives.iter().zip(&scores) {
            let probability = (score - highest).exp() / sum;
            for i in 0..WEIGHTS {
                mean[i] += probability * alternative[i];
                for j in 0..WEIGHTS {
                    self.curvature[i][j] += probability * alternative[i] * alternative[j];
                }
            }
        }
        let right = choice.alternatives.get(choice.right).zip(scores.get(choice.right));
        let Some((right, score)) = right else { return };
        self.loss += highest + sum.ln() - score;
        for i in 0..WEIGHTS {
            self.slope[i] += mean[i] - right[i];
            for j in 0..WEIGHTS {
                self.curvature[i][j] -= mean[i] * mean[j];
            }
        }
    }
}

/// The solution of `matrix · x = right`, by elimination; none where there is not one.
fn solve(mut matrix: [Vector; WEIGHTS], mut right: Vector) -> Option<Vector> {
    for column in 0..WEIGHTS {
        let largest = (column..WEIGHTS).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, largest);
        right.swap(column, largest);
        let pivot = matrix[column];
        if pivot[column].abs() < 1e-12 || !pivot[column].is_finite() {
            return None;
        }
        for row in column + 1..WEIGHTS {
            let factor = matrix[row][column] / pivot[column];
            right[row] -= factor * right[column];
            matrix[row].iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    let mut solution = [0.0; WEIGHTS];
    for row in (0..WEIGHTS).rev() {
        let known: f64 = (row + 1..WEIGHTS).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zero but for these.
    fn vector(values: &[(usize, f64)]) -> Vector {
        let mut vector = [0.0; WEIGHTS];
        values.iter().for_each(|(at, value)| vector[*at] = *value);
        vector
    }

    #[test]
    fn a_system_is_solved_and_a_singular_one_is_not() {
        let mut matrix: [Vector; WEIGHTS] = std::array::from_fn(|row| vector(&[(row, 1.0)]));
        matrix[0] = vector(&[(1, 2.0)]);
        matrix[1] = vector(&[(0, 1.0), (3, 1.0)]);
        matrix[2] = vector(&[(2, 4.0)]);
        assert_eq!(solve(matrix, [2.0, 5.0, 8.0, 2.0, 7.0, 9.0]), Some([3.0, 1.0, 2.0, 2.0, 7.0, 9.0]));
        assert_eq!(solve([[1.0; WEIGHTS]; WEIGHTS], [1.0; WEIGHTS]), None);
    }

    #[test]
    fn shares_come_out_as_they_were_chosen() {
        // Of two alternatives that differ by the first weight alone, the first is right three times in four.
        let choice = |right| Choice { alternatives: vec![vector(&[(0, 1.0)]), [0.0; WEIGHTS]], right };
        let choices: Vec<Choice> = (0..4000).map(|row| choice(usize::from(row % 4 == 0))).collect();
        let (weights, loss) = maximise(&choices, vector(&[(0, 0.5), (1, 0.5)]));
        assert!((weights[0] - 3.0_f64.ln()).abs() < 1e-2, "{weights:?}");
        assert_eq!(weights[1..], vector(&[(1, 0.5)])[1..], "what decides nothing stays");
        let entropy = -4000.0 * (0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln());
        assert!((loss - entropy).abs() < 1.0, "{loss} and not {entropy}");
    }

    #[test]
    fn a_handful_of_choices_that_are_all_alike_leads_to_no_extreme() {
        let choices = vec![Choice { alternatives: vec![vector(&[(0, 1.0)]), [0.0; WEIGHTS]], right: 0 }; 3];
        let (weights, _) = maximise(&choices, vector(&[(0, 0.5), (1, 0.5)]));
        assert!(weights[0] > 0.5 && weights[0] < 3.0, "{weights:?}");
    }
}
