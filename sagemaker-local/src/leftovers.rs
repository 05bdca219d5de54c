//! Finding and killing what a server has left behind.
//!
//! The kernel kills a server's children with it; what those have started in their turn it does not. That inherits the
//! mark of the state folder in its environment, and whoever holds the folder's lock is its only server: once its own
//! children are gone, every process with the mark is left over.
//!
//! Two things are beyond this: a process that was started with another environment (`env -i`) is not found, and between
//! the look at an environment and the signal, one right after the other, the process could end and its id pass to
//! another.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::OWNER;

/// How long a killed process may take to vanish.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// How long to look again at a process without environment, which may just be starting; a few milliseconds would do. The
/// wait is spent only where some process of the machine has none at all.
const START: Duration = Duration::from_millis(100);

/// Kills every process that carries `mark`, and returns when none is left.
pub(crate) fn kill_all(mark: &OsStr) {
    let variable = [OWNER.as_bytes(), b"=", mark.as_bytes()].concat();
    let begun = Instant::now();
    let mut first_seen: HashMap<Pid, Instant> = HashMap::new();
    loop {
        let Found { marked, bare } = match kill_marked(&variable) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot read /proc; processes of this state folder may be left over");
                return;
            }
        };
        first_seen.retain(|pid, _| bare.contains(pid));
        for pid in bare {
            first_seen.entry(pid).or_insert_with(Instant::now);
        }
        if marked.is_empty() && first_seen.values().all(|seen| seen.elapsed() > START) {
            return;
        }
        if begun.elapsed() > LIMIT {
            if !marked.is_empty() {
                tracing::warn!(left = ?marked, "processes of this state folder do not end");
            }
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// One look at all processes.
#[derive(Debug, Default)]
struct Found {
    /// Those that carried the mark, and have been sent SIGKILL.
    marked: Vec<Pid>,
    /// Those whose environment is empty or cannot be seen yet.
    bare: Vec<Pid>,
}

/// Sends SIGKILL to every process that has `variable` in its environment.
///
/// A process that has ended has no environment any more, and neither has one in the midst of `execve`, between leaving
/// its old memory and the placing of its variables; only the latter has an executable.
fn kill_marked(variable: &[u8]) -> io::Result<Found> {
    let (own, mut found) = (Pid::this(), Found::default());
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
            continue;
        };
        if pid == own {
            continue;
        }
        // A process of another user shows neither its environment nor its executable.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one == variable) {
            // It may have ended meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
            tracing::info!(%pid, "killed a process that was left behind");
            found.marked.push(pid);
        } else if environment.is_empty() && fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
            found.bare.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper(mark: Option<&str>) -> Child {
        Command::new("sleep").arg("60").env_clear().envs(mark.map(|mark| (OWNER, mark))).spawn().unwrap()
    }

    /// Several rounds, since CI once met a child in the midst of `execve`, where its environment reads as empty; and
    /// beside a process that never has any, which must cost no more than a moment.
    #[test]
    fn only_what_carries_the_mark_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().to_str().unwrap();
        let other = format!("{mark}/other");
        let (mut theirs, mut without) = (sleeper(Some(&other)), sleeper(None));
        for _ in 0..20 {
            let mut ours = sleeper(Some(mark));
            let begun = Instant::now();
            kill_all(OsStr::new(mark));
            assert!(begun.elapsed() < LIMIT, "a process without environment is waited for without end");
            assert!(!ours.wait().unwrap().success());
        }
        assert!(theirs.try_wait().unwrap().is_none() && without.try_wait().unwrap().is_none());
        kill_all(OsStr::new(&other));
        theirs.wait().unwrap();
        without.kill().unwrap();
        without.wait().unwrap();
    }
}
