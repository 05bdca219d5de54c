//! How busy processor and GPU are. On a machine without a GPU none of these rules applies: there the CPU is to be busy.

use std::collections::VecDeque;

use super::{Evidence, GpuSample, Rule, Sample, Standing};

/// Debugger's samples before a rule judges; one comes every 500 ms, as in Debugger.
const PATIENCE: usize = 1000;

/// Debugger's samples that a rule looks back on.
const WINDOW: usize = 500;

/// Debugger's `LowGPUUtilization` and `BatchSize`: a 95th percentile below this is low.
const LOW: f64 = 0.7;

/// Debugger's `LowGPUUtilization`: a 5th percentile below this, where the 95th is not low, is a GPU that waits now and
/// then.
const WAITING: f64 = 0.1;

/// Debugger's `CPUBottleneck`: CPU busier and GPU idler than these in a larger share of the time than this.
const BUSY_CPU: f64 = 0.9;
const IDLE_GPU: f64 = 0.1;
const BOTTLENECK_TIME: f64 = 0.5;

/// Why a rule on the GPU that has seen `samples` of it cannot judge yet.
fn too_few(samples: usize) -> Option<Standing> {
    match samples {
        0 => Some(Standing::NotEvaluated("no GPU".into())),
        1..PATIENCE => Some(Standing::NotEvaluated(format!("{samples} of the {PATIENCE} samples that it takes"))),
        _ => None,
    }
}

/// The last samples, and how many there were.
#[derive(Debug)]
struct Window<const N: usize> {
    samples: usize,
    last: VecDeque<[f64; N]>,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { samples: 0, last: VecDeque::with_capacity(WINDOW) }
    }
}

impl<const N: usize> Window<N> {
    fn push(&mut self, values: [f64; N]) {
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(values);
        self.samples += 1;
    }

    /// The value at `column` that `share` of the samples do not exceed (nearest rank).
    fn percentile(&self, column: usize, share: f64) -> f64 {
        let mut values: Vec<f64> = self.last.iter().filter_map(|row| row.get(column).copied()).collect();
        values.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count, at least 0")]
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A GPU that is not used, or waits now and then.
#[derive(Debug, Default)]
pub(super) struct LowGpuUtilization(Window<1>);

impl LowGpuUtilization {
    fn percentiles(&self) -> (f64, f64) {
        (self.0.percentile(0, 0.95), self.0.percentile(0, 0.05))
    }
}

impl Rule for LowGpuUtilization {
    fn name(&self) -> &'static str {
        "low_gpu_utilization"
    }

    fn sample(&mut self, sample: &Sample) -> Option<Evidence> {
        self.0.push([sample.gpu?.busy]);
        if self.0.samples < PATIENCE {
            return None;
        }
        let (high, low) = self.percentiles();
        let [high_percent, low_percent] = [100.0 * high, 100.0 * low];
        if high < LOW {
            return Some(format!(
                "the GPU is busy for less than {:.0} % of the time (95th percentile {high_percent:.0} %)",
                100.0 * LOW
            ));
        }
        (low < WAITING).then(|| {
            format!("the GPU is used unevenly: 95th percentile {high_percent:.0} %, 5th percentile {low_percent:.0} %")
        })
    }

    fn standing(&self) -> Standing {
        too_few(self.0.samples).unwrap_or_else(|| {
            let (high, low) = self.percentiles();
            Standing::Ok(format!(
                "GPU busy: 95th percentile {:.0} %, 5th percentile {:.0} %",
                100.0 * high,
                100.0 * low
            ))
        })
    }
}

/// Batches too small to fill the machine.
#[derive(Debug, Default)]
pub(super) struct BatchSize(Window<3>);

impl BatchSize {
    fn figures(&self) -> ([f64; 3], String) {
        let high = [0, 1, 2].map(|column| self.0.percentile(column, 0.95));
        let [cpu, gpu, memory] = high.map(|share| 100.0 * share);
        (high, format!("95th percentiles: CPU {cpu:.0} %, GPU {gpu:.0} %, GPU memory {memory:.0} %"))
    }
}

impl Rule for BatchSize {
    fn name(&self) -> &'static str {
        "batch_size"
    }

    fn sample(&mut self, sample: &Sample) -> Option<Evidence> {
        let GpuSample { busy, memory } = sample.gpu?;
        self.0.push([sample.cpu, busy, memory]);
        let (high, figures) = (self.0.samples >= PATIENCE).then(|| self.figures())?;
        let small = high.iter().all(|share| *share < LOW);
        small.then(|| format!("larger batches would fit; {figures}, all below {:.0} %", 100.0 * LOW))
    }

    fn standing(&self) -> Standing {
        too_few(self.0.samples).unwrap_or_else(|| Standing::Ok(self.figures().1))
    }
}

/// A GPU that waits for the CPU.
#[derive(Debug, Default)]
pub(super) struct CpuBottleneck {
    samples: usize,
    blocked: usize,
}

impl CpuBottleneck {
    fn share(&self) -> f64 {
        self.blocked as f64 / self.samples.max(1) as f64
    }

    fn figures(&self) -> String {
        format!(
            "CPU above {:.0} % with GPU below {:.0} % in {:.0} % of the time",
            100.0 * BUSY_CPU,
            100.0 * IDLE_GPU,
            100.0 * self.share()
        )
    }
}

impl Rule for CpuBottleneck {
    fn name(&self) -> &'static str {
        "cpu_bottleneck"
    }

    fn sample(&mut self, sample: &Sample) -> Option<Evidence> {
        let gpu = sample.gpu?;
        self.samples += 1;
        self.blocked += usize::from(sample.cpu > BUSY_CPU && gpu.busy < IDLE_GPU);
        (self.samples >= PATIENCE && self.share() > BOTTLENECK_TIME).then(|| self.figures())
    }

    fn standing(&self) -> Standing {
        too_few(self.samples).unwrap_or_else(|| Standing::Ok(self.figures()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, issue_of, not_evaluated_of, ok_of};
    use super::*;

    /// `count` samples, of which each has what `values` says: CPU, GPU, GPU memory.
    fn samples(count: usize, values: impl Fn(usize) -> [f64; 3]) -> Vec<Event> {
        let sample = |number| {
            let [cpu, busy, memory] = values(number);
            Event::Sample(Sample { cpu, gpu: Some(GpuSample { busy, memory }), ..Sample::default() })
        };
        (0..count).map(sample).collect()
    }

    fn every(n: usize, number: usize, then: f64, otherwise: f64) -> f64 {
        if number.is_multiple_of(n) { then } else { otherwise }
    }

    #[test]
    fn without_a_gpu_or_long_enough_a_look_nothing_is_said() {
        let none = vec![Event::Sample(Sample { cpu: 1.0, ..Sample::default() }); 2000];
        assert_eq!(not_evaluated_of(LowGpuUtilization::default(), none.clone()), "no GPU");
        assert_eq!(not_evaluated_of(BatchSize::default(), none.clone()), "no GPU");
        assert_eq!(not_evaluated_of(CpuBottleneck::default(), none), "no GPU");
        let few = not_evaluated_of(LowGpuUtilization::default(), samples(999, |_| [0.0; 3]));
        assert_eq!(few, "999 of the 1000 samples that it takes");
    }

    #[test]
    fn a_gpu_that_idles_or_waits_is_low() {
        let said = |values: fn(usize) -> [f64; 3]| issue_of(LowGpuUtilization::default(), samples(1000, values)).1;
        assert!(said(|_| [0.0, 0.69, 0.0]).ends_with("(95th percentile 69 %)"));
        assert!(
            said(|n| [0.0, every(10, n, 0.0, 0.9), 0.0]).contains("unevenly: 95th percentile 90 %, 5th percentile 0 %")
        );
        let busy = samples(1500, |n| [0.0, every(30, n, 0.0, 0.95), 0.0]);
        assert_eq!(ok_of(LowGpuUtilization::default(), busy), "GPU busy: 95th percentile 95 %, 5th percentile 95 %");
        // Only the last samples count: what idled while the data was read is forgotten.
        let late = samples(1000, |n| [0.0, if n < 500 { 0.0 } else { 0.9 }, 0.0]);
        assert!(ok_of(LowGpuUtilization::default(), late).contains("5th percentile 90 %"));
    }

    #[test]
    fn a_machine_with_room_everywhere_takes_larger_batches() {
        let (_, evidence) = issue_of(BatchSize::default(), samples(1000, |_| [0.2, 0.6, 0.3]));
        assert!(evidence.contains("CPU 20 %, GPU 60 %, GPU memory 30 %, all below 70 %"), "{evidence}");
        for full in [[0.7, 0.6, 0.3], [0.2, 0.8, 0.3], [0.2, 0.6, 0.9]] {
            ok_of(BatchSize::default(), samples(1000, |_| full));
        }
    }

    #[test]
    fn a_busy_cpu_beside_an_idle_gpu_is_a_bottleneck() {
        let (_, evidence) = issue_of(CpuBottleneck::default(), samples(1000, |n| [every(3, n, 0.5, 0.95), 0.05, 0.5]));
        assert_eq!(evidence, "CPU above 90 % with GPU below 10 % in 67 % of the time");
        ok_of(CpuBottleneck::default(), samples(1000, |n| [every(2, n, 0.5, 0.95), 0.05, 0.5]));
        ok_of(CpuBottleneck::default(), samples(1000, |_| [0.95, 0.5, 0.5]));
    }
}
