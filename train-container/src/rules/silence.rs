//! Time in which nothing happens.

use super::{Epoch, Evidence, Plan, Rule, Sample, Standing, Step};

/// Debugger's `StalledTrainingRule`: seconds without a step.
const SILENCE_SECONDS: f64 = 1800.0;

/// Debugger's `MaxInitializationTime`: minutes before the first step.
const START_MINUTES: f64 = 20.0;

/// A run that has stopped making steps.
#[derive(Debug, Default)]
pub(super) struct StalledTraining {
    /// Seconds since the job began, when it was last heard of.
    heard: Option<f64>,
    /// The longest time between two signs of life.
    longest: Option<f64>,
}

impl StalledTraining {
    fn hear(&mut self, at: f64) {
        let silent = self.heard.map(|heard| at - heard);
        self.longest = self.longest.into_iter().chain(silent).reduce(f64::max);
        self.heard = Some(at);
    }
}

impl Rule for StalledTraining {
    fn name(&self) -> &'static str {
        "stalled_training"
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.hear(step.at);
        None
    }

    fn epoch(&mut self, epoch: &Epoch) -> Option<Evidence> {
        self.hear(epoch.at);
        None
    }

    fn sample(&mut self, sample: &Sample) -> Option<Evidence> {
        let silent = sample.at - self.heard?;
        (silent > SILENCE_SECONDS).then(|| format!("no step for {silent:.0} s, more than {SILENCE_SECONDS:.0} s"))
    }

    fn standing(&self) -> Standing {
        let Some(longest) = self.longest else {
            let made = if self.heard.is_none() { "no step was made" } else { "one step was made" };
            return Standing::NotEvaluated(made.into());
        };
        Standing::Ok(format!("at most {longest:.1} s between two steps, {SILENCE_SECONDS:.0} s allowed"))
    }
}

/// A run that takes long to begin.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    /// Seconds since the job began, at the first step.
    first_step: Option<f64>,
    /// Whether the run found all steps made.
    complete: bool,
}

impl Rule for SlowStart {
    fn name(&self) -> &'static str {
        "slow_start"
    }

    fn begin(&mut self, plan: &Plan) -> Option<Evidence> {
        self.complete = plan.first_step >= plan.steps;
        None
    }

    fn step(&mut self, step: &Step) -> Option<Evidence> {
        self.first_step.get_or_insert(step.at);
        None
    }

    fn sample(&mut self, sample: &Sample) -> Option<Evidence> {
        let waiting = self.first_step.is_none() && !self.complete && sample.at > 60.0 * START_MINUTES;
        waiting.then(|| format!("no step in the first {START_MINUTES:.0} minutes"))
    }

    fn standing(&self) -> Standing {
        let Some(seconds) = self.first_step else { return Standing::NotEvaluated("no step was made".into()) };
        Standing::Ok(format!("the first step was made after {seconds:.1} s, {START_MINUTES:.0} minutes allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, issue_of, not_evaluated, not_evaluated_of, ok_of};
    use super::*;

    fn step(step: usize, at: f64) -> Event {
        Event::Step(Step { step, at, ..Step::default() })
    }

    fn sample(at: f64) -> Event {
        Event::Sample(Sample { at, ..Sample::default() })
    }

    #[test]
    fn half_an_hour_without_a_step_is_a_stall() {
        let quiet = vec![sample(0.0), step(1, 2000.0), sample(3800.0), step(2, 3801.0), sample(3802.0)];
        assert_eq!(
            ok_of(StalledTraining::default(), quiet.clone()),
            "at most 1801.0 s between two steps, 1800 s allowed"
        );
        let (at, evidence) = issue_of(StalledTraining::default(), [quiet, vec![sample(5602.0)]].concat());
        assert_eq!((at, evidence.as_str()), (2, "no step for 1801 s, more than 1800 s"));
        assert_eq!(not_evaluated(StalledTraining::default(), []), "no step was made");
        assert_eq!(not_evaluated_of(StalledTraining::default(), vec![step(1, 9.0)]), "one step was made");
    }

    #[test]
    fn twenty_minutes_before_the_first_step_are_too_long() {
        let late = vec![sample(1200.0), step(1, 1200.5), sample(3000.0)];
        assert!(ok_of(SlowStart::default(), late).contains("after 1200.5 s"));
        assert_eq!(issue_of(SlowStart::default(), vec![sample(1201.0)]).0, 0);
        let complete = Event::Begin(Plan { first_step: 5, steps: 5, ..Plan::default() });
        let mut rule = SlowStart::default();
        assert!(complete.tell(&mut rule).is_none() && sample(1201.0).tell(&mut rule).is_none());
    }
}
