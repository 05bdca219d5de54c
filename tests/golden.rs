//! The engine against `transformers`: golden values that `scripts/parity golden` wrote, and invariants on the same
//! small models.

// Helpers of tests state what they expect, as tests do; the lint exempts only the tests themselves.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use unspsc_artifact::{Artifact, TokenIds, Weights};
use unspsc_contract::{Pooling, files};
use unspsc_engine::{Engine, Precision};

/// The project's promise for float32.
const TOLERANCE: f64 = 1e-4;

const MODELS: [(&str, Pooling); 4] =
    [("bert", Pooling::Cls), ("bert", Pooling::Mean), ("distilbert", Pooling::Cls), ("distilbert", Pooling::Mean)];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// What the golden values are of, in the same order.
fn texts() -> Vec<String> {
    serde_json::from_slice(&std::fs::read(golden().join("texts.json")).unwrap()).unwrap()
}

/// The model in `tests/golden/NAME` with its engine.
fn load(name: &str, pooling: Pooling, precision: Precision, threads: usize) -> (Artifact, Engine) {
    let directory = golden().join(name);
    let mut artifact = Artifact::load(&directory).unwrap();
    artifact.metadata.pooling = pooling;
    let weights = Weights::read(&directory.join(files::WEIGHTS)).unwrap();
    let engine = Engine::load(&artifact.config, &artifact.metadata, &weights, precision, threads).unwrap();
    (artifact, engine)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn largest_difference(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).abs()).fold(0.0, f64::max)
}

#[test]
fn agrees_with_transformers() {
    let texts = texts();
    for (model, pooling, file) in [
        ("bert", Pooling::Cls, "bert-cls.json"),
        ("bert", Pooling::Mean, "bert-mean.json"),
        ("distilbert", Pooling::Cls, "distilbert-cls.json"),
        ("distilbert", Pooling::Mean, "distilbert-mean.json"),
    ] {
        let (artifact, mut engine) = load(model, pooling, Precision::Float32, 2);
        let cases: Value = serde_json::from_slice(&std::fs::read(golden().join(file)).unwrap()).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 100 && cases.len() == texts.len(), "{file}");
        let mut hidden_compared = 0;
        for (case, text) in cases.iter().zip(&texts) {
            let tokens = artifact.text.encode(text).unwrap();
            let ids: Vec<u64> = case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
            assert!(tokens.ids.iter().map(|id| u64::from(*id)).eq(ids.iter().copied()), "{file}: tokens of {text:?}");
            let logits = engine.classify(std::slice::from_ref(&tokens)).unwrap();
            let difference = largest_difference(logits.rows().next().unwrap(), &numbers(&case["logits"]));
            assert!(difference < TOLERANCE, "{file}: logits of {text:?} differ by {difference}");
            if let Some(rows) = case["hidden"].as_array() {
                let expected: Vec<f64> = rows.iter().flat_map(numbers).collect();
                let difference = largest_difference(&engine.hidden_states(&[tokens]).unwrap(), &expected);
                assert!(difference < TOLERANCE, "{file}: hidden states of {text:?} differ by {difference}");
                hidden_compared += 1;
            }
        }
        assert!(hidden_compared >= 3 || pooling == Pooling::Mean, "{file}");
    }
}

/// What precision costs on real texts is measured on a trained model by the example `agreement`; these models are so
/// small that rounding hardly averages out.
#[test]
fn whole_numbers_nearly_agree_with_float32() {
    let texts = texts();
    for (model, pooling) in MODELS {
        let (artifact, mut exact) = load(model, pooling, Precision::Float32, 2);
        let tokens: Vec<TokenIds> = texts.iter().map(|text| artifact.text.encode(text).unwrap()).collect();
        let expected = exact.classify(&tokens).unwrap();
        let logits: Vec<f64> = expected.rows().flatten().map(|logit| f64::from(*logit)).collect();
        let spread = logits.iter().copied().fold(0.0, f64::max) - logits.iter().copied().fold(0.0, f64::min);
        for precision in [Precision::Int16, Precision::Int8] {
            let (_, mut quantised) = load(model, pooling, precision, 2);
            let got = quantised.classify(&tokens).unwrap();
            assert_ne!(got, expected, "{model}: {precision} is not used");
            let got: Vec<f32> = got.rows().flatten().copied().collect();
            let share = largest_difference(&got, &logits) / spread;
            let allowed = if quantised.precision() == Precision::Int8 { 0.04 } else { 0.002 };
            assert!(share < allowed, "{model} in {precision}: logits differ by {share} of their spread");
        }
    }
}

#[test]
fn a_batch_gives_the_answers_of_its_texts() {
    let texts = texts();
    for ((model, pooling), precision) in
        MODELS.into_iter().flat_map(|model| Precision::ALL.map(|precision| (model, precision)))
    {
        let (artifact, mut engine) = load(model, pooling, precision, 2);
        let tokens: Vec<TokenIds> = texts.iter().map(|text| artifact.text.encode(text).unwrap()).collect();
        let together = engine.classify(&tokens).unwrap();
        assert_eq!(together.rows().len(), texts.len());
        for (row, tokens) in together.rows().zip(&tokens) {
            let alone = engine.classify(std::slice::from_ref(tokens)).unwrap();
            let alone: Vec<f64> = alone.rows().flatten().map(|logit| f64::from(*logit)).collect();
            assert!(largest_difference(row, &alone) < 1e-5, "{model} in {precision}");
        }
    }
}

#[test]
fn the_heads_own_outputs_stand_beside_the_labels_that_are_their_sums() {
    let (artifact, mut plain) = load("bert", Pooling::Mean, Precision::Float32, 1);
    let tokens: Vec<TokenIds> = ["toner", "bread"].iter().map(|text| artifact.text.encode(text).unwrap()).collect();
    let outputs = plain.classify(&tokens).unwrap();
    assert!(outputs.outputs().eq(outputs.rows()), "each output is a label");
    let (mut summed, _) = load("bert", Pooling::Mean, Precision::Float32, 1);
    summed.metadata.pooling = Pooling::Mean;
    summed.metadata.labels = [("10000000".to_owned(), 7), ("17000000".to_owned(), 5)].into();
    let weights = Weights::read(&golden().join("bert").join(files::WEIGHTS)).unwrap();
    let mut engine = Engine::load(&summed.config, &summed.metadata, &weights, Precision::Float32, 1).unwrap();
    let logits = engine.classify(&tokens).unwrap();
    assert!(logits.rows().all(|row| row.len() == 2) && logits.rows().len() == 2);
    assert!(logits.outputs().eq(outputs.rows()));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for precision in Precision::ALL {
        let (artifact, mut one) = load("bert", Pooling::Mean, precision, 1);
        let (_, mut three) = load("bert", Pooling::Mean, precision, 3);
        let tokens: Vec<TokenIds> =
            (0..200).map(|n| artifact.text.encode(&format!("steel bolt {n} zinc plated")).unwrap()).collect();
        let expected = one.classify(&tokens).unwrap();
        let expected: Vec<f64> = expected.rows().flatten().map(|logit| f64::from(*logit)).collect();
        let got: Vec<f32> = three.classify(&tokens).unwrap().rows().flatten().copied().collect();
        assert!(largest_difference(&got, &expected) < 1e-5, "{precision}");
    }
}

#[test]
fn what_cannot_be_classified_is_an_error_and_leaves_the_engine_usable() {
    let (artifact, mut engine) = load("distilbert", Pooling::Cls, Precision::Int16, 1);
    let text = |ids: Vec<u32>| TokenIds { ids, ..TokenIds::default() };
    assert_eq!(engine.classify(&[]).unwrap().rows().len(), 0);
    for (ids, message) in
        [(vec![], "has no tokens"), (vec![1_000_000], "token id 1000000"), (vec![1; 65], "64 positions")]
    {
        let error = engine.classify(&[text(vec![1, 2]), text(ids)]).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("text 1"), "{error}");
    }
    let tokens = artifact.text.encode("toner").unwrap();
    assert_eq!(engine.classify(&[tokens]).unwrap().rows().len(), 1);
}

#[test]
fn a_tensor_that_does_not_fit_is_named() {
    let directory = golden().join("bert");
    let artifact = Artifact::load(&directory).unwrap();
    let weights = Weights::read(&directory.join(files::WEIGHTS)).unwrap();
    let failure = |change: fn(&mut Artifact)| {
        let mut artifact = Artifact::load(&directory).unwrap();
        change(&mut artifact);
        Engine::load(&artifact.config, &artifact.metadata, &weights, Precision::Float32, 1)
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(failure(|_| ()), None);
    let layers = failure(|artifact| artifact.config.layers += 1).unwrap();
    assert!(layers.contains("model.safetensors") && layers.contains("encoder.layer.2") && layers.contains("missing"));
    let labels = failure(|artifact| artifact.config.outputs.push("x".into())).unwrap();
    let expected = format!("[{}, {}]", artifact.config.outputs.len() + 1, artifact.config.hidden_size);
    assert!(labels.contains("classifier.weight") && labels.contains(&expected), "{labels}");
}
