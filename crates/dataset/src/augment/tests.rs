//! What augmentation promises, on a dictionary of a few words.

use std::fs;
use std::path::Path;

use unspsc_taxonomy::{Level, clean};

use super::*;
use crate::{Options, Row, label, prepare, starter};

/// A dictionary in WordNet's format: each line is a synset of one part of speech, and is found by its words.
fn dictionary() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let nouns: [&[&str]; 5] =
        [&["chair", "seat"], &["cable", "lead", "wire"], &["word", "news"], &["Paris", "capital"], &["box", "carton"]];
    write(folder.path(), "noun", "n", &nouns);
    write(folder.path(), "adj", "a", &[&["big", "large"]]);
    write(folder.path(), "verb", "v", &[&["clean", "purify"]]);
    write(folder.path(), "adv", "r", &[&["quickly", "rapidly"]]);
    fs::write(folder.path().join("cntlist.rev"), "").unwrap();
    folder
}

fn write(folder: &Path, name: &str, pos: &str, synsets: &[&[&str]]) {
    let (mut data, mut index) = (String::new(), BTreeMap::<String, Vec<usize>>::new());
    for words in synsets {
        for word in *words {
            index.entry(word.to_lowercase()).or_default().push(data.len());
        }
        let listed: String = words.iter().map(|word| format!("{word} 0 ")).collect();
        let frames = if pos == "v" { "00 " } else { "" };
        data += &format!("{:08} 06 {pos} {:02x} {listed}000 {frames}| made up  \n", data.len(), words.len());
    }
    let line = |(word, at): (&String, &Vec<usize>)| {
        let offsets: Vec<String> = at.iter().map(|offset| format!("{offset:08}")).collect();
        format!("{word} {pos} {n} 0 {n} 0 {}  \n", offsets.join(" "), n = at.len())
    };
    fs::write(folder.join(format!("data.{name}")), &data).unwrap();
    fs::write(folder.join(format!("index.{name}")), index.iter().map(line).collect::<String>()).unwrap();
}

fn thesaurus() -> Thesaurus {
    Thesaurus::open(dictionary().path()).unwrap()
}

fn options(to: usize, mode: AugmentMode) -> AugmentOptions {
    AugmentOptions { to, mode, share: 0.3, seed: 17 }
}

fn prepared(train: &[(&str, &str)], test: &[(&str, &str)]) -> Prepared {
    let side = |rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(text, code)| Row::new(text, code.parse().unwrap(), "own.csv")).collect();
        label(rows, &crate::Labelling::Level(Level::Segment)).examples
    };
    let splits = Splits { train: side(train), validation: Vec::new(), test: side(test) };
    Prepared { splits, ..prepare(starter().unwrap(), Options::new(Level::Segment, 1), "test 1").unwrap() }
}

fn texts(side: &[Example]) -> Vec<&str> {
    side.iter().map(|example| example.description.as_str()).collect()
}

#[test]
fn small_classes_grow_by_synonyms_and_never_into_held_out_texts() {
    let before =
        prepared(&[("Big chairs", "56000000"), ("HDMI CABLE, 2m", "26000000")], &[("hdmi lead, 2m", "43000000")]);
    let originals = before.splits.train.clone();
    let after = before.augmented(&thesaurus(), options(10, AugmentMode::Augment));
    assert_eq!(after.splits.train[..2], originals);
    let made: HashSet<&str> = texts(&after.splits.train[2..]).into_iter().collect();
    assert_eq!(made, HashSet::from(["Large chairs", "Big seats", "HDMI WIRE, 2m"]));
    assert!(after.splits.train[2..].iter().all(|e| &*e.origin == "augmented:own.csv"));
    let augmentation = after.manifest.augmentation.unwrap();
    let short: Vec<_> = augmentation.short.iter().map(|(label, lacking)| (label.as_str(), *lacking)).collect();
    assert_eq!((augmentation.made, short), (3, vec![("26000000", 8), ("56000000", 7)]));
}

#[test]
fn proper_names_and_parts_of_speech_are_respected() {
    let entries: HashMap<String, Entry> = ["microsoft", "word", "big", "chair", "paris", "clean", "boxes", "big"]
        .iter()
        .map(|word| ((*word).to_owned(), thesaurus().entry(word)))
        .collect();
    let replaceable = |text: &str| -> Vec<Vec<String>> {
        let sentence = Sentence::new(text, &entries);
        sentence.replaceable.iter().map(|place| sentence.words[*place].synonyms.to_vec()).collect()
    };
    let none: Vec<Vec<String>> = Vec::new();
    assert_eq!(replaceable("Microsoft Word"), none);
    assert_eq!(replaceable("chair from Paris"), [["seat"]]);
    assert_eq!(replaceable("Word"), [["news"]]);
    assert_eq!(replaceable("WORD"), [["news"]]);
    assert_eq!(replaceable("boxes"), [["cartons"]]);
    assert_eq!(replaceable("to clean"), [["purify"]]);
    assert_eq!(replaceable("chair12 the X"), none);
}

#[test]
fn the_seed_decides_and_the_number_of_threads_does_not() {
    let grow = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let rows: Vec<(String, &str)> = (0..40)
            .map(|i| (format!("big cable chair box {i}"), if i % 2 == 0 { "26000000" } else { "56000000" }))
            .collect();
        let rows: Vec<(&str, &str)> = rows.iter().map(|(text, code)| (text.as_str(), *code)).collect();
        let options = AugmentOptions { seed, ..options(100, AugmentMode::Augment) };
        pool.install(|| prepared(&rows, &[]).augmented(&thesaurus(), options).splits.train)
    };
    let train = grow(1, 5);
    assert_eq!(train.len(), 200);
    assert_eq!(train, grow(4, 5));
    assert_ne!(train, grow(1, 6));
    let distinct: HashSet<String> = train.iter().map(|example| clean(&example.description)).collect();
    assert_eq!(distinct.len(), train.len());
}

#[test]
fn equality_moves_the_excess_to_test_and_commodities_as_a_whole() {
    let mut before = prepared(&[("a", "10101501"), ("b", "10101501"), ("c", "10101502"), ("d", "10101503")], &[]);
    before.splits.train.iter_mut().for_each(|example| example.title = true);
    let after = before.augmented(&thesaurus(), options(2, AugmentMode::Equality));
    assert_eq!((after.splits.train.len(), after.splits.test.len()), (2, 2));
    let codes = |side: &[Example]| side.iter().map(|e| e.code).collect::<HashSet<_>>();
    assert!(codes(&after.splits.train).is_disjoint(&codes(&after.splits.test)));
    assert_eq!(after.manifest.augmentation.map(|a| (a.made, a.moved)), Some((0, 2)));
}

/// Titles that two commodities share had been forgotten once a set was written and read.
#[test]
fn equality_keeps_commodities_together_that_share_a_title() {
    let texts: Vec<(String, String)> =
        (0..40).map(|number| (format!("title {number}"), format!("101015{:02}", 1 + number / 2))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(text, code)| (text.as_str(), code.as_str())).collect();
    for seed in 0..20 {
        let mut before = prepared(&texts, &[]);
        before.splits.train.iter_mut().for_each(|example| example.title = true);
        let code = |number: usize| before.splits.train[number].code;
        before.manifest.joined = (0..10).map(|pair| (code(4 * pair), code(4 * pair + 2))).collect();
        let joined = before.manifest.joined.clone();
        let after = before.augmented(&thesaurus(), AugmentOptions { seed, ..options(20, AugmentMode::Equality) });
        let test: HashSet<_> = after.splits.test.iter().map(|example| example.code).collect();
        assert_eq!(after.splits.test.len(), 20);
        assert!(joined.iter().all(|(one, other)| test.contains(one) == test.contains(other)), "{joined:?} {test:?}");
    }
}

#[test]
fn a_folder_without_wordnet_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let error = Thesaurus::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("run scripts/setup") && error.contains(&folder.path().display().to_string()), "{error}");
    fs::write(folder.path().join("index.noun"), b"torn").unwrap();
    let error = Thesaurus::open(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the WordNet files"), "{error}");
}
