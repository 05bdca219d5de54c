//! What the rules' own tests share, and the rules together.

use super::*;

/// Anything that a rule is told.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Begin(Plan),
    Step(Step),
    Epoch(Epoch),
    Sample(Sample),
}

impl Event {
    pub(super) fn tell(&self, rule: &mut dyn Rule) -> Option<Evidence> {
        match self {
            Self::Begin(plan) => rule.begin(plan),
            Self::Step(step) => rule.step(step),
            Self::Epoch(epoch) => rule.epoch(epoch),
            Self::Sample(sample) => rule.sample(sample),
        }
    }
}

/// What `rule` says after `events`, and the step at which it said it.
fn verdict(rule: impl Rule + 'static, events: Vec<Event>) -> RuleVerdict {
    let mut rules = Rules { rules: vec![(Box::new(rule), None)], step: 0 };
    for event in events {
        match event {
            Event::Begin(plan) => rules.begin(&plan),
            Event::Step(step) => rules.step(&step),
            Event::Epoch(epoch) => rules.epoch(&epoch),
            Event::Sample(sample) => rules.sample(&sample),
        }
    }
    rules.verdicts().remove(0)
}

pub(super) fn issue_of(rule: impl Rule + 'static, events: Vec<Event>) -> (usize, String) {
    let verdict = verdict(rule, events);
    assert_eq!(verdict.status, RuleStatus::Issue, "{verdict:?}");
    (verdict.step.unwrap(), verdict.evidence)
}

pub(super) fn ok_of(rule: impl Rule + 'static, events: Vec<Event>) -> String {
    let verdict = verdict(rule, events);
    assert_eq!((verdict.status, verdict.step), (RuleStatus::Ok, None), "{verdict:?}");
    verdict.evidence
}

pub(super) fn not_evaluated_of(rule: impl Rule + 'static, events: Vec<Event>) -> String {
    let verdict = verdict(rule, events);
    assert_eq!((verdict.status, verdict.step), (RuleStatus::NotEvaluated, None), "{verdict:?}");
    verdict.evidence
}

pub(super) fn issue(rule: impl Rule + 'static, steps: impl IntoIterator<Item = Step>) -> (usize, String) {
    issue_of(rule, steps.into_iter().map(Event::Step).collect())
}

pub(super) fn ok(rule: impl Rule + 'static, steps: impl IntoIterator<Item = Step>) -> String {
    ok_of(rule, steps.into_iter().map(Event::Step).collect())
}

pub(super) fn not_evaluated(rule: impl Rule + 'static, steps: impl IntoIterator<Item = Step>) -> String {
    not_evaluated_of(rule, steps.into_iter().map(Event::Step).collect())
}

#[test]
fn before_anything_was_seen_no_rule_says_that_all_is_well() {
    let verdicts = Rules::new().verdicts();
    assert_eq!(verdicts.len(), 14);
    for verdict in verdicts {
        assert_eq!(verdict.status, RuleStatus::NotEvaluated, "{verdict:?}");
    }
}

#[test]
fn the_first_finding_of_a_rule_stays() {
    let mut rules = Rules::new();
    let steps = [(1, 1.0), (2, f64::NAN), (3, f64::INFINITY)];
    for (step, loss) in steps {
        rules.step(&Step { step, loss, ..Step::default() });
    }
    let verdict = rules.verdicts().remove(0);
    assert_eq!((verdict.step, verdict.evidence.as_str()), (Some(2), "the loss is NaN"));
}
