//! `unspsc invoke` on real endpoints: texts from everywhere, answers in every form, in order, whatever single rows are like.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/stand_in_serve.rs"]
mod stand_in_serve;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use place::{LIMIT, Place, Platform, TRAINING, signal, wait};
use serde_json::Value;
use support::texts;

/// The endpoint that everybody asks.
const ENDPOINT: [&str; 2] = ["--endpoint", "e"];

/// Puts the stand-in behind the endpoint.
fn deploy_stand_in(place: &Place) -> Platform<'_> {
    let (script, artifact) = stand_in_serve::prepare(place);
    let platform = place.platform_with(&["--serve", &script]);
    let (code, _, err) = platform.verb("deploy", &["--artifact", &artifact, "--endpoint", "e"]);
    assert_eq!(code, 0, "{err}");
    platform
}

fn invoke(platform: &Platform<'_>, arguments: &[&str]) -> (i32, String, String) {
    let output = command(platform, arguments).stdin(Stdio::null()).output().unwrap();
    let (out, err) = texts(&output);
    (output.status.code().unwrap(), out, err)
}

fn command(platform: &Platform<'_>, arguments: &[&str]) -> Command {
    platform.command("invoke", &[&ENDPOINT, arguments].concat())
}

/// The records of a table, its header first.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_real_program_answers_texts_tables_and_statements() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let named = ["--job-name", "job", "--hyperparameter", "epochs=1"];
    let (code, _, err) = platform.verb("train", &[TRAINING.as_slice(), &named].concat());
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = platform.verb("deploy", &["--job", "job", "--endpoint", "e"]);
    assert_eq!(code, 0, "{err}");

    let (code, out, _) = invoke(&platform, &["rice and beans", "toner cartridge"]);
    assert!(code == 0 && out.contains("rice and beans") && out.contains("probability"), "{out}");
    let (code, out, err) = invoke(&platform, &["--format", "json", "rice", "\u{7}"]);
    assert!(code == 1 && err.contains("1 of 2 descriptions could not be classified"), "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["path"].is_array() && lines[1]["error"]["code"] == "empty_description", "{lines:?}");

    let long = "x".repeat(1_100_000);
    let table =
        format!("id,description,code\n1,toner,a\n2,,b\n3,\"two\nlines, \"\"quoted\"\"\",c\n4,{long},d\n5,rice,e\n");
    fs::write(place.path("table.csv"), table).unwrap();
    let (code, _, err) = invoke(&platform, &["--file", "table.csv", "--output", "coded.csv"]);
    assert!(code == 1 && err.contains("2 of 5") && err.contains("written to coded.csv"), "{err}");
    let rows = records(&fs::read_to_string(place.path("coded.csv")).unwrap());
    assert_eq!(rows[0][..5], ["id", "description", "code", "predicted_code", "level"]);
    assert_eq!(rows.iter().skip(1).map(|row| row[0].as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    assert_eq!(rows[3][1], "two\nlines, \"quoted\"");
    for (row, error) in [(1, ""), (2, "empty_description"), (3, ""), (4, "record_too_long"), (5, "")] {
        let (code, said) = (&rows[row][3], rows[row].last().unwrap());
        assert!(said.starts_with(error) && code.is_empty() != error.is_empty(), "row {row}: {code} {said}");
    }
    let (segment, title) = (&rows[1][9], &rows[1][10]);
    assert!(segment.len() == 8 && segment.ends_with("000000") && !title.is_empty(), "{:?}", rows[1]);

    let statement = "Class 30: coffee, tea and cocoa; bread, excluding rolls";
    let (code, out, err) = invoke(&platform, &["--statement", statement]);
    assert_eq!(code, 0, "{err}");
    for part in ["coffee (class 30)", "segment of the mark", "excluded: excluding rolls"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    fs::write(place.path("statement.txt"), statement).unwrap();
    let (code, out, _) =
        invoke(&platform, &["--statement", "--file", "statement.txt", "--format", "csv", "--depth", "class"]);
    let items = records(&out);
    assert!(code == 0 && items.len() == 5 && items[0][0] == "text" && items[4][0] == "bread", "{out}");
    assert_eq!((items[1][1].as_str(), items[1][6].as_str()), ("10", "class"), "{items:?}");
    let (code, out, _) = invoke(&platform, &["--statement", "--format", "json", statement]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && answer["profile"]["segments"].is_array() && answer["items"].as_array().unwrap().len() == 4);
    platform.stop();
}

#[test]
fn ten_thousand_rows_come_back_in_their_order() {
    let place = Place::new();
    let platform = deploy_stand_in(&place);
    let rows: String = (0..10_000).map(|row| format!("{row};item {row}\n")).collect();
    fs::write(place.path("table.csv"), format!("Nr;Text\n{rows}")).unwrap();
    let from = ["--file", "table.csv", "--description-column", "text"];
    let (code, out, err) = invoke(&platform, &[&from[..], &["--format", "csv", "--concurrency", "7"]].concat());
    assert_eq!(code, 0, "{err}");
    let coded = records(&out);
    assert_eq!((coded.len(), coded[0][..3].join(" ")), (10_001, "Nr Text code".to_owned()));
    for (row, record) in coded.iter().skip(1).enumerate() {
        assert_eq!((&record[0], &record[4]), (&row.to_string(), &format!("title of item {row}")));
    }
    let (code, out, _) = invoke(&platform, &[&from[..], &["--output", "answers.jsonl"]].concat());
    assert!(code == 0 && out.is_empty());
    let answers = fs::read_to_string(place.path("answers.jsonl")).unwrap();
    let last: Value = serde_json::from_str(answers.lines().last().unwrap()).unwrap();
    assert_eq!((&last["row"], &last["input"]["Nr"]), (&Value::from(10_000), &Value::from("9999")));

    // Whoever reads has had enough.
    let mut child = command(&platform, &[&from[..], &["--format", "json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (_, err) = texts(&output);
    assert!(output.status.code() == Some(141) && !err.contains("error") && !err.contains("panicked"), "{err}");
    platform.stop();
}

#[test]
fn texts_come_by_standard_input_and_a_busy_endpoint_is_waited_for() {
    let place = Place::new();
    let platform = deploy_stand_in(&place);
    for arguments in [&["--format", "csv"][..], &["--format", "csv", "-"], &["--format", "csv", "--file", "-"]] {
        let mut child = command(&platform, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"busy\n\nna\xefve, \"\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, err) = texts(&output);
        let rows = records(&out);
        assert!(output.status.code() == Some(1) && rows.len() == 4, "{out}{err}");
        assert_eq!((rows[1][0].as_str(), rows[3][0].as_str()), ("busy", "naïve, \""));
        assert_eq!(rows[2].last().unwrap(), "empty_description: the text of the row is empty");
    }
    // Whoever waits for the end of its input can be interrupted, and leaves nothing behind.
    fs::create_dir(place.path("tmp")).unwrap();
    let mut waiting = command(&platform, &["-"]);
    waiting.env("TMPDIR", place.path("tmp")).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = waiting.spawn().unwrap();
    let input = child.stdin.take();
    while fs::read_dir(place.path("tmp")).unwrap().next().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    signal(&child, "INT");
    assert_eq!(wait(child).status.code(), Some(130));
    drop(input);
    assert!(fs::read_dir(place.path("tmp")).unwrap().next().is_none(), "a temporary file is left");

    fs::write(place.path("lines.jsonl"), "{\"id\": 1, \"description\": \"rice\"}\nnonsense\n").unwrap();
    let (code, out, _) = invoke(&platform, &["--file", "lines.jsonl", "--format", "csv"]);
    let rows = records(&out);
    assert!(code == 1 && rows[1][..3] == ["1", "rice", "50000000"], "{out}");
    assert!(rows[2].last().unwrap().starts_with("malformed_json"), "{out}");
    platform.stop();
}

#[test]
fn a_row_that_the_container_fails_on_costs_no_other() {
    let place = Place::new();
    let platform = deploy_stand_in(&place);
    let mut file = File::create(place.path("table.csv")).unwrap();
    let rows =
        (0..450).map(|row| if [3, 201, 449].contains(&row) { "poison".to_owned() } else { format!("item {row}") });
    let rows: Vec<String> = rows.collect();
    write!(file, "description\n{}\n", rows.join("\n")).unwrap();
    let (code, out, err) = invoke(&platform, &["--file", "table.csv", "--format", "csv"]);
    assert!(code == 1 && err.contains("3 of 450 descriptions"), "{err}");
    for (text, record) in rows.iter().zip(records(&out).iter().skip(1)) {
        let expected = if text == "poison" { "container_failure: out of order" } else { "" };
        assert_eq!((&record[0], record.last().unwrap().as_str()), (text, expected));
    }
    // Also where it is the only one of its request, whose answer comes first.
    fs::write(place.path("last.csv"), format!("description\n{}poison\n", "rice\n".repeat(200))).unwrap();
    let (code, out, err) = invoke(&platform, &["--file", "last.csv", "--format", "csv"]);
    assert!(code == 1 && err.contains("1 of 201 descriptions") && records(&out).len() == 202, "{err}");
    let first = format!("description\n{}{}", "poison\n".repeat(200), "rice\n".repeat(10));
    fs::write(place.path("first.csv"), first).unwrap();
    for concurrency in ["4", "1"] {
        let arguments = ["--file", "first.csv", "--format", "csv", "--concurrency", concurrency];
        let (code, out, err) = invoke(&platform, &arguments);
        assert!(code == 1 && err.contains("200 of 210 descriptions") && records(&out).len() == 211, "{err}");
    }
    // What fails on everything is no bad row, and a file that is there stays.
    fs::write(place.path("all.csv"), format!("description\n{}", "poison\n".repeat(100))).unwrap();
    fs::write(place.path("kept.csv"), "mine").unwrap();
    let (code, _, err) = invoke(&platform, &["--file", "all.csv", "--output", "kept.csv"]);
    assert!(code == 1 && err.contains("the container failed: out of order"), "{err}");
    assert_eq!(fs::read_to_string(place.path("kept.csv")).unwrap(), "mine");
    platform.stop();
}

/// Names of files that are to get others.
fn drafts(place: &Place) -> Vec<String> {
    let names = fs::read_dir(&place.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn what_a_killed_run_was_writing_goes_with_the_next_and_nothing_of_the_users_does() {
    let place = Place::new();
    let platform = deploy_stand_in(&place);
    // What `data download` keeps of `a.csv`.
    fs::write(place.path(".a.csv.part"), "description\nrice\n").unwrap();
    let mut writing = command(&platform, &["hang", "--output", "a.csv"]);
    let mut child = writing.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while drafts(&place).len() < 2 {
        assert!(child.try_wait().unwrap().is_none() && begin.elapsed() < LIMIT, "nothing is being written");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Another run does not take it for one that was left.
    let (code, _, err) = invoke(&platform, &["--file", ".a.csv.part", "--output", "a.csv"]);
    assert!(code == 0 && drafts(&place).len() == 2, "{err}");
    signal(&child, "KILL");
    child.wait().unwrap();
    assert_eq!(drafts(&place).len(), 2);
    let (code, _, err) = platform.verb("status", &[]);
    assert!(code == 0 && drafts(&place) == [".a.csv.part"], "{err}");
    let rows = records(&fs::read_to_string(place.path("a.csv")).unwrap());
    assert!(rows.len() == 2 && rows[1][0] == "rice", "{rows:?}");
    assert_eq!(fs::read_to_string(place.path(".a.csv.part")).unwrap(), "description\nrice\n");
    platform.stop();
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is() {
    let place = Place::new();
    fs::write(place.path("other.csv"), "id,name\n1,bolt\n").unwrap();
    fs::write(place.path("empty.csv"), "description\n").unwrap();
    fs::write(place.path("long.txt"), "é; ".repeat(300_000)).unwrap();
    let platform = place.platform(&[]);
    for (arguments, said) in [
        (&["--file", "gone.csv"][..], "gone.csv does not exist"),
        (&["--file", "other.csv"], "other.csv: no column `description` among `id`, `name`"),
        (&["--file", "empty.csv"], "there is no row below the header"),
        (&["--format", "csv"], "standard input is empty"),
        (&["--file", "other.csv", "--output", "./other.csv"], "other.csv would be replaced by what is made of it"),
        (&["--statement", "--file", "long.txt"], "long.txt is longer than a statement can be: 1 MiB"),
        (&["--statement", "a", "b"], "--statement takes one text, not 2"),
        (&["rice"], "Endpoint e of account 000000000000 not found"),
    ] {
        let (code, out, err) = invoke(&platform, arguments);
        assert!(code == 1 && err.contains(said) && out.is_empty(), "{arguments:?}: {out}{err}");
    }
    platform.stop();
}
