//! `sagemaker-local` from outside: the real binary, a real HTTP client, stand-ins for `train` and `serve` that fail when
//! told to.

// A test states what it expects, also in the functions that tests share; requests read best as literals, by value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::needless_pass_by_value)]

#[path = "support/browser.rs"]
mod browser;
#[path = "sagemaker_local/clients.rs"]
mod clients;
#[path = "sagemaker_local/endpoints.rs"]
mod endpoints;
#[path = "sagemaker_local/jobs.rs"]
mod jobs;
#[path = "sagemaker_local/lifecycle.rs"]
mod lifecycle;
#[path = "support/python.rs"]
mod python;
#[path = "sagemaker_local/scaling.rs"]
mod scaling;
#[path = "sagemaker_local/server.rs"]
mod server;
#[path = "sagemaker_local/services.rs"]
mod services;
#[path = "sagemaker_local/stand_in.rs"]
mod stand_in;
#[path = "sagemaker_local/status.rs"]
mod status;
#[path = "sagemaker_local/transform.rs"]
mod transform;
#[path = "sagemaker_local/transform_failures.rs"]
mod transform_failures;
#[path = "sagemaker_local/tuning.rs"]
mod tuning;
#[path = "sagemaker_local/wire.rs"]
mod wire;
