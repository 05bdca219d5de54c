//! `unspsc batch` on a real platform: rows up, answers down and joined, whatever single rows are like and whoever is killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/made.rs"]
mod made;
#[path = "support/place.rs"]
mod place;
#[path = "support/stand_in_serve.rs"]
mod stand_in_serve;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;
use std::time::{Duration, Instant};

use place::{LIMIT, Place, Platform, TRAINING, rest, signal, until};
use serde_json::{Value, json};
use support::texts;

/// The records of the table `name`, its header first.
fn records(place: &Place, name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(place.path(name)).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The operations of a plan.
fn plan(platform: &Platform<'_>, arguments: &[&str]) -> Vec<(String, Value)> {
    let output = platform.plan("batch", arguments).arg("--json").output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    let requests: Vec<Value> = serde_json::from_str(&out).unwrap();
    requests.iter().map(|one| (one["operation"].as_str().unwrap().to_owned(), one["request"].clone())).collect()
}

/// The names of what the platform has of `kind`.
fn there(place: &Place, kind: &str) -> Vec<String> {
    let state: Value = serde_json::from_str(&fs::read_to_string(place.path("state/state.json")).unwrap()).unwrap();
    state[kind].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_real_program_codes_a_table_row_by_row() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let named = ["--job-name", "job", "--hyperparameter", "epochs=1"];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &named].concat());
    assert_eq!(code, 0, "{err}");
    let long = "x".repeat(1_100_000);
    let mut table = b"id;Item;code\n1;toner;a\n2;;b\n3;\"two\nlines; \"\"quoted\"\"\";c\n".to_vec();
    table.extend(format!("4;{long};d\n5\n6;caf").bytes());
    table.extend(b"\xe9;e\n7;\"open;f\n8;rice;g\n");
    fs::write(place.path("table.csv"), table).unwrap();
    let batch = ["--job", "job", "--data", "table.csv", "--description-column", "item"];
    let planned = plan(&platform, &batch);
    let operations: Vec<&str> = planned.iter().map(|(operation, _)| operation.as_str()).collect();
    assert_eq!(operations, ["PutObject", "CreateModel", "CreateTransformJob", "DeleteModel"]);
    assert!(there(&place, "transform_jobs").is_empty() && !place.path("table.coded.csv").exists());

    let (code, out, err) = platform.verb("batch", &batch);
    assert!(code == 1 && err.contains("4 of 8 rows have no code") && out == "table.coded.csv\n", "{out}{err}");
    assert!(err.contains(": Completed") && err.contains("model loaded"), "status and log: {err}");
    let rows = records(&place, "table.coded.csv");
    assert_eq!(rows[0][..6], ["id", "Item", "code", "predicted_code", "level", "title"]);
    assert_eq!(
        rows.iter().skip(1).map(|row| row[0].as_str()).collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5", "6", "7", "8"]
    );
    let errors = ["", "empty_description", "", "record_too_long", "invalid_request", "", "unclosed_quote", ""];
    for (row, error) in rows.iter().skip(1).zip(errors) {
        let (code, said) = (&row[3], row.last().unwrap());
        assert!(said.starts_with(error) && code.is_empty() != error.is_empty(), "{code} {said} {error}");
    }
    assert_eq!((rows[3][1].as_str(), rows[6][1].as_str()), ("two\nlines; \"quoted\"", "café"));
    assert_eq!(there(&place, "transform_jobs"), [planned[2].1["TransformJobName"].as_str().unwrap()]);
    assert!(there(&place, "models").is_empty(), "the model goes with its job");

    let coded = fs::read(place.path("table.coded.csv")).unwrap();
    fs::remove_file(place.path("table.coded.csv")).unwrap();
    let (code, _, err) = platform.verb("batch", &batch);
    assert!(code == 1 && err.contains("has completed already") && !err.contains("was created"), "{err}");
    assert_eq!(fs::read(place.path("table.coded.csv")).unwrap(), coded);
    assert!(plan(&platform, &batch).is_empty(), "nothing to change");

    let deeper = [&batch[..], &["--depth", "class", "--output", "deeper.csv"]].concat();
    let (_, _, err) = platform.verb("batch", &deeper);
    assert!(err.contains("was created"), "another depth is another job: {err}");
    assert!(records(&place, "deeper.csv")[1][4] == "class");
    platform.stop();
}

/// A platform with the stand-in, and the options that name its artifact.
fn stand_in<'a>(place: &'a Place, faults: &[&str]) -> (Platform<'a>, String) {
    let (script, artifact) = stand_in_serve::prepare(place);
    let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
    let options: Vec<&str> = ["--serve", &script].into_iter().chain(faults).collect();
    (place.platform_with(&options), artifact)
}

#[test]
fn ten_thousand_rows_on_several_instances_come_back_in_their_order() {
    let place = Place::new();
    let (platform, artifact) =
        stand_in(&place, &["lost-response:operation=CreateTransformJob", "lost-response:operation=CreateModel"]);
    let rows: String = (0..10_000).map(|row| format!("{row},item {row}\n")).collect();
    fs::write(place.path("table.csv"), format!("id,description\n{rows}")).unwrap();
    let batch = ["--artifact", &artifact, "--data", "table.csv", "--output", "out.csv", "--batch-instances", "3"];
    let small = ["--batch-strategy", "single-record", "--max-concurrent-transforms", "16"];
    let (code, out, err) = platform.verb("batch", &[&batch[..], &small].concat());
    assert!(code == 0 && out == "out.csv\n" && err.contains("10,000 rows coded"), "{err}");
    let coded = records(&place, "out.csv");
    assert_eq!(coded.len(), 10_001);
    for (row, record) in coded.iter().skip(1).enumerate() {
        assert_eq!((&record[0], &record[4]), (&row.to_string(), &format!("title of item {row}")));
    }
    assert!(there(&place, "models").is_empty() && there(&place, "transform_jobs").len() == 1);
    let (code, _, err) =
        platform.verb("batch", &[&batch[..], &["--max-concurrent-transforms", "50", "--max-payload-mb", "3"]].concat());
    assert!(code == 1 && err.contains("above 100 MB"), "{err}");
    platform.stop();
}

#[test]
fn a_job_that_was_killed_off_or_left_is_come_back_to_and_a_signal_stops_it() {
    let place = Place::new();
    let (platform, artifact) = stand_in(&place, &[]);
    fs::write(place.path("table.csv"), "description\nhang\n").unwrap();
    let batch = ["--artifact", &artifact, "--data", "table.csv"];
    let (child, lines) = until(&mut platform.command("batch", &batch), ": Transforming");
    signal(&child, "KILL");
    rest(child, lines);
    let job = there(&place, "transform_jobs").remove(0);
    assert_eq!(there(&place, "models"), [job.as_str()]);

    let mut leaving = platform.command("batch", &batch);
    let (child, lines) = until(leaving.args(["--on-interrupt", "leave"]), "runs already and is followed");
    signal(&child, "INT");
    let (code, said) = rest(child, lines);
    assert!(
        code == Some(5) && said.contains(&format!("transform job {job} still runs: `unspsc batch`")),
        "{code:?} {said}"
    );
    assert_eq!(there(&place, "models"), [job.as_str()], "the job still needs it");

    let (child, lines) = until(&mut platform.command("batch", &batch), "runs already and is followed");
    signal(&child, "TERM");
    let (code, said) = rest(child, lines);
    assert!(code == Some(143) && said.contains(&format!("transform job {job} is taken down")), "{code:?} {said}");
    assert!(there(&place, "models").is_empty());

    let (child, lines) =
        until(&mut platform.command("batch", &batch), &format!("{job} is Stopped: the next attempt begins"));
    signal(&child, "INT");
    let (code, said) = rest(child, lines);
    assert_eq!(code, Some(130), "{said}");
    assert!(there(&place, "models").is_empty(), "{said}");

    // One that is over when somebody looks for it again.
    let (child, lines) = until(&mut platform.command("batch", &batch), ": Transforming");
    signal(&child, "KILL");
    rest(child, lines);
    let job = there(&place, "models").remove(0);
    let named = json!({ "TransformJobName": job });
    made::ask(&platform.url, "StopTransformJob", &named);
    let begin = Instant::now();
    while made::ask(&platform.url, "DescribeTransformJob", &named)["TransformJobStatus"] != "Stopped" {
        assert!(begin.elapsed() < LIMIT, "{job} does not stop");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, out, err) = platform.verb("stop", &[&job]);
    assert!(code == 0 && out.contains(&format!("transform job {job} is Stopped already")), "{out}{err}");
    assert!(there(&place, "models").is_empty(), "{err}");
    platform.stop();
}

#[test]
fn a_table_that_is_changed_meanwhile_gets_no_codes_of_other_rows() {
    let place = Place::new();
    let (platform, artifact) = stand_in(&place, &[]);
    let batch = ["--artifact", &artifact, "--data", "table.csv"];
    for changed in ["bolt\nrice\n", "rice\n", "rice\nbolt\nnut\n"] {
        fs::write(place.path("table.csv"), "description\nrice\nbolt\n").unwrap();
        let (child, lines) = until(&mut platform.command("batch", &batch), "transform job unspsc-batch-");
        // Nothing is read between the job and its end.
        fs::write(place.path("table.csv"), format!("description\n{changed}")).unwrap();
        let (code, said) = rest(child, lines);
        assert!(code == Some(1) && said.contains("table.csv was changed after its rows had been sent"), "{said}");
        assert!(!place.path("table.coded.csv").exists(), "{changed}");
        let names = fs::read_dir(&place.folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().ends_with(".part")).count(), 0, "{changed}");
        remove_jobs_answers(&place);
    }
    platform.stop();
}

/// Removes what the transform jobs have answered.
fn remove_jobs_answers(place: &Place) {
    for job in there(place, "transform_jobs") {
        let _ = fs::remove_dir_all(place.path("state/s3/unspsc-local/unspsc").join(job));
    }
}

#[test]
fn the_answers_are_where_the_job_was_told_and_the_next_attempt_begins_where_they_are_gone() {
    let place = Place::new();
    let (platform, artifact) = stand_in(&place, &[]);
    fs::write(place.path("table.csv"), "description\n\"\"\n\" \"\n").unwrap();
    let batch = ["--artifact", &artifact, "--data", "table.csv"];
    let (code, _, err) = platform.verb("batch", &batch);
    assert!(code == 1 && err.contains("no row has a text") && there(&place, "transform_jobs").is_empty(), "{err}");
    assert!(!place.path("table.coded.csv").exists());
    fs::write(place.path("table.csv"), "description\nrice\n").unwrap();
    let (code, _, err) = platform.verb("batch", &batch);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = platform.verb("batch", &[&batch[..], &["--bucket", "other"]].concat());
    assert!(code == 0 && err.contains("has completed already"), "{err}");
    remove_jobs_answers(&place);
    let (code, _, err) = platform.verb("batch", &batch);
    assert!(code == 0 && err.contains("its output is gone: the next attempt begins"), "{err}");
    assert_eq!(there(&place, "transform_jobs").len(), 2);
    platform.stop();
}

#[test]
fn a_job_that_fails_says_why_and_leaves_no_model() {
    let place = Place::new();
    let (platform, artifact) = stand_in(&place, &[]);
    fs::write(place.path("table.csv"), "description\nrice\npoison\n").unwrap();
    let batch = ["--artifact", &artifact, "--data", "table.csv"];
    let (code, out, err) = platform.verb("batch", &batch);
    assert!(code == 3 && out.is_empty() && err.contains("error: transform job unspsc-batch-"), "{code} {err}");
    assert!(err.contains("failed: AlgorithmError") && err.contains("out of order"), "{err}");
    assert!(there(&place, "models").is_empty() && !place.path("table.coded.csv").exists());
    let (code, _, err) = platform.verb("batch", &batch);
    assert!(
        code == 3 && err.contains("the next attempt begins") && there(&place, "transform_jobs").len() == 2,
        "{err}"
    );
    platform.stop();
}

#[test]
fn objects_of_s3_are_coded_with_a_model_that_is_there() {
    let place = Place::new();
    let (platform, artifact) = stand_in(&place, &[]);
    let object = |key: &str, text: &str| {
        let path = place.path("state/s3/unspsc-local").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    object("tables/a.csv", "id,description\n1,bolt\n2,nut\n");
    object("tables/2025/b.jsonl", "{\"nr\": 7, \"description\": \"fish\"}\n");
    let (code, _, err) = platform.verb("deploy", &["--artifact", &artifact, "--endpoint", "e"]);
    assert_eq!(code, 0, "{err}");
    let model = there(&place, "models").remove(0);
    let batch = ["--model", &model, "--data"];
    let (code, out, err) = platform.verb("batch", &[&batch[..], &["s3://unspsc-local/tables/"]].concat());
    assert!(
        code == 0 && out.contains("coded/a.coded.csv") && out.contains("coded/2025/b.jsonl.coded.csv"),
        "{out}{err}"
    );
    let rows = records(&place, "coded/a.coded.csv");
    assert_eq!((rows.len(), rows[2][0].as_str(), rows[2][4].as_str()), (3, "2", "title of nut"));
    let rows = records(&place, "coded/2025/b.jsonl.coded.csv");
    assert_eq!((rows[1][0].as_str(), rows[1][4].as_str()), ("7", "title of fish"));
    let (code, out, err) = platform.verb("batch", &[&batch[..], &["s3://unspsc-local/tables/a.csv"]].concat());
    assert!(code == 0 && out == "a.coded.csv\n", "{out}{err}");
    assert_eq!(there(&place, "models"), [model.as_str()], "it is not ours to delete");
    fs::create_dir(place.path("state/s3/tables")).unwrap();
    fs::write(place.path("state/s3/tables/c.csv"), "description\nrice\n").unwrap();
    let (code, out, err) = platform.verb("batch", &[&batch[..], &["s3://tables"]].concat());
    assert!(code == 0 && out == "c.coded.csv\n", "a bucket alone stands for all of it: {out}{err}");
    object("tables/a", "nut\n");
    for (data, said) in [
        ("s3://unspsc-local/tables/", "tables/a and tables/a.csv would both be coded into coded/a.coded.csv"),
        ("s3://", "should look like s3://bucket/prefix"),
        ("s3://no-such-bucket/a.csv", "there is no bucket no-such-bucket: correct --data"),
        ("s3://unspsc-local/none/", "holds no objects"),
        ("gone.csv", "gone.csv does not exist"),
        ("coded", "coded is a folder"),
    ] {
        let (code, _, err) = platform.verb("batch", &[&batch[..], &[data]].concat());
        assert!(code == 1 && err.contains(said), "{data}: {err}");
    }
    let (code, _, err) = platform.verb("batch", &["--model", "none", "--data", "data.csv"]);
    assert!(code == 1 && err.contains("DescribeModel was refused: Could not find model"), "{err}");
    let (code, _, err) = platform.verb("batch", &["--tuning-job", "none", "--data", "data.csv"]);
    assert!(code == 1 && err.contains("there is no tuning job none"), "{err}");
    platform.stop();
}
