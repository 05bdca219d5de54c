//! `status`, `logs` and `stop` for jobs of every kind, on a real platform whose containers are scripts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/made.rs"]
mod made;
#[path = "support/place.rs"]
mod place;
#[path = "sagemaker_local/stand_in.rs"]
mod stand_in;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use made::{BUCKET, ROLE, TRAIN, ask, completed};
use place::{LIMIT, Place, Platform, wait};
use serde_json::{Value, json};
use support::texts;

fn platform<'a>(place: &'a Place, serve: &str) -> Platform<'a> {
    fs::create_dir_all(place.path(&format!("state/s3/{BUCKET}"))).unwrap();
    place.platform_of_scripts(TRAIN, serve)
}

/// The standard output of a verb that has to succeed, once it has all of `words`; what it says beside goes with it.
fn shown(platform: &Platform<'_>, arguments: &[&str], words: &[&str]) -> String {
    let begin = Instant::now();
    loop {
        let (code, out, err) = platform.verb(arguments[0], &arguments[1..]);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        if words.iter().all(|word| out.contains(word)) {
            return out + &err;
        }
        assert!(begin.elapsed() < LIMIT, "{arguments:?} never shows {words:?}\n{out}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The line of a table that has `words` in it.
fn line<'a>(table: &'a str, words: &str) -> &'a str {
    table.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words} is not in\n{table}"))
}

/// Waits for a line of the platform's log of a child, then goes on reading.
fn follow(
    platform: &Platform<'_>,
    name: &str,
    words: &[&str],
) -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    let mut command = platform.command("logs", &[name, "--follow"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !words.iter().all(|words| said.contains(words)) {
        assert!(lines.read_line(&mut said).unwrap() > 0, "{words:?} is not in\n{said}");
    }
    (child, lines)
}

#[test]
fn a_tuning_job_is_shown_with_its_trials_and_the_log_of_the_best() {
    let place = Place::new();
    let platform = platform(&place, "");
    made::tune(&platform.url, "first", &["3", "7", "fail"], 1, None);
    let details = shown(&platform, &["status", "first"], &["\ntook ", "3: 2 completed, 1 failed"]);
    for words in [
        "maximize score",
        "Grid, 1 at a time, seed 3",
        "0.7000",
        "unspsc:managed-by=unspsc",
        "AlgorithmError: row 3 has no label",
    ] {
        assert!(details.contains(words), "{words} is not in\n{details}");
    }
    let best = line(&details, "Completed, best").split_whitespace().next().unwrap().to_owned();
    assert!(best.starts_with("first-002-") && details.contains(&format!("{best}, score 0.7000")), "{details}");

    let log = shown(&platform, &["logs", "first"], &["score=0.7;"]);
    assert!(log.contains(&format!("trial {best}, the best of 3")) && !log.contains("score=0.3;"), "{log}");
    assert!(log.contains(" 002-") && log.contains("/algo-1-"), "a line bears its trial: {log}");
    let log = shown(&platform, &["logs", "first", "--follow"], &["score=0.7;"]);
    assert_eq!(log.matches("score=").count(), 1, "nothing is to come: {log}");
    assert!(shown(&platform, &["status", &best], &["score"]).contains("tuning job  "));

    made::tune(&platform.url, "second", &["1", "2"], 1, Some("first"));
    let details = shown(&platform, &["status", "second"], &["\ntook "]);
    assert!(details.contains("TransferLearning, from first") && details.contains("2 of 2: 2 completed"), "{details}");
    let all = shown(&platform, &["status"], &["second"]);
    assert!(
        all.contains("no training jobs, no transform jobs, no endpoints"),
        "trials are no rows of their own: {all}"
    );
    assert!(line(&all, "first").contains("Completed") && line(&all, "first").contains("1 failed"), "{all}");
    platform.stop();
}

#[test]
fn a_tuning_job_is_followed_through_its_trials_and_stopped() {
    let place = Place::new();
    let platform = platform(&place, "");
    made::tune(&platform.url, "grid", &["4", "endless", "endless2"], 3, None);
    let (follower, mut lines) = follow(&platform, "grid", &[" 002-", " 003-", "endless begins"]);
    shown(&platform, &["status", "grid"], &["3: 1 completed, 2 running"]);
    assert!(line(&shown(&platform, &["status"], &["grid"]), "grid").contains("InProgress"));

    let plan = platform.plan("stop", &["grid"]).arg("--json").output().unwrap();
    let (out, err) = texts(&plan);
    let planned: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let request = json!({ "HyperParameterTuningJobName": "grid" });
    assert_eq!(planned[0]["operation"], "StopHyperParameterTuningJob");
    assert!(planned[0]["request"] == request && planned.as_array().unwrap().len() == 1, "{planned}");
    assert!(shown(&platform, &["status", "grid"], &["2 running"]).contains("InProgress"), "a plan stops nothing");

    let out = shown(&platform, &["stop", "grid"], &["tuning job grid is Stopped"]);
    assert!(out.contains("best trial: grid-001-") && out.contains(", score 0.4000"), "{out}");
    let out = shown(&platform, &["stop", "grid"], &["tuning job grid is Stopped already"]);
    assert!(!out.contains("SIGTERM"), "{out}");
    let mut rest = String::new();
    while lines.read_line(&mut rest).unwrap() > 0 {}
    assert!(wait(follower).status.success(), "the end of the tuning job is that of its log");
    platform.stop();
}

#[test]
fn a_transform_job_is_shown_with_what_it_reads_and_writes() {
    let place = Place::new();
    let platform = platform(&place, &stand_in::serve());
    made::train(&platform.url, "job", "5");
    completed(&platform.url, "TrainingJob", "job");
    made::transform(&place, &platform.url, "good", "one\ntwo\n");
    let details = shown(&platform, &["status", "good"], &["Completed"]);
    for words in [
        format!("s3://{BUCKET}/good/, text/plain, split by Line"),
        format!("s3://{BUCKET}/answers, joined by Line"),
        "1 ml.m5.large".to_owned(),
        "SingleRecord, 6 MB at most".to_owned(),
        "took ".to_owned(),
    ] {
        assert!(details.contains(&words), "{words} is not in\n{details}");
    }
    made::transform(&place, &platform.url, "bad", "one\nfail\n");
    let details = shown(&platform, &["status", "bad"], &["Failed"]);
    assert!(line(&details, "reason").contains("422: cannot do that"), "{details}");
    let log = shown(&platform, &["logs", "bad", "--follow"], &["Bad HTTP status received from algorithm: 422"]);
    assert!(log.contains(" i-") && log.contains("/data-log "), "{log}");

    made::transform(&place, &platform.url, "endless", "hang\n");
    let all = shown(&platform, &["status"], &["endless"]);
    assert!(line(&all, "endless").contains("InProgress") && line(&all, "bad").contains("ClientError"), "{all}");
    assert!(line(&all, "good").contains("Completed") && all.contains("no tuning jobs, no endpoints"), "{all}");
    let plan = platform.plan("stop", &["endless"]).output().unwrap();
    assert!(texts(&plan).0.contains("sagemaker StopTransformJob"), "{plan:?}");
    let out = shown(&platform, &["stop", "endless"], &["transform job endless is Stopped"]);
    assert!(out.contains("leaves no output"), "{out}");
    shown(&platform, &["stop", "endless"], &["is Stopped already"]);
    platform.stop();
}

#[test]
fn what_shares_its_name_is_shown_together() {
    let place = Place::new();
    let platform = platform(&place, &format!("echo serving begins\n{}", stand_in::serve()));
    made::train(&platform.url, "job", "5");
    completed(&platform.url, "TrainingJob", "job");
    let model = json!({ "ModelDataUrl": format!("s3://{BUCKET}/out/job/output/model.tar.gz") });
    ask(
        &platform.url,
        "CreateModel",
        &json!({ "ModelName": "job", "PrimaryContainer": model, "ExecutionRoleArn": ROLE }),
    );
    let variant = json!([{
        "VariantName": "AllTraffic", "ModelName": "job", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    }]);
    ask(&platform.url, "CreateEndpointConfig", &json!({ "EndpointConfigName": "job", "ProductionVariants": variant }));
    ask(&platform.url, "CreateEndpoint", &json!({ "EndpointName": "job", "EndpointConfigName": "job" }));
    let both = shown(&platform, &["status", "job"], &["InService"]);
    assert!(both.contains("training job  job") && both.contains("endpoint       job"), "{both}");
    let log = shown(&platform, &["logs", "job"], &["score=0.5;", "serving begins"]);
    assert!(log.contains("job is the name of a training job and of an endpoint: their lines together"), "{log}");
    shown(&platform, &["stop", "job"], &["training job job is Completed already"]);

    ask(&platform.url, "CreateEndpoint", &json!({ "EndpointName": "alone", "EndpointConfigName": "job" }));
    let (code, _, err) = platform.verb("stop", &["alone"]);
    assert!(code == 1 && err.contains("`unspsc destroy --endpoint alone --endpoint-url "), "{err}");
    let (code, _, err) = platform.verb("stop", &["no-such-job"]);
    assert!(code == 1 && err.contains("no job and no endpoint named no-such-job"), "{err}");
    platform.stop();
}
