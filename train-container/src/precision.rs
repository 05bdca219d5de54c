//! What the network computes in while it is trained.

use tch::{Device, Kind};
use unspsc_contract::Precision;

/// The NVIDIA compute capability, as major and minor number, from which on bfloat16 is fast (Ampere).
///
/// Source: <https://docs.nvidia.com/cuda/cuda-c-programming-guide/#arithmetic-instructions>, table of throughputs.
const FAST_BFLOAT16: (i32, i32) = (8, 0);

/// What `auto` has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hardware {
    /// Of the GPU in use; none where there is none, or where nobody can tell.
    compute_capability: Option<(i32, i32)>,
    has_gpu: bool,
    /// Whether the CPU multiplies bfloat16 in hardware; elsewhere it is several times slower than float32.
    cpu_has_bfloat16: bool,
}

impl Hardware {
    fn of(device: Device) -> Self {
        let has_gpu = device.is_cuda();
        Self {
            compute_capability: if has_gpu { compute_capability() } else { None },
            has_gpu,
            cpu_has_bfloat16: std::arch::is_x86_feature_detected!("avx512bf16"),
        }
    }

    fn kind(self, precision: Precision) -> Kind {
        match precision {
            Precision::Float32 => Kind::Float,
            Precision::Float16 => Kind::Half,
            Precision::BFloat16 => Kind::BFloat16,
            Precision::Auto if self.has_gpu => match self.compute_capability {
                Some(capability) if capability >= FAST_BFLOAT16 => Kind::BFloat16,
                // Every GPU that libtorch knows computes in float16.
                _ => Kind::Half,
            },
            Precision::Auto if self.cpu_has_bfloat16 => Kind::BFloat16,
            Precision::Auto => Kind::Float,
        }
    }
}

/// The kind of the encoder's matrix products on `device`.
pub(crate) fn kind(precision: Precision, device: Device) -> Kind {
    Hardware::of(device).kind(precision)
}

/// What people call it.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        _ => "float32",
    }
}

/// The lowest of all GPUs of this machine: which of them is in use, the driver does not say; an instance has one kind.
fn compute_capability() -> Option<(i32, i32)> {
    let driver = nvml_wrapper::Nvml::init().ok()?;
    let of = |index| {
        let capability = driver.device_by_index(index).ok()?.cuda_compute_capability().ok()?;
        Some((capability.major, capability.minor))
    };
    (0..driver.device_count().ok()?).filter_map(of).min()
}

/// Keeps small gradients in float16's range: the loss is multiplied by a factor that grows until a gradient leaves the
/// range at the other end, and the gradients are divided by it.
///
/// Values and rule are those of PyTorch's `GradScaler`: <https://pytorch.org/docs/stable/amp.html#gradient-scaling>.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LossScale {
    factor: f64,
    /// Updates since the factor last changed; none where it never does.
    updates: Option<u32>,
}

const FIRST_FACTOR: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const GROWTH_INTERVAL: u32 = 2000;

impl Default for LossScale {
    /// For kinds with float32's range, which need none.
    fn default() -> Self {
        Self { factor: 1.0, updates: None }
    }
}

impl LossScale {
    /// What computing in `kind` needs.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Half => Self { factor: FIRST_FACTOR, updates: Some(0) },
            _ => Self::default(),
        }
    }

    /// What the loss is multiplied by, and the gradients divided.
    pub(crate) fn factor(self) -> f64 {
        self.factor
    }

    /// After an update with finite gradients.
    pub(crate) fn grow(&mut self) {
        let Some(updates) = &mut self.updates else { return };
        *updates += 1;
        if *updates >= GROWTH_INTERVAL {
            *self = Self { factor: self.factor * GROWTH, updates: Some(0) };
        }
    }

    /// After gradients that were not finite: false where no lower factor can help, so that the run has diverged.
    pub(crate) fn back_off(&mut self) -> bool {
        let can = self.updates.is_some() && self.factor > 1.0;
        if can {
            *self = Self { factor: (self.factor * BACKOFF).max(1.0), updates: Some(0) };
        }
        can
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_decides_unless_somebody_does() {
        let cpu = Hardware { compute_capability: None, has_gpu: false, cpu_has_bfloat16: false };
        let gpu = |capability| Hardware { compute_capability: capability, has_gpu: true, ..cpu };
        for (hardware, kind) in [
            (cpu, Kind::Float),
            (Hardware { cpu_has_bfloat16: true, ..cpu }, Kind::BFloat16),
            (gpu(Some((7, 5))), Kind::Half),
            (gpu(Some((8, 0))), Kind::BFloat16),
            (gpu(Some((9, 0))), Kind::BFloat16),
            (gpu(None), Kind::Half),
        ] {
            assert_eq!(hardware.kind(Precision::Auto), kind, "{hardware:?}");
            assert_eq!(hardware.kind(Precision::Float32), Kind::Float);
            assert_eq!(hardware.kind(Precision::Float16), Kind::Half);
        }
        // Where no driver is, nothing is asked and nothing is said.
        assert_eq!(Hardware::of(Device::Cpu).compute_capability, None);
    }

    #[test]
    fn the_factor_follows_the_gradients() {
        let mut scale = LossScale::of(Kind::Half);
        (1..GROWTH_INTERVAL).for_each(|_| scale.grow());
        assert_eq!(scale.factor(), FIRST_FACTOR);
        scale.grow();
        assert_eq!(scale.factor(), FIRST_FACTOR * 2.0);
        (0..17).for_each(|_| assert!(scale.back_off()));
        assert_eq!(scale.factor(), 1.0);
        assert!(!scale.back_off());
        let mut none = LossScale::of(Kind::BFloat16);
        (0..=GROWTH_INTERVAL).for_each(|_| none.grow());
        assert_eq!(none.factor(), 1.0);
        assert!(!none.back_off());
    }
}
