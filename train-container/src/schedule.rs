//! The learning rate by step: linear warm-up, then linear decay.

/// Rises to `peak` and falls towards 0 over `steps` steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    peak: f64,
    warmup_steps: usize,
    steps: usize,
}

impl Schedule {
    /// A schedule over `steps` steps, of which the share `warmup_ratio` is warm-up.
    pub(crate) fn new(peak: f64, warmup_ratio: f64, steps: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count, at least 0")]
        let warmup_steps = (steps as f64 * warmup_ratio).round() as usize;
        Self { peak, warmup_steps, steps }
    }

    /// Steps in which the rate rises.
    pub(crate) fn warmup_steps(&self) -> usize {
        self.warmup_steps
    }

    /// The rate of `step`, counted from 0; above 0 in every step, so that none is wasted.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        let share = if step < self.warmup_steps {
            (step + 1) as f64 / self.warmup_steps as f64
        } else {
            self.steps.saturating_sub(step) as f64 / (self.steps - self.warmup_steps).max(1) as f64
        };
        self.peak * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(warmup_ratio: f64, steps: usize) -> Vec<f64> {
        let schedule = Schedule::new(1.0, warmup_ratio, steps);
        (0..steps).map(|step| schedule.rate(step)).collect()
    }

    #[test]
    fn rises_then_falls() {
        assert_eq!(rates(0.25, 8), [0.5, 1.0, 1.0, 5.0 / 6.0, 4.0 / 6.0, 3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0]);
        assert_eq!(rates(0.0, 4), [1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn short_runs_have_a_rate_too() {
        assert_eq!(rates(0.9, 1), [1.0]);
        assert_eq!(rates(0.1, 1), [1.0]);
        assert!(rates(0.5, 3).iter().all(|rate| *rate > 0.0));
    }
}
