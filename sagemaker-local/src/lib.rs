//! The SageMaker API on one machine.
//!
//! One HTTP server on one address answers six AWS services: SageMaker with its runtime, Application Auto Scaling,
//! CloudWatch Logs, S3, and as much of STS as tells who one is. Nothing is faked: a training job is a child process or a
//! container in an `/opt/ml` tree of its own, an endpoint is one of them an instance behind a router, a bucket is a folder. Names of operations, fields, errors and states are AWS's
//! own, after the service models of botocore.
//!
//! | request | goes to |
//! |---|---|
//! | `X-Amz-Target: SageMaker.…` | `training`, `transform`, `tuning`, `hosting` |
//! | `X-Amz-Target: AnyScaleFrontendService.…` | `scaling` |
//! | `X-Amz-Target: Logs_20140328.…` | `logs` |
//! | `POST /` with a form | `identity`: STS |
//! | `POST /_local/clock` | `clock` |
//! | `GET /` without a signature, `GET /_local/…` | `status`: a page for people |
//! | `POST /endpoints/NAME/invocations` | `hosting::invoke` |
//! | everything else | `storage` (the `s3s` and `s3s-fs` crates) |
//!
//! Everything is kept in one folder, which one server at a time holds. No child outlives the server: see `process`; what a container
//! is here: `runtime`.

mod api;
mod archive;
mod clock;
mod error;
mod faults;
mod folder;
mod host;
mod hosting;
mod identity;
mod leftovers;
mod listing;
mod local;
mod logs;
mod names;
mod platform;
mod process;
mod runtime;
mod scaling;
mod server;
mod settings;
mod status;
mod storage;
mod store;
mod tags;
mod tasks;
mod time;
mod training;
mod transform;
mod tuning;
mod uploads;
mod versions;

pub use faults::{Fault, FaultError};
pub use local::{LocalSageMaker, StartError};
pub use names::{ACCOUNT, REGION};
pub use runtime::Runtime;
pub use settings::Settings;
pub use storage::{ACCESS_KEY, SECRET_KEY};
