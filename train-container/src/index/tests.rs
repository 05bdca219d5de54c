use unspsc_artifact::{Entry, EntryKind};
use unspsc_dataset::{Labelling, Row, Splits, label};
use unspsc_hierarchy::{Found, Hierarchy, Near, Weights};
use unspsc_taxonomy::{Code, Level};

use super::entries::Entries;
use super::judge::Tally;
use super::sampled;
use crate::data::Data;

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn examples(rows: &[(&str, &str)]) -> Vec<unspsc_dataset::Example> {
    let rows = rows.iter().map(|(text, at)| Row::new(text, code(at), "test")).collect();
    label(rows, &Labelling::Level(Level::Segment)).examples
}

#[test]
fn a_text_that_is_the_title_of_its_code_stands_in_the_index_once_and_in_its_order() {
    let train = [("Laptop, 15 inch", "43211503"), ("NOTEBOOKS", "43211503"), ("bolt m8", "31161600")];
    let held_out = examples(&[("nut m8", "31161700")]);
    let splits = Splits { train: examples(&train), validation: held_out.clone(), test: held_out };
    let mut data = Data::checked(splits, 0, None).unwrap();
    data.titles = [("43211503", "Notebooks"), ("31161600", "Bolts"), ("31161700", "Nuts")]
        .map(|(at, title)| (code(at), title.to_owned()))
        .into();
    let entries = Entries::of(&data);
    let expected = [
        (code("31161600"), EntryKind::Title, "bolts"),
        (code("31161600"), EntryKind::Text, "bolt m8"),
        (code("31161700"), EntryKind::Title, "nuts"),
        (code("43211503"), EntryKind::Title, "notebooks"),
        (code("43211503"), EntryKind::Text, "laptop, 15 inch"),
    ];
    assert_eq!(entries.all(), expected.map(|(code, kind, text)| Entry { code, kind, text }));
}

#[test]
fn a_row_counts_at_the_levels_that_its_code_reaches() {
    let hierarchy = Hierarchy::new(&["43210000".into(), "31160000".into()], Weights::even()).unwrap();
    let near = vec![Near { code: code("43211503"), text: false, cosine: 0.9 }];
    let probabilities = hierarchy.probabilities(&[3.0, 0.0], &Found { near, words: Vec::new() });
    let mut tally = Tally::default();
    tally.count(code("43211500"), &probabilities);
    tally.count(code("31160000"), &probabilities);
    tally.count(code("43211503"), &hierarchy.probabilities(&[3.0, 0.0], &Found::default()));
    let levels = tally.finish();
    let accuracies = Level::ALL.map(|level| (levels[&level].rows, levels[&level].accuracy));
    assert_eq!(accuracies, [(3, 2.0 / 3.0), (3, 2.0 / 3.0), (2, 0.5), (1, 0.0)]);
    // Two rows of one class, of which one is found: 2 TP / (2 TP + FN).
    assert_eq!(levels[&Level::Class].macro_f1, 2.0 / 3.0, "an answer that is lacking is no class of its own");
    assert_eq!(levels[&Level::Family].top5_accuracy, 1.0, "the family that was missed is the second");
}

#[test]
fn a_sample_follows_from_the_seed() {
    let rows: Vec<String> = (0..5000).map(|row| format!("text {row}")).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|text| (text.as_str(), "43211503")).collect();
    let rows = examples(&rows);
    assert_eq!(sampled(&rows, 1).len(), 4000);
    assert_eq!(sampled(&rows, 1), sampled(&rows, 1));
    assert_ne!(sampled(&rows, 1), sampled(&rows, 2));
    assert_eq!(sampled(&rows[..7], 1).len(), 7);
}
