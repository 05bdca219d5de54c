//! Child processes: how they start, how they end, and why no child outlives the server.
//!
//! - Each child leads a process group of its own, and a signal goes to the whole group, so that a shell takes its own
//!   children along.
//! - The kernel kills a child when the *thread* that started it ends. So one thread starts all children, does nothing
//!   else and lives as long as the server: a thread of the runtime may end earlier. However the server dies, even by
//!   SIGKILL, its children die with it. What they have started in their turn does not: after a SIGKILL of the server it
//!   runs on until the next one starts on the same state folder.
//! - Each child carries the mark of the state folder in its environment, by which that next server finds what was left
//!   behind: see [`crate::leftovers`].

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getppid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::runtime::{Container, Runtime};

/// The variable by which children of a server are known; its value is the mark of the state folder.
pub(crate) const OWNER: &str = "SAGEMAKER_LOCAL_OWNER";

/// What to start.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The one argument, as SageMaker appends it: `train` or `serve`.
    pub(crate) word: &'static str,
    /// The image that the request names.
    pub(crate) image: &'a str,
    /// The folder that it sees as `/opt/ml`.
    pub(crate) opt_ml: &'a Path,
    /// The port on loopback at which it is to be reached, if at all.
    pub(crate) port: Option<u16>,
    /// Whether it is to see no network; a program sees it all the same.
    pub(crate) is_offline: bool,
    /// What the request and SageMaker want in its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The file that standard output and error are added to.
    pub(crate) log: PathBuf,
}

/// A child does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {source}", program.display())]
pub(crate) struct SpawnError {
    program: PathBuf,
    source: io::Error,
}

struct Order {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts all children.
#[derive(Debug)]
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
    mark: OsString,
    /// Where a file goes that is there for a child's sake alone.
    scratch: PathBuf,
    runtime: Runtime,
}

impl Spawner {
    /// Starts the thread; its children carry `mark`. Needs a tokio runtime around it.
    pub(crate) fn start(mark: &OsStr, scratch: PathBuf, runtime: Runtime) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let handle = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let _context = handle.enter();
            while let Ok(Order { mut command, reply }) = inbox.recv() {
                // Whoever asked may have gone; then the child is dropped, and with it killed.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { orders, mark: mark.to_owned(), scratch, runtime })
    }

    /// Starts a child.
    pub(crate) async fn spawn(&self, launch: Launch<'_>) -> Result<Process, SpawnError> {
        let error = |source| SpawnError { program: self.runtime.name(launch.word), source };
        let (command, container) = self.command(&launch).map_err(error)?;
        let (reply, answer) = oneshot::channel();
        let gone = || error(io::Error::other("the thread that starts children has ended"));
        self.orders.send(Order { command, reply }).map_err(|_| gone())?;
        let child = answer.await.map_err(|_| gone())?.map_err(error)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(gone)?;
        Ok(Process { child, group: Pid::from_raw(id), over: false, container, removed: false })
    }

    fn command(&self, launch: &Launch<'_>) -> io::Result<(Command, Option<Container>)> {
        let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let (mut command, container) = self.runtime.command(launch, &self.mark, &self.scratch)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true);
        die_with_this_thread(&mut command);
        Ok((command, container))
    }
}

/// Has the kernel kill the child when the thread that starts it ends.
///
/// There is no safe way to run anything between fork and exec. The other ways were weighed: `setpriv --pdeathsig` needs
/// a tool that not every system has and cannot close the gap described below; a watchdog process of our own doubles
/// the processes and can itself be killed.
#[allow(unsafe_code)]
fn die_with_this_thread(command: &mut Command) {
    let server = std::process::id();
    let set = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A server that died before the line above took effect never sends the signal.
        if u32::try_from(getppid().as_raw()) == Ok(server) { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done. `prctl` and `getppid` are bare
    // system calls, errors are made of a number, and nothing here allocates, locks or touches memory of other threads.
    unsafe {
        command.pre_exec(set);
    }
}

/// A running child and its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    /// The group is gone, and its id may soon be another's.
    over: bool,
    /// What it has started in its turn, out of the reach of signals.
    container: Option<Container>,
    /// That is gone.
    removed: bool,
}

impl Process {
    /// Waits until the child ends; whatever else runs in its group then ends too, as in a container.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut children = signal(SignalKind::child())?;
        while self.runs() {
            children.recv().await;
        }
        // The child has ended and is not reaped yet: until then its id, the group's, is given to nobody else.
        self.send(Signal::SIGKILL);
        self.over = true;
        let status = self.child.wait().await;
        // A client that was killed, or has lost its connection, has left its container behind.
        if let (Some(container), false) = (&self.container, self.removed) {
            container.remove().await;
            self.removed = true;
        }
        status
    }

    /// Whether a child that ended like this is `docker` that says it could not start its container: by the documented exit
    /// codes of `docker run`, which a program may have too, and by a line of its log.
    pub(crate) fn no_container<'a>(&self, status: ExitStatus, log: &'a [String]) -> Option<&'a String> {
        // Advice to look for help stands behind it, in words of each version's own.
        let said = log.iter().rfind(|line| line.starts_with("docker: "));
        said.filter(|_| self.container.is_some() && matches!(status.code(), Some(125..=127)))
    }

    /// Sends SIGTERM, once `grace` is over SIGKILL, and waits for the end.
    pub(crate) async fn terminate(&mut self, grace: impl Future<Output = ()>) -> io::Result<ExitStatus> {
        self.send(Signal::SIGTERM);
        tokio::select! {
            ended = self.wait() => return ended,
            () = grace => {}
        }
        self.kill().await
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.send(Signal::SIGKILL);
        self.wait().await
    }

    /// False once the child has ended; leaves it to be reaped.
    fn runs(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !self.over && waitid(Id::Pid(self.group), look) == Ok(WaitStatus::StillAlive)
    }

    fn send(&self, signal: Signal) {
        if !self.over {
            // All of the group may have ended by itself.
            let _ = killpg(self.group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.send(Signal::SIGKILL);
        if let (Some(container), false) = (&self.container, self.removed) {
            container.remove_soon();
        }
    }
}

/// How a child ended, such as `exit code: 1` or `killed by SIGKILL`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code: {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    /// A script and its log in a folder that goes with the first value.
    fn script(body: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("script"), folder.path().join("log"));
        let draft = folder.path().join("draft");
        fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
        // Written by another process: a file that this one writes cannot run while a fork of another test holds it.
        let made = std::process::Command::new("install").arg("-m755").arg(&draft).arg(&program).status();
        assert!(made.unwrap().success());
        (folder, program, log)
    }

    async fn start(program: &Path, log: &Path) -> (Spawner, Process) {
        let runtime = Runtime::Process { train: program.to_path_buf(), serve: program.to_path_buf() };
        let spawner = Spawner::start(OsStr::new("/owner"), PathBuf::new(), runtime).unwrap();
        let environment = vec![("GREETING".to_owned(), "hello".to_owned())];
        let process = spawner.spawn(launch(environment, log)).await;
        (spawner, process.unwrap())
    }

    fn launch(environment: Vec<(String, String)>, log: &Path) -> Launch<'static> {
        let (opt_ml, log) = (Path::new("/opt/ml"), log.to_path_buf());
        Launch { word: "train", image: "", opt_ml, port: None, is_offline: false, environment, log }
    }

    async fn logged(log: &Path, text: &str) {
        let look = async {
            while !fs::read_to_string(log).unwrap_or_default().contains(text) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look).await.expect("the line never came");
    }

    fn grandchild(log: &Path) -> i32 {
        fs::read_to_string(log).unwrap().trim_start_matches("child ").trim().parse().unwrap()
    }

    async fn gone(pid: i32) {
        // A zombie no longer runs.
        let runs = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        let look = async {
            while runs() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look).await.expect("the process is still there");
    }

    #[tokio::test]
    async fn a_child_gets_its_word_its_environment_and_little_else() {
        let (_folder, program, log) =
            script("echo \"$1 $GREETING $SAGEMAKER_LOCAL_OWNER [$CARGO_MANIFEST_DIR]\"; exit 3");
        let (_spawner, mut process) = start(&program, &log).await;
        assert_eq!(describe(process.wait().await.unwrap()), "exit code: 3");
        assert_eq!(fs::read_to_string(&log).unwrap(), "train hello /owner []\n");
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_with_its_own_children() {
        let (_folder, program, log) = script("trap '' TERM\nsleep 60 &\necho \"child $!\"\nwait");
        let (_spawner, mut process) = start(&program, &log).await;
        logged(&log, "child").await;
        let status = process.terminate(tokio::time::sleep(Duration::from_millis(50))).await.unwrap();
        assert_eq!(describe(status), "killed by SIGKILL");
        gone(grandchild(&log)).await;
    }

    #[tokio::test]
    async fn what_a_child_leaves_in_its_group_ends_with_it() {
        let (_folder, program, log) = script("sleep 60 &\necho \"child $!\"\nexit 3");
        let (_spawner, mut process) = start(&program, &log).await;
        assert_eq!(describe(process.wait().await.unwrap()), "exit code: 3");
        gone(grandchild(&log)).await;
    }

    #[tokio::test]
    async fn a_child_dies_with_the_thread_that_started_it() {
        let (_folder, program, log) = script("echo up\nexec sleep 60");
        let (spawner, mut process) = start(&program, &log).await;
        logged(&log, "up").await;
        drop(spawner);
        let status = tokio::time::timeout(Duration::from_secs(20), process.wait()).await.unwrap().unwrap();
        assert_eq!(describe(status), "killed by SIGKILL");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let (folder, _, log) = script("");
        let program = folder.path().join("missing");
        let runtime = Runtime::Process { train: program.clone(), serve: program };
        let spawner = Spawner::start(OsStr::new("/owner"), PathBuf::new(), runtime).unwrap();
        let error = spawner.spawn(launch(Vec::new(), &log)).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot start") && error.contains("missing"), "{error}");
    }
}
