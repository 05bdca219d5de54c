//! Preparing and writing: nothing lost, nothing random, nothing half-written.

use super::*;
use crate::{load, starter};

fn options() -> Options {
    Options::new(Level::Segment, 17)
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
    assert_eq!(names, ["dataset.json", "rejects.csv", "test.csv", "train.csv", "validation.csv"]);

    let read = Prepared::read(one.path()).unwrap();
    assert_eq!((&read.splits, &read.manifest), (&prepared.splits, &prepared.manifest));
    let manifest: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    assert_eq!(manifest["fingerprint"], fingerprint(&prepared.splits));
    assert_eq!(manifest["level"], "segment");
}

#[test]
fn every_row_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let rows = "a,43\nA,43\nb,44\nc,44\nc,43\nd,99\ne,x\n,44\nf,44\ng,44\nh,44\ni,44\n";
    fs::write(&path, format!("description,unspsc\n{rows}")).unwrap();
    let capped = Options { max_per_class: Some(1), ..options() };
    let prepared = prepare(load(&path, &Reading::default()).unwrap(), capped, "test 1").unwrap();
    let Counts { rows, rejects, duplicates, capped, train, validation, test, classes } =
        prepared.manifest.counts.clone();
    assert_eq!(rows, 12);
    assert_eq!(rows, rejects.values().sum::<usize>() + duplicates + capped + train + validation + test);
    assert_eq!((train, classes, duplicates, capped), (2, 2, 1, 2));
    prepared.write(folder.path()).unwrap();
    let written = fs::read_to_string(folder.path().join("rejects.csv")).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 1 + rejects.values().sum::<usize>());
    assert!(lines[1].ends_with("a.csv,5,c,44000000,as many rows with this text say 43000000"), "{written}");
    assert!(lines[3].ends_with("a.csv,7,d,99000000,the standard has no segment 99000000"), "{written}");
    assert!(lines[4].ends_with("a.csv,8,e,x,`x` is not a number of 8 digits"), "{written}");
}

#[test]
fn groups_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let grouped = Options { groups: Some(Grouping::Even(4)), ..options() };
    let prepared = prepare(starter().unwrap(), grouped, "test 1").unwrap();
    assert_eq!(prepared.manifest.counts.classes, 4);
    prepared.write(folder.path()).unwrap();
    let read = Prepared::read(folder.path()).unwrap();
    assert_eq!((&read.splits, &read.groups), (&prepared.splits, &prepared.groups));
    prepare(starter().unwrap(), options(), "test 1").unwrap().write(folder.path()).unwrap();
    assert!(!folder.path().join("groups.csv").exists());
}

#[test]
fn a_folder_that_was_not_prepared_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Prepared::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`unspsc data prepare`"), "{error}");
}

#[test]
fn nothing_to_learn_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "description,unspsc\na,43\nb,x\nc,x\n,44\n").unwrap();
    let error = prepare(load(&path, &Reading::default()).unwrap(), options(), "test 1").unwrap_err().to_string();
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

#[test]
fn what_cannot_be_replaced_leaves_the_old_set_alone_and_one_run_keeps_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let set = |seed: u64| prepare(starter().unwrap(), Options { seed, ..options() }, "test 1").unwrap();
    set(1).write(folder.path()).unwrap();
    let before = listing(folder.path());
    let lock = File::open(folder.path()).unwrap();
    lock.lock().unwrap();
    assert!(matches!(set(2).write(folder.path()), Err(DatasetError::Busy { .. })));
    drop(lock);
    fs::remove_file(folder.path().join(TEST)).unwrap();
    fs::create_dir(folder.path().join(TEST)).unwrap();
    let error = set(2).write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("test.csv: it is there and is no file"), "{error}");
    fs::remove_dir(folder.path().join(TEST)).unwrap();
    set(1).write(folder.path()).unwrap();
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn rows_made_by_augmentation_are_no_data_to_start_from() {
    let mut loaded = starter().unwrap();
    let usable = loaded.rows.len();
    loaded.rows[0].origin = "augmented:own.csv".into();
    let prepared = prepare(loaded, options(), "test 1").unwrap();
    assert_eq!(prepared.manifest.counts.rejects.get("made by augmentation"), Some(&1));
    assert_eq!(prepared.splits.named().map(|(_, side)| side.len()).iter().sum::<usize>(), usable - 1);
}

#[test]
fn a_set_of_which_nothing_can_be_held_out_is_refused() {
    let row = |text: &str, code: &str| Row::new(text, code.parse().unwrap(), "own.csv");
    let rows = vec![row("a", "43000000"), row("b", "43000000"), row("c", "44000000"), row("d", "44000000")];
    let error = prepare(Loaded { rows, ..Loaded::default() }, options(), "test 1").unwrap_err().to_string();
    assert!(error.starts_with("no label has three texts or commodities"), "{error}");
}

#[test]
fn rejects_that_were_deleted_are_not_made_up() {
    let [folder, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let set = prepare(starter().unwrap(), options(), "test 1").unwrap();
    set.write(folder.path()).unwrap();
    set.write(other.path()).unwrap();
    fs::remove_file(folder.path().join(REJECTS)).unwrap();
    Prepared::read(folder.path()).unwrap().write(other.path()).unwrap();
    assert!(!other.path().join(REJECTS).exists());
}

#[test]
fn a_link_in_the_way_is_replaced_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "x").unwrap();
    std::os::unix::fs::symlink(&precious, folder.path().join(".train.csv.part")).unwrap();
    prepare(starter().unwrap(), options(), "test 1").unwrap().write(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(precious).unwrap(), "x");
}

#[test]
fn files_of_others_are_never_replaced() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        // Were it the manifest: of somebody else's, one with several lines of JSON.
        fs::write(folder.path().join(name), "{}\n{}\n").unwrap();
        let before = listing(folder.path());
        let error = prepare(starter().unwrap(), options(), "test 1").unwrap().write(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("{name} is there and was not written by")), "{error}");
        assert_eq!(listing(folder.path()), before);
    }
}

#[test]
fn a_write_that_was_broken_off_can_be_repeated_and_is_no_set() {
    let folder = tempfile::tempdir().unwrap();
    let set = prepare(starter().unwrap(), options(), "test 1").unwrap();
    set.write(folder.path()).unwrap();
    let before = listing(folder.path());
    fs::rename(folder.path().join(MANIFEST), folder.path().join(".dataset.json.part")).unwrap();
    for error in [Prepared::read(folder.path()).unwrap_err(), load(folder.path(), &Reading::default()).unwrap_err()] {
        assert!(error.to_string().contains("was broken off, so that it holds no set"), "{error}");
    }
    set.write(folder.path()).unwrap();
    assert_eq!(listing(folder.path()), before);
    let lock = File::open(folder.path()).unwrap();
    lock.lock().unwrap();
    assert!(matches!(Prepared::read(folder.path()), Err(DatasetError::Busy { .. })));
}

#[test]
fn the_titles_of_a_code_list_are_all_kept_whatever_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    let row = |c: u32| format!("10000000,Animals,10100000,Live animals,10101500,Livestock,101015{c:02},Cats {c}\n");
    let second = "20000000,Machinery,20100000,Mining,20101500,Cutters,20101501,Coal cutters\n\
                  20000000,Machinery,20100000,Mining,20101500,Cutters,20101502,Rock cutters\n";
    let rows: String = (1..=20).map(row).chain([second.to_owned()]).collect();
    let header = "Segment,Segment Name,Family,Family Name,Class,Class Name,Commodity,Commodity Name\n";
    fs::write(&list, format!("{header}{rows}")).unwrap();
    let options = Options { max_per_class: Some(3), ..options() };
    let prepared = prepare(load(&list, &Reading::default()).unwrap(), options.clone(), "test 1").unwrap();
    assert_eq!(prepared.titles.len(), 28, "22 commodities, and two each of classes, families and segments");
    let set = folder.path().join("set");
    let paths = prepared.write(&set).unwrap();
    assert!(paths.ends_with(&[set.join(TITLES)]) && prepared.names().contains(&TITLES));
    assert_eq!(Prepared::read(&set).unwrap().titles, prepared.titles);
    assert_eq!(load(&set, &Reading::default()).unwrap().sources.len(), 3, "titles are no rows of the set");
    // Where parents were written into the texts, these are no titles.
    let reading = Reading { titles: TitleForm::Parents, ..Reading::default() };
    let options = Options { titles: TitleForm::Parents, ..options };
    assert!(prepare(load(&list, &reading).unwrap(), options, "test 1").unwrap().titles.is_empty());
}
