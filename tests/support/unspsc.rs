//! Running `unspsc` in a test, away from the user's settings.

use std::process::{Command, Output};

/// The program with these arguments.
pub(crate) fn unspsc<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unspsc"));
    // Whatever would change what `unspsc` does.
    for (name, _) in std::env::vars_os() {
        if ["AWS_", "UNSPSC_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Standard output and standard error as text.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
