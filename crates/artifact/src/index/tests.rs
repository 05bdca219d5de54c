use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;
use crate::words;

const HIDDEN: usize = 70;

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn entry<'t>(at: &str, kind: EntryKind, text: &'t str) -> Entry<'t> {
    Entry { code: code(at), kind, text }
}

/// Three entries, out of order, and three titles.
fn write(path: &Path) -> Result<(), ArtifactError> {
    let entries = [
        entry("44121701", EntryKind::Text, "blue pen"),
        entry("44121701", EntryKind::Title, "Ball point pens"),
        entry("10101501", EntryKind::Text, "cat"),
    ];
    let vectors: Vec<f32> = (0..3 * HIDDEN).map(|at| ((at * 7919) % 101) as f32 - 50.0).collect();
    let titles = ["Ball point pens", "", "Café"].map(str::to_owned);
    let titles = ["44121701", "10000000", "50201700"].map(code).into_iter().zip(titles).collect();
    TitleIndex::write(path, HIDDEN, &entries, &vectors, &titles)
}

fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.safetensors");
    write(&path).unwrap();
    (folder, path)
}

#[test]
fn what_is_written_is_read_back_in_the_order_of_codes() {
    let (folder, path) = written();
    let index = TitleIndex::read(&path, HIDDEN).unwrap();
    assert_eq!((index.entries(), index.hidden()), (3, HIDDEN));
    assert_eq!(index.codes(), [10_101_501, 44_121_701, 44_121_701]);
    assert_eq!([0, 1, 2].map(|entry| index.kind(entry)), [EntryKind::Text, EntryKind::Title, EntryKind::Text]);
    // Those of texts do not count.
    assert_eq!(
        ["pen", "ball", "cats", "dog"].map(|word| index.entries_with(words(word)[0])),
        [&[1][..], &[1], &[], &[]]
    );
    assert_eq!(index.entries_by_word().collect::<Vec<_>>(), [&[1]; 3]);
    assert_eq!(index.title(code("44121701")), Some("Ball point pens"));
    assert_eq!(index.title(code("44121702")), None);
    let titles: Vec<_> = index.titles().map(|(code, title)| (code.to_string(), title)).collect();
    let expected = [("10000000", ""), ("44121701", "Ball point pens"), ("50201700", "Café")];
    assert_eq!(titles, expected.map(|(code, title)| (code.to_owned(), title)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the file itself");
}

#[test]
fn vectors_have_unit_length_and_lose_little() {
    let (_folder, path) = written();
    let index = TitleIndex::read(&path, HIDDEN).unwrap();
    let vectors: Vec<f32> = (0..3 * HIDDEN).map(|at| ((at * 7919) % 101) as f32 - 50.0).collect();
    for (entry, written) in [2, 1, 0].into_iter().enumerate() {
        let written = &vectors[written * HIDDEN..][..HIDDEN];
        let length = written.iter().map(|value| value * value).sum::<f32>().sqrt();
        for (value, written) in index.vector(entry).iter().zip(written) {
            assert!((value - written / length).abs() <= index.scales()[entry] * 0.501 + 0.02, "entry {entry}");
        }
    }
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let (folder, path) = written();
    let before = std::fs::read(&path).unwrap();
    let entries = ["44121701", "44121702"].map(|at| entry(at, EntryKind::Title, "pens"));
    let write =
        |vectors: &[f32]| TitleIndex::write(&path, 2, &entries, vectors, &BTreeMap::new()).unwrap_err().to_string();
    assert!(write(&[1.0; 3]).contains("tensor `vectors` gets 3 values; 2 entries of 2"));
    for bad in [[0.0, 0.0], [f32::NAN, 1.0], [1.0, f32::INFINITY]] {
        assert!(write(&[1.0, 1.0, bad[0], bad[1]]).contains("that of entry 1: training diverged"));
    }
    assert!(before == std::fs::read(&path).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_index_without_entries_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.safetensors");
    TitleIndex::write(&path, HIDDEN, &[], &[], &BTreeMap::new()).unwrap();
    let index = TitleIndex::read(&path, HIDDEN).unwrap();
    assert_eq!((index.entries(), index.titles().count()), (0, 0));
}

/// What a file says, to be changed.
struct File {
    metadata: HashMap<String, String>,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

/// What is said of the file after `change`.
fn refused(change: impl FnOnce(&mut File)) -> String {
    let (_folder, path) = written();
    let bytes = std::fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors
        .iter()
        .map(|(name, view)| (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec())));
    let metadata = safetensors::SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    let mut file = File { metadata, tensors: tensors.collect() };
    change(&mut file);
    let views = file
        .tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, Some(file.metadata), &path).unwrap();
    TitleIndex::read(&path, HIDDEN).unwrap_err().to_string()
}

/// The same after values of one tensor have been replaced, from the beginning on.
fn refused_with<const N: usize>(tensor: &str, values: &[[u8; N]]) -> String {
    refused(|file| {
        let bytes = &mut file.tensors.get_mut(tensor).unwrap().2;
        bytes[..N * values.len()].copy_from_slice(values.as_flattened());
    })
}

#[test]
fn an_index_of_another_version_or_model_is_refused() {
    for (format, part) in [
        ("pt", "is no title index: its format is `pt`"),
        ("unspsc-index 1 70", "has version `1`; this program reads version 2"),
        ("unspsc-index 2 768", "has vectors of `768` values; the model's have 70"),
        ("unspsc-index 2", "has vectors of `` values; the model's have 70"),
    ] {
        let error = refused(|file| {
            file.metadata.insert("format".to_owned(), format.to_owned());
        });
        assert!(error.contains(part) && error.ends_with("train again, which writes the index anew"), "{error}");
    }
    assert!(refused(|file| file.metadata.clear()).contains("is no title index"));
}

#[test]
fn a_tensor_that_is_not_as_it_should_be_is_named() {
    let names = [
        "vectors",
        "scales",
        "codes",
        "kinds",
        "words",
        "word_ends",
        "word_entries",
        "title_codes",
        "title_ends",
        "title_bytes",
    ];
    for name in names {
        let error = refused(|file| drop(file.tensors.remove(name)));
        assert!(error.contains(&format!("tensor `{name}` is missing: train again")), "{error}");
        let error = refused(|file| {
            let tensor = file.tensors.get_mut(name).unwrap();
            *tensor = (Dtype::I8, vec![tensor.2.len()], tensor.2.clone());
        });
        assert!(error.contains(&format!("tensor `{name}` is I8 [")), "{error}");
        let error = refused(|file| {
            let (_, shape, bytes) = file.tensors.get_mut(name).unwrap();
            bytes.truncate(bytes.len() / shape[0] * (shape[0] - 1));
            shape[0] -= 1;
        });
        let said = if name == "word_entries" { "`word_ends` does not cut" } else { "it should be" };
        assert!(error.contains(said) && error.contains("train again"), "{name}: {error}");
    }
}

#[test]
fn values_that_cannot_be_are_named() {
    let number = |number: u32| number.to_le_bytes();
    for (error, part) in [
        (refused_with("codes", &[number(10_001_500)]), "`codes` holds 10001500, which is no UNSPSC code"),
        (refused_with("codes", &[number(50_000_000)]), "`codes` is out of order after row 0"),
        (refused_with("title_codes", &[number(44_121_701)]), "`title_codes` is out of order after row 0"),
        (refused_with("scales", &[f32::NAN.to_le_bytes()]), "`scales` holds NaN in row 0"),
        (refused_with("scales", &[0_f32.to_le_bytes()]), "`scales` holds 0 in row 0"),
        (refused_with("scales", &[f32::INFINITY.to_le_bytes()]), "`scales` holds inf in row 0"),
        (refused_with("scales", &[1e38_f32.to_le_bytes()]), "in row 0, which is no scale"),
        (refused_with("kinds", &[[2]]), "`kinds` holds 2; a kind is 0 or 1"),
        (refused_with("words", &[u64::MAX.to_le_bytes()]), "`words` is out of order after row 0"),
        (refused_with("word_ends", &[number(9)]), "`word_ends` does not cut `word_entries` into the entries of words"),
        (refused_with("word_entries", &[number(3)]), "`word_entries` holds in rows 0 to 1 what are no titles in order"),
        (refused_with("word_entries", &[number(0)]), "what are no titles in order"),
        (refused_with("word_ends", &[number(0), number(2)]), "what are no titles in order"),
        (refused_with("title_bytes", &[[0xff]]), "`title_bytes` is no UTF-8"),
        (refused_with("title_ends", &[number(16)]), "`title_ends` does not cut `title_bytes` into texts"),
        (refused_with("title_ends", &[number(0), number(19)]), "`title_ends` does not cut `title_bytes` into texts"),
    ] {
        assert!(error.contains(part) && error.contains("train again"), "{error}");
    }
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_cut() {
    let (_folder, path) = written();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = TitleIndex::read(&path, HIDDEN).unwrap_err().to_string();
        assert!(error.contains("index.safetensors is damaged"), "{length} bytes: {error}");
    }
}
