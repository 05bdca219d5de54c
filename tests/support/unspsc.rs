//! Running `unspsc` in a test, away from the user's settings.

use std::process::{Command, Output};

/// Where scripts/setup has put things, which tests need too.
const FOLDERS: [&str; 2] = ["UNSPSC_ENCODER", "UNSPSC_WORDNET"];

/// The program with these arguments.
pub(crate) fn unspsc<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unspsc"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // Settings of whoever runs the tests.
        if ["AWS_", "UNSPSC_"].iter().any(|ours| name.starts_with(ours)) && !FOLDERS.contains(&name.as_ref()) {
            command.env_remove(&*name);
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
