//! The page as a reader's eyes would check it: numbers, order, no foreign text unescaped, nothing fetched.

use std::collections::BTreeMap;

use unspsc_contract::{
    Calibration, ClassRecall, ConfusionMatrix, DataSummary, EpochReport, Evaluation, LevelScores, Profile,
    ReliabilityBin, RuleStatus, RuleVerdict, SourceScores, TrainingReport,
};
use unspsc_dataset::Manifest;
use unspsc_taxonomy::Level;

use super::{Circumstances, page};

fn calibration() -> Calibration {
    let bins = |confidence: f64, accuracy: f64| {
        let mut bins = vec![ReliabilityBin::default(); 15];
        bins[14] = ReliabilityBin { rows: 12, confidence, accuracy };
        bins[5] = ReliabilityBin { rows: 4, confidence: 0.38, accuracy: 0.25 };
        bins
    };
    Calibration {
        temperature: 1.63,
        ece: 0.081,
        calibrated_ece: 0.026,
        bins: bins(0.99, 0.9),
        calibrated_bins: bins(0.95, 0.9),
    }
}

fn level_scores() -> LevelScores {
    LevelScores {
        rows: 16,
        classes: 5,
        accuracy: 0.625,
        balanced_accuracy: 0.5,
        macro_f1: 0.4,
        top5_accuracy: 0.9375,
        ece: 0.0421,
        bins: calibration().bins,
        coverage: 0.3125,
        coverage_threshold: Some(0.8),
        worst: Vec::new(),
    }
}

fn source(source: &str, accuracy: f64) -> SourceScores {
    SourceScores { source: source.into(), rows: 8, accuracy, balanced_accuracy: 0.5 }
}

fn report() -> TrainingReport {
    let class = |label: &str, title: &str, recall| ClassRecall {
        label: label.into(),
        title: Some(title.into()),
        rows: 8,
        recall,
    };
    let epoch = |epoch: usize| EpochReport {
        epoch,
        train_loss: 4.0 / epoch as f64,
        validation_loss: 3.0 / epoch as f64,
        validation_accuracy: 0.2 * epoch as f64,
        validation_balanced_accuracy: 0.19 * epoch as f64,
        validation_macro_f1: 0.18 * epoch as f64,
        validation_top3_accuracy: 0.3 * epoch as f64,
        validation_top5_accuracy: 0.32 * epoch as f64,
        validation_ece: 0.1,
        seconds: 1.0,
    };
    TrainingReport {
        trained_by: "train 9.9.9".into(),
        model: "encoder".into(),
        level: Level::Segment,
        hyperparameters: [("learning_rate".to_owned(), "0.0001".to_owned())].into(),
        data: DataSummary {
            fingerprint: "abc".into(),
            train_rows: 80,
            validation_rows: 10,
            test_rows: 16,
            rejected_rows: 3,
            classes: 2,
        },
        epochs: vec![epoch(1), epoch(2), epoch(3)],
        rules: vec![RuleVerdict {
            rule: "overfit".into(),
            status: RuleStatus::Issue,
            step: Some(9),
            evidence: "in epoch 3 it is".into(),
        }],
        profile: Profile::default(),
        validation: Evaluation { rows: 10, accuracy: 0.6, balanced_accuracy: 0.55, ..Evaluation::default() },
        test: Evaluation {
            rows: 16,
            loss: 1.0,
            accuracy: 0.75,
            balanced_accuracy: 0.712,
            macro_f1: 0.705,
            top3_accuracy: 0.874,
            top5_accuracy: 0.9,
            calibration: calibration(),
            confusion: ConfusionMatrix {
                labels: vec!["10000000".into(), "50000000".into()],
                cells: vec![[0, 0, 7], [0, 1, 1], [1, 0, 4], [1, 1, 4]],
            },
            classes: vec![class("10000000", "Animals & <plants>", 0.9), class("50000000", "Food", 0.5)],
            sources: vec![source("bought <here>.csv", 0.81), source("list.csv", 0.63)],
        },
        levels: BTreeMap::from([(Level::Family, level_scores())]),
        seconds: 75.4,
    }
}

fn manifest() -> Manifest {
    let json = serde_json::json!({
        "prepared_by": "unspsc 9.9.9", "fingerprint": "abc", "cleaning": 1, "level": "segment", "seed": 17,
        "sources": [{ "path": "folder/bought.csv", "sha256": "def", "layout": "CSV", "rows": 99, "rejects": 0,
            "repeats": 0 }],
        "skipped": [],
        "counts": { "rows": 99, "rejects": {}, "duplicates": 0, "capped": 0, "train": 80, "validation": 10, "test": 9,
            "classes": 2 },
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn the_verdict_comes_first_and_the_weakest_class_before_the_others() {
    let circumstances = Circumstances { best_epoch: Some(2), manifest: Some(manifest()), ..Circumstances::default() };
    // What stands between, by level, has a test of its own.
    let page = page(&TrainingReport { levels: BTreeMap::new(), ..report() }, &circumstances);
    let order = [
        "71.2 %",
        "75.0 %",
        "70.5 %", // macro-F1
        "87.4 %", // top 3
        "90.0 %", // top 5
        "2.6 %",  // calibration error as served
        "75 s",
        "12 get the right segment",
        "Overfit",
        "In epoch 3 it is.",
        "<svg",
        "epoch 2",
        "Step by step",
        "bought &lt;here&gt;.csv",
        "81.0 %",
        "Food",
        "Animals",
        "Confusion",
        "50000000 Food",
        "12 rows: 95.0 % claimed, 90.0 % right",
        "temperature 1.63",
        "without the temperature; 8.1 %",
        "prepared by",
        "unspsc 9.9.9, seed 17",
        "bought.csv, CSV: 99 rows",
    ];
    let places: Vec<usize> = order.iter().map(|text| page.find(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("Animals &amp; &lt;plants&gt;") && !page.contains("<plants>"));
    for part in ["<script", "http://", "https://", "src=", "@import"] {
        assert!(!page.contains(part), "{part}: the page has to stand alone");
    }
}

#[test]
fn a_job_that_was_stopped_says_so_and_shows_validation() {
    let mut report = report();
    report.test = Evaluation::default();
    let circumstances = Circumstances { stopped: true, best_epoch: Some(2), ..Circumstances::default() };
    let shown = page(&report, &circumstances);
    assert!(
        shown.contains("the weights of epoch 2, the best so far") && shown.contains("balanced accuracy, validation")
    );
    report.epochs.clear();
    report.validation = Evaluation::default();
    let shown = page(&report, &Circumstances { best_epoch: None, ..circumstances });
    assert!(shown.contains("No epoch was finished") && shown.contains("little is to be expected"));
    assert!(shown.contains("was not measured") && !shown.contains("Of 0") && !shown.contains("Probabilities"));
}

#[test]
fn what_head_and_search_do_together_stands_by_level() {
    let html = page(&report(), &Circumstances::default());
    let section = html.split("<h2>Head and index, by level</h2>").nth(1).unwrap();
    for cell in ["family", "62.5 %", "50.0 %", "93.8 %", "4.2 %", "31.2 %"] {
        assert!(section.contains(cell), "{cell}");
    }
    assert!(section.contains("Right, family"));
    let without = TrainingReport { levels: BTreeMap::new(), ..report() };
    assert!(!page(&without, &Circumstances::default()).contains("Head and index"));
}
