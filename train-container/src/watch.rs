//! The process that SageMaker starts: it starts the one that trains and, however that one ends, is there to say why.
//!
//! A process cannot report its own end by the kernel's out-of-memory killer, by an allocation that fails in Rust, which
//! aborts, or by a crash in native code. The watching process holds next to nothing, so that the kernel, which kills the
//! largest, spares it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::{ExitStatusExt as _, parent_id};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use unspsc_contract::OptMl;

use crate::{Options, TrainError, cuda, failure};

/// Tells the process that trains the id of the one that watches.
const WATCHER: &str = "UNSPSC_TRAIN_WATCHER";

/// Read by OpenMP when it is loaded, before `main`: whether and for how many turns its threads spin before they sleep.
const WAITING: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];

/// Some microseconds, which is as long as most of a step's thousands of parallel regions take; `docs/training.md` has the
/// figures. Threads that sleep at once are slower on idle cores, where waking is dear. Those that spin for long, as is the
/// default, wait in each region for the scheduler's time slice where others want the cores.
const SPIN_COUNT: &str = "2000";

/// Bytes of the end of standard error that are kept: enough for what a native library says before it gives up.
const LAST_WORDS: usize = 4096;

/// Whether this is the process that trains. If so, the kernel will kill it when the watching one ends.
///
/// # Errors
/// If the watching process has ended already, or the kernel refuses.
pub fn is_watched() -> Result<bool, TrainError> {
    let Some(watcher) = env::var_os(WATCHER) else { return Ok(false) };
    let refused = |what: &str| TrainError::System(what.to_owned());
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| refused(&format!("to tie two processes: {error}")))?;
    // It may have ended before the call.
    if watcher != *parent_id().to_string() {
        return Err(refused("to go on without the process that watches this one"));
    }
    Ok(true)
}

/// Starts this program anew to train, hands SIGTERM on to it, and waits. Returns its exit code; where it has left no reason
/// for its failure, leaves one. Called before the process has a second thread.
///
/// # Errors
/// How the process that trains was ended; the same stands in `output/failure`.
pub fn watch(options: &Options) -> Result<u8, TrainError> {
    let path = OptMl::new(&options.base_dir).failure();
    // One of an earlier run over the same tree would be taken for this one's. If it cannot go, writing will tell.
    let _ = fs::remove_file(&path);
    let ended = train().and_then(|(status, words)| match status.code().map(u8::try_from) {
        // Its own codes; whatever else is a library's that ended the process.
        Some(Ok(code @ (0 | 2..=11))) => Ok(code),
        _ => Err(unexplained(status, &words)),
    });
    ended.inspect_err(|error| failure::report(&path, error))
}

/// Runs the process that trains. Returns how it ended and the last that it wrote to standard error.
fn train() -> Result<(ExitStatus, String), TrainError> {
    let refused = |error: io::Error| TrainError::System(format!("to start the process that trains: {error}"));
    let mut sigterm = SigSet::empty();
    sigterm.add(Signal::SIGTERM);
    // The child inherits the mask, so that no signal comes too early for it.
    sigterm.thread_block().map_err(|error| refused(error.into()))?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let mut command = Command::new(env::current_exe().map_err(refused)?);
    command.args(arguments).env(WATCHER, process::id().to_string()).stderr(Stdio::piped());
    if WAITING.iter().all(|name| env::var_os(name).is_none()) {
        command.env(WAITING[0], SPIN_COUNT);
    }
    command.envs(cuda::environment());
    let mut child = command.spawn().map_err(refused)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let hand_on = move || {
        while sigterm.wait().is_ok() {
            // Fails only where the child has just ended.
            let _ = kill(pid, Signal::SIGTERM);
        }
    };
    thread::Builder::new().name("sigterm".into()).spawn(hand_on).map_err(refused)?;
    let words = pass_on(&mut child);
    Ok((child.wait().map_err(refused)?, words))
}

/// Copies the child's standard error to ours until its end, and returns the last of it.
fn pass_on(child: &mut Child) -> String {
    let (mut last, mut piece) = (Vec::new(), [0; 1024]);
    if let Some(mut from) = child.stderr.take() {
        while let Ok(length @ 1..) = from.read(&mut piece) {
            let read = piece.get(..length).unwrap_or_default();
            // The log may be gone; the job goes on.
            let _ = io::stderr().write_all(read);
            last.extend_from_slice(read);
            last.drain(..last.len().saturating_sub(LAST_WORDS));
        }
    }
    String::from_utf8_lossy(&last).trim().to_owned()
}

/// The end of a process that could not explain itself.
fn unexplained(status: ExitStatus, words: &str) -> TrainError {
    let said = if words.is_empty() { String::new() } else { format!(", after: {words}") };
    if let Some(refused) = failure::out_of_memory(words) {
        return refused;
    }
    match status.signal().map(Signal::try_from) {
        Some(Ok(Signal::SIGKILL)) => {
            let mebibytes = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss() / 1024);
            TrainError::OutOfMemory(format!(
                "the process that trains was killed by SIGKILL with {mebibytes} MiB in use at its peak, which is the \
                 kernel's out-of-memory killer unless somebody sent the signal"
            ))
        }
        Some(Ok(signal)) => TrainError::Crash(format!("{signal}{said}")),
        _ => TrainError::Crash(format!("{status} without a reason{said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_error() {
        let kind = |status, words: &str| unexplained(ExitStatus::from_raw(status), words);
        let cases = [
            (9, "", 8, "SIGKILL"),
            (6, "memory allocation of 1000 bytes failed", 8, "1000 bytes"),
            (6, "terminate called", 10, "SIGABRT, after: terminate called"),
            (11, "", 10, "SIGSEGV"),
            (1 << 8, "libgomp: cannot", 10, "exit status: 1 without a reason, after: libgomp: cannot"),
        ];
        for (status, words, code, message) in cases {
            let error = kind(status, words);
            assert_eq!(error.exit_code(), code);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
