//! Running `unspsc` in a test, away from the user's settings.

use std::process::{Command, Output};

/// Settings of the environment that would change what `unspsc` does.
const SETTINGS: [&str; 9] = [
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_PROFILE",
    "UNSPSC_STATE",
    "UNSPSC_ROLE",
    "UNSPSC_BUCKET",
    "UNSPSC_LOG",
    "UNSPSC_TRAIN_IMAGE",
    "UNSPSC_SERVE_IMAGE",
];

/// The program with these arguments.
pub(crate) fn unspsc<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unspsc"));
    for name in SETTINGS {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Standard output and standard error as text.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
