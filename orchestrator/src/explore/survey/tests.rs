//! What is counted, on rows that can be counted by hand.

use std::path::Path;

use unspsc_dataset::{AugmentMode, AugmentOptions, Augmentation, Row};
use unspsc_taxonomy::Level;

use super::super::overlap::Shared;
use super::super::warnings::warnings;
use super::*;

fn options() -> Options {
    Options::new(Level::Segment, 17)
}

fn no_encoder() -> &'static Path {
    Path::new("/nowhere/encoder")
}

/// 30 toners, 20 breads and a lone valve; 5 toners are there twice, and two sources contradict each other about one.
fn loaded() -> Loaded {
    let rows = |code: &str, word: &str, numbers: std::ops::Range<usize>, origin: &str| -> Vec<Row> {
        numbers.map(|number| Row::new(&format!("{word} number {number}"), code.parse().unwrap(), origin)).collect()
    };
    let rows = [
        rows("44103103", "toner", 0..30, "one.csv"),
        rows("44103103", "TONER", 0..5, "two.csv"),
        rows("50181900", "toner", 5..6, "two.csv"),
        rows("50181900", "bread", 0..20, "two.csv"),
        rows("40141600", "valve", 0..1, "three.csv"),
    ];
    Loaded { rows: rows.concat(), ..Loaded::default() }
}

fn class<'a>(survey: &'a Survey, label: &str) -> &'a Class {
    survey.classes.iter().find(|class| class.label.as_str() == label).unwrap()
}

#[test]
fn before_and_after_are_counted_by_class_and_by_source() {
    let survey = Survey::of_loaded(loaded(), options(), no_encoder()).unwrap();
    assert_eq!((survey.usable(), survey.contradicting(), survey.dropped(), survey.made()), (57, 2, 7, 0));
    let labels: Vec<&str> = survey.classes.iter().map(|class| class.label.as_str()).collect();
    assert_eq!(labels, ["44000000", "50000000", "40000000"], "largest first");
    assert_eq!(class(&survey, "44000000").rows, Rows { before: Some(35), sides: [23, 3, 3] });
    assert_eq!(class(&survey, "50000000").rows, Rows { before: Some(21), sides: [16, 2, 2] });
    assert_eq!(class(&survey, "40000000").rows, Rows { before: Some(1), sides: [1, 0, 0] });
    assert_eq!(class(&survey, "44000000").sources, [(0, 30), (1, 5)]);
    assert_eq!(survey.imbalance_before().unwrap().to_string(), "35 : 1");
    assert_eq!(survey.imbalance_after().unwrap().ratio(), "23");

    let names: Vec<&str> = survey.sources.iter().map(|origin| &*origin.name).collect();
    assert_eq!(names, ["one.csv", "two.csv", "three.csv"]);
    assert_eq!(survey.sources[1].rows, Rows { before: Some(26), sides: [16, 2, 2] });
    let overlaps = survey.overlaps.as_ref().unwrap();
    assert_eq!(overlaps.between(0, 1), Shared { texts: 6, contradicting: 1 });
    assert_eq!(overlaps.distinct, [(0, 30), (1, 26), (2, 1)].into());
    assert_eq!((survey.words.median(), survey.words.texts()), (3.0, 50));
    assert!(survey.tokens.as_ref().unwrap_err().contains("/nowhere/encoder"));
}

#[test]
fn what_is_off_is_said_in_words() {
    let survey = Survey::of_loaded(loaded(), options(), no_encoder()).unwrap();
    let expected = [
        "One class has fewer than 10 rows, too few to learn from: 40000000 (1).",
        "One class has no row on at least one side, so that nothing can be measured there: 40000000 (not in \
         validation, test).",
        "Sources disagree about the label: one.csv and two.csv on 1 of 6 shared texts.",
        "3.5 % of the usable rows (2) are dropped because other rows label their text otherwise.",
    ];
    assert_eq!(warnings(&survey), expected);

    let row = |text: &str| Row::new(text, "44103103".parse().unwrap(), "one.csv");
    let mut again = loaded();
    again.rows.retain(|row| !row.description.contains("valve") && row.description != "toner number 5");
    again.rows.extend((0..30).map(|_| row("toner number 7")));
    let mut survey = Survey::of_loaded(again, options(), no_encoder()).unwrap();
    assert_eq!(warnings(&survey), ["41.7 % of the usable rows (35) repeat a text with the same label."]);
    survey.tokens = Ok([10; 97].into_iter().chain([65; 3]).collect());
    assert!(warnings(&survey)[1].starts_with("3.0 % of the texts have more than 64 tokens"));
}

#[test]
fn in_an_augmented_set_before_means_without_the_rows_that_were_made() {
    let mut prepared = prepare(loaded(), options(), "test 1").unwrap();
    let mut tap = prepared.splits.train.iter().find(|row| row.label.as_str() == "40000000").cloned().unwrap();
    (tap.description, tap.origin) = ("tap".to_owned(), format!("{AUGMENTED}three.csv").into());
    prepared.splits.train.push(tap);
    prepared.manifest.counts.train += 1;
    let plain = Survey::of_prepared(prepared.clone(), no_encoder());
    assert!(plain.overlaps.is_none() && plain.classes.iter().all(|class| class.rows.before.is_none()));

    let how = AugmentOptions { to: 2, mode: AugmentMode::Augment, share: 0.3, seed: 17 };
    prepared.manifest.augmentation =
        Some(Augmentation { options: how, made: 1, moved: 0, short: std::collections::BTreeMap::new() });
    let survey = Survey::of_prepared(prepared, no_encoder());
    let valves = class(&survey, "40000000");
    assert_eq!(valves.rows, Rows { before: Some(1), sides: [2, 0, 0] });
    let samples: Vec<(&str, bool)> = valves.samples.iter().map(|sample| (sample.text.as_str(), sample.made)).collect();
    assert_eq!(samples, [("valve number 0", false), ("tap", true)]);
    assert!(survey.sources.iter().any(|origin| &*origin.name == "augmented:three.csv"));
    assert_eq!((survey.dropped(), survey.made()), (7, 1), "what was dropped was dropped before");
}

#[test]
fn classes_without_rows_do_not_count_for_the_imbalance() {
    let imbalance = |sizes: &[usize]| Imbalance::of(sizes.iter().copied());
    assert_eq!(imbalance(&[3, 0, 12]), Some(Imbalance { largest: 12, smallest: 3 }));
    assert_eq!(imbalance(&[0, 0]), None);
    let ratio = |largest, smallest| Imbalance { largest, smallest }.ratio();
    assert_eq!([ratio(12, 3), ratio(76_415, 50), ratio(7, 3)], ["4.0", "1,528", "2.3"]);
}
