//! The images, run as `docker run` runs them: what they hold, how they are confined, how they end.
//!
//! `scripts/test` builds them where a Docker Engine answers, and names them by two variables. Without these the tests say so and
//! pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests: a panic is the report")]

#[path = "images/container.rs"]
mod container;
#[path = "support/docker_engine.rs"]
#[allow(dead_code, reason = "the images were built where they are named")]
mod docker_engine;
#[path = "images/readme.rs"]
mod readme;
#[path = "support/tiny_encoder.rs"]
#[allow(dead_code, reason = "no encoder is edited here")]
mod tiny_encoder;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use container::{CONFINED, Container, Images, confined, images, run};
use docker_engine::docker;
use serde_json::{Value, json};
use unspsc_artifact::Architecture;

/// Two users: the one SageMaker takes, and one that no image knows.
const USERS: [&str; 2] = ["0:0", "12345:54321"];

/// What SageMaker mounts at `/opt/ml` for a training job, with little data and a small encoder, writable for everybody.
fn job(hyperparameters: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["input/config", "input/data/train", "model", "output/data"] {
        fs::create_dir_all(root.join(name)).unwrap();
        open_to_all(&root.join(name));
    }
    open_to_all(root);
    open_to_all(&root.join("output"));
    fs::write(root.join("input/config/hyperparameters.json"), hyperparameters.to_string()).unwrap();
    tiny_encoder::write(&root.join("input/data/model"), Architecture::Bert, 1);
    let mut csv = "description,unspsc\n".to_owned();
    for number in 0..40 {
        csv += &format!("frozen fish and pork {number},50121500\nhex bolt steel {number},31161600\n");
    }
    fs::write(root.join("input/data/train/rows.csv"), csv).unwrap();
    folder
}

/// The pretrained encoder that `scripts/setup` has fetched.
fn encoder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    std::env::var_os("UNSPSC_ENCODER").map_or(root.join(".deps/encoder/all-MiniLM-L6-v2"), Into::into)
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

fn train(images: &Images, job: &Path, options: &[&str]) -> (Option<i32>, String) {
    let volume = format!("{}:/opt/ml", job.display());
    let options = [&["--rm", "--network", "none", "--volume", &volume], CONFINED.as_slice(), options].concat();
    run(&options, &images.train, "train")
}

/// A model that the training image has made, as its folder on this machine.
fn model(images: &Images) -> (tempfile::TempDir, PathBuf) {
    let job = job(&json!({"epochs": "2"}));
    let (code, log) = train(images, job.path(), &[]);
    assert_eq!(code, Some(0), "{log}");
    let model = job.path().join("model");
    (job, model)
}

/// A server over `model`, confined, which listens to a port that Docker has chosen.
fn serve(images: &Images, model: &Path, options: &[&str]) -> Container {
    let volume = format!("{}:/opt/ml/model:ro", model.display());
    let publish = ["--publish", "127.0.0.1::8080", "--volume", &volume];
    Container::start(&[&publish, CONFINED.as_slice(), options].concat(), &images.serve, "serve")
}

/// What `serve` says when it cannot start, and its exit code.
fn refused(images: &Images, options: &[&str]) -> (Option<i32>, String) {
    run(&[&["--rm"], CONFINED.as_slice(), options].concat(), &images.serve, "serve")
}

#[test]
fn both_work_confined_as_root_and_as_anybody() {
    let Some(images) = images() else { return };
    for user in USERS {
        let job = job(&json!({"epochs": "\"1\""}));
        let (code, log) = train(&images, job.path(), &["--user", user]);
        assert!(code == Some(0) && log.contains("epoch 1/1"), "{user}: {log}");
        let model = job.path().join("model");
        assert!(model.join("model.safetensors").is_file() && job.path().join("output/data/report.html").is_file());
        let server = serve(&images, &model, &["--user", user]);
        server.ready();
        let (status, answer) = server.post("/invocations", &json!({"description": "hex bolt"}));
        assert!(status == 200 && answer["label"] == "31000000", "{user}: {answer}");
        let (code, log) = server.stop();
        assert_eq!(code, 0, "{user}: {log}");
    }
}

#[test]
fn a_container_is_what_the_platform_expects() {
    let Some(images) = images() else { return };
    for (image, program) in [(&images.train, "train"), (&images.serve, "serve")] {
        let described: Value = serde_json::from_str(&docker(&["image", "inspect", image]).unwrap()).unwrap();
        let (image, config) = (&described[0], &described[0]["Config"]);
        assert_eq!((image["Os"].as_str(), image["Architecture"].as_str()), (Some("linux"), Some("amd64")));
        assert_eq!(
            config["Entrypoint"],
            json!([format!("/usr/local/bin/{program}")]),
            "the exec form, without a shell"
        );
        assert_eq!(config["Cmd"], json!([program]));
        let labels = &config["Labels"];
        for label in ["title", "description", "licenses", "version", "revision"] {
            let value = labels[format!("org.opencontainers.image.{label}")].as_str();
            assert!(value.is_some_and(|value| !value.is_empty()), "{label}: {labels}");
        }
        assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
        let bind = labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"].as_str();
        assert_eq!(bind, (program == "serve").then_some("true"));
    }
}

#[test]
fn a_job_that_may_not_write_says_so_before_it_trains() {
    let Some(images) = images() else { return };
    let job = job(&json!({"epochs": "1"}));
    fs::set_permissions(job.path().join("model"), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, log) = train(&images, job.path(), &["--user", USERS[1]]);
    assert!(code == Some(7) && log.contains("/opt/ml/model") && log.contains("user 12345"), "{code:?} {log}");
    assert!(!log.contains("epoch 1/1"), "{log}");
    // Whoever it runs as may write what the image itself has at its place. Without a volume there is no encoder.
    let (code, log) = run(&["--rm", "--network", "none", "--user", USERS[1]], &images.train, "train");
    assert!(code == Some(5) && !log.contains("cannot write"), "{code:?} {log}");
}

/// Neither program starts a shell, nor any other program of its base.
#[test]
fn no_shell_is_needed() {
    let Some(images) = images() else { return };
    let none = ["/bin/sh", "/bin/dash", "/bin/bash"].map(|shell| format!("type=bind,source=/dev/null,target={shell}"));
    let options: Vec<&str> = none.iter().flat_map(|mount| ["--mount", mount]).collect();
    let job = job(&json!({"epochs": "1"}));
    let (code, log) = train(&images, job.path(), &options);
    assert_eq!(code, Some(0), "{log}");
    let server = serve(&images, &job.path().join("model"), &options);
    server.ready();
    assert_eq!(server.stop().0, 0);
}

/// The limits of README, compressed as a registry has them.
#[test]
fn they_are_small_and_hold_what_they_need() {
    let Some(images) = images() else { return };
    for (image, limit) in [(&images.serve, 40_000_000), (&images.train, 250_000_000)] {
        let size = container::compressed(image);
        assert!(size <= limit, "{image} has {size} bytes");
    }
    let names = container::files(&images.serve);
    for unwanted in ["torch", "python3", "libcuda"] {
        let found: Vec<_> = names.lines().filter(|name| name.contains(unwanted)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(names.lines().any(|name| name == "usr/local/bin/serve"));
}

#[test]
fn a_model_that_is_none_is_one_line_and_an_exit_code() {
    let Some(images) = images() else { return };
    let (_job, model) = model(&images);
    let weights = fs::read(model.join("model.safetensors")).unwrap();
    let case = |name: &str, change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&model).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        change(folder.path());
        open_to_all(folder.path());
        let volume = format!("{}:/opt/ml/model:ro", folder.path().display());
        let (code, log) = refused(&images, &["--network", "none", "--volume", &volume]);
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
        assert_eq!(code, Some(1), "{name}: {log}");
        assert_eq!(errors.len(), 1, "{name}: {log}");
        errors[0].to_owned()
    };
    let empty = case("empty", &|folder| {
        for entry in fs::read_dir(folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    });
    assert!(empty.contains("config.json") && empty.contains("mount"), "{empty}");
    let cut = case("cut off", &|folder| fs::write(folder.join("model.safetensors"), &weights[..1000]).unwrap());
    assert!(cut.contains("model.safetensors"), "{cut}");
    let archive = case("an archive that is not unpacked", &|folder| {
        for entry in fs::read_dir(folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(folder.join("model.tar.gz"), &weights[..1000]).unwrap();
    });
    assert!(archive.contains("model.tar.gz"), "{archive}");
}

#[test]
fn a_port_in_use_and_too_little_memory_are_one_line_and_an_exit_code() {
    let Some(images) = images() else { return };
    let (_job, model) = model(&images);
    let volume = format!("{}:/opt/ml/model:ro", model.display());
    let first = serve(&images, &model, &[]);
    first.ready();
    let network = format!("container:{}", first.id);
    let (code, log) = refused(&images, &["--network", &network, "--volume", &volume]);
    assert!(code == Some(1) && log.contains("cannot listen on 0.0.0.0:8080"), "{log}");
    assert!(log.contains("SAGEMAKER_BIND_TO_PORT"), "{log}");
    let other = ["--network", &network, "--volume", &volume, "--env", "SAGEMAKER_BIND_TO_PORT=8081"];
    let second = Container::start(&[CONFINED.as_slice(), &other].concat(), &images.serve, "serve");
    second.logs_until("ready");
    assert_eq!(second.stop().0, 0);
    first.stop();

    let small = confined("16m");
    let options = [&["--rm", "--network", "none", "--volume", &volume], small.as_slice()].concat();
    let (code, log) = run(&options, &images.serve, "serve");
    assert!(code == Some(1) && log.contains("16 MiB") && log.contains("docker run --memory"), "{code:?} {log}");
    let job = job(&json!({"epochs": "1"}));
    let volume = format!("{}:/opt/ml", job.path().display());
    // Enough to load libtorch, and too little for this encoder.
    let encoder = format!("{}:/opt/ml/input/data/model:ro", encoder().display());
    let small = confined("192m");
    let volumes = ["--volume", &volume, "--volume", &encoder];
    let options = [&["--rm", "--network", "none"], volumes.as_slice(), small.as_slice()].concat();
    let (code, log) = run(&options, &images.train, "train");
    assert!(code == Some(8) && log.contains("memory"), "{code:?} {log}");
    assert!(fs::read_to_string(job.path().join("output/failure")).unwrap().contains("memory"));
}

#[test]
fn sigterm_drains_and_exit_codes_pass_through() {
    let Some(images) = images() else { return };
    let (_job, model) = model(&images);
    let server = serve(&images, &model, &[]);
    server.ready();
    let words = "frozen fish and pork, steel hex bolt and nut ".repeat(3);
    let texts: Vec<String> = (0..20_000).map(|number| format!("{words}{number}")).collect();
    let body = json!({"instances": texts});
    let address = server.address();
    let (begun, status, answer) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| server.post("/invocations", &body));
        // Taken, and not yet answered.
        while !container::is_at_work(&address) {
            assert!(!asking.is_finished(), "not seen under way: {:?}", server.logs());
        }
        let begun = Instant::now();
        docker(&["kill", "--signal", "TERM", &server.id]).unwrap();
        let (status, answer) = asking.join().unwrap();
        (begun, status, answer)
    });
    assert!(status == 200 && answer["predictions"].as_array().unwrap().len() == texts.len(), "{status}");
    assert_eq!(server.wait(), 0);
    assert!(begun.elapsed() < Duration::from_secs(30));

    let bad = job(&json!({"epochs": "many"}));
    let (code, log) = train(&images, bad.path(), &[]);
    assert!(code == Some(3) && log.contains("epochs"), "{code:?} {log}");
    let endless = job(&json!({"epochs": "10000"}));
    let volume = format!("{}:/opt/ml", endless.path().display());
    let options = [&["--network", "none", "--volume", &volume], CONFINED.as_slice()].concat();
    let training = Container::start(&options, &images.train, "train");
    training.logs_until("epoch 1/");
    let (code, log) = training.stop();
    assert_eq!(code, 0, "{log}");
    assert!(endless.path().join("model/model.safetensors").is_file(), "what was best so far is the model");
}
