//! `sagemaker-local --runtime docker`: jobs and instances as containers of a real Docker Engine, driven by `unspsc`.
//!
//! Where no engine answers, the tests say so and pass. The images are made of the programs of this build and the libraries that
//! they load: no registry is asked.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests: a panic is the report")]

#[path = "support/docker_engine.rs"]
mod docker_engine;
#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use docker_engine::{docker, has_docker};
use place::{LIMIT, Place, TRAINING, beside_unspsc, rest, signal, until};

/// An image of one program of this build, which is deleted in the end.
struct Image(String);

impl Image {
    /// Makes it of `program` and the libraries that it loads.
    fn new(place: &Place, program: &str) -> Self {
        let path = beside_unspsc(program);
        let root = place.path(&format!("image-{program}"));
        let copy = |from: &Path, to: PathBuf| {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        copy(&path, root.join("usr/local/bin").join(program));
        for folder in ["opt/ml", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let libraries = Command::new("ldd").arg(&path).output().unwrap().stdout;
        for word in String::from_utf8(libraries).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
            // The loader alone is looked for at its own place.
            let path = Path::new(word);
            let is_loader = word.starts_with("/lib64/");
            let folder = if is_loader { "lib64" } else { "usr/local/lib" };
            copy(path, root.join(folder).join(path.file_name().unwrap()));
        }
        let unique = place.folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let tag = format!("unspsc-test-{program}:{}", unique.trim_start_matches('.'));
        let mut tar =
            Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
        let environment = "ENV PATH=/usr/local/bin LD_LIBRARY_PATH=/usr/local/lib";
        let import = ["import", "--change", environment, "-", &tag];
        let import = Command::new("docker").args(import).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
        fs::remove_dir_all(root).unwrap();
        Self(tag)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.0]);
    }
}

/// Ids of the containers that belong to the platform of `place`.
fn containers(place: &Place) -> String {
    let state = fs::canonicalize(place.path("state")).unwrap().display().to_string();
    let format = "{{.ID}} {{.Label \"sagemaker-local.state\"}}";
    let all = docker(&["ps", "--all", "--filter", "label=sagemaker-local.state", "--format", format]).unwrap();
    let ours = all.lines().filter_map(|line| line.split_once(' ')).filter(|(_, mark)| mark.starts_with(&state));
    ours.map(|(id, _)| id).collect::<Vec<_>>().join(" ")
}

#[test]
fn jobs_and_instances_are_containers_and_end_with_the_platform() {
    if !has_docker() {
        return;
    }
    let place = Place::new();
    let (train, serve) = (Image::new(&place, "train"), Image::new(&place, "serve"));
    let platform = place.platform_with(&["--runtime", "docker"]);
    let quick = ["--hyperparameter", "epochs=1", "--train-image", &train.0, "--job-name", "job"];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &quick].concat());
    assert!(code == 0 && err.contains("epoch 1/1"), "{err}");

    let (code, _, err) = platform.verb("deploy", &["--job", "job", "--endpoint", "e", "--serve-image", &serve.0]);
    assert_eq!(code, 0, "{err}");
    let id = containers(&place);
    let format = "{{.Config.Image}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.Cmd}}";
    assert_eq!(docker(&["inspect", "--format", format, &id]).unwrap(), format!("{} true [ALL] [serve]", serve.0));
    let (code, out, err) = platform.verb("invoke", &["--endpoint", "e", "rice", "toner"]);
    assert!(code == 0 && out.contains("toner"), "{out}{err}");
    // One that is killed is replaced.
    docker(&["kill", &id]).unwrap();
    let begun = Instant::now();
    while platform.verb("invoke", &["--endpoint", "e", "rice"]).0 != 0 {
        assert!(begun.elapsed() < LIMIT, "{}", platform.verb("status", &["e"]).1);
    }
    assert_ne!(containers(&place), id);
    let (code, _, err) = platform.verb("destroy", &["--endpoint", "e", "--yes"]);
    assert!(code == 0 && containers(&place).is_empty(), "{err}");

    let absent = ["--train-image", "unspsc-test-absent:1", "--job-name", "absent"];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &absent].concat());
    assert!(code == 3 && err.contains("Cannot start the container") && err.contains("unspsc-test-absent:1"), "{err}");

    let endless = ["--hyperparameter", "epochs=10000", "--train-image", &train.0];
    let mut leaving =
        platform.command("train", &[TRAINING.as_slice(), &endless, &["--on-interrupt", "leave"]].concat());
    let (child, lines) = until(&mut leaving, "epoch 1/");
    signal(&child, "INT");
    rest(child, lines);
    let id = containers(&place);
    let network = docker(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", &id]).unwrap();
    assert_eq!(network, "none", "the job asks for isolation");
    platform.stop();
    assert_eq!(containers(&place), "");
}

#[test]
fn what_a_killed_platform_has_left_goes_when_the_next_starts() {
    if !has_docker() {
        return;
    }
    let place = Place::new();
    let train = Image::new(&place, "train");
    let endless = ["--hyperparameter", "epochs=10000", "--train-image", &train.0];
    let platform = place.platform_with(&["--runtime", "docker"]);
    let (child, lines) = until(&mut platform.command("train", &[TRAINING.as_slice(), &endless].concat()), "epoch 1/");
    // Dropped without a stop it is killed.
    drop(platform);
    rest(child, lines);
    assert_ne!(containers(&place), "", "the container outlives a server that is killed");
    let scratch = || fs::read_dir(place.path("state/scratch")).into_iter().flatten().count();
    assert_eq!(scratch(), 1, "so does the file of its environment");
    let platform = place.platform_with(&["--runtime", "docker"]);
    assert_eq!((containers(&place).as_str(), scratch()), ("", 0));
    let (_, out, _) = platform.verb("status", &[]);
    assert!(out.contains("Failed"), "{out}");
    platform.stop();
    assert!(place.path("state/docker").exists());
    // Without Docker it is looked for once more, and then no more.
    place.platform(&[]).stop();
    assert!(!place.path("state/docker").exists());
}

#[test]
fn a_container_goes_also_where_its_client_has_left_it() {
    if !has_docker() {
        return;
    }
    let place = Place::new();
    let train = Image::new(&place, "train");
    // A client that loses its connection: the container runs on.
    let real = Command::new("sh").args(["-c", "command -v docker"]).output().unwrap().stdout;
    let real = String::from_utf8(real).unwrap();
    let lost = format!(
        "#!/bin/sh\n[ \"$1\" = run ] || exec {0} \"$@\"\nshift\n{0} run --detach \"$@\" && exit 125\n",
        real.trim()
    );
    fs::create_dir(place.path("lost")).unwrap();
    fs::write(place.path("lost/docker"), lost).unwrap();
    fs::set_permissions(place.path("lost/docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.path("lost").display(), std::env::var("PATH").unwrap());
    let platform = place.platform_among(&[("PATH", &path)], &["--runtime", "docker"]);
    let endless = ["--hyperparameter", "epochs=10000", "--train-image", &train.0];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &endless].concat());
    assert!(code == 3 && err.contains("exit code: 125"), "{err}");
    assert_eq!(containers(&place), "");
    platform.stop();
}
