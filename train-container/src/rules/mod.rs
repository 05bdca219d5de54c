//! Rules over what is seen of a run: each looks for one thing that is known to spoil training.
//!
//! The thresholds are those of Amazon SageMaker Debugger's built-in rules, whose implementations are not published
//! (<https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html>); where a rule had to be read, its
//! module says how. Rules are pure: they see observations and nothing else.

mod class_imbalance;
mod epochs;
mod initialization;
mod layers;
mod loss;
mod observation;
mod padding;
mod silence;
mod system;

use unspsc_contract::{RuleStatus, RuleVerdict};

pub(crate) use observation::{Epoch, GpuSample, LayerStep, Plan, Sample, Step};

/// A sentence with the figures behind a verdict.
type Evidence = String;

/// What a rule says that has found nothing.
enum Standing {
    /// It has looked; the figures that were nearest to the threshold.
    Ok(Evidence),
    /// It could not look, and why.
    NotEvaluated(String),
}

/// One thing that is looked for. Each of the methods returns the evidence once it is found; a rule is not asked again
/// then.
trait Rule: Send {
    fn name(&self) -> &'static str;

    fn begin(&mut self, _plan: &Plan) -> Option<Evidence> {
        None
    }

    fn step(&mut self, _step: &Step) -> Option<Evidence> {
        None
    }

    fn epoch(&mut self, _epoch: &Epoch) -> Option<Evidence> {
        None
    }

    fn sample(&mut self, _sample: &Sample) -> Option<Evidence> {
        None
    }

    fn standing(&self) -> Standing;
}

/// All rules, and what they have found.
pub(crate) struct Rules {
    rules: Vec<(Box<dyn Rule>, Option<Issue>)>,
    /// The last step, counted from 1.
    step: usize,
}

/// What a rule has found.
struct Issue {
    step: usize,
    evidence: Evidence,
}

impl Rules {
    /// Every rule, before the first observation.
    pub(crate) fn new() -> Self {
        let rules: [Box<dyn Rule>; 14] = [
            Box::new(layers::ExplodingTensor::default()),
            Box::new(layers::VanishingGradient::default()),
            Box::new(layers::UpdateRatio::default()),
            Box::new(initialization::PoorWeightInitialization::default()),
            Box::new(loss::LossNotDecreasing::default()),
            Box::new(epochs::Overfit::default()),
            Box::new(epochs::Overtraining::default()),
            Box::new(class_imbalance::ClassImbalance::default()),
            Box::new(padding::PaddingShare::default()),
            Box::new(system::LowGpuUtilization::default()),
            Box::new(system::BatchSize::default()),
            Box::new(system::CpuBottleneck::default()),
            Box::new(silence::StalledTraining::default()),
            Box::new(silence::SlowStart::default()),
        ];
        Self { rules: rules.into_iter().map(|rule| (rule, None)).collect(), step: 0 }
    }

    /// Tells the rules what is about to be trained.
    pub(crate) fn begin(&mut self, plan: &Plan) {
        self.step = plan.first_step;
        self.ask(|rule| rule.begin(plan));
    }

    /// Tells the rules of a step.
    pub(crate) fn step(&mut self, step: &Step) {
        self.step = step.step;
        self.ask(|rule| rule.step(step));
    }

    /// Tells the rules of an epoch and its validation.
    pub(crate) fn epoch(&mut self, epoch: &Epoch) {
        self.ask(|rule| rule.epoch(epoch));
    }

    /// Tells the rules how busy the machine is.
    pub(crate) fn sample(&mut self, sample: &Sample) {
        self.ask(|rule| rule.sample(sample));
    }

    fn ask(&mut self, question: impl Fn(&mut dyn Rule) -> Option<Evidence>) {
        for (rule, issue) in self.rules.iter_mut().filter(|(_, issue)| issue.is_none()) {
            if let Some(evidence) = question(rule.as_mut()) {
                tracing::warn!("rule {}, step {}: {evidence}", rule.name(), self.step);
                *issue = Some(Issue { step: self.step, evidence });
            }
        }
    }

    /// What every rule says.
    pub(crate) fn verdicts(&self) -> Vec<RuleVerdict> {
        let verdict = |(rule, issue): &(Box<dyn Rule>, Option<Issue>)| {
            let (status, step, evidence) = match issue {
                Some(issue) => (RuleStatus::Issue, Some(issue.step), issue.evidence.clone()),
                None => match rule.standing() {
                    Standing::Ok(evidence) => (RuleStatus::Ok, None, evidence),
                    Standing::NotEvaluated(why) => (RuleStatus::NotEvaluated, None, why),
                },
            };
            RuleVerdict { rule: rule.name().into(), status, step, evidence }
        };
        self.rules.iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests;
