//! The `docker` command of this machine.

use std::process::{Command, Stdio};

/// What `docker` prints; none where it fails, and then it says why on the test's standard error.
pub(crate) fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).stderr(Stdio::inherit()).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// Whether an engine answers; says so where none does.
pub(crate) fn has_docker() -> bool {
    let output = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    let answers = output.is_ok_and(|output| output.status.success());
    if !answers {
        eprintln!("skipped: no Docker Engine answers");
    }
    answers
}
