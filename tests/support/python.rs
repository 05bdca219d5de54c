//! Python with boto3, the AWS CLI and moto, as `scripts/test` fetches them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Python with these packages and with nothing of the caller's AWS settings; `script` is one of `tests/clients`.
pub(crate) fn python(script: Option<&str>) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let packages = std::env::var_os("UNSPSC_CLIENTS").map_or_else(|| root.join(".deps/clients"), PathBuf::from);
    assert!(packages.join("moto").exists(), "{} is incomplete: run scripts/test", packages.display());
    let mut command = Command::new("python3");
    // Nobody's home: there are no settings in it.
    command.env_clear().env("PYTHONPATH", packages).env("HOME", "/nonexistent");
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(script.map(|script| root.join("tests/clients").join(script)));
    command
}
