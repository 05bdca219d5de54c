//! Jobs of `unspsc` on a real platform: found again, followed, left, stopped, planned, and not troubled by lost answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::mpsc;

use nix::pty::openpty;
use place::{LIMIT, Place, Platform, rest, signal, until, wait};
use serde_json::Value;
use support::texts;

/// The quickest job.
const QUICK: [&str; 8] = ["--data", "data.csv", "--output", "out", "--model", "rnn", "--hyperparameter", "epochs=1"];
/// A job that ends only when it is stopped.
const ENDLESS: [&str; 8] =
    ["--data", "data.csv", "--output", "out", "--model", "rnn", "--hyperparameter", "epochs=10000"];

/// Names in the first column of a table that begin with `unspsc-`.
fn names(table: &str) -> Vec<String> {
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    table.lines().map(first).filter(|name| name.starts_with("unspsc-")).collect()
}

/// The operations of a plan and their requests.
fn plan(platform: &Platform<'_>, verb: &str, arguments: &[&str]) -> Vec<(String, Value)> {
    let output = platform.plan(verb, arguments).arg("--json").output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    let done = ["uploading", "taking down", "stopping"];
    assert!(!done.iter().any(|word| err.contains(word)), "a plan does not: {err}");
    let requests: Vec<Value> = serde_json::from_str(&out).unwrap();
    requests.iter().map(|one| (one["operation"].as_str().unwrap().to_owned(), one["request"].clone())).collect()
}

#[test]
fn a_second_train_reports_what_the_first_has_completed() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let (code, first, err) = platform.verb("train", &QUICK);
    assert!(code == 0 && err.contains("was created") && err.contains("epoch 1/1"), "{err}");
    assert!(err.lines().any(|line| line.contains("balanced accuracy") && line.contains("training loss")), "{err}");
    let (code, second, err) = platform.verb("train", &QUICK);
    assert!(code == 0 && err.contains("has completed already") && !err.contains("was created"), "{err}");
    assert_eq!(first, second);
    let (code, _, err) = platform.verb("train", &[&QUICK[..7], &["epochs=2"]].concat());
    assert!(code == 0 && err.contains("was created") && err.contains("uploaded 0 B; "), "nothing new to upload: {err}");
    let (code, out, _) = platform.verb("status", &[]);
    assert!(code == 0 && names(&out).len() == 2 && out.contains("Completed") && out.contains("no endpoints"), "{out}");
    let (code, out, _) = platform.verb("logs", &[&names(&out)[0], "--tail", "2"]);
    assert!(code == 0 && out.lines().count() == 2 && out.contains("algo-1-"), "{out}");
    let (code, _, err) = platform.verb("logs", &["no-such-job"]);
    assert!(code == 1 && err.contains("no job and no endpoint named no-such-job"), "{err}");
    platform.stop();
}

#[test]
fn a_job_that_was_left_is_followed_again_stopped_and_followed_by_the_next_attempt() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let mut leaving = platform.command("train", &ENDLESS);
    let (child, lines) = until(leaving.args(["--on-interrupt", "leave"]), "epoch 1/");
    signal(&child, "INT");
    let (code, said) = rest(child, lines);
    assert!(code == Some(5) && said.contains("still runs"), "{code:?} {said}");
    let (_, out, _) = platform.verb("status", &[]);
    let job = names(&out).remove(0);
    assert!(out.contains("InProgress (Training)"), "{out}");

    let (follower, lines) = until(&mut platform.command("train", &ENDLESS), "runs already and is followed");
    let (code, out, err) = platform.verb("stop", &[&job]);
    assert!(code == 0 && out.contains(&format!("training job {job} is Stopped")), "{out}{err}");
    let (code, said) = rest(follower, lines);
    assert!(code == Some(4) && said.contains(&format!("training job {job} was stopped")), "{code:?} {said}");
    let (code, out, _) = platform.verb("stop", &[&job]);
    assert!(code == 0 && out.contains("is Stopped already"), "{out}");

    let next = format!("training job {job}-2 was created");
    let (child, lines) = until(&mut platform.command("train", &ENDLESS), &next);
    signal(&child, "TERM");
    let (code, said) = rest(child, lines);
    assert_eq!(code, Some(143), "{said}");
    let (_, out, _) = platform.verb("status", &[]);
    assert!(names(&out).len() == 2 && !out.contains("InProgress"), "without a terminal a signal stops the job: {out}");
    platform.stop();
}

#[test]
fn ctrl_c_on_a_terminal_asks_what_is_to_become_of_the_job() {
    let place = Place::new();
    let platform = place.platform(&[]);
    for (answer, code, last) in [("x\ng\n", None, ""), ("l\n", Some(5), "still runs"), ("s\n", Some(4), "was stopped")]
    {
        let terminal = openpty(None, None).unwrap();
        let (mut screen, slave) = (File::from(terminal.master), File::from(terminal.slave));
        let mut command = platform.command("train", &ENDLESS);
        command.stdin(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::from(slave));
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        // What the terminal was set up with is not the test's to keep open.
        drop(command);
        let (sender, said) = mpsc::channel();
        let mut reader = screen.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = reader.read(&mut bytes) {
                if length == 0 || sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut seen = String::new();
        let mut see = |words: &str| {
            while !seen.contains(words) {
                seen += &said.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("`{words}` is not in\n{seen}"));
            }
            seen.clear();
        };
        see("epoch ");
        signal(&child, "INT");
        see("[s/l/g]");
        screen.write_all(answer.as_bytes()).unwrap();
        if code.is_none() {
            // Neither the nonsense nor going on ends it; another Ctrl-C while it asks leaves the job.
            see("[s/l/g]");
            see("epoch ");
            signal(&child, "INT");
            see("[s/l/g]");
            signal(&child, "INT");
            see("still runs");
            assert_eq!(wait(child).status.code(), Some(5));
        } else {
            see(last);
            assert_eq!(wait(child).status.code(), code);
        }
    }
    let (_, out, _) = platform.verb("status", &[]);
    assert!(names(&out).len() == 1 && out.contains("Stopped"), "{out}");
    platform.stop();
}

#[test]
fn a_plan_names_every_request_and_changes_nothing() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let requests = plan(&platform, "train", &QUICK);
    let operations: Vec<&str> = requests.iter().map(|(operation, _)| operation.as_str()).collect();
    let uploads = ["PutObject"; 4];
    assert_eq!(operations, [["CreateBucket"].as_slice(), &uploads, &["CreateTrainingJob"]].concat());
    let planned = requests.last().unwrap().1.clone();
    assert!(!place.path("out").exists() && !place.path("state/s3/unspsc-local").exists());
    assert!(platform.verb("status", &[]).1.contains("no training jobs"));

    assert_eq!(platform.verb("train", &QUICK).0, 0);
    let job = planned["TrainingJobName"].as_str().unwrap();
    assert_eq!(names(&platform.verb("status", &[]).1), [job], "the plan names the job that came to be");
    let output = platform.plan("train", &QUICK).output().unwrap();
    assert_eq!(texts(&output).0, "nothing to change\n");
    let deployed =
        ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy"];
    let operations =
        |requests: Vec<(String, Value)>| -> Vec<String> { requests.into_iter().map(|one| one.0).collect() };
    let artifact = format!("s3://unspsc-local/unspsc/{job}/output/model.tar.gz");
    assert_eq!(operations(plan(&platform, "deploy", &["--artifact", &artifact, "--endpoint", "e"])), deployed);
    let batch = ["--job", job, "--data", "data.csv"];
    for mut command in [platform.plan("deploy", &batch[..2]), platform.command("batch", &batch)] {
        let output = command.output().unwrap();
        let (_, err) = texts(&output);
        assert!(output.status.code() == Some(1) && err.contains("is of the rnn baseline"), "{err}");
    }
    assert!(platform.verb("status", &[]).1.contains("no endpoints"));
    assert!(plan(&platform, "destroy", &["--endpoint", "e"]).is_empty(), "there is no endpoint to delete");
    let run = ["--data", "data.csv", "--output", "out", "--encoder", "encoder", "--hyperparameter", "epochs=1"];
    let run = operations(plan(&platform, "run", &run));
    for operation in ["CreateTrainingJob", "CreateEndpoint", "PutScalingPolicy", "DeleteEndpoint", "DeleteModel"] {
        assert!(run.iter().any(|planned| planned == operation), "{operation} is not in {run:?}");
    }
    platform.stop();
}

#[test]
fn throttling_faults_and_a_lost_answer_cost_nothing() {
    let place = Place::new();
    let platform = place.platform(&[
        "lost-response:operation=CreateTrainingJob",
        "throttle:operation=DescribeTrainingJob,skip=2,times=4",
        "error:operation=GetLogEvents,times=4",
        "throttle:operation=CreateEndpointConfig,times=1",
        "lost-response:operation=CreateEndpoint",
    ]);
    let encoder = ["--data", "data.csv", "--output", "out", "--encoder", "encoder", "--hyperparameter", "epochs=1"];
    let (code, _, err) = platform.verb("train", &encoder);
    assert!(code == 0 && err.contains("epoch 1/1"), "{err}");
    let (_, out, _) = platform.verb("status", &[]);
    assert_eq!(names(&out).len(), 1, "one job, although its creation was asked for twice: {out}");
    let (code, out, err) = platform.verb("deploy", &["--job", &names(&out)[0], "--endpoint", "e"]);
    assert!(code == 0 && out == "e\n", "{err}");
    assert_eq!(platform.verb("destroy", &["--endpoint", "e", "--yes"]).0, 0);
    platform.stop();
}

#[test]
fn a_spot_job_that_loses_its_instance_is_followed_to_its_end() {
    let place = Place::new();
    let platform = place.platform(&["spot-interruption"]);
    let (code, _, err) = platform.verb("train", &[QUICK.as_slice(), &["--spot"]].concat());
    assert!(code == 0 && err.contains(": Interrupted: ") && err.matches(": Training: ").count() == 2, "{err}");
    let (_, out, _) = platform.verb("status", &[]);
    let (_, out, _) = platform.verb("status", &[&names(&out)[0]]);
    assert!(out.contains("spot capacity") && out.contains("/unspsc/checkpoints/"), "{out}");
    platform.stop();
}

#[test]
fn files_go_up_in_parts_and_only_once() {
    let place = Place::new();
    let platform = place.platform(&[]);
    // Three parts; the job fails on it, which is all the same here.
    let weights = place.path("encoder/model.safetensors");
    std::fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(40 * 1024 * 1024).unwrap();
    let encoder = ["--data", "data.csv", "--output", "out", "--encoder", "encoder"];
    let parts = plan(&platform, "train", &encoder);
    assert_eq!(parts.iter().filter(|(operation, _)| operation == "UploadPart").count(), 3, "{parts:?}");
    let (code, _, err) = platform.verb("train", &encoder);
    assert!(code == 3 && err.contains("model.safetensors"), "{err}");
    let (code, _, err) = platform.verb("train", &encoder);
    assert!(code == 3 && err.contains("the next attempt begins") && err.contains("uploaded 0 B; 40."), "{err}");
    let again = plan(&platform, "train", &encoder);
    assert!(again.len() == 1 && again[0].0 == "CreateTrainingJob", "{again:?}");
    platform.stop();
}
