//! The real `train` under what SageMaker does to it, as `contract/platform.py` plays it.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

#[path = "support/tiny_encoder.rs"]
#[allow(dead_code, reason = "no encoder is edited here")]
mod tiny_encoder;

use std::process::Command;

use unspsc_artifact::Architecture;

#[test]
fn the_platforms_script_finds_nothing_amiss() {
    let encoder = tempfile::tempdir().unwrap();
    tiny_encoder::write(encoder.path(), Architecture::Bert, 1);
    let mut script = Command::new("python3");
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/platform.py"));
    script.env("TRAIN", env!("CARGO_BIN_EXE_train")).env("UNSPSC_ENCODER", encoder.path());
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
