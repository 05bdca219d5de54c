//! `unspsc images push` with a real Docker Engine and a real registry. ECR alone is a stand-in, whose answers lead to that
//! registry; what is asked of ECR is judged in `unspsc_requests.rs`.
//!
//! Where no engine answers, or no registry can be started, the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests: a panic is the report")]

#[path = "support/docker_engine.rs"]
mod docker_engine;
#[path = "unspsc_images/ecr.rs"]
mod ecr;
#[path = "support/place.rs"]
mod place;
#[path = "unspsc_images/registry.rs"]
mod registry;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use docker_engine::{docker, has_docker};
use ecr::{Ecr, Fault};
use place::{Place, rest, signal, until};
use registry::{PASSWORD, Registry};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use support::{texts, unspsc};

/// A place, where an engine answers; `docker` has settings of its own there.
fn place_with_engine() -> Option<Place> {
    if !has_docker() {
        return None;
    }
    let place = Place::new();
    for folder in ["docker", "tmp"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::write(place.path("docker/config.json"), "{}").unwrap();
    // The key ring of a user, which `docker login` would choose by itself.
    place.script("docker-credential-secretservice", "touch asked-the-key-ring; exit 1");
    Some(place)
}

fn tar(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("tar").current_dir(folder).args(arguments).status().unwrap().success());
}

/// An image with one file, which is deleted in the end.
struct Image {
    name: String,
    /// Its tag in the registry.
    tag: String,
}

impl Image {
    /// Made as an archive, since not every engine imports files for another processor.
    fn new(place: &Place, word: &str, architecture: &str) -> Self {
        let unique = place.folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("unspsc-test-{word}-{}", unique.trim_start_matches('.'));
        let folder = place.path(word);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), &name).unwrap();
        tar(&folder, &["-cf", "layer.tar", "file"]);
        let layer = Sha256::digest(fs::read(folder.join("layer.tar")).unwrap());
        let layer: String = layer.iter().map(|byte| format!("{byte:02x}")).collect();
        let layers = json!({ "type": "layers", "diff_ids": [format!("sha256:{layer}")] });
        let config = json!({ "architecture": architecture, "os": "linux", "config": {}, "rootfs": layers });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let tags = [format!("{name}:latest")];
        let manifest = json!([{ "Config": "config.json", "RepoTags": tags, "Layers": ["layer.tar"] }]);
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        tar(&folder, &["-cf", "image.tar", "manifest.json", "config.json", "layer.tar"]);
        docker(&["load", "--input", folder.join("image.tar").to_str().unwrap()]).unwrap();
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", &name]).unwrap();
        Self { name, tag: format!("id-{}", id.trim_start_matches("sha256:")) }
    }

    /// All that it is called on this machine.
    fn names(&self) -> String {
        docker(&["image", "inspect", "--format", "{{join .RepoTags \" \"}}", &self.name]).unwrap()
    }

    /// That it is called what it was called before.
    fn is_as_before(&self) -> bool {
        self.names() == format!("{}:latest", self.name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // By its id it goes with all its names.
        docker(&["rmi", "--force", self.tag.trim_start_matches("id-")]);
    }
}

/// `unspsc` with these words before `images push`, and these behind it.
fn command(place: &Place, ecr: &Ecr, before: &[&str], behind: &[&str]) -> Command {
    let mut command = unspsc(before);
    command.args(["images", "push"]).args(behind).args(["--endpoint-url", &ecr.url]).current_dir(&place.folder);
    command.envs([("DOCKER_CONFIG", place.path("docker")), ("TMPDIR", place.path("tmp"))]);
    command.env("PATH", format!("{}:{}", place.folder.path().display(), std::env::var("PATH").unwrap()));
    command
}

/// Its exit code, standard output and standard error. Whatever it comes to, nothing is left of the login.
fn push(place: &Place, ecr: &Ecr, before: &[&str], images: &[&str]) -> (i32, String, String) {
    let output = command(place, ecr, before, images).output().unwrap();
    leaves_nothing(place);
    let (out, err) = texts(&output);
    assert!(!format!("{out}{err}").contains(PASSWORD), "{out}{err}");
    (output.status.code().unwrap(), out, err)
}

fn leaves_nothing(place: &Place) {
    assert_eq!(fs::read_dir(place.path("tmp")).unwrap().count(), 0, "nothing stays among the temporary files");
    assert_eq!(fs::read_to_string(place.path("docker/config.json")).unwrap(), "{}");
    assert_eq!(fs::read_dir(place.path("docker")).unwrap().count(), 1, "settings of the user's own");
    assert!(!place.path("asked-the-key-ring").exists());
}

/// What the registry has for an image.
fn held(registry: &Registry, image: &Image) -> Option<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Registry::manifest(&registry.address, &image.name, &image.tag)).map(|(digest, _)| digest)
}

#[test]
fn images_are_pushed_once_and_printed_as_settings_by_their_digests() {
    let Some(place) = place_with_engine() else { return };
    let Some(registry) = Registry::start(&place.path("registry")) else { return };
    let ecr = Ecr::before(&registry.address);
    let (train, serve) = (Image::new(&place, "train", "amd64"), Image::new(&place, "serve", "amd64"));
    let names = [train.name.as_str(), &serve.name];

    let (code, out, err) = push(&place, &ecr, &["plan", "--json"], &names);
    assert_eq!(code, 0, "{err}");
    let plan: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let planned: Vec<&str> = plan.iter().map(|one| one["operation"].as_str().unwrap()).collect();
    assert_eq!(planned, ["CreateRepository", "push", "CreateRepository", "push"], "{out}");
    let request = json!({ "Image": serve.name, "Repository": serve.name, "Tag": serve.tag });
    assert_eq!(plan[3], json!({ "service": "docker", "operation": "push", "request": request }));
    assert!(ecr.repositories().is_empty() && !ecr.take().contains(&"GetAuthorizationToken".to_owned()));

    // At `trace` the clients say all that they know.
    let (code, settings, err) = push(&place, &ecr, &["--log", "trace"], &names);
    assert_eq!(code, 0, "{err}");
    let token = ecr::token(PASSWORD);
    assert!(err.contains("DescribeImages") && !err.contains(&token), "the token is logged");
    let lines = [&train, &serve].map(|image| {
        let digest = held(&registry, image).unwrap_or_else(|| panic!("{} is not there: {err}", image.name));
        format!("{}/{}@{digest}", registry.address, image.name)
    });
    let expected = format!(
        "[training]  # train, tune, run\ntrain-image = \"{}\"\n[serving]  # deploy, batch, run\nserve-image = \"{}\"\n",
        lines[0], lines[1]
    );
    assert_eq!(settings, expected);
    let made = &ecr.repositories()[&train.name];
    assert_eq!(made["imageTagMutability"], "IMMUTABLE");
    assert_eq!(made["imageScanningConfiguration"], json!({ "scanOnPush": true }));
    assert_eq!(made["tags"][0], json!({ "Key": "unspsc:managed-by", "Value": "unspsc" }));
    assert!(train.is_as_before() && serve.is_as_before(), "{} {}", train.names(), serve.names());

    // They are settings.
    fs::write(place.path("unspsc.toml"), &settings).unwrap();
    let help = unspsc(["deploy", "--help"]).current_dir(&place.folder).output().unwrap();
    assert!(texts(&help).0.replace(['\n', ' '], "").contains(&lines[1]), "{}", texts(&help).0);

    // A run that was killed has left its tag.
    let left = format!("{}/{}:{}", registry.address, serve.name, serve.tag);
    docker(&["tag", &serve.name, &left]).unwrap();
    ecr.take();
    let (code, out, err) = push(&place, &ecr, &[], &names);
    assert_eq!((code, out), (0, settings), "{err}");
    assert!(err.contains("already") && !err.contains("pushing"), "{err}");
    assert_eq!(ecr.take(), ["DescribeRepositories", "DescribeImages", "DescribeRepositories", "DescribeImages"]);
    assert!(serve.is_as_before(), "{}", serve.names());
    let (_, out, _) = push(&place, &ecr, &["plan"], &names);
    assert_eq!(out, "nothing to change\n");
}

#[test]
fn what_sagemaker_cannot_run_and_what_is_not_there_is_refused_before_anything_is_asked() {
    let Some(place) = place_with_engine() else { return };
    let ecr = Ecr::before("registry.invalid");
    let (good, bad) = (Image::new(&place, "serve", "amd64"), Image::new(&place, "train", "arm64"));
    let id = bad.tag.trim_start_matches("id-");
    for (name, words) in [
        (bad.name.as_str(), ["is of linux/arm64", "docker build --platform linux/amd64"]),
        ("unspsc-test-absent", ["no image unspsc-test-absent", "scripts/build-images"]),
        (&id[..12], ["the id of an image", "by its name"]),
    ] {
        let (code, out, err) = push(&place, &ecr, &[], &[&good.name, name]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(words.iter().all(|words| err.contains(words)), "{err}");
    }
    let (code, _, err) = push(&place, &ecr, &[], &["Upper"]);
    assert!(code == 2 && err.contains("in lower case"), "{err}");
    assert_eq!(ecr.take(), Vec::<String>::new());
    assert!(good.is_as_before() && bad.is_as_before());
}

#[test]
fn faults_of_the_service_are_survived_and_a_token_that_is_refused_is_said() {
    let Some(place) = place_with_engine() else { return };
    let Some(registry) = Registry::start(&place.path("registry")) else { return };
    let ecr = Ecr::before(&registry.address);
    let image = Image::new(&place, "serve", "amd64");
    ecr.password("another");
    let (code, out, err) = push(&place, &ecr, &[], &[&image.name]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("docker login") && err.contains("401") && !err.contains("another"), "{err}");
    assert!(image.is_as_before(), "{}", image.names());

    let ecr = Ecr::before(&registry.address);
    for (operation, fault) in [
        ("DescribeRepositories", Fault::Throttled),
        ("CreateRepository", Fault::Lost),
        ("GetAuthorizationToken", Fault::Throttled),
        ("DescribeImages", Fault::Lost),
    ] {
        ecr.fault(operation, fault);
    }
    let (code, out, err) = push(&place, &ecr, &[], &[&image.name]);
    assert!(code == 0 && out.contains(&held(&registry, &image).unwrap()), "{out}{err}");
    let asked = ecr.take();
    let times = |operation: &str| asked.iter().filter(|one| *one == operation).count();
    assert!(times("CreateRepository") == 2 && times("GetAuthorizationToken") == 2, "{asked:?}");
    assert_eq!(ecr.repositories().len(), 1);
}

#[test]
fn a_push_that_is_interrupted_leaves_nothing_here() {
    let Some(place) = place_with_engine() else { return };
    let ecr = Ecr::silent();
    let image = Image::new(&place, "serve", "amd64");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut pushing = command(&place, &ecr, &[], &[&image.name]);
        // What `docker push` says first.
        let (child, lines) = until(&mut pushing, "The push refers to");
        assert!(!image.is_as_before());
        signal(&child, name);
        let (ended, said) = rest(child, lines);
        assert_eq!(ended, Some(code), "{said}");
        assert!(image.is_as_before(), "{}: {said}", image.names());
        assert_eq!(place.processes(), Vec::<String>::new());
        leaves_nothing(&place);
    }
}
