//! The libtorch network against `transformers`: the golden values that the engine has to meet as well, so that all three
//! implementations agree.

// Helpers of tests state what they expect, as tests do; the lint exempts only the tests themselves.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::Value;
use train_container::TrainedClassifier;
use unspsc_artifact::{Metadata, ModelConfig};
use unspsc_contract::{Pooling, files};

/// The project's promise for float32.
const TOLERANCE: f64 = 1e-4;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn largest_difference(got: &[f32], expected: &Value) -> f64 {
    let expected = expected.as_array().unwrap();
    assert_eq!(got.len(), expected.len());
    got.iter()
        .zip(expected)
        .map(|(got, expected)| (f64::from(*got) - expected.as_f64().unwrap()).abs())
        .fold(0.0, f64::max)
}

#[test]
fn agrees_with_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let texts: Vec<String> = serde_json::from_value(read(&golden.join("texts.json"))).unwrap();
    for (model, pooling) in [("bert", Pooling::Cls), ("bert", Pooling::Mean), ("distilbert", Pooling::Cls)] {
        let folder = tempfile::tempdir().unwrap();
        for file in [files::CONFIG, files::WEIGHTS, files::TOKENIZER] {
            std::fs::copy(golden.join(model).join(file), folder.path().join(file)).unwrap();
        }
        let config = ModelConfig::read(&folder.path().join(files::CONFIG)).unwrap();
        let metadata = Metadata { pooling, ..Metadata::foreign(&config) };
        metadata.write(&folder.path().join(files::UNSPSC)).unwrap();
        let classifier = TrainedClassifier::load(folder.path()).unwrap();
        let cases = read(&golden.join(format!("{model}-{pooling}.json")));
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 100 && cases.len() == texts.len());
        for (case, text) in cases.iter().zip(&texts) {
            let logits = classifier.logits(&[text.as_str()]).unwrap();
            let difference = largest_difference(&logits[0], &case["logits"]);
            assert!(difference < TOLERANCE, "{model}, {pooling}: logits of {text:?} differ by {difference}");
            let Some(expected) = case["hidden"].as_array() else { continue };
            let states = classifier.hidden_states(text).unwrap();
            assert_eq!(states.len(), expected.len(), "{model}, {pooling}: tokens of {text:?}");
            for (got, expected) in states.iter().zip(expected) {
                let difference = largest_difference(got, expected);
                assert!(difference < TOLERANCE, "{model}, {pooling}: hidden states of {text:?} differ by {difference}");
            }
        }
    }
}
