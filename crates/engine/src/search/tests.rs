use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unspsc_artifact::{Entry, EntryKind, words};

use super::*;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// A search through `vectors`, `[entries, hidden]`.
fn search(hidden: usize, vectors: &[f32]) -> Search {
    search_of(hidden, vectors, &vec![""; vectors.len() / hidden])
}

/// The same whose entries have `texts`.
fn search_of(hidden: usize, vectors: &[f32], texts: &[&str]) -> Search {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.safetensors");
    let code = "44121701".parse().unwrap();
    let entries: Vec<_> = texts.iter().map(|text| Entry { code, kind: EntryKind::Title, text }).collect();
    TitleIndex::write(&path, hidden, &entries, vectors, &BTreeMap::new()).unwrap();
    Search::new(TitleIndex::read(&path, hidden).unwrap())
}

fn by_words(search: &Search, text: &str, count: usize) -> Vec<Neighbour> {
    search.sharing_words(&[TokenIds { words: words(text), ..TokenIds::default() }], count).remove(0)
}

fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn the_nearest_are_those_of_the_stored_vectors() {
    for (hidden, entries) in [(384, 5_000), (70, 63), (768, 65), (5, 1)] {
        let search = search(hidden, &random(entries * hidden, 1));
        let query = &random(hidden, 2);
        let length = query.iter().map(|value| value * value).sum::<f32>().sqrt();
        let cosine = |entry| -> f32 {
            search.index().vector(entry).iter().zip(query).map(|(stored, value)| stored * value / length).sum()
        };
        let mut cosines: Vec<f32> = (0..entries).map(cosine).collect();
        let found = &search.nearest(query, 10)[0];
        assert_eq!(found.len(), 10.min(entries));
        for neighbour in found {
            let cosine = cosine(neighbour.entry as usize);
            assert!((neighbour.score - cosine).abs() < 0.005, "{hidden}: {} is {cosine}", neighbour.score);
        }
        cosines.sort_unstable_by(|a, b| b.total_cmp(a));
        for (neighbour, cosine) in found.iter().zip(cosines) {
            assert!((neighbour.score - cosine).abs() < 0.005, "{hidden}: {} is not {cosine}", neighbour.score);
        }
    }
}

#[test]
fn a_batch_answers_as_its_texts_one_by_one_on_any_number_of_threads() {
    let (hidden, entries) = (130, 10_001);
    let search = search(hidden, &random(entries * hidden, 3));
    for texts in [1, 2, 3, 4, 7] {
        let queries = random(texts * hidden, 4);
        let alone: Vec<_> = queries.chunks(hidden).flat_map(|query| search.nearest(query, 25)).collect();
        for threads in [1, 3] {
            assert_eq!(on_threads(threads, || search.nearest(&queries, 25)), alone, "{texts} texts, {threads} threads");
        }
    }
}

#[test]
fn of_equal_entries_the_first_come_first() {
    let hidden = 64;
    let vectors = random(hidden, 5).repeat(9_000);
    let search = search(hidden, &vectors);
    for threads in [1, 3] {
        let found = on_threads(threads, || search.nearest(&vectors[..hidden], 40));
        let entries: Vec<u32> = found[0].iter().map(|neighbour| neighbour.entry).collect();
        assert_eq!(entries, (0..40).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_found_is_left_out() {
    let search = search(2, &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
    let found = search.nearest(&[0.0, 0.0, f32::NAN, 1.0, 2.0, 0.0], 10);
    let entries: Vec<Vec<u32>> = found.iter().map(|all| all.iter().map(|one| one.entry).collect()).collect();
    assert_eq!(entries, [vec![], vec![], vec![0, 1, 2]]);
    assert!(found[2].iter().zip([1.0, 0.0, -1.0]).all(|(found, cosine)| (found.score - cosine).abs() < 0.01));
    assert_eq!(search.nearest(&[1.0, 0.0], 0), [vec![]]);
    assert!(search.nearest(&[], 10).is_empty());
    let empty = self::search(2, &[]);
    assert_eq!(empty.nearest(&[1.0, 0.0], 10), [vec![]]);
}

#[test]
fn words_find_what_has_the_rarest_of_them_and_little_else() {
    let texts = ["hex bolts", "bolts", "hex bolts for boats", "boats", "nuts", ""];
    let search = search_of(1, &[1.0; 6], &texts);
    let found = by_words(&search, "HEX-BOLT, of brass", 10);
    // Lucene's BM25 with k1 1.5 and b 0.75: "bolt" is in three of five titles, "hex" in two; five titles have 8 words.
    let of_word = |having: f32, length: f32| {
        (1.0 + (5.0 - having + 0.5) / (having + 0.5)).ln() / (1.0 + 1.5 * (0.25 + 0.75 * length / (8.0 / 5.0)))
    };
    let expected = [
        (0, of_word(3.0, 2.0) + of_word(2.0, 2.0)),
        (2, of_word(3.0, 3.0) + of_word(2.0, 3.0)),
        (1, of_word(3.0, 1.0)),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, (entry, score)) in found.iter().zip(expected) {
        assert!(found.entry == entry && (found.score - score).abs() < 1e-5, "{found:?} is not {entry}, {score}");
    }
    assert_eq!(by_words(&search, "hex bolt", 1).len(), 1);
    assert!(by_words(&search, "the brass", 10).is_empty() && by_words(&search, "bolt", 0).is_empty());
}

#[test]
fn words_find_entries_wherever_in_the_index_they_are() {
    let texts: Vec<String> = (0..10_000).map(|entry| format!("word{} common", entry % 5_000)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let search = search_of(1, &vec![1.0; texts.len()], &texts);
    let entries = |text| by_words(&search, text, 64).into_iter().map(|found| found.entry).collect::<Vec<_>>();
    assert_eq!(entries("word4500")[..2], [4_500, 9_500]);
    assert_eq!(entries("word10 word4090 word4999"), [10, 4_090, 4_999, 5_010, 9_090, 9_999]);
    assert_eq!(entries("common"), (0..64).collect::<Vec<_>>(), "of equal ones the first");
}
