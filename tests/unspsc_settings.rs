//! Where the settings of `unspsc` come from: file, environment, options.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use place::Place;
use serde_json::Value;
use support::{texts, unspsc};

#[test]
fn options_go_before_the_environment_and_the_environment_before_the_file() {
    let place = Place::new();
    let file = "[platform]\nbucket = \"file-bucket\"\n[training]\ntrain-instance = \"ml.file.large\"\nvolume-gb = 77\n\
                spot = true\ntag = { team = \"catalogue\" }\n";
    std::fs::write(place.path("unspsc.toml"), file).unwrap();
    let platform = place.platform(&[]);
    let mut command = platform.plan("train", &["--json", "--data", "data.csv", "--model", "rnn"]);
    command
        .env("UNSPSC_TRAIN_INSTANCE", "ml.environment.large")
        .env("UNSPSC_VOLUME_GB", "88")
        .args(["--volume-gb", "99"]);
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    let requests: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let job = &requests.last().unwrap()["request"];
    assert_eq!(job["ResourceConfig"]["InstanceType"], "ml.environment.large");
    assert_eq!(job["ResourceConfig"]["VolumeSizeInGB"], 99);
    assert_eq!(job["EnableManagedSpotTraining"], true);
    assert_eq!(job["StoppingCondition"]["MaxWaitTimeInSeconds"], 90_000);
    assert_eq!(job["OutputDataConfig"]["S3OutputPath"], "s3://file-bucket/unspsc");
    let tags = job["Tags"].as_array().unwrap();
    let value = |key: &str| tags.iter().find(|tag| tag["Key"] == key).map(|tag| tag["Value"].clone());
    assert_eq!((value("team"), value("unspsc:managed-by")), (Some("catalogue".into()), Some("unspsc".into())));
    platform.stop();
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let empty = ["UNSPSC_ROLE", "UNSPSC_BUCKET", "AWS_ENDPOINT_URL", "AWS_REGION", "UNSPSC_VOLUME_GB", "UNSPSC_CONFIG"];
    for (verb, arguments) in [("status", &[][..]), ("train", &["--data", "data.csv", "--model", "rnn"])] {
        let mut command =
            if verb == "train" { platform.plan(verb, arguments) } else { platform.command(verb, arguments) };
        let output = command.envs(empty.map(|name| (name, ""))).output().unwrap();
        assert!(output.status.success(), "{verb}: {}", texts(&output).1);
    }
    let mut nowhere = unspsc(["status"]);
    let output = nowhere.current_dir(&place.folder).envs(empty.map(|name| (name, ""))).output().unwrap();
    let (_, err) = texts(&output);
    assert!(output.status.code() == Some(1) && err.contains("no AWS region is set"), "{err}");
    platform.stop();
}

#[test]
fn the_help_shows_what_the_file_sets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other.toml"), "[training]\ntrain-instance = 'ml.g5.xlarge'\n").unwrap();
    let output = unspsc(["train", "--help", "--config", "other.toml"]).current_dir(&folder).output().unwrap();
    let words: Vec<String> = texts(&output).0.split_whitespace().map(str::to_owned).collect();
    assert!(words.join(" ").contains("[default: ml.g5.xlarge]"), "{words:?}");
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("[training]\n\nvolume_gb = 3\n", "unspsc.toml:3: unknown key `volume_gb`: did you mean `volume-gb`?"),
        ("[training]\nvolume-gb = 0\n", "unspsc.toml:2: `volume-gb`: invalid value '0'"),
        ("[training\n", "unspsc.toml:1: "),
    ] {
        std::fs::write(folder.path().join("unspsc.toml"), text).unwrap();
        let output = unspsc(["status"]).current_dir(&folder).output().unwrap();
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(said), "`{said}` is not in {err}");
    }
}

#[test]
fn init_writes_a_file_that_changes_nothing_and_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = unspsc(arguments).current_dir(&folder).output().unwrap();
        (output.status.code(), texts(&output))
    };
    let before = run(&["train", "--help"]);
    assert_eq!(run(&["init"]).0, Some(0));
    assert_eq!(run(&["train", "--help"]), before, "comments are no settings");
    let path = folder.path().join("unspsc.toml");
    std::fs::write(&path, "mine, and broken").unwrap();
    let (code, (_, err)) = run(&["init"]);
    assert!(code == Some(1) && err.contains("pass --force"), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine, and broken");
    assert_eq!(run(&["init", "--force"]).0, Some(0));
    assert_eq!(run(&["train", "--help"]), before);
}
