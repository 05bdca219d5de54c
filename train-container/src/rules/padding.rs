//! Places of a batch that hold no token.

use super::{Evidence, Rule, Standing, Step};

/// Debugger's `NLPSequenceRatio`: a larger share of padding than this.
const MOST_PADDING: f64 = 0.5;

/// Steps before the share is judged: single batches may hold one long text.
const LEAST_STEPS: usize = 10;

/// Texts of very different length in the same batches.
#[derive(Debug, Default)]
pub(super) struct PaddingShare {
    steps: usize,
    tokens: usize,
    places: usize,
}

impl PaddingShare {
    fn share(&self) -> f64 {
        1.0 - self.tokens as f64 / self.places.max(1) as f64
    }
}

impl Rule for PaddingShare {
    fn name(&self) -> &'static str {
        "padding_share"
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.steps += 1;
        self.tokens += step.tokens;
        self.places += step.places;
        let fires = self.steps >= LEAST_STEPS && self.share() > MOST_PADDING;
        let percent = 100.0 * self.share();
        fires.then(|| {
            format!("{percent:.0} % of the places in the batches are padding, more than {:.0} %", 100.0 * MOST_PADDING)
        })
    }

    fn standing(&self) -> Standing {
        if self.steps < LEAST_STEPS {
            return Standing::NotEvaluated(format!("{} of the {LEAST_STEPS} steps that it takes", self.steps));
        }
        let (percent, most) = (100.0 * self.share(), 100.0 * MOST_PADDING);
        Standing::Ok(format!("{percent:.1} % of the places in the batches are padding, at most {most:.0} % wanted"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{issue, not_evaluated, ok};
    use super::*;

    fn steps(count: usize, tokens: usize) -> impl Iterator<Item = Step> {
        (1..=count).map(move |step| Step { step, tokens, places: 100, ..Step::default() })
    }

    #[test]
    fn more_padding_than_text_is_an_issue_after_ten_steps() {
        assert!(ok(PaddingShare::default(), steps(20, 50)).starts_with("50.0 %"));
        let (at, evidence) = issue(PaddingShare::default(), steps(20, 49));
        assert_eq!((at, evidence.as_str()), (10, "51 % of the places in the batches are padding, more than 50 %"));
        assert_eq!(not_evaluated(PaddingShare::default(), steps(9, 1)), "9 of the 10 steps that it takes");
    }
}
