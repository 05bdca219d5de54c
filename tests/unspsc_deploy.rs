//! `unspsc deploy` and `destroy` on a real `sagemaker-local`, whose instances are stand-ins that behave as their model says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "unspsc_deploy/destroying.rs"]
mod destroying;
#[path = "unspsc_deploy/ground.rs"]
mod ground;
#[path = "unspsc_deploy/killed.rs"]
mod killed;
#[path = "unspsc_deploy/new.rs"]
mod new;
#[path = "unspsc_deploy/stand_in.rs"]
mod stand_in;
#[path = "support/unspsc.rs"]
mod support;
#[path = "unspsc_deploy/updates.rs"]
mod updates;
