//! `unspsc data prepare`, `data augment` and `data explore`, and every help text, as a user meets them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/unspsc.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use support::{texts, unspsc};

const STARTER: &str = include_str!("../data/starter.csv");

fn prepare(data: Option<&Path>, output: &Path, more: &[&str]) -> (bool, String, String) {
    let mut command = unspsc(["data", "prepare", "--output"]);
    command.arg(output).args(more);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    (output.status.success(), out, err)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_split() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, other] = ["one", "two", "other"].map(|name| folder.path().join(name));
    for (output, seed, threads) in [(&one, "5", "1"), (&two, "5", "3"), (&other, "6", "1")] {
        let mut command = unspsc(["data", "prepare", "--seed", seed, "--output"]);
        let result = command.arg(output).env("RAYON_NUM_THREADS", threads).output().unwrap();
        let (out, err) = texts(&result);
        assert!(result.status.success(), "{err}");
        assert!(out.contains("starter.csv") && out.contains("training"), "{out}");
    }
    let names: Vec<_> = files(&one).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["dataset.json", "rejects.csv", "test.csv", "train.csv", "validation.csv"]);
    assert_eq!(files(&one), files(&two));
    assert_ne!(fs::read(one.join("test.csv")).unwrap(), fs::read(other.join("test.csv")).unwrap());
}

#[test]
fn rejects_duplicates_and_contradictions_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.csv");
    let rows = "ball valve,40141607\nBALL VALVE,40141600\nusb cable,26121600\nusb cable,43200000\n\
        desk,56100000\nno code,\n<br/>,43000000\ngate valve,40141600\nneedle valve,40141600\nplug valve,40141600\n";
    fs::write(&data, format!("Description,UNSPSC\n{rows}")).unwrap();
    let (done, out, err) = prepare(Some(&data), &folder.path().join("out"), &[]);
    assert!(done, "{err}");
    for (line, number) in [
        ("read", 10),
        ("rejected: empty description", 1),
        ("rejected: no code", 1),
        ("left out: same text and label again", 1),
        ("rejected: contradicting labels", 2),
        ("training", 3),
    ] {
        let shown = out.lines().find(|shown| shown.trim_start().starts_with(line));
        let shown = shown.unwrap_or_else(|| panic!("`{line}` is not in\n{out}"));
        assert_eq!(shown.split_whitespace().last(), Some(number.to_string().as_str()), "{shown}");
    }
}

#[test]
fn bad_input_gives_one_sentence_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    };
    file("nothing/README.md", b"no data here");
    let cases = [
        (folder.path().join("gone.csv"), "gone.csv does not exist"),
        (folder.path().join("nothing"), "nothing holds no file that ends in .csv, .tsv, .txt or .csv.gz"),
        (file("empty.csv", b""), "empty.csv is empty"),
        (file("header.csv", b"description,unspsc\n"), "header.csv holds a header but no rows"),
        (file("column.csv", b"text,unspsc\na,43\n"), "column.csv: no column `description` among `text`, `unspsc`"),
        (file("binary.csv", b"\x7fELF\x02\x01\x01\0\0\0"), "binary.csv is a binary file"),
        (file("torn.csv.gz", b"\x1f\x8b\x08\0\0\0"), "cannot read"),
        (
            file("line.csv", &[b"description,unspsc\n".to_vec(), vec![b'a'; 100 << 20]].concat()),
            "line 2: longer than 1 MiB",
        ),
        (file("codes.csv", b"description,unspsc\na,x\nb,y\n"), "0 of 2 rows can be used"),
        (file("validation/parts.csv", b"description,unspsc\na,43\nb,44\n"), "never to train on"),
    ];
    for (data, message) in cases {
        let output = folder.path().join("out");
        let (done, out, err) = prepare(Some(&data), &output, &[]);
        assert!(!done && out.is_empty(), "{} was taken: {out}", data.display());
        let error = err.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: ") && error.contains(message), "{err}");
        assert!(!output.exists(), "{} left something behind", data.display());
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    fs::write(&output, "a file, not a folder").unwrap();
    let (done, _, err) = prepare(None, &output, &[]);
    assert!(!done && err.contains(&format!("cannot write {}", output.display())), "{err}");
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (data, program) = (folder.path().join("secret.csv"), folder.path().join("unspsc"));
    fs::write(&data, "description,unspsc\na,43\nb,44\n").unwrap();
    fs::copy(env!("CARGO_BIN_EXE_unspsc"), &program).unwrap();
    open(folder.path(), 0o755);
    open(&data, 0o000);
    let mut command = Command::new(program);
    // Nothing is forbidden to root, so that it has to be somebody else.
    if fs::File::open(&data).is_ok() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.args(["data", "prepare", "--output", "out", "--data"]).arg(&data).output().unwrap();
    let (out, err) = texts(&output);
    assert!(!output.status.success() && out.is_empty(), "{out}");
    let expected = format!("error: cannot read {}: Permission denied", data.display());
    assert!(err.lines().last().unwrap().starts_with(&expected), "{err}");
}

#[test]
fn a_disk_that_fills_up_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    assert!(prepare(None, &output, &["--seed", "5"]).0);
    let before = files(&output);
    // A limit on the size of files is to the program what a full disk is: a write that fails.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" data prepare --seed 6 --output \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_unspsc")]).arg(&output);
    let result = command.output().unwrap();
    let (out, err) = texts(&result);
    assert!(!result.status.success() && out.is_empty(), "{out}");
    assert!(err.lines().last().unwrap().starts_with(&format!("error: cannot write {}", output.display())), "{err}");
    assert_eq!(files(&output), before, "the good set was touched");
}

#[test]
fn augmentation_grows_training_alone_and_says_where_each_row_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let [prepared, one, two, even] = ["prepared", "one", "two", "even"].map(|name| folder.path().join(name));
    assert!(prepare(None, &prepared, &[]).0);
    for (output, threads) in [(&one, "1"), (&two, "2")] {
        let (done, out, err) = augment(&prepared, output, &["--to", "50"], threads);
        assert!(done && out.contains("rows made, 0 moved to test"), "{out}{err}");
    }
    assert_eq!(files(&one), files(&two), "the number of threads changes what is written");
    let text = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for name in ["validation.csv", "test.csv"] {
        assert_eq!(text(&one, name), text(&prepared, name));
    }
    let after = text(&one, "train.csv");
    let made: Vec<&str> = after.strip_prefix(&text(&prepared, "train.csv")).unwrap().lines().collect();
    assert!(made.len() > 300, "{} rows were made", made.len());
    let description = |line: &str| line.rsplitn(4, ',').last().unwrap().to_lowercase();
    let tested = text(&one, "test.csv") + &text(&one, "validation.csv");
    let tested: Vec<String> = tested.lines().map(description).collect();
    for row in made {
        assert!(row.ends_with(",augmented:starter.csv"), "{row}");
        assert!(!tested.contains(&description(row)), "{row} is tested too");
    }

    let (done, out, err) = augment(&prepared, &even, &["--to", "20", "--mode", "equality"], "2");
    assert!(done && !out.contains(" 0 moved to test"), "{out}{err}");
    let train = text(&even, "train.csv");
    for segment in ["43000000", "50000000", "95000000"] {
        assert_eq!(train.lines().filter(|line| line.contains(&format!(",{segment},"))).count(), 20, "{segment}");
    }
}

fn augment(data: &Path, output: &Path, more: &[&str], threads: &str) -> (bool, String, String) {
    let mut command = unspsc(["data", "augment", "--data"]);
    command.arg(data).arg("--output").arg(output).args(more).env("RAYON_NUM_THREADS", threads);
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    (output.status.success(), out, err)
}

#[test]
fn augmentation_refuses_what_it_cannot_do_well() {
    let folder = tempfile::tempdir().unwrap();
    let [prepared, augmented, other] = ["prepared", "augmented", "other"].map(|name| folder.path().join(name));
    assert!(prepare(None, &prepared, &[]).0);
    assert!(augment(&prepared, &augmented, &["--to", "40"], "2").0);
    let nowhere = folder.path().join("nowhere").display().to_string();
    let cases: [(&Path, &Path, &[&str], &str); 5] = [
        (&prepared, &prepared, &[], "name another"),
        (&augmented, &other, &[], "is augmented already"),
        (folder.path(), &other, &[], "holds no dataset.json"),
        (&prepared, &other, &["--wordnet", &nowhere], "nowhere holds no WordNet 3.0"),
        (&prepared, &other, &["--share", "2"], "allowed: 0 to 1"),
    ];
    for (data, output, more, message) in cases {
        let (done, out, err) = augment(data, output, more, "2");
        assert!(!done && out.is_empty() && err.contains(message), "{err}");
        assert!(!other.exists());
    }
}

fn explore(data: Option<&Path>, output: &Path, more: &[&str]) -> (bool, String, String) {
    let mut command = unspsc(["data", "explore", "--output"]);
    command.arg(output).args(more);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    // Where there is no other encoder, the test is not to find that of the machine.
    let output = command.env("UNSPSC_ENCODER", "no-encoder").output().unwrap();
    let (out, err) = texts(&output);
    (output.status.success(), out, err)
}

/// The last words of the first line that begins so.
fn figures<const N: usize>(out: &str, line: &str) -> [String; N] {
    let found = out.lines().find(|found| found.trim_start().starts_with(line));
    let found = found.unwrap_or_else(|| panic!("`{line}` is not in\n{out}"));
    let words: Vec<String> = found.split_whitespace().map(str::to_owned).collect();
    words[words.len() - N..].to_vec().try_into().unwrap()
}

#[test]
fn exploring_the_starter_set_gives_one_page_and_a_short_summary() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.html", "two.html"].map(|name| folder.path().join(name));
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/bert");
    let (done, out, err) = explore(None, &one, &["--encoder", encoder]);
    assert!(done, "{err}");
    assert!(out.lines().count() <= 25 && out.ends_with(&format!("written to {}\n", one.display())), "{out}");
    assert_eq!(figures(&out, "starter.csv"), ["3,014", "2,400", "307", "307"]);
    assert_eq!(figures(&out, "with rows"), ["57", "57"]);
    assert!(out.contains("0 of 3,014 rows dropped") && out.contains(" tokens "), "{out}");
    let page = fs::read_to_string(&one).unwrap();
    for part in ["<h1>Starter set at segment level</h1>", "Tokens in a text", "43000000"] {
        assert!(page.contains(part), "{part}");
    }
    for part in ["<script", "http:", "https:", "src=", "@import"] {
        assert!(!page.contains(part), "{part}: the page has to stand alone");
    }
    let names: Vec<_> = files(folder.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["one.html"], "nothing but the page is written");

    let (done, out, err) = explore(None, &two, &[]);
    assert!(done && out.contains("Tokens are not counted (no-encoder/config.json"), "{out}{err}");
    let page = fs::read_to_string(&two).unwrap();
    assert!(out.contains("--encoder") && page.contains("Nothing conspicuous") && !page.contains("Tokens in a text"));
}

#[test]
fn sources_that_overlap_and_disagree_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (data, page) = (folder.path().join("data"), folder.path().join("page.html"));
    fs::create_dir(&data).unwrap();
    let rows = |code: &str, numbers: std::ops::Range<usize>| -> String {
        numbers.map(|number| format!("ball valve {number},{code}\n")).collect()
    };
    let file = |name: &str, rows: String| fs::write(data.join(name), format!("description,unspsc\n{rows}")).unwrap();
    file("one.csv", rows("40141607", 0..40) + "usb cable,\n");
    file("two.csv", rows("40141600", 30..45) + &rows("26121600", 45..70) + &rows("26121600", 0..4));
    let (done, out, err) = explore(Some(&data), &page, &[]);
    assert!(done, "{err}");
    assert_eq!(figures(&out, "one.csv"), ["40", "28", "4", "4"]);
    assert!(out.contains("! Sources disagree about the label: two.csv and one.csv on 4 of 14 shared texts."), "{out}");
    assert!(out.contains("19 of 85 rows dropped (22.4 %): duplicates 10, contradictions 8, other rejects 1"), "{out}");
    let page = fs::read_to_string(page).unwrap();
    for part in ["<td>14, 4 contested</td>", "rejected: no code", "9.5 % of the usable rows (8)"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_prepared_folder_is_explored_as_it_is_and_rows_that_were_made_are_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let [prepared, augmented, page] = ["prepared", "augmented", "page.html"].map(|name| folder.path().join(name));
    assert!(prepare(None, &prepared, &[]).0);
    let (done, out, err) = explore(Some(&prepared), &page, &["--seed", "5"]);
    assert!(done, "{err}");
    assert_eq!(figures(&out, "starter.csv"), ["–", "2,400", "307", "307"]);
    assert!(fs::read_to_string(&page).unwrap().contains("A prepared set holds each text once"));
    assert!(augment(&prepared, &augmented, &["--to", "50"], "2").0);
    let (done, out, err) = explore(Some(&augmented), &page, &[]);
    assert!(done, "{err}");
    assert_eq!(figures(&out, "starter.csv"), ["3,014", "2,400", "307", "307"]);
    let [before, _, validation, test] = figures(&out, "augmented:starter.csv");
    assert_eq!([before, validation, test], ["0", "0", "0"]);
    assert!(fs::read_to_string(&page).unwrap().contains("<i>(made)</i>"));
    let (done, _, err) = explore(Some(&prepared), &page, &["--level", "family"]);
    assert!(!done && err.contains("is prepared at segment level"), "{err}");
}

#[test]
fn a_page_that_cannot_be_written_is_named_and_an_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    fs::write(&page, "<!doctype html>an old page").unwrap();
    let (done, out, err) = explore(Some(&folder.path().join("gone.csv")), &page, &[]);
    assert!(!done && out.is_empty() && err.contains("gone.csv does not exist"), "{err}");
    assert_eq!(files(folder.path()), [("page.html".to_owned(), b"<!doctype html>an old page".to_vec())]);
    for place in [page.join("below.html"), folder.path().join("no/page.html"), folder.path().to_owned()] {
        let (done, out, err) = explore(None, &place, &[]);
        assert!(!done && out.is_empty(), "{out}");
        let expected = format!("error: cannot write {}: ", place.display());
        assert!(err.lines().last().unwrap().starts_with(&expected), "{err}");
    }
    let limited = "trap '' XFSZ; ulimit -f 4; exec \"$0\" data explore --output \"$1\"";
    let mut command = Command::new("sh");
    let result = command.args(["-c", limited, env!("CARGO_BIN_EXE_unspsc")]).arg(&page).output().unwrap();
    let (_, err) = texts(&result);
    assert!(!result.status.success() && err.contains(&format!("cannot write {}", page.display())), "{err}");
    assert_eq!(files(folder.path()), [("page.html".to_owned(), b"<!doctype html>an old page".to_vec())]);
}

#[test]
fn a_prepared_folder_is_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let [prepared, again] = ["prepared", "again"].map(|name| folder.path().join(name));
    assert!(prepare(None, &prepared, &["--level", "family"]).0);
    let own = folder.path().join("mine");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("train.csv"), STARTER).unwrap();
    for data in [own.clone(), own.join("train.csv")] {
        let (done, _, err) = prepare(Some(&data), &own, &[]);
        assert!(!done && err.contains("was not written by `unspsc data prepare`"), "{err}");
        assert_eq!(fs::read_to_string(own.join("train.csv")).unwrap(), STARTER, "the user's data");
    }
    let output =
        unspsc(["data", "explore", "--data"]).arg(&own).arg("--output").arg(own.join("train.csv")).output().unwrap();
    assert!(!output.status.success() && texts(&output).1.contains("is no HTML page"), "{output:?}");
    assert_eq!(fs::read_to_string(own.join("train.csv")).unwrap(), STARTER, "the user's data");
    fs::remove_dir_all(own).unwrap();
    let link = folder.path().join("link.csv");
    std::os::unix::fs::symlink(prepared.join("train.csv"), &link).unwrap();
    let linked = prepare(Some(&link), &prepared, &[]);
    assert!(!linked.0 && linked.2.contains("would be replaced by what is made of it"), "{}", linked.2);
    fs::remove_file(link).unwrap();
    let inside = prepare(Some(&prepared.join("train.csv")), &prepared, &[]);
    assert!(!inside.0 && inside.2.contains("would be replaced by what is made of it"), "{}", inside.2);
    let (done, _, err) = prepare(Some(&prepared), &again, &[]);
    assert!(!done && err.contains("is prepared already") && !again.exists(), "{err}");
    let output = unspsc(["train", "--local", "--data"]).arg(&prepared).current_dir(&folder).output().unwrap();
    let (_, err) = texts(&output);
    assert!(!output.status.success() && err.contains("is prepared at family level: add --level family"), "{err}");
    let output = unspsc(["data", "explore", "--level", "family", "--max-per-class", "5", "--data"])
        .arg(&prepared)
        .current_dir(&folder)
        .output()
        .unwrap();
    let (_, err) = texts(&output);
    assert!(!output.status.success() && err.contains("so that --max-per-class changes nothing"), "{err}");
    let grouped = folder.path().join("grouped");
    assert!(prepare(None, &grouped, &["--group-count", "5"]).0);
    let output = unspsc(["data", "explore", "--level", "family", "--data"]).arg(&grouped).output().unwrap();
    let (_, err) = texts(&output);
    assert!(!output.status.success() && err.contains("so that --level changes nothing"), "{err}");
    // A folder of data may hold what was made of it, which is not read again.
    fs::write(folder.path().join("own.csv"), STARTER).unwrap();
    let (done, out, err) = prepare(Some(folder.path()), &folder.path().join("made"), &[]);
    assert!(done && err.contains("prepared is a prepared set and was left alone"), "{err}");
    assert_eq!(out.matches(".csv ").count(), 1, "{out}");
}

#[test]
fn every_verb_has_a_help_with_examples() {
    let verbs: [&[&str]; 11] = [
        &["data", "download"],
        &["data", "prepare"],
        &["data", "augment"],
        &["data", "explore"],
        &["train"],
        &["deploy"],
        &["invoke"],
        &["evaluate"],
        &["destroy"],
        &["run"],
        &[],
    ];
    for verb in verbs {
        let output = unspsc(verb.iter().chain(&["--help"])).output().unwrap();
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{verb:?}: {err}");
        assert!(out.contains("Usage: unspsc") && out.contains("Example"), "{verb:?}: {out}");
        assert!(out.lines().all(|line| line.chars().count() <= 120), "{verb:?} has a line that is too long");
    }
}

#[test]
fn wrong_settings_are_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // Nothing listens there: what is refused before the first request does not say so.
    let platform = ["--endpoint-url", "http://127.0.0.1:9"];
    let cases: [(&[&str], &str); 4] = [
        (&["train", "--hyperparameter", "epoch=1"], "hyperparameter `epoch` is unknown; did you mean `epochs`?"),
        (&["train", "--hyperparameter", "epochs=0"], "hyperparameter `epochs` is `0`, allowed: 0.001 to 10000"),
        (&["train", "--hyperparameter", "seed=1"], "write --seed 1"),
        (&["run", "--model", "rnn"], "is not served"),
    ];
    for (arguments, message) in cases {
        let output = unspsc(arguments.iter().chain(&platform)).current_dir(&folder).output().unwrap();
        let (_, err) = texts(&output);
        assert!(!output.status.success() && err.contains(message), "{arguments:?}: {err}");
        assert!(!state.exists());
    }
    let output = unspsc(["invoke", "--endpoint", "x", "text"].iter().chain(&platform)).output().unwrap();
    let (_, err) = texts(&output);
    assert!(!output.status.success() && err.contains("InvokeEndpoint got no answer: "), "{err}");
}
