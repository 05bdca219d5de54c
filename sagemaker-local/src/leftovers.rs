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

/// Kills every process that belongs to the state folder `owner`, and returns when none is left.
pub(crate) fn kill_all(owner: &Path) {
    let started = Instant::now();
    loop {
        let left = find(owner);
        if left.is_empty() {
            return;
        }
        if started.elapsed() > LIMIT {
            tracing::warn!(?left, "processes of this state folder do not end");
            return;
        }
        for pid in left {
            tracing::info!(%pid, "killing a process that was left behind");
            // It may have ended meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The processes that carry `owner` in their environment; a process that has ended has none any more.
fn find(owner: &Path) -> Vec<Pid> {
    let mark = [OWNER.as_bytes(), b"=", owner.as_os_str().as_bytes()].concat();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ours = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark)
    };
    let own = Pid::this();
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(ours).map(Pid::from_raw).filter(|pid| *pid != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_what_carries_the_mark_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (owner, other) = (folder.path(), folder.path().join("other"));
        let sleeper = |owner: &Path| Command::new("sleep").arg("60").env(OWNER, owner).spawn().unwrap();
        let (mut ours, mut theirs) = (sleeper(owner), sleeper(&other));
        kill_all(owner);
        assert!(!ours.wait().unwrap().success());
        assert!(theirs.try_wait().unwrap().is_none());
        kill_all(&other);
        theirs.wait().unwrap();
    }
}
