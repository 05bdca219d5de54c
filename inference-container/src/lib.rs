//! The SageMaker inference container: `/ping` and `/invocations` over HTTP, one thread that owns the model.
//!
//! A request is read and tokenised where it arrives and handed to the model's thread as a job; what the
//! model runs next is decided by a pure function over the jobs that wait.

mod answering;
mod api_error;
mod app;
mod classifier;
mod connections;
mod deadline;
mod depth;
mod encoding;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod health;
mod held;
mod inbox;
mod incoming;
mod index;
mod invocations;
mod labels;
mod logging;
mod media;
mod memory;
mod metrics;
mod options;
mod page;
mod queue;
mod rate;
mod records;
mod request;
mod run;
mod service;
mod statement;
mod stream;
#[cfg(any(fuzzing, test))]
mod testing;
mod traces;
mod worker;

pub use logging::start_logging;
pub use options::Options;
pub use run::{ServeError, run};
