//! What is read from the network and of a model, for a fuzzer, and what must hold of it whatever is sent. `scripts/fuzz` looks for
//! inputs, guided by coverage; those that it kept are tried again as a test.

// A fuzzer's complaint is a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use unspsc_artifact::{Artifact, Metadata, ModelConfig, TextEncoder, TitleIndex, TokenIds, Weights, words};
use unspsc_contract::files;
use unspsc_contract::invocation::Outcome;
use unspsc_engine::{Engine, Precision, Search};

use crate::api_error::ApiError;
use crate::classifier::Classifier;
use crate::media::{ContentType, negotiate};
use crate::records::{Record, Records};
use crate::request::document::Place;
use crate::request::{AnswerOptions, Document, Shape};
use crate::statement::{Classified, Statement};
use crate::testing::LIMITS;

/// Reads one input, and panics where that goes wrong.
pub type Target = fn(&[u8]);

/// Every parser by its name.
pub const TARGETS: [(&str, Target); 7] = [
    ("document", document),
    ("records", records),
    ("media", media),
    ("statement", statement),
    ("tokens", tokens),
    ("model", model),
    ("index", index),
];

/// A JSON body, or a line of JSON Lines.
fn document(json: &[u8]) {
    for place in [Place::Body, Place::Line] {
        match Document::parse(json, place, AnswerOptions::default_of(&LIMITS), &LIMITS) {
            Ok(Document { items, shape, .. }) => {
                // A statement may hold nothing but remarks.
                assert!(!items.is_empty() || matches!(shape, Shape::Statement(_)));
                items.iter().filter_map(|item| item.as_ref().err()).for_each(is_the_callers);
            }
            Err(error) => is_the_callers(&error),
        }
    }
}

/// A body of records: the first byte says of which kind, the second how it is cut into chunks.
fn records(bytes: &[u8]) {
    let [kind, seed, body @ ..] = bytes else { return };
    let kind = [ContentType::JsonLines, ContentType::Csv, ContentType::Plain][usize::from(*kind) % 3];
    let whole = arriving(kind, [body].into_iter());
    let mut rest = body;
    let mut size = usize::from(*seed);
    let cut = std::iter::from_fn(|| {
        size = (size * 5 + 3) % 31;
        let chunk;
        (chunk, rest) = rest.split_at(rest.len().min(size));
        (!chunk.is_empty() || !rest.is_empty()).then_some(chunk)
    });
    assert_eq!(arriving(kind, cut), whole, "the answer depends on where the body is cut");
    whole.iter().filter_map(|record| record.as_ref().err()).for_each(is_the_callers);
    if kind != ContentType::Csv {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let lines = text.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(whole.len(), lines, "every line has its answer");
    }
}

/// The records of a body that arrives in `chunks`.
fn arriving<'b>(kind: ContentType, chunks: impl Iterator<Item = &'b [u8]>) -> Vec<Record> {
    let mut records = Records::of(kind, AnswerOptions::default_of(&LIMITS), LIMITS).unwrap();
    let mut all = Vec::new();
    let mut take = |records: &mut Records| {
        let pieces = std::iter::from_fn(|| Some(records.piece()).filter(|piece| !piece.is_empty()));
        all.extend(pieces.flatten());
    };
    for chunk in chunks {
        records.push(&Bytes::copy_from_slice(chunk));
        take(&mut records);
    }
    records.end();
    take(&mut records);
    all
}

/// Content-Type in the first line, Accept in the rest.
fn media(bytes: &[u8]) {
    let (kind, accept) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let header = |name, value: &[u8]| Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?));
    let headers = [header(header::CONTENT_TYPE, kind), header(header::ACCEPT, accept)];
    let headers: HeaderMap = headers.into_iter().flatten().collect();
    let answer = ContentType::of(&headers).and_then(|kind| negotiate(&headers, kind, None));
    match answer.and_then(|(_, fields)| AnswerOptions::default_of(&LIMITS).with(fields, &LIMITS)) {
        Ok(options) => {
            assert!((1..=LIMITS.max_top_k).contains(&options.top_k) && options.threshold.is_none_or(|it| it <= 1.0));
        }
        Err(error) => is_the_callers(&error),
    }
}

/// A trade mark's statement.
fn statement(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Ok(statement) = Statement::parse(text.clone()) else { return };
    let mut classified = Classified::default();
    let outcome = || Outcome::Error(ApiError::EmptyDescription.body(None));
    statement.items.iter().for_each(|_| classified.push(outcome(), None));
    let answer = statement.answer(classified, &[]);
    let characters: Vec<char> = text.chars().collect();
    let mut behind = 0;
    for item in answer.items {
        let place = item.place;
        assert!(behind <= place.start && place.start < place.end, "items are in order and do not overlap");
        behind = place.end;
        assert_eq!(characters[place.start..place.end].iter().collect::<String>(), item.text);
        assert!(!item.classified.trim().is_empty() && item.nice_class.is_none_or(|class| (1..=45).contains(&class)));
    }
    let mut before = 0;
    for remark in answer.remarks {
        assert!(before <= remark.place.start && remark.place.start < remark.place.end, "remarks are in order");
        before = remark.place.start;
        assert_eq!(characters[remark.place.start..remark.place.end].iter().collect::<String>(), remark.text);
    }
}

/// The golden model's tokenizer, without cleaning and with it.
static CLASSIFIERS: LazyLock<[Classifier; 2]> = LazyLock::new(|| {
    [false, true].map(|cleans| {
        let directory = golden();
        let mut artifact = Artifact::load(&directory).unwrap();
        artifact.metadata.cleaning_version = cleans.then_some(1);
        artifact.text = TextEncoder::load(&directory, &artifact.config, MAX_TOKENS, cleans).unwrap();
        Classifier::new(artifact, None)
    })
});

/// Few, so that a short text is cut as well.
const MAX_TOKENS: usize = 16;

/// A description.
fn tokens(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for classifier in &*CLASSIFIERS {
        match classifier.tokens(&text) {
            // The two that stand around each text are always there.
            Ok(tokens) => assert!((2..=MAX_TOKENS).contains(&tokens.ids.len())),
            Err(error) => assert_eq!(error, ApiError::EmptyDescription),
        }
    }
}

/// A file of a model: the first byte says which, and the others are the golden model's. What loads, answers.
fn model(bytes: &[u8]) {
    let [which, content @ ..] = bytes else { return };
    let name = [files::CONFIG, files::UNSPSC, files::WEIGHTS][usize::from(*which) % 3];
    let folder = Folder::new();
    for other in [files::CONFIG, files::WEIGHTS].into_iter().filter(|other| *other != name) {
        symlink(golden().join(other), folder.0.join(other)).unwrap();
    }
    fs::write(folder.0.join(name), content).unwrap();
    let Ok(config) = ModelConfig::read(&folder.0.join(files::CONFIG)) else { return };
    let Ok(metadata) = Metadata::read(&folder.0.join(files::UNSPSC), &config) else { return };
    let Ok(weights) = Weights::read(&folder.0.join(files::WEIGHTS)) else { return };
    for precision in [Precision::Float32, Precision::Int16, Precision::Int8] {
        let Ok(mut engine) = Engine::load(&config, &metadata, &weights, precision, 1) else { continue };
        // Numbers out of a file need not be finite, which is an error and no panic.
        drop(engine.classify(&[TokenIds { ids: vec![2, 7, 3], ..TokenIds::default() }]));
    }
}

/// A title index. What can be read is searched, and says nothing of entries that there are not.
fn index(bytes: &[u8]) {
    let folder = Folder::new();
    let path = folder.0.join(files::INDEX);
    fs::write(&path, bytes).unwrap();
    for hidden in [2, 70] {
        let Ok(index) = TitleIndex::read(&path, hidden) else { continue };
        index.titles().for_each(|(code, title)| assert_eq!(index.title(code), Some(title)));
        let words = ["pens", "toner"].iter().flat_map(|text| words(text)).collect();
        let search = Search::new(index);
        let mut found = search.nearest(&vec![1.0; hidden], 3);
        found.extend(search.sharing_words(&[TokenIds { words, ..TokenIds::default() }], 3));
        for neighbour in found.into_iter().flatten() {
            assert!((neighbour.entry as usize) < search.index().entries() && neighbour.score.is_finite());
            let _kind = search.index().kind(neighbour.entry as usize);
        }
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/bert")
}

/// A folder of its own, which is gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("unspsc-fuzz-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where it cannot be removed, the system's folder for what is temporary keeps it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nothing that is sent is a fault of ours.
fn is_the_callers(error: &ApiError) {
    assert!(!matches!(error, ApiError::Internal(_) | ApiError::ModelFailure), "{error:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_that_the_fuzzer_kept_is_read() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
            let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
            assert!(files.len() > 10, "{name}: {} inputs are not what was kept", files.len());
            for file in files {
                let read = std::panic::catch_unwind(|| target(&fs::read(&file).unwrap()));
                assert!(read.is_ok(), "{} fails", file.display());
            }
        }
    }
}
