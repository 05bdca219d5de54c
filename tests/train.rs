//! The real `train` under a root of its own, as SageMaker lays it out.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

#[path = "support/job.rs"]
mod job;
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use job::{Ended, GOODS, Job, names, rows, settings, text, with};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::{Value, json};
use train_container::TrainedClassifier;
use unspsc_artifact::{Architecture, Artifact, EntryKind, ModelConfig, TitleIndex, Weights};
use unspsc_contract::{RuleStatus, metrics};
use unspsc_taxonomy::Level;

/// The lines of a log that carry metrics, without their time and with all numbers alike.
fn shapes(log: &str) -> BTreeSet<String> {
    let numbers = Regex::new("[0-9][0-9.]*").unwrap();
    let said = log.lines().filter_map(|line| line.split_once(" INFO ")).map(|(_, said)| said);
    said.filter(|said| said.contains(":loss=")).map(|said| numbers.replace_all(said, "0").into_owned()).collect()
}

#[test]
fn trains_evaluates_and_leaves_a_complete_artifact() {
    for (architecture, pooling) in [(Architecture::Bert, "mean"), (Architecture::DistilBert, "cls")] {
        let job = Job::with_rows(architecture, &with(&json!({ "pooling": pooling })));
        let log = job.succeed();
        assert_eq!(
            names(&job.model()),
            ["config.json", "index.safetensors", "model.safetensors", "tokenizer.json", "unspsc.json"]
        );
        assert_eq!(names(&job.path("ml/output/data")), ["metrics.json", "report.html"]);

        let report = job.report();
        let data = &report.data;
        assert_eq!([data.train_rows, data.validation_rows, data.test_rows, data.classes], [128, 16, 16, 3]);
        assert!(report.test.balanced_accuracy > 0.9, "{architecture:?} learned too little: {:?}", report.test);
        assert_eq!(report.epochs.len(), 6);

        // The objective comes once an epoch, and every metric is found by the expression that the platform is given.
        // What it finds is what the report says.
        for metric in metrics::ALL {
            let times = if metric.starts_with("test:") { 1 } else { 6 };
            assert_eq!(values(&log, metric).len(), times, "{metric}: {log}");
        }
        assert_eq!(values(&log, metrics::OBJECTIVE).len(), 6);
        assert_eq!(shapes(&log), shapes(metrics::SAMPLE_LOG), "the sample log is no longer what is printed");
        let (last, test) = (report.epochs.last().unwrap(), &report.test);
        for (metric, value) in [
            (metrics::VALIDATION_MACRO_F1, last.validation_macro_f1),
            (metrics::VALIDATION_TOP3_ACCURACY, last.validation_top3_accuracy),
            (metrics::VALIDATION_TOP5_ACCURACY, last.validation_top5_accuracy),
            (metrics::VALIDATION_ECE, last.validation_ece),
            (metrics::TEST_MACRO_F1, test.macro_f1),
            (metrics::TEST_TOP3_ACCURACY, test.top3_accuracy),
            (metrics::TEST_TOP5_ACCURACY, test.top5_accuracy),
            (metrics::TEST_ECE, test.calibration.ece),
            (metrics::TEST_CALIBRATED_ECE, test.calibration.calibrated_ece),
        ] {
            let logged = *values(&log, metric).last().unwrap();
            assert!((logged - value).abs() < 1e-6, "{metric}: {logged} and {value}");
        }
        assert!(!log.contains('\u{1b}'), "no terminal, no colours");

        let artifact = Artifact::load(&job.model()).unwrap();
        assert_eq!(artifact.config.outputs, ["31161500", "31211500", "43211500", "50121500"]);
        let labels = [("31000000", 2), ("43000000", 1), ("50000000", 1)];
        assert_eq!(artifact.metadata.labels, labels.map(|(label, outputs)| (label.to_owned(), outputs)).into());
        assert_eq!(artifact.metadata.pooling.to_string(), pooling);
        assert_eq!(artifact.metadata.test.unwrap().accuracy, report.test.accuracy);
        let loaded = TrainedClassifier::load(&job.model()).unwrap();
        let logits = loaded.logits(&["Frozen FISH &amp; pork, 10 kg", "laptop, steel"]).unwrap();
        let best = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!([best(&logits[0]), best(&logits[1])], [2, 1], "{logits:?}");
    }
}

#[test]
fn a_model_brings_its_index_and_how_far_to_trust_it() {
    let job = Job::with_rows(Architecture::Bert, &settings());
    let titles = "description,unspsc\nNotebook computers,43211503\nHexagonal bolts,31161605\n";
    job.write("ml/input/data/titles/titles.csv", titles);
    let log = job.succeed();
    let index = TitleIndex::read(&job.model().join("index.safetensors"), 32).unwrap();
    let title = |code: &str| index.title(code.parse().unwrap());
    assert_eq!(title("43211503"), Some("Notebook computers"));
    assert_eq!(title("50000000"), Some("Food Beverage and Tobacco Products"), "known without a channel");
    let texts = (0..index.entries()).filter(|entry| index.kind(*entry) == EntryKind::Text).count();
    assert_eq!(texts, 128, "every row that was trained on and none that was held out");
    assert_eq!(index.entries() - texts, 57 + 546 + 2);

    let weights = Artifact::load(&job.model()).unwrap().metadata.hierarchy.unwrap();
    assert!(weights.has_thresholds(), "{weights:?}");
    let report = job.report();
    assert_eq!(report.levels.keys().copied().collect::<Vec<_>>(), Level::ALL);
    let segment = &report.levels[&Level::Segment];
    assert!(segment.rows == 16 && segment.accuracy > 0.9, "{segment:?}");
    assert_eq!(report.levels[&Level::Commodity].rows, 4, "one row in four has a commodity");
    assert!(log.contains("test, head and index, segment, 16 rows: accuracy"), "{log}");
}

#[test]
fn a_row_that_is_judged_is_not_looked_up() {
    let job = Job::with_rows(Architecture::Bert, &with(&json!({ "epochs": "1" })));
    // Each a commodity that nothing else is known of, and its own title.
    let held_out = |first: u32| -> String {
        let row = |number| format!("\"article {number}\",{}\n", 43_211_500 + number);
        ["description,unspsc\n".to_owned()].into_iter().chain((first..first + 30).map(row)).collect()
    };
    job.write("ml/input/data/validation/rows.csv", &held_out(20));
    job.write("ml/input/data/test/rows.csv", &held_out(60));
    job.write("ml/input/data/titles/titles.csv", &(held_out(20) + &held_out(60).replace("description,unspsc\n", "")));
    job.succeed();
    let commodity = job.report().levels[&Level::Commodity].clone();
    assert_eq!((commodity.rows, commodity.accuracy), (30, 0.0), "{commodity:?}");
}

#[test]
fn a_run_is_watched_and_what_the_rules_find_is_logged_once() {
    // One class in eleven, of more than 500 rows; a rate at which nothing moves.
    let mut csv = String::from("description,unspsc\n");
    for number in 0..720 {
        let (code, words) = if number % 16 == 0 { GOODS[1] } else { GOODS[0] };
        writeln!(csv, "\"{} {}, steel no {number}\",{code}", words[number % 3], words[number / 3 % 3]).unwrap();
    }
    let job = Job::new(Architecture::Bert, &with(&json!({ "epochs": "3", "learning_rate": "1e-8" })));
    job.write("ml/input/data/training/rows.csv", &csv);
    let log = job.succeed();
    let report = job.report();
    let verdict = |rule: &str| report.rules.iter().find(|verdict| verdict.rule == rule).unwrap();
    for (rule, status) in [
        ("exploding_tensor", RuleStatus::Ok),
        ("vanishing_gradient", RuleStatus::Ok),
        ("update_ratio", RuleStatus::Issue),
        ("padding_share", RuleStatus::Ok),
        ("class_imbalance", RuleStatus::Issue),
        ("loss_not_decreasing", RuleStatus::Issue),
        ("overtraining", RuleStatus::NotEvaluated),
        ("stalled_training", RuleStatus::Ok),
    ] {
        let verdict = verdict(rule);
        assert_eq!(verdict.status, status, "{verdict:?}");
        let logged = log.matches(&format!("WARN rule {rule}, step ")).count();
        assert_eq!(logged, usize::from(status == RuleStatus::Issue), "{rule}: {log}");
    }
    assert_eq!(verdict("class_imbalance").step, Some(0));

    let profile = &report.profile;
    let steps = 3 * report.data.train_rows.div_ceil(8);
    assert_eq!((profile.steps.rows.len(), profile.steps_before), (steps, 0));
    let layers = ["step", "embedding", "layer 0", "layer 1", "head"];
    assert_eq!(profile.gradient_norms.columns, layers);
    let measured: Vec<f64> = profile.update_ratios.points("head").map(|(step, _)| step).collect();
    let expected: Vec<f64> = (1..=steps).filter(|step| *step <= 10 || step % 20 == 0).map(|step| step as f64).collect();
    assert_eq!(measured, expected);
    assert!(profile.update_ratios.points("head").all(|(_, ratio)| ratio > 0.0));
    let norm = |step: usize| profile.steps.rows[step - 1][3];
    let squares: f64 = profile.gradient_norms.rows[0][1..].iter().map(|norm| norm * norm).sum();
    assert!((squares.sqrt() - norm(1)).abs() < 1e-5 * norm(1), "the layers are the whole: {squares} and {}", norm(1));
    let page = fs::read_to_string(job.path("ml/output/data/report.html")).unwrap();
    for part in ["What the rules found", "Class imbalance", "Gradient norm by layer", "Confusion"] {
        assert!(page.contains(part), "{part}");
    }
}

/// What the platform's expression finds for `metric`.
fn values(log: &str, metric: &str) -> Vec<f64> {
    let regex = Regex::new(&metrics::regex(metric)).unwrap();
    regex.captures_iter(log).map(|found| found[1].parse().unwrap()).collect()
}

/// Mean negative log-likelihood of `truth` under softmax(logits / temperature).
fn loss(logits: &[Vec<f32>], truth: &[usize], temperature: f64) -> f64 {
    let row = |(logits, truth): (&Vec<f32>, &usize)| {
        let scaled = |logit: f32| f64::from(logit) / temperature;
        logits.iter().map(|logit| scaled(*logit).exp()).sum::<f64>().ln() - scaled(logits[*truth])
    };
    logits.iter().zip(truth).map(row).sum::<f64>() / truth.len() as f64
}

#[test]
fn the_temperature_is_fitted_on_validation_and_stored() {
    for model in ["encoder", "rnn"] {
        let job = Job::new(Architecture::Bert, &json!({ "model": model, "epochs": "4", "learning_rate": "0.003" }));
        job.write("ml/input/data/train/rows.csv", &rows());
        // A third of the labels are wrong, so that certainty is a mistake.
        let labels = ["31000000", "43000000", "50000000"];
        let (mut csv, mut texts, mut truth) = (String::from("description,unspsc\n"), Vec::new(), Vec::new());
        for number in 0..30 {
            let (code, words) = GOODS[number % 4];
            let code = if number % 3 == 0 { GOODS[(number + 1) % 4].0 } else { code };
            texts.push(format!("{} and {}, {number} kg", words[0], words[1]));
            truth.push(labels.iter().position(|label| label[..2] == code[..2]).unwrap());
            writeln!(csv, "\"{}\",{code}", texts[number]).unwrap();
        }
        job.write("ml/input/data/validation/rows.csv", &csv);
        let log = job.succeed();
        let report = job.report();
        let calibration = &report.validation.calibration;
        let temperature = calibration.temperature;
        assert!((0.05..=20.0).contains(&temperature) && temperature != 1.0, "{log}");
        assert_eq!(report.test.calibration.temperature, temperature);
        assert!(log.contains(&format!("temperature {temperature:.4}")), "{log}");

        let config: Value = serde_json::from_slice(&fs::read(job.model().join("config.json")).unwrap()).unwrap();
        if model == "encoder" {
            assert_eq!(Artifact::load(&job.model()).unwrap().metadata.temperature, temperature);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let logits = TrainedClassifier::load(&job.model()).unwrap().logits(&texts).unwrap();
            let at = |factor: f64| loss(&logits, &truth, temperature * factor);
            assert!(at(1.0) < at(1.02) && at(1.0) < at(0.98), "{} {} {}", at(1.0), at(1.02), at(0.98));
        } else {
            assert_eq!(config["temperature"], json!(temperature));
        }

        // The bins and the matrix hold every row once.
        for side in [&report.validation, &report.test] {
            for bins in [&side.calibration.bins, &side.calibration.calibrated_bins] {
                assert_eq!((bins.len(), bins.iter().map(|bin| bin.rows).sum::<usize>()), (15, side.rows));
            }
            let matrix = &side.confusion;
            assert_eq!(matrix.labels, labels);
            assert_eq!(matrix.cells.iter().map(|cell| cell[2]).sum::<usize>(), side.rows);
            let hits: usize = matrix.cells.iter().filter(|cell| cell[0] == cell[1]).map(|cell| cell[2]).sum();
            assert!((hits as f64 / side.rows as f64 - side.accuracy).abs() < 1e-12);
            assert!(side.accuracy <= side.top3_accuracy && side.top3_accuracy <= side.top5_accuracy);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let weights = |seed: &str| {
        let job = Job::with_rows(Architecture::Bert, &with(&json!({ "epochs": "2", "seed": seed })));
        job.succeed();
        fs::read(job.model().join("model.safetensors")).unwrap()
    };
    let first = weights("1");
    assert!(first == weights("1"));
    assert!(first != weights("2"));
}

#[test]
fn channels_of_their_own_are_used_and_the_platforms_files_read() {
    let job = Job::new(Architecture::Bert, &with(&json!({ "epochs": "1" })));
    job.write(
        "ml/input/config/inputdataconfig.json",
        &json!({ "train": {}, "validation": {}, "test": {} }).to_string(),
    );
    let resources = json!({ "current_host": "algo-1", "hosts": ["algo-1"], "topology": null });
    job.write("ml/input/config/resourceconfig.json", &resources.to_string());
    job.write("ml/input/config/init-config.json", "not JSON, and not ours to read");
    job.write("ml/input/data/train/one.csv", &rows());
    job.write("ml/input/data/train/two.csv", "description,unspsc\nwhite paint,31211500\nnonsense,abc\n");
    job.write("ml/input/data/validation/rows.csv", "description,unspsc\nfrozen pork,50121500\n");
    // A text that is trained on as well, and a class that is not.
    job.write("ml/input/data/test/rows.csv", "description,unspsc\nwhite paint,31211500\n");
    job.write("ml/input/data/test/other.csv", "description,unspsc\nlive fish,10121500\n");
    let log = job.succeed();
    let data = job.report().data;
    assert_eq!([data.train_rows, data.validation_rows, data.test_rows, data.rejected_rows], [160, 1, 2, 2], "{log}");
    let test = job.report().test;
    let sources: Vec<_> = test.sources.iter().map(|scores| (scores.source.as_str(), scores.rows)).collect();
    assert_eq!(sources, [("other.csv", 1), ("rows.csv", 1)]);
    assert_eq!(test.sources.iter().map(|scores| scores.accuracy).sum::<f64>() / 2.0, test.accuracy);
    assert_eq!(test.classes.len(), 2);
    assert_eq!(
        (test.classes[0].label.as_str(), test.classes[0].recall),
        ("10000000", 0.0),
        "an unseen class is missed"
    );
}

#[test]
fn the_recurrent_baseline_learns_and_is_not_servable() {
    let job = Job::with_rows(Architecture::Bert, &json!({ "model": "rnn", "epochs": "60", "batch_size": "32" }));
    job.succeed();
    let report = job.report();
    assert!(report.test.balanced_accuracy > 0.9, "{:?}", report.test);
    assert_eq!((report.model.as_str(), report.epochs.len()), ("rnn", 60));
    assert_eq!(names(&job.model()), ["config.json", "model.safetensors", "vocab.txt"]);
    let error = ModelConfig::read(&job.model().join("config.json")).unwrap_err().to_string();
    assert!(error.contains("RNN baseline"), "{error}");
}

#[test]
fn what_is_wrong_with_the_input_is_one_sentence_with_its_exit_code() {
    const ROWS: &str = "ml/input/data/training/rows.csv";
    let two_rows = "description,unspsc\nbolt,31161500\nfish,50121500\n";
    for (settings, file, message, code) in [
        (settings(), None, "there is no channel `training` (or `train`)", 4),
        (settings(), Some((ROWS, "")), "rows.csv is empty", 4),
        (settings(), Some((ROWS, "description,unspsc\n")), "rows.csv holds a header but no rows", 4),
        (settings(), Some((ROWS, "text,price\nbolt,3\n")), "rows.csv: no column", 4),
        (settings(), Some((ROWS, "description,unspsc\nbolt,n/a\n")), "line 2: `n/a` is not a number of 8 digits", 4),
        (settings(), Some((ROWS, two_rows)), "too few rows", 4),
        (with(&json!({ "epoch": "3" })), Some((ROWS, two_rows)), "did you mean `epochs`?", 3),
        (with(&json!({ "batch_size": "0" })), Some((ROWS, two_rows)), "`batch_size` is `0`, allowed: 1 to 65536", 3),
    ] {
        let job = Job::new(Architecture::Bert, &settings);
        if let Some((name, text)) = file {
            job.write(name, text);
        }
        let failure = job.fail(code);
        assert!(failure.contains(message), "{failure}");
    }
}

#[test]
fn an_encoder_that_cannot_be_used_is_named() {
    let job = Job::with_rows(Architecture::Bert, &settings());
    let weights = job.path("encoder/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let failure = job.fail(5);
    assert!(failure.contains("model.safetensors is damaged or no safetensors file"), "{failure}");

    fs::write(&weights, &bytes).unwrap();
    fs::remove_file(job.path("encoder/tokenizer.json")).unwrap();
    assert!(job.fail(5).contains("encoder/tokenizer.json"));

    // A channel goes before the variable.
    tiny_encoder::write(&job.path("ml/input/data/model"), Architecture::DistilBert, 1);
    job.succeed();
    assert!(
        Weights::read(&job.model().join("model.safetensors"))
            .unwrap()
            .contains("distilbert.embeddings.LayerNorm.weight")
    );
}

#[test]
fn training_that_diverges_is_recognised() {
    let job = Job::with_rows(Architecture::Bert, &settings());
    tiny_encoder::edit(&job.path("encoder"), |tensors| {
        let (_, values) = tensors.get_mut("embeddings.LayerNorm.weight").unwrap();
        *values = 1e30_f32.to_le_bytes().repeat(values.len() / 4);
    });
    let failure = job.fail(6);
    assert!(failure.contains("diverged in epoch 1, step 1") && failure.contains("learning_rate"), "{failure}");
    let log = text(&job.run());
    assert!(log.contains("WARN rule exploding_tensor, step 1: the "), "{log}");
}

#[test]
fn a_place_that_cannot_be_written_is_an_internal_fault_and_no_second_failure() {
    let job = Job::with_rows(Architecture::Bert, &with(&json!({ "epochs": "1" })));
    job.write("ml/model", "a file where the folder belongs");
    let failure = job.fail(7);
    assert!(failure.starts_with("cannot write") && failure.contains("ml/model"), "{failure}");

    // Neither can the failure file be written: the exit code still tells.
    fs::remove_dir_all(job.path("ml/output")).unwrap();
    job.write("ml/output", "a file");
    let output = job.run();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("ml/output"));
}

#[test]
fn a_report_that_cannot_be_written_costs_no_model() {
    let job = Job::with_rows(Architecture::Bert, &with(&json!({ "epochs": "1" })));
    job.write("ml/output/data", "a file where the folder belongs");
    let output = job.run();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(job.model().join("model.safetensors").exists());
    assert!(fs::read_to_string(job.path("ml/output/failure")).unwrap().contains("output/data"));
}

#[test]
fn sigterm_keeps_the_best_weights_and_exits_with_0() {
    let job = Job::with_rows(Architecture::Bert, &with(&json!({ "epochs": "10000" })));
    let child = job.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Ended(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.by_ref().find(|line| line.contains(metrics::OBJECTIVE));
    assert!(first.is_some(), "no epoch was finished");
    let stopped = Instant::now();
    kill(Pid::from_raw(child.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(child.0.wait().unwrap().success(), "{rest:?}");
    assert!(stopped.elapsed() < Duration::from_secs(30));
    assert!(rest.iter().any(|line| line.contains("SIGTERM")), "{rest:?}");
    let report = job.report();
    assert!(!report.epochs.is_empty() && report.test.rows == 0);
    assert_eq!(TrainedClassifier::load(&job.model()).unwrap().logits(&["bolt"]).unwrap()[0].len(), 3);
    assert!(!job.path("ml/output/failure").exists());
}

#[test]
fn help_documents_the_exit_codes() {
    let output = Command::new(env!("CARGO_BIN_EXE_train")).arg("--help").env_clear().output().unwrap();
    let help = text(&output);
    assert!(output.status.success());
    for part in ["Exit codes:", "SAGEMAKER_BASE_DIR", "UNSPSC_ENCODER", "output/failure"] {
        assert!(help.contains(part), "{help}");
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_train")).arg("--nonsense").env_clear().output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
