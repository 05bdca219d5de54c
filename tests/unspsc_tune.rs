//! `unspsc tune` on a real platform: searched to the end and reported, found again, followed again, stopped, refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a panic is the report")]

#[path = "support/place.rs"]
mod place;
#[path = "support/unspsc.rs"]
mod support;
#[allow(dead_code, reason = "no encoder is edited here")]
#[path = "support/tiny_encoder.rs"]
mod tiny_encoder;

use std::fs;

use place::{Place, Platform, TRAINING, rest, signal, until};
use serde_json::{Value, json};
use support::texts;

/// Trials whose objective is what their batch size says: of 16 none, of 32 0.32, of 64 0.64, of 128 0.128.
const BY_BATCH: &str = r#"
size=$(hyperparameter batch_size)
[ "$size" = 16 ] && echo "row 3 has no label" > output/failure && exit 3
echo "epoch 1/1: train:loss=0.500000; validation:loss=1.500000; validation:balanced_accuracy=0.$size;"
echo "test, 9 rows: test:accuracy=0.250000; test:balanced_accuracy=0.2$size;""#;
/// The same, once the file `go` lies beside the platform's folder.
const WAITING: &str = r#"
trap 'exit 0' TERM
until [ -e ../../../../go ]; do sleep 0.05; done
echo "validation:balanced_accuracy=0.5;""#;

/// What is told of the data; the rnn has no ranges of its own.
const DATA: [&str; 6] = ["--data", "data.csv", "--output", "out", "--model", "rnn"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [DATA.as_slice(), more].concat()
}

/// The tuning job that a run has said that it created.
fn created(err: &str) -> String {
    let line = err.lines().find(|line| line.starts_with("tuning job ") && line.ends_with(" was created"));
    line.unwrap_or_else(|| panic!("no tuning job was created: {err}")).split(' ').nth(2).unwrap().to_owned()
}

/// What stands in the report for machines.
fn report(place: &Place, job: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path("out").join(job).join("tuning.json")).unwrap()).unwrap()
}

/// The request of a plan's last operation, which has to be `operation`.
fn planned(platform: &Platform<'_>, arguments: &[&str], operation: &str) -> Value {
    let output = platform.plan("tune", arguments).arg("--json").output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    let requests: Vec<Value> = serde_json::from_str(&out).unwrap();
    let last = requests.last().unwrap();
    assert_eq!(last["operation"], operation, "{out}");
    last["request"].clone()
}

#[test]
fn a_search_ends_with_its_best_trial_and_a_report_that_the_next_run_shows_again() {
    let place = Place::new();
    let platform = place.platform_of(BY_BATCH, &[]);
    let grid = ["--strategy", "grid", "--search", "batch_size=16,32,64,128", "--price-per-hour", "36"];
    let (code, first, err) = platform.verb("tune", &with(&grid));
    assert_eq!(code, 0, "{first}{err}");
    for said in ["grid search, 4 trials, 1 at a time, seed 17; maximize validation:balanced_accuracy", "trial 4 of 4: "]
    {
        assert!(err.contains(said), "`{said}` is not in {err}");
    }
    assert!(
        err.contains("Completed after") && err.contains("best so far") && err.contains("row 3 has no label"),
        "{err}"
    );
    let job = created(&err);
    assert!(job.starts_with("unspsc-tune-") && job.len() <= 32, "{job}");
    for said in [
        "best: trial 3, validation:balanced_accuracy 0.6400 with batch_size 64",
        "instance hours",
        "row 3 has no label",
    ] {
        assert!(first.contains(said), "`{said}` is not in {first}");
    }

    let found = report(&place, &job);
    let trials = found["trials"].as_array().unwrap();
    let of = |name: &str| trials.iter().map(|trial| trial[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("status"), ["Failed", "Completed", "Completed", "Completed"]);
    assert_eq!(of("objective"), [Value::Null, json!(0.32), json!(0.64), json!(0.128)]);
    assert_eq!((&found["best"], &trials[2]["values"]), (&trials[2]["job"], &json!({ "batch_size": "64" })));
    assert_eq!(trials[2]["metrics"]["test:balanced_accuracy"], 0.264);
    let (seconds, cost) = (found["billable_seconds"].as_f64().unwrap(), found["cost"].as_f64().unwrap());
    assert!((cost - 0.01 * seconds).abs() < 1e-9, "{cost} for {seconds} s");
    let page = fs::read_to_string(place.path("out").join(&job).join("tuning.html")).unwrap();
    for part in [
        "Content-Security-Policy",
        "0.6400",
        "3 (best)",
        "trials, 1 of them failed",
        "row 3 has no label",
        "class=\"none\"",
    ] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
    assert!(!page.contains("NaN") && !page.contains("<script"), "{page}");
    let (_, shown, _) = platform.verb("status", &[trials[2]["job"].as_str().unwrap()]);
    assert!(shown.contains("unspsc:managed-by=unspsc"), "a trial has the tuning job's tags: {shown}");

    let (code, second, err) = platform.verb("tune", &with(&grid));
    assert!(code == 0 && err.contains(&format!("tuning job {job} has completed already")), "{err}");
    assert_eq!(first, second);
    platform.stop();
}

#[test]
fn a_plan_has_the_references_search_and_all_that_train_asks_for() {
    let place = Place::new();
    let platform = place.platform_of(BY_BATCH, &[]);
    let options =
        ["--spot", "--tag", "team=catalogue", "--early-stopping", "auto", "--hyperparameter", "max_length=32"];
    let request = planned(&platform, &[&TRAINING, options.as_slice()].concat(), "CreateHyperParameterTuningJob");
    let config = &request["HyperParameterTuningJobConfig"];
    assert_eq!(
        config["ParameterRanges"],
        json!({
            "IntegerParameterRanges": [{ "Name": "epochs", "MinValue": "1", "MaxValue": "2", "ScalingType": "Auto" }],
            "ContinuousParameterRanges": [
                { "Name": "learning_rate", "MinValue": "1e-5", "MaxValue": "1e-3", "ScalingType": "Logarithmic" },
                { "Name": "adam_epsilon", "MinValue": "1e-8", "MaxValue": "1e-7", "ScalingType": "Logarithmic" },
            ],
            "CategoricalParameterRanges": [{ "Name": "batch_size", "Values": ["32", "64", "128"] }],
        })
    );
    assert_eq!(config["ResourceLimits"], json!({ "MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 1 }));
    let objective = json!({ "Type": "Maximize", "MetricName": "validation:balanced_accuracy" });
    assert_eq!(config["HyperParameterTuningJobObjective"], objective);
    let chosen = ["Strategy", "TrainingJobEarlyStoppingType", "RandomSeed"].map(|member| config[member].clone());
    assert_eq!(chosen, [json!("Bayesian"), json!("Auto"), json!(17)]);

    let output =
        platform.plan("train", &[&TRAINING, &options[..3], &options[5..]].concat()).arg("--json").output().unwrap();
    let requests: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let train = requests.last().unwrap()["request"].clone();
    let trial = &request["TrainingJobDefinition"];
    for member in [
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
        "EnableNetworkIsolation",
        "EnableManagedSpotTraining",
        "RetryStrategy",
    ] {
        assert!(!train[member].is_null(), "{member}");
        assert_eq!(trial[member], train[member], "{member}");
    }
    let algorithm = |request: &Value| request["AlgorithmSpecification"]["MetricDefinitions"].clone();
    assert_eq!(algorithm(trial), algorithm(&train));
    let mut fixed = train["HyperParameters"].as_object().unwrap().clone();
    for searched in ["epochs", "learning_rate", "adam_epsilon", "batch_size"] {
        fixed.remove(searched).unwrap();
    }
    assert_eq!(trial["StaticHyperParameters"], Value::Object(fixed));
    assert!(trial["CheckpointConfig"]["S3Uri"].as_str().unwrap().contains("/unspsc/checkpoints/"));
    let tag = json!({ "Key": "team", "Value": "catalogue" });
    assert!(request["Tags"].as_array().unwrap().contains(&tag), "{request}");
    assert!(platform.verb("status", &[]).1.contains("no training jobs"));
    platform.stop();
}

#[test]
fn the_seed_decides_which_trials_there_are() {
    let place = Place::new();
    let platform = place.platform_of(BY_BATCH, &["--fault", "lost-response:operation=CreateHyperParameterTuningJob"]);
    let random =
        ["--strategy", "random", "--search", "batch_size=32,64,128", "--search", "learning_rate=1e-4..1e-2:log"];
    let more = ["--max-jobs", "3", "--parallel-jobs", "3", "--random-seed"];
    let values = |seed: &'static str| {
        let (code, _, err) = platform.verb("tune", &[with(&random).as_slice(), &more, &[seed]].concat());
        assert_eq!(code, 0, "{err}");
        let report = report(&place, &created(&err));
        let values = report["trials"].as_array().unwrap().iter().map(|trial| trial["values"].clone());
        values.collect::<Vec<_>>()
    };
    let (one, other) = (values("1"), values("2"));
    assert!(one.len() == 3 && one != other, "{one:?} {other:?}");
    assert!(one.iter().all(|values| values.as_object().unwrap().len() == 2), "{one:?}");
    platform.stop();
}

#[test]
fn what_could_not_work_is_refused_before_anything_is_launched() {
    let place = Place::new();
    let platform = place.platform_of(BY_BATCH, &[]);
    let search = ["--search", "batch_size=32,64", "--max-jobs", "2"];
    for (options, said) in [
        (&["--objective", "accuracy"][..], "none of the metrics that `train` prints"),
        (&["--objective", "mine=score=([0-9.]+)"], "finds nothing in what `train` prints"),
        (&["--objective", "test:accuracy"], "which tuning must not see"),
        (&["--strategy", "grid", "--search", "epochs=1..3"], "the grid has 6 combinations (epochs 3 × batch_size 2)"),
        (&["--warm-start", "no-such-job"], "there is no tuning job no-such-job"),
        (&["--job-name", "a-name-that-is-longer-than-32-characters"], "is longer than 32 characters"),
    ] {
        let (code, _, err) = platform.verb("tune", &[with(&search).as_slice(), options].concat());
        assert!(code == 1 && err.contains(said), "{options:?}: {err}");
    }
    assert!(platform.verb("status", &[]).1.contains("no training jobs"));
    platform.stop();
}

#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    let place = Place::new();
    let platform = place.platform_of(WAITING, &[]);
    let arguments = with(&["--search", "batch_size=32,64", "--max-jobs", "2"]);
    let (child, lines) = until(&mut platform.command("tune", &arguments), "trial 1 of 2: InProgress");
    signal(&child, "KILL");
    rest(child, lines);
    let (child, lines) = until(&mut platform.command("tune", &arguments), "runs already and is followed");
    fs::write(place.path("go"), "").unwrap();
    let (code, said) = rest(child, lines);
    assert!(code == Some(0) && said.contains("trial 2 of 2: Completed"), "{code:?} {said}");
    platform.stop();
}

#[test]
fn a_signal_stops_the_job_or_leaves_it() {
    let place = Place::new();
    let platform = place.platform_of(WAITING, &[]);
    let arguments = with(&["--search", "batch_size=32,64", "--max-jobs", "2"]);
    let mut leaving = platform.command("tune", &arguments);
    let (child, lines) = until(leaving.args(["--on-interrupt", "leave"]), "trial 1 of 2: InProgress");
    signal(&child, "INT");
    let (code, said) = rest(child, lines);
    assert!(
        code == Some(5) && said.contains("still runs") && said.contains("the same command comes back"),
        "{code:?} {said}"
    );

    let (child, lines) = until(&mut platform.command("tune", &arguments), "trial 1 of 2: InProgress");
    signal(&child, "INT");
    let (code, said) = rest(child, lines);
    assert!(code == Some(130) && said.contains("is taken down"), "{code:?} {said}");
    let (_, out, _) = platform.verb("status", &[]);
    assert!(!out.contains("InProgress"), "{out}");

    fs::write(place.path("go"), "").unwrap();
    let (code, _, err) = platform.verb("tune", &arguments);
    assert!(code == 0 && err.contains("is Stopped: the next attempt begins") && created(&err).ends_with("-2"), "{err}");
    platform.stop();
}

#[test]
fn a_search_without_a_trial_that_works_has_failed() {
    let place = Place::new();
    let platform = place.platform_of("echo 'row 3 has no label' > output/failure; exit 3", &[]);
    let arguments = with(&["--search", "batch_size=32,64", "--max-jobs", "2"]);
    let (code, out, err) = platform.verb("tune", &arguments);
    assert!(code == 3 && err.contains("failed: All training jobs failed"), "{code} {err}");
    assert!(out.contains("row 3 has no label"), "the trials are shown all the same: {out}");
    let page = fs::read_to_string(place.path("out").join(created(&err)).join("tuning.html")).unwrap();
    assert!(page.contains("No trial has a value") && page.contains("The tuning job is Failed"), "{page}");
    platform.stop();
}

#[test]
fn a_warm_start_learns_from_the_same_data_or_from_other() {
    let place = Place::new();
    let platform = place.platform_of(BY_BATCH, &[]);
    let search = ["--search", "batch_size=32,64,128", "--max-jobs"];
    let (code, _, err) = platform.verb("tune", &[with(&search).as_slice(), &["1"]].concat());
    assert_eq!(code, 0, "{err}");
    let parent = created(&err);
    let warm = [with(&search).as_slice(), &["2", "--warm-start", &parent]].concat();
    let request = planned(&platform, &warm, "CreateHyperParameterTuningJob");
    let parents = json!([{ "HyperParameterTuningJobName": parent }]);
    let expected = json!({ "ParentHyperParameterTuningJobs": parents, "WarmStartType": "IdenticalDataAndAlgorithm" });
    assert_eq!(request["WarmStartConfig"], expected);
    let (code, out, err) = platform.verb("tune", &warm);
    assert!(code == 0 && out.contains("best: trial"), "{err}");
    assert_eq!(report(&place, &created(&err))["warm_start"], json!([parent]));

    let other = [warm.as_slice(), &["--seed", "3"]].concat();
    let request = planned(&platform, &other, "CreateHyperParameterTuningJob");
    assert_eq!(request["WarmStartConfig"]["WarmStartType"], "TransferLearning", "another split");
    let (code, _, err) = platform.verb("tune", &[warm.as_slice(), &["--objective", "validation:loss"]].concat());
    assert!(code == 1 && err.contains("add --objective validation:balanced_accuracy"), "{err}");
    platform.stop();
}

#[test]
fn a_base_line_is_the_job_that_train_would_make_and_stands_beside_the_best_trial() {
    let place = Place::new();
    // Everything as it is on a user's machine: the platform within the process, the real training program.
    let local = |verb: &str, options: &[&str]| {
        let output = place.on(&["--local", "--state", "state"], verb).args(TRAINING).args(options).output().unwrap();
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{out}{err}");
        (out, err)
    };
    let fixed =
        ["--hyperparameter", "epochs=1", "--hyperparameter", "batch_size=32", "--hyperparameter", "adam_epsilon=1e-8"];
    let (out, err) = local("tune", &[fixed.as_slice(), &["--max-jobs", "2", "--base-line", "rnn"]].concat());
    let found = report(&place, &created(&err));
    let base = found["base_line"]["job"].as_str().unwrap();
    for said in ["best trial, ", "base line, rnn", "test, balanced", "model: s3://"] {
        assert!(out.contains(said), "`{said}` is not in {out}");
    }
    assert!(found["base_line"]["metrics"]["test:balanced_accuracy"].is_number(), "{found}");
    assert!(
        fs::read_to_string(place.path("out").join(found["job"].as_str().unwrap()).join("tuning.html"))
            .unwrap()
            .contains("Beside the base line")
    );
    let output = place
        .on(&["--local", "--state", "state"], "train")
        .args(&TRAINING[..2])
        .args(&TRAINING[4..])
        .args(["--model", "rnn"])
        .output();
    let (_, err) = texts(&output.unwrap());
    assert!(err.contains(&format!("training job {base} has completed already")), "{err}");
    assert_eq!(place.processes(), Vec::<String>::new());
}
