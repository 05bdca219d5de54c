//! The SageMaker Python SDK drives the images: in its local mode by docker compose, and through the API by `sagemaker-local`, with one script.
//!
//! Where the images are not named, or the engine, compose or the SDK is missing, the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests: a panic is the report")]

#[allow(dead_code, reason = "the engine is looked for with all else")]
#[path = "support/docker_engine.rs"]
mod docker_engine;
#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

use docker_engine::docker;
use place::Place;
use support::texts;

/// The network that the SDK makes, once for all of its jobs on a machine.
const NETWORK: &str = "sagemaker-local";
/// The bucket of the script that goes through the API.
const BUCKET: &str = "sdk";

/// What the tests need and a machine may not have.
struct Tools {
    train_image: String,
    serve_image: String,
    /// The SDK and what it imports.
    packages: PathBuf,
    /// `PATH`, with compose on it.
    path: OsString,
}

impl Tools {
    fn find() -> Option<Self> {
        let found = Self::look();
        if let Err(missing) = &found {
            eprintln!("skipped: {missing}");
        }
        found.ok()
    }

    fn look() -> Result<Self, String> {
        let image = |variable| env::var(variable).map_err(|_| format!("{variable} names no image"));
        let (train_image, serve_image) = (image("UNSPSC_TRAIN_IMAGE")?, image("UNSPSC_SERVE_IMAGE")?);
        let deps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps");
        let packages = deps.join("sagemaker");
        if !packages.join("sagemaker").exists() {
            return Err(format!("the SageMaker SDK is not in {}: run scripts/test", packages.display()));
        }
        let own = deps.join("docker/root/usr/bin");
        let path = env::join_paths(env::split_paths(&env::var_os("PATH").unwrap()).chain([own])).unwrap();
        let answers = |program: &str, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .env("PATH", &path)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if !answers("docker", &["version", "--format", "{{.Server.Version}}"]) {
            return Err("no Docker Engine answers".to_owned());
        }
        if !answers("docker", &["compose", "version"]) && !answers("docker-compose", &["version"]) {
            return Err("there is neither `docker compose` nor `docker-compose`".to_owned());
        }
        Ok(Self { train_image, serve_image, packages, path })
    }

    /// The script, for images, data and output below `uri` and an instance type, in a home with no other settings than not to report.
    fn script(&self, place: &Place, uri: &str, instance_type: &str) -> Command {
        let mut command = Command::new("python3");
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            // Settings of whoever runs the tests.
            if ["AWS_", "SAGEMAKER_", "XDG_"].iter().any(|theirs| name.starts_with(theirs)) {
                command.env_remove(&*name);
            }
        }
        if let Some(home) = env::var_os("HOME").filter(|_| env::var_os("DOCKER_CONFIG").is_none()) {
            // Which engine is asked, and compose as docker's plugin.
            command.env("DOCKER_CONFIG", Path::new(&home).join(".docker"));
        }
        for folder in ["home/.config/sagemaker", "tmp"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        let defaults = "SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n";
        fs::write(place.path("home/.config/sagemaker/config.yaml"), defaults).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/local_mode.py");
        command.arg(script).args([&self.train_image, &self.serve_image]);
        command.args(["data", "encoder", "rows", "out"].map(|name| format!("{uri}/{name}")));
        command.env("HOME", place.path("home")).env("TMPDIR", place.path("tmp"));
        command.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1").env("PATH", &self.path);
        command.envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")]);
        command.envs([("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
        command.envs([("INSTANCE_TYPE", instance_type), ("ROLE", "arn:aws:iam::000000000000:role/local")]);
        command
    }
}

fn has_network() -> bool {
    !docker(&["network", "ls", "--quiet", "--filter", &format!("name=^{NETWORK}$")]).unwrap().is_empty()
}

/// Data, encoder and rows below `folder`, as the script wants them.
fn inputs(place: &Place, folder: &Path) {
    for name in ["data", "encoder", "rows"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::copy(place.path("data.csv"), folder.join("data/data.csv")).unwrap();
    for file in fs::read_dir(place.path("encoder")).unwrap() {
        let file = file.unwrap().path();
        let copy = folder.join("encoder").join(file.file_name().unwrap());
        if copy != file {
            fs::copy(&file, copy).unwrap();
        }
    }
    fs::write(folder.join("rows/rows.txt"), "rice and beans\ntoner cartridge\nrice\n").unwrap();
}

/// Holds the answers that the script prints, and the ones in `out` below `folder`, against what the rows were labelled with.
fn judge(said: &str, folder: &Path) {
    let answers: Value =
        serde_json::from_str(said.lines().find_map(|line| line.strip_prefix("answers ")).unwrap()).unwrap();
    let labels = ["50000000", "44000000"];
    let predictions = answers["json"]["predictions"].as_array().unwrap();
    assert_eq!(predictions.iter().map(|prediction| &prediction["label"]).collect::<Vec<_>>(), labels);
    let rows = answers["csv"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row[0]).collect::<Vec<_>>(), labels);
    let lines = fs::read_to_string(folder.join("out/batch/rows.txt.out")).unwrap();
    let lines = lines.lines().filter(|line| !line.is_empty());
    let batch: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(batch.iter().map(|line| &line["label"]).collect::<Vec<_>>(), ["50000000", "44000000", "50000000"]);
}

/// Stands where AWS and the SDK's telemetry would be, and counts who comes.
struct Nobody {
    url: String,
    visits: Arc<AtomicUsize>,
}

impl Nobody {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&visits);
        thread::spawn(move || {
            // Each connection is closed at once.
            while listener.accept().is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { url, visits }
    }
}

/// The SDK's local mode, one at a time: all of its jobs share a network. What it leaves by design is removed in the end.
struct LocalMode<'a> {
    tools: &'a Tools,
    place: &'a Place,
    nobody: Nobody,
    had_network: bool,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> LocalMode<'a> {
    fn new(tools: &'a Tools, place: &'a Place) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        inputs(place, place.folder.path());
        for folder in ["home/.sagemaker", "containers"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let containers = place.path("containers").display().to_string();
        // Root needs `DAC_OVERRIDE` to write into folders of the caller.
        let local = format!(
            "local:\n  local_code: true\n  container_root: {containers}\n  serving_port: {port}\n  container_config:\n    \
             read_only: true\n    tmpfs: [/tmp]\n    cap_drop: [ALL]\n    cap_add: [DAC_OVERRIDE]\n"
        );
        fs::write(place.path("home/.sagemaker/config.yaml"), local).unwrap();
        Self { tools, place, nobody: Nobody::new(), had_network: has_network(), _alone: alone }
    }

    /// Exit code, and all that the script says.
    fn run(&self, hyperparameters: &[&str]) -> (i32, String) {
        let mut command =
            self.tools.script(self.place, &format!("file://{}", self.place.folder.path().display()), "local");
        command.args(hyperparameters).env("AWS_ENDPOINT_URL", &self.nobody.url).env("HTTPS_PROXY", &self.nobody.url);
        let output = command.output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), format!("{out}\n{err}"))
    }

    /// State and id of the containers of compose files below the place.
    fn containers(&self) -> Vec<(String, String)> {
        let label = "com.docker.compose.project.working_dir";
        let format = format!("{{{{.State}}}} {{{{.ID}}}} {{{{.Label \"{label}\"}}}}");
        let all = docker(&["ps", "--all", "--filter", &format!("label={label}"), "--format", &format]).unwrap();
        let root = self.place.folder.path().to_string_lossy().into_owned();
        let ours = all.lines().filter(|line| line.contains(&root)).map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        });
        ours.collect()
    }

    /// Nobody was asked but this machine, nothing runs any more, and what is left goes.
    fn end(self) {
        assert_eq!(self.nobody.visits.load(Ordering::Relaxed), 0, "something was to be asked over the network");
        for (state, id) in self.containers() {
            assert_eq!(state, "exited");
            docker(&["rm", &id]);
        }
        assert!(self.containers().is_empty());
        if !self.had_network {
            docker(&["network", "rm", NETWORK]);
            assert!(!has_network());
        }
        assert_eq!(fs::read_dir(self.place.path("tmp")).unwrap().count(), 0);
        let left = self.place.path("containers");
        if fs::remove_dir_all(&left).is_err() {
            // The containers are root's and the test is not.
            let mount = format!("{}:/left", left.display());
            let rm =
                ["run", "--rm", "--user", "0", "--volume", &mount, "--entrypoint", "find", &self.tools.serve_image];
            docker(&[rm.as_slice(), &["/left", "-mindepth", "1", "-delete"]].concat());
            fs::remove_dir(left).unwrap();
        }
    }
}

impl Drop for LocalMode<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (_, id) in self.containers() {
            docker(&["rm", "--force", &id]);
        }
        if !self.had_network && has_network() {
            docker(&["network", "rm", NETWORK]);
        }
    }
}

#[test]
fn local_mode_trains_deploys_answers_and_transforms() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new();
    let mode = LocalMode::new(&tools, &place);
    let (code, said) = mode.run(&["epochs=1", "learning_rate=0.001"]);
    assert_eq!(code, 0, "{said}");
    judge(&said, place.folder.path());
    for file in ["out/model.tar.gz", "out/output.tar.gz"] {
        assert!(place.path(file).is_file(), "{file}");
    }
    mode.end();
}

#[test]
fn local_mode_says_why_a_job_fails() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new();
    let mode = LocalMode::new(&tools, &place);
    let (code, said) = mode.run(&["epochs=none"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("exited with code 3") && said.contains("Process exited with code: 3"), "{said}");
    let reason = "hyperparameter `epochs` is `none`, allowed: 0.001 to 10000";
    assert!(said.contains(reason), "{said}");
    let packed = place.path("out/output.tar.gz");
    let failure = Command::new("tar").arg("-xOzf").arg(packed).arg("failure").output().unwrap();
    assert_eq!(texts(&failure).0, reason);
    mode.end();
}

#[test]
fn the_same_script_goes_through_the_api() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new();
    let platform = place.platform_with(&["--runtime", "docker"]);
    let bucket = place.path("state/s3").join(BUCKET);
    inputs(&place, &bucket);
    let mut script = tools.script(&place, &format!("s3://{BUCKET}"), "ml.m5.large");
    let output =
        script.args(["epochs=1", "learning_rate=0.001"]).env("AWS_ENDPOINT_URL", &platform.url).output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{out}\n{err}");
    judge(&out, &bucket);
    platform.stop();
}
