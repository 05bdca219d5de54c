//! The SageMaker training container: settings, data, model, loop, evaluation, results.
//!
//! A library beside the binary `train` so that tests can compare the network with other implementations of it.

mod adamw;
mod batches;
mod checkpoint;
mod classifier;
mod criterion;
mod cuda;
mod data;
mod environment;
mod error;
mod evaluation;
mod failure;
mod index;
mod leaves;
mod network;
mod options;
mod outputs;
mod precision;
mod profile;
mod progress;
mod report;
mod rules;
mod schedule;
mod stop;
mod task;
mod temperature;
mod tensors;
mod texts;
mod training;
mod watch;
mod words;

#[cfg(test)]
#[path = "../../tests/support/tiny_encoder.rs"]
mod tiny_encoder;

use std::thread::available_parallelism;
use std::time::Instant;

use tch::{Device, Kind};
use unspsc_contract::{Hyperparameters, ModelKind, OptMl, metrics};
use unspsc_dataset::Label;

use checkpoint::Checkpoints;
use criterion::Criterion;
use data::Data;
use environment::{Environment, Lookup};
use evaluation::{Evaluated, Temperature, evaluate};
use outputs::{Machine, Results};
use profile::Observer;
use stop::Stop;
use task::Task;

pub use classifier::TrainedClassifier;
pub use error::TrainError;
pub use options::Options;
pub use watch::{is_watched, watch};

/// Program and version, for what it writes.
const TRAINED_BY: &str = concat!("train ", env!("CARGO_PKG_VERSION"));

/// Runs the job that the files under `options.base_dir` and `variables` describe. Called before the process has a
/// second thread.
///
/// # Errors
/// Says in one sentence why there is no model; the same stands in `output/failure`.
pub fn run(options: &Options, variables: Lookup<'_>) -> Result<(), TrainError> {
    let result = failure::catch(|| job(options, variables, &Stop::at_sigterm()?));
    if let Err(error) = &result {
        failure::report(&OptMl::new(&options.base_dir).failure(), error);
    }
    result
}

fn job(options: &Options, variables: Lookup<'_>, stop: &Stop) -> Result<(), TrainError> {
    let started = Instant::now();
    // Settings.
    let environment = Environment::resolve(options, variables)?;
    let settings = &environment.hyperparameters;
    let machine = set_up(settings);
    let observer = Observer::start(&machine, started);
    tracing::info!("{TRAINED_BY} on {machine}: {}", outputs::one_line(&settings.to_map()));

    // What cannot be written in the end had better be known before the first epoch.
    outputs::try_to_write(&environment)?;

    // Data and model.
    let data = Data::load(&environment)?;
    let mut checkpoints = Checkpoints::open(&environment, &data);
    let from = checkpoints.as_mut().and_then(Checkpoints::newest);
    let words = from.as_ref().map(|checkpoint| checkpoint.state.words.as_slice());
    let (classifier, texts) = classifier::prepare(&environment, &data, &machine, words, stop)?;
    if from.is_none() && !classifier.begin(&texts.train, settings.max_batch_tokens, stop)? {
        // A run that went on from this head would begin where no other run does.
        checkpoints = None;
    }
    let classes = data.labels.len();
    let sizes = class_sizes(&texts.train, classes);
    let class_rows: Vec<_> = data.labels.iter().map(ToString::to_string).zip(sizes.iter().copied()).collect();
    let criterion = Criterion::new(&sizes, data.leaves.sizes(), settings, machine.device)?;

    // Training, then the one look at the test split.
    let classifier = classifier.as_ref();
    let task = Task {
        classifier,
        texts: &texts,
        class_rows: &class_rows,
        classes,
        leaves: data.leaves.len(),
        criterion: &criterion,
        settings,
        kind: machine.kind,
        stop,
        observer: &observer,
    };
    let mut trained = training::train(task, checkpoints, from.as_ref())?;
    let temperature = trained.temperature();
    let test = evaluate(task, &texts.test, Temperature::Given(temperature))?;
    trained.stopped |= test.is_none();
    if trained.best.is_some() {
        tracing::info!(
            "temperature {temperature:.4}, fitted on validation, divides the logits when the model is served"
        );
    }
    log_test(test.as_ref());

    // Results.
    let labels: Vec<Label> = data.labels.iter().chain(&data.unseen).cloned().collect();
    let results = Results {
        environment: &environment,
        machine: &machine,
        data: &data.summary,
        labels: &labels,
        trained: &trained,
        test: test.as_ref(),
        observed: observer.finish(),
    };
    results.write_model(classifier)?;
    let levels = match settings.model {
        ModelKind::Encoder => index::complete(&environment.model_dir, &data, settings.seed, stop)?,
        ModelKind::Rnn => None,
    };
    results.write_reports(levels.unwrap_or_default(), started.elapsed().as_secs_f64())?;
    tracing::info!("model in {}, {:.0} s in all", environment.model_dir.display(), started.elapsed().as_secs_f64());
    Ok(())
}

/// Seeds libtorch and chooses device, threads and precision.
fn set_up(settings: &Hyperparameters) -> Machine {
    tch::manual_seed(settings.seed.cast_signed());
    // OpenMP counts the machine's processors; a container may be allowed fewer.
    let threads = available_parallelism().map_or(1, |threads| i32::try_from(threads.get()).unwrap_or(i32::MAX));
    tch::set_num_threads(threads);
    let device = Device::cuda_if_available();
    let kind = match settings.model {
        ModelKind::Encoder => precision::kind(settings.precision, device),
        ModelKind::Rnn => Kind::Float,
    };
    if kind == Kind::Half && !device.is_cuda() {
        tracing::warn!("float16 is emulated on a CPU, a hundred times slower than float32: use precision=auto");
    }
    Machine { device, threads, kind }
}

/// Training rows by class.
fn class_sizes(texts: &texts::Texts, classes: usize) -> Vec<usize> {
    let mut sizes = vec![0; classes];
    for text in &texts.0 {
        if let Some(size) = sizes.get_mut(text.class) {
            *size += 1;
        }
    }
    sizes
}

fn log_test(test: Option<&Evaluated>) {
    let Some(test) = test else { return tracing::warn!("stopped: the test split was not looked at") };
    let line = metrics::line(&[
        (metrics::TEST_LOSS, test.loss),
        (metrics::TEST_ACCURACY, test.confusion.accuracy()),
        (metrics::TEST_BALANCED_ACCURACY, test.confusion.balanced_accuracy()),
        (metrics::TEST_MACRO_F1, test.confusion.macro_f1()),
        (metrics::TEST_TOP3_ACCURACY, test.top3_accuracy()),
        (metrics::TEST_TOP5_ACCURACY, test.top5_accuracy()),
        (metrics::TEST_ECE, test.reliability.error()),
        (metrics::TEST_CALIBRATED_ECE, test.calibrated.error()),
    ]);
    tracing::info!("test, {} rows: {line}", test.confusion.total());
}
