//! How libtorch's threads wait for each other.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Read by OpenMP when it is loaded, before `main`.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";

/// Starts this program anew with threads that sleep while they wait, unless the variable is set already.
///
/// By default OpenMP's threads spin. Where another process wants a core, each of the thousands of parallel regions of a
/// training step then waits for the scheduler's time slice: with a compiler running beside it on two cores, training was
/// ten times slower. Returns where nothing had to be done.
///
/// # Errors
/// Why the program could not be started anew; it can go on as it is.
pub fn wait_asleep() -> Result<(), io::Error> {
    if env::var_os(WAIT_POLICY).is_some() {
        return Ok(());
    }
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    Err(Command::new(env::current_exe()?).args(arguments).env(WAIT_POLICY, "passive").exec())
}
