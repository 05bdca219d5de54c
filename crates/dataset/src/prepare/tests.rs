//! Preparing and writing: nothing lost, nothing random, nothing half-written.

use super::*;
use crate::{load, starter};

fn options() -> Options {
    Options { level: Level::Segment, seed: 17, max_per_class: None }
}

fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn writing_twice_gives_the_same_bytes_and_reading_gives_the_same_splits() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prepared = prepare(starter().unwrap(), options(), "test 1").unwrap();
    prepared.write(one.path()).unwrap();
    prepare(starter().unwrap(), options(), "test 1").unwrap().write(two.path()).unwrap();
    let files = listing(one.path());
    assert_eq!(files, listing(two.path()));
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dataset.json", "test.csv", "train.csv", "validation.csv"]);

    let side = |name: &str| label(load(&one.path().join(name)).unwrap().rows, Level::Segment).examples;
    let splits = Splits { train: side("train.csv"), validation: side("validation.csv"), test: side("test.csv") };
    assert_eq!(splits, prepared.splits);
    let manifest: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    assert_eq!(manifest["fingerprint"], fingerprint(&splits));
    assert_eq!(manifest["level"], "segment");
}

#[test]
fn every_row_is_accounted_for() {
    let capped = Options { max_per_class: Some(1), ..options() };
    let prepared = prepare(starter().unwrap(), capped, "test 1").unwrap();
    let Counts { rows, labelling, capped, train, validation, test, classes, .. } = prepared.manifest.counts;
    let LabelCounts { too_coarse, duplicates, contradictions } = labelling;
    assert_eq!(rows, too_coarse + duplicates + contradictions + capped + train + validation + test);
    assert_eq!(train, classes);
}

#[test]
fn nothing_to_learn_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "description,unspsc\na,43\nb,x\nc,x\n,44\n").unwrap();
    let error = prepare(load(&path).unwrap(), options(), "test 1").unwrap_err().to_string();
    assert!(error.starts_with("1 of 4 rows can be used"), "{error}");
    assert!(error.ends_with("(unreadable code: 2, empty description: 1)"), "{error}");
}

#[test]
fn a_failed_write_leaves_the_old_set_alone() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare(starter().unwrap(), options(), "test 1").unwrap();
    prepared.write(folder.path()).unwrap();
    let before = listing(folder.path());
    // A folder in the place of a temporary file fails for root too, where permissions would not.
    fs::create_dir(folder.path().join(".test.csv.part")).unwrap();
    let other = prepare(starter().unwrap(), Options { seed: 18, ..options() }, "test 1").unwrap();
    assert!(matches!(other.write(folder.path()), Err(DatasetError::Write { .. })));
    fs::remove_dir(folder.path().join(".test.csv.part")).unwrap();
    assert_eq!(listing(folder.path()), before);
}
