//! The tally against golden values of scikit-learn, NumPy and SciPy, and what the sample may not change.

use serde_json::Value;

use super::*;

/// Logits, `[rows, classes]`, and true classes.
struct Case {
    logits: Vec<Vec<f32>>,
    truth: Vec<usize>,
}

impl Case {
    /// Counts the rows in batches of 7.
    fn tally(&self, temperature: Temperature) -> Evaluated {
        let classes = self.logits[0].len();
        let mut tally = Tally::new(temperature, self.truth.len(), classes);
        for rows in (0..self.truth.len()).collect::<Vec<_>>().chunks(7) {
            let truth: Vec<usize> = rows.iter().map(|row| self.truth[*row]).collect();
            let logits: Vec<&[f32]> = rows.iter().map(|row| self.logits[*row].as_slice()).collect();
            let logits = Tensor::from_slice2(&logits);
            tally.count(rows, &truth, &logits, &targets(&truth, classes, Device::Cpu).unwrap()).unwrap();
        }
        tally.finish()
    }
}

fn golden() -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/metrics.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    golden["scores"].as_array().unwrap().clone()
}

fn case(golden: &Value) -> Case {
    Case {
        logits: serde_json::from_value(golden["logits"].clone()).unwrap(),
        truth: serde_json::from_value(golden["truth"].clone()).unwrap(),
    }
}

#[test]
fn agrees_with_scikit_learn_numpy_and_scipy() {
    let cases = golden();
    assert!(cases.len() >= 4);
    for golden in cases {
        let fitted = case(&golden).tally(Temperature::Fitted { seed: 1 });
        // Another split has the temperature from elsewhere, and counts by tensors what the sample counts by row.
        let given = case(&golden).tally(Temperature::Given(fitted.temperature));
        for evaluated in [fitted, given] {
            for (name, value, tolerance) in [
                ("accuracy", evaluated.confusion.accuracy(), 1e-12),
                ("top3_accuracy", evaluated.top3_accuracy(), 1e-12),
                ("top5_accuracy", evaluated.top5_accuracy(), 1e-12),
                ("ece", evaluated.reliability.error(), 1e-6),
                ("temperature", evaluated.temperature, 1e-5),
                ("calibrated_ece", evaluated.calibrated.error(), 1e-5),
            ] {
                let expected = golden[name].as_f64().unwrap();
                assert!((value - expected).abs() < tolerance, "{name} is {value} and not {expected}");
            }
        }
    }
}

#[test]
fn a_label_without_a_logit_is_missed_whatever_the_network_says() {
    let case = Case { logits: vec![vec![9.0, 0.0], vec![0.0, 9.0]], truth: vec![0, 2] };
    let evaluated = case.tally(Temperature::Given(1.0));
    assert_eq!((evaluated.top3, evaluated.top5, evaluated.confusion.accuracy()), (1, 1, 0.5));
    assert!((evaluated.reliability.error() - 0.5).abs() < 1e-3, "half the rows are sure and wrong");
}

#[test]
fn equal_logits_are_no_find() {
    let case = Case { logits: vec![vec![0.0; 9]], truth: vec![0] };
    assert_eq!(case.tally(Temperature::Given(1.0)).top5, 0);
}

#[test]
fn a_sample_is_small_and_the_seed_decides_it() {
    let sampled = |seed, rows, classes| Tally::new(Temperature::Fitted { seed }, rows, classes).sampled;
    assert!(sampled(1, 1000, 57).iter().all(|sampled| *sampled));
    let few = sampled(1, 1000, 100_000);
    assert_eq!(few.iter().filter(|sampled| **sampled).count(), 200);
    assert_eq!(few, sampled(1, 1000, 100_000));
    assert_ne!(few, sampled(2, 1000, 100_000));
    assert!(Tally::new(Temperature::Given(1.0), 9, 2).sampled.iter().all(|sampled| !sampled));
}

#[test]
fn the_matrix_names_the_labels_that_occur() {
    let labels: Vec<Label> = ["10000000", "20000000", "30000000", "15000000"].map(Label::group).into();
    let mut evaluated = Evaluated::default();
    for (truth, predicted) in [(0, 2), (3, 0), (0, 2), (0, 0)] {
        evaluated.confusion.count(truth, predicted);
    }
    let matrix = evaluated.report(&labels, &Titles::default()).confusion;
    assert_eq!(matrix.labels, ["10000000", "15000000", "30000000"]);
    assert_eq!(matrix.cells, [[0, 0, 1], [0, 2, 2], [1, 0, 1]]);
}
