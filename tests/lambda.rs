//! The real `bootstrap` behind Lambda's runtime API, in front of real and of broken endpoints.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "lambda/answers.rs"]
mod answers;
#[path = "lambda/calls.rs"]
mod calls;
#[path = "lambda/faults.rs"]
mod faults;
#[path = "support/lambda.rs"]
mod lambda;
#[path = "support/place.rs"]
mod place;
#[path = "support/recorder.rs"]
mod recorder;
#[path = "lambda/scripted.rs"]
mod scripted;
#[path = "support/stand_in_serve.rs"]
mod stand_in_serve;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;
