//! How busy processor, memory and GPU are.

use std::time::Instant;

use nvml_wrapper::Nvml;
use procfs::WithCurrentSystemInfo;
use procfs::process::Process;
use tch::Device;

use crate::outputs::Machine;
use crate::rules::{GpuSample, Sample};

/// Reads this process's use of the machine.
pub(super) struct Meter {
    process: Process,
    /// Cores that the process may use.
    cores: f64,
    gpu: Option<Gpu>,
    started: Instant,
    /// Seconds since the start and seconds of CPU time at the sample before.
    before: (f64, f64),
}

impl Meter {
    /// A meter on `machine` that counts from `started`; none where the system does not say how busy a process is.
    pub(super) fn new(machine: &Machine, started: Instant) -> Option<Self> {
        let gpu = if let Device::Cuda(index) = machine.device { Gpu::open(index) } else { None };
        let cores = f64::from(machine.threads.max(1));
        let mut meter = Self { process: Process::myself().ok()?, cores, gpu, started, before: (0.0, 0.0) };
        meter.sample()?;
        Some(meter)
    }

    /// Names of what a sample holds.
    pub(super) fn columns(&self) -> Vec<&'static str> {
        let gpu: &[&str] = if self.gpu.is_some() { &["gpu", "gpu_memory"] } else { &[] };
        [&["seconds", "cpu", "memory_mib"], gpu].concat()
    }

    /// The time since the sample before.
    pub(super) fn sample(&mut self) -> Option<Sample> {
        let stat = self.process.stat().ok()?;
        let at = self.started.elapsed().as_secs_f64();
        let used = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        let cpu = (used - self.before.1) / (at - self.before.0).max(f64::MIN_POSITIVE) / self.cores;
        self.before = (at, used);
        let memory_mib = stat.rss_bytes().get() as f64 / f64::from(1 << 20);
        // The clock of CPU time has ticks of its own: a short look may find more time used than went by.
        Some(Sample { at, cpu: cpu.min(1.0), memory_mib, gpu: self.gpu.as_ref().and_then(Gpu::sample) })
    }
}

/// NVIDIA's management library, found at run time.
struct Gpu {
    library: Nvml,
    index: u32,
}

impl Gpu {
    /// The GPU that CUDA counts as `index`; none where the library is not there or does not know it. CUDA and the
    /// library count alike but where `CUDA_VISIBLE_DEVICES` says otherwise; a training instance has one job, which
    /// sees all.
    fn open(index: usize) -> Option<Self> {
        let index = u32::try_from(index).ok()?;
        let gpu = Self { library: Nvml::init().ok()?, index };
        gpu.sample().is_some().then_some(gpu)
    }

    fn sample(&self) -> Option<GpuSample> {
        let device = self.library.device_by_index(self.index).ok()?;
        let memory = device.memory_info().ok()?;
        let busy = f64::from(device.utilization_rates().ok()?.gpu) / 100.0;
        Some(GpuSample { busy, memory: memory.used as f64 / memory.total.max(1) as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_computes_uses_cpu_and_memory() {
        let started = Instant::now();
        let mut meter =
            Meter::new(&Machine { device: Device::Cpu, threads: 1, kind: tch::Kind::Float }, started).unwrap();
        // CPU time is counted in ticks of 10 ms.
        let mut turns = 0_u64;
        while meter.process.stat().unwrap().utime < 5 || started.elapsed().as_millis() < 50 {
            turns = std::hint::black_box(turns + 1);
        }
        let sample = meter.sample().unwrap();
        assert!(sample.cpu > 0.0 && sample.cpu <= 1.0 && sample.memory_mib > 1.0 && sample.gpu.is_none(), "{sample:?}");
    }
}
