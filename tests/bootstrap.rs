//! `bootstrap` as somebody starts it who has found it; behind Lambda's runtime API it is tried in `lambda.rs`, for which cargo builds it
//! because of this test.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

use std::process::Command;

#[test]
fn outside_of_lambda_it_says_where_it_belongs() {
    let output = Command::new(env!("CARGO_BIN_EXE_bootstrap")).env_clear().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("provided.al2023") && said.contains("unspsc lambda deploy"), "{said}");
}
