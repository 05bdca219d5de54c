//! A folder of its own for `unspsc`, with data, an encoder and, where it is asked for, a running platform.

#![allow(dead_code, reason = "each test file needs some of them")]

use std::fs;
use std::io::{self, BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use unspsc_artifact::Architecture;

use crate::support::{texts, unspsc};
use crate::tiny_encoder;

/// Far above what any of this takes; only a hang meets it.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// What `train` and `run` are told about the data.
pub(crate) const TRAINING: [&str; 6] = ["--data", "data.csv", "--encoder", "encoder", "--output", "out"];

/// A folder of its own with data and an encoder.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        for program in ["train", "serve", "sagemaker-local"] {
            let path = beside_unspsc(program);
            assert!(path.is_file(), "{} is missing: run `cargo build --release` first", path.display());
        }
        let folder = tempfile::tempdir().unwrap();
        tiny_encoder::write(&folder.path().join("encoder"), Architecture::Bert, 1);
        let mut csv = "description,unspsc\n".to_owned();
        for number in 0..40 {
            csv += &format!("rice and beans {number},50221101\ntoner cartridge {number},44103103\n");
        }
        fs::write(folder.path().join("data.csv"), csv).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Any verb on any platform.
    pub(crate) fn on(&self, platform: &[&str], verb: &str) -> Command {
        let mut command = unspsc([verb]);
        command.current_dir(&self.folder).args(platform);
        command
    }

    /// Starts a platform, with faults as its options say them.
    pub(crate) fn platform(&self, faults: &[&str]) -> Platform<'_> {
        self.platform_with(&faults.iter().flat_map(|fault| ["--fault", fault]).collect::<Vec<_>>())
    }

    /// Starts a platform whose training jobs run a script with this body, in their `/opt/ml`.
    pub(crate) fn platform_of(&self, train: &str, options: &[&str]) -> Platform<'_> {
        let read = r#"hyperparameter() { sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p" input/config/hyperparameters.json; }"#;
        self.script("train", &format!("cd \"$SAGEMAKER_BASE_DIR\"\n{read}\n{train}"));
        self.platform_with(&[&["--train", "train"], options].concat())
    }

    /// Starts a platform whose jobs and endpoints are shell scripts with these bodies.
    pub(crate) fn platform_of_scripts(&self, train: &str, serve: &str) -> Platform<'_> {
        self.script("train", train);
        self.script("serve", serve);
        self.platform_with(&["--train", "train", "--serve", "serve"])
    }

    /// Starts a platform with these options.
    pub(crate) fn platform_with(&self, options: &[&str]) -> Platform<'_> {
        self.platform_among(&[], options)
    }

    /// The same with these variables.
    pub(crate) fn platform_among(&self, variables: &[(&str, &str)], options: &[&str]) -> Platform<'_> {
        let mut server = Command::new(beside_unspsc("sagemaker-local"));
        server.current_dir(&self.folder).args(["--state", "state", "--port", "0", "--log", "error"]);
        server.args(["--stop-grace-secs", "20"]).args(options).envs(variables.iter().copied());
        let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        let address =
            |line: io::Result<String>| line.unwrap().strip_prefix("export AWS_ENDPOINT_URL=").map(str::to_owned);
        let url = said.find_map(address).unwrap();
        Platform { place: self, server: Some(server), url, _said: said }
    }

    fn script(&self, name: &str, body: &str) {
        let draft = self.path(&format!("{name}.draft"));
        fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
        // Written by another process: a file that this one writes cannot run while a fork of another test holds it.
        assert!(Command::new("install").arg("-m755").arg(draft).arg(self.path(name)).status().unwrap().success());
    }

    /// Processes that were started with this folder in their command line or environment.
    pub(crate) fn processes(&self) -> Vec<String> {
        let marker = self.folder.path().to_string_lossy().into_owned();
        let mentions =
            |path: PathBuf| fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&marker));
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok().map(|entry| entry.path()));
        all.filter(|process| ["cmdline", "environ"].iter().any(|file| mentions(process.join(file))))
            .map(|process| process.display().to_string())
            .collect()
    }
}

/// A `sagemaker-local` that runs until this is dropped.
pub(crate) struct Platform<'a> {
    place: &'a Place,
    server: Option<Child>,
    pub(crate) url: String,
    /// Kept open: it has more to say.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Platform<'_> {
    /// A verb on this platform.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.on(&["--endpoint-url", &self.url], verb);
        command.args(arguments);
        command
    }

    /// The plan of a verb on this platform.
    pub(crate) fn plan(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.on(&[verb], "plan");
        command.args(["--endpoint-url", &self.url]).args(arguments);
        command
    }

    /// Its exit code, standard output and standard error.
    pub(crate) fn verb(&self, verb: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(verb, arguments).output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), out, err)
    }

    /// Ends it, and makes sure that it took everything with it.
    pub(crate) fn stop(mut self) {
        let server = self.server.take().unwrap();
        signal(&server, "TERM");
        assert!(wait(server).status.success());
        assert_eq!(self.place.processes(), Vec::<String>::new());
    }
}

impl Drop for Platform<'_> {
    fn drop(&mut self) {
        // Only where the test has failed: its children die with it.
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A program of the same build.
pub(crate) fn beside_unspsc(program: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_unspsc")).with_file_name(program)
}

/// Sends `name` to `child`.
pub(crate) fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Starts `command` and reads what it says on standard error until a line has `words` in it.
pub(crate) fn until(command: &mut Command, words: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let is_said =
        lines.by_ref().map(Result::unwrap).inspect(|line| said.push(line.clone())).any(|line| line.contains(words));
    assert!(is_said, "`{words}` was not said: {said:#?}");
    (child, lines)
}

/// What `child` says on standard error from now on, and its exit code. The pipe has to be read, or the program would wait for
/// that when it says goodbye.
pub(crate) fn rest(child: Child, lines: Lines<BufReader<ChildStderr>>) -> (Option<i32>, String) {
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    (wait(child).status.code(), said.join("\n"))
}

/// Waits for the end of `child`, which must come within [`LIMIT`].
pub(crate) fn wait(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("unspsc did not end within {LIMIT:?}: {:?}", texts(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap()
}
