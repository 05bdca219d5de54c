//! The SageMaker API on one machine.
//!
//! One HTTP server on one address answers three AWS services: SageMaker with its runtime, Application Auto Scaling, and
//! S3. Nothing is faked: a training job is a child process in an `/opt/ml` tree of its own, an endpoint is one child
//! process an instance behind a router, a bucket is a folder. Names of operations, fields, errors and states are AWS's
//! own, after the service models of botocore.
//!
//! | request | goes to |
//! |---|---|
//! | `X-Amz-Target: SageMaker.…` | `training`, `hosting` |
//! | `X-Amz-Target: AnyScaleFrontendService.…` | `scaling` |
//! | `POST /endpoints/NAME/invocations` | `hosting::invoke` |
//! | everything else | `storage` (the `s3s` and `s3s-fs` crates) |
//!
//! Everything is kept in one folder, which one server at a time holds. No child outlives the server: see `process`.

mod api;
mod archive;
mod error;
mod folder;
mod hosting;
mod leftovers;
mod listing;
mod local;
mod names;
mod platform;
mod process;
mod scaling;
mod server;
mod settings;
mod storage;
mod store;
mod tasks;
mod time;
mod training;

pub use local::{LocalSageMaker, StartError};
pub use names::{ACCOUNT, REGION};
pub use settings::Settings;
pub use storage::{ACCESS_KEY, SECRET_KEY};
