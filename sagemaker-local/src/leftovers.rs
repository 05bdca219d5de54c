//! Finding and killing what a server has left behind.
//!
//! The kernel kills a server's children with it; what those have started in their turn it does not. All of them carry
//! the state folder in their environment, and whoever holds the folder's lock is its only server, so every process with
//! that mark that is not a child of this server is left over. An environment cannot be mistaken for another as a
//! process id can.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::OWNER;

/// How long a killed process may take to vanish.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// How long to look again for a process that is just being started. A few milliseconds would do; the wait is spent only
/// where some process of the machine has no environment at all.
const START: Duration = Duration::from_millis(100);

/// Kills every process that belongs to the state folder `owner`, and returns when none is left.
pub(crate) fn kill_all(owner: &Path) {
    let started = Instant::now();
    loop {
        let Found { marked, starting } = find(owner);
        if marked.is_empty() && (!starting || started.elapsed() > START) {
            return;
        }
        if started.elapsed() > LIMIT {
            tracing::warn!(left = ?marked, "processes of this state folder do not end");
            return;
        }
        for pid in marked {
            tracing::info!(%pid, "killing a process that was left behind");
            // It may have ended meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// One look at all processes.
#[derive(Debug, Default)]
struct Found {
    /// Those that carry the mark.
    marked: Vec<Pid>,
    /// Whether there is one whose environment cannot be seen yet.
    starting: bool,
}

/// The processes that carry `owner` in their environment.
///
/// A process that has ended has no environment any more, and neither has one in the midst of `execve`, between leaving
/// its old memory and the placing of its variables; only the latter has an executable.
fn find(owner: &Path) -> Found {
    let mark = [OWNER.as_bytes(), b"=", owner.as_os_str().as_bytes()].concat();
    let Ok(processes) = fs::read_dir("/proc") else { return Found::default() };
    let own = Pid::this();
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| *pid != own).fold(Found::default(), |mut found, pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
            found.marked.push(pid);
        }
        found.starting |= environment.is_empty() && fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Many rounds, since CI once met a child in the midst of `execve`, where its environment reads as empty.
    #[test]
    fn only_what_carries_the_mark_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (owner, other) = (folder.path(), folder.path().join("other"));
        let sleeper = |owner: &Path| Command::new("sleep").arg("60").env(OWNER, owner).spawn().unwrap();
        let mut theirs = sleeper(&other);
        for _ in 0..200 {
            let mut ours = sleeper(owner);
            kill_all(owner);
            assert!(!ours.wait().unwrap().success());
        }
        assert!(theirs.try_wait().unwrap().is_none());
        kill_all(&other);
        theirs.wait().unwrap();
    }
}
