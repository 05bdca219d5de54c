//! What the rules are told.

/// What is about to be trained.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Steps that are done already: 0, or those before a checkpoint.
    pub(crate) first_step: usize,
    /// Steps of the whole run.
    pub(crate) steps: usize,
    /// Steps in which the learning rate rises.
    pub(crate) warmup_steps: usize,
    /// The highest learning rate of the run.
    pub(crate) peak_rate: f64,
    /// Label and training rows by class.
    pub(crate) classes: Vec<(String, usize)>,
}

/// One step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Counted from 1 over all epochs.
    pub(crate) step: usize,
    /// Seconds since the job began.
    pub(crate) at: f64,
    /// Mean over the batch, in nats.
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    /// L2 norm of all gradients together, before clipping.
    pub(crate) gradient_norm: f64,
    /// Tokens of the batch.
    pub(crate) tokens: usize,
    /// Places of the batch, those that were filled up among them.
    pub(crate) places: usize,
    /// One entry a layer in the order of the network; none in most steps, see [`Observer`](crate::profile::Observer).
    pub(crate) layers: Vec<LayerStep>,
}

/// What a step did to one layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LayerStep {
    /// Such as `layer 3`.
    pub(crate) name: String,
    /// Whether it lies between the embedding, which is looked up and not multiplied with, and the head, which may begin
    /// at the texts' centroids.
    pub(crate) hidden: bool,
    /// Mean of the gradient's absolute values, before clipping.
    pub(crate) mean_gradient: f64,
    /// Root of the gradient's mean square, before clipping.
    pub(crate) gradient_deviation: f64,
    /// L2 norm of the gradient, before clipping.
    pub(crate) gradient_norm: f64,
    /// L2 norm of the update through that of the weights before it.
    pub(crate) update_ratio: f64,
    /// Mean square of the weights in its matrices: their variance, as their mean is practically 0.
    pub(crate) weight_variance: f64,
}

/// One epoch and its validation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epoch {
    /// Seconds since the job began.
    pub(crate) at: f64,
    /// Counted from 1.
    pub(crate) epoch: usize,
    pub(crate) train_loss: f64,
    pub(crate) validation_loss: f64,
    /// Validation rows and rows that were found, by class of [`Plan::classes`].
    pub(crate) found: Vec<(usize, usize, usize)>,
}

/// How busy the machine is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the job began.
    pub(crate) at: f64,
    /// Share of the granted cores' time that this process used since the sample before.
    pub(crate) cpu: f64,
    /// Resident memory in MiB.
    pub(crate) memory_mib: f64,
    /// None on a machine without one.
    pub(crate) gpu: Option<GpuSample>,
}

/// How busy the GPU is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct GpuSample {
    /// Share of the time in which a kernel ran.
    pub(crate) busy: f64,
    /// Share of its memory that is in use.
    pub(crate) memory: f64,
}
