//! Hyperparameter tuning, with trials that print what their hyperparameters tell them to.

use serde_json::{Value, json};

use crate::server::{BUCKET, Place, Server, pid, until};

/// A stand-in for `train` that has `hyperparameter NAME`, and then does `then`.
fn train(then: &str) -> String {
    let read = r#"
cd "$SAGEMAKER_BASE_DIR"
hyperparameter() { sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p" input/config/hyperparameters.json; }
echo $$ > pid"#;
    format!("{read}\n{then}")
}

fn request(name: &str, config: Value, rest: Value) -> Value {
    let mut request = json!({
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": { "Type": "Maximize", "MetricName": "score" },
            "ResourceLimits": { "MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 1 },
            "ParameterRanges": { "ContinuousParameterRanges": [{ "Name": "lr", "MinValue": "0.001", "MaxValue": "1" }] },
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": { "epochs": "2" },
            "AlgorithmSpecification": {
                "TrainingImage": "train:latest",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{ "Name": "score", "Regex": "score=([0-9.]+);" }],
            },
            "RoleArn": "arn:aws:iam::000000000000:role/local",
            "InputDataConfig": [{
                "ChannelName": "training",
                "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": format!("s3://{BUCKET}/in/") } },
            }],
            "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
            "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
            "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
        },
    });
    let extend = |to: &mut Value, from: Value| to.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
    extend(&mut request["HyperParameterTuningJobConfig"], config);
    extend(&mut request, rest);
    request
}

/// One trial at a time for each of these values of `kind`.
fn kinds(values: &[&str]) -> Value {
    json!({
        "Strategy": "Grid",
        "ResourceLimits": { "MaxParallelTrainingJobs": 1 },
        "ParameterRanges": { "CategoricalParameterRanges": [{ "Name": "kind", "Values": values }] },
    })
}

async fn start(server: &Server, name: &str, config: Value, rest: Value) {
    server.sagemaker("CreateHyperParameterTuningJob", request(name, config, rest)).await;
}

/// The description of a tuning job once it is over.
async fn over(server: &Server, name: &str) -> Value {
    let over =
        |job: &Value| !["InProgress", "Stopping"].contains(&job["HyperParameterTuningJobStatus"].as_str().unwrap());
    server.poll("DescribeHyperParameterTuningJob", json!({ "HyperParameterTuningJobName": name }), over).await
}

async fn finished(server: &Server, name: &str, config: Value, rest: Value) -> Value {
    start(server, name, config, rest).await;
    let job = over(server, name).await;
    assert_eq!(job["HyperParameterTuningJobStatus"], "Completed", "{job}");
    job
}

/// The summaries of a tuning job's trials.
async fn trials(server: &Server, name: &str, order: Value) -> Vec<Value> {
    let mut request = json!({ "HyperParameterTuningJobName": name, "MaxResults": 100 });
    request.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
    let answer = server.sagemaker("ListTrainingJobsForHyperParameterTuningJob", request).await;
    answer["TrainingJobSummaries"].as_array().unwrap().clone()
}

fn of_all(trials: &[Value], member: &str) -> Vec<Value> {
    trials.iter().map(|trial| trial[member].clone()).collect()
}

fn score(trial: &Value) -> f64 {
    trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"].as_f64().unwrap()
}

#[tokio::test]
async fn four_trials_at_once_give_the_same_result_as_one_after_another() {
    // Those that begin first end last.
    let last_first = r#"
case "$TRAINING_JOB_NAME" in *-001-*) sleep 0.9 ;; *-002-*) sleep 0.6 ;; *-003-*) sleep 0.3 ;; esac
echo "score=$(hyperparameter lr);""#;
    let place = Place::new(&train(last_first), "");
    let server = place.start();
    let limits = |parallel: u32| json!({ "MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": parallel });
    for strategy in ["Random", "Bayesian"] {
        let mut results = Vec::new();
        for (kind, parallel) in [("many", 4), ("one", 1)] {
            let name = format!("{strategy}-{kind}");
            let config = json!({ "Strategy": strategy, "RandomSeed": 3, "ResourceLimits": limits(parallel) });
            let job = finished(&server, &name, config, json!({})).await;
            let trials = trials(&server, &name, json!({})).await;
            assert_eq!(trials.len(), 4);
            let suffix = |trial: &Value| trial["TrainingJobName"].as_str().unwrap().replace(&name, "");
            let suffixes: Vec<String> = trials.iter().map(suffix).collect();
            let scores: Vec<f64> = trials.iter().map(score).collect();
            let best = job["BestTrainingJob"]["TunedHyperParameters"].clone();
            results.push((suffixes, of_all(&trials, "TunedHyperParameters"), scores, best));
        }
        assert_eq!(results[0], results[1]);
    }
    let other = finished(&server, "other", json!({ "RandomSeed": 4 }), json!({})).await;
    let same = over(&server, "Random-one").await;
    assert_ne!(other["BestTrainingJob"]["TunedHyperParameters"], same["BestTrainingJob"]["TunedHyperParameters"]);
    server.terminate().await;
}

#[tokio::test]
async fn the_best_trial_is_found_and_every_trial_is_a_training_job() {
    let place = Place::new(&train("echo \"score=0.5;\"\necho \"score=0.$(hyperparameter kind);\""), "");
    let server = place.start();
    let tags = json!({ "Tags": [{ "Key": "team", "Value": "catalogue" }] });
    let job = finished(&server, "best", kinds(&["3", "7", "1"]), tags).await;
    let best = &job["BestTrainingJob"];
    assert_eq!((score(best), &best["TunedHyperParameters"]), (0.7, &json!({ "kind": "7" })), "{job}");
    assert_eq!(job["HyperParameterTuningJobConfig"]["RandomSeed"], 17);
    assert_eq!(job["TrainingJobStatusCounters"]["Completed"], 3);
    assert_eq!(job["ObjectiveStatusCounters"], json!({ "Succeeded": 3, "Pending": 0, "Failed": 0 }));
    assert!(job["HyperParameterTuningEndTime"].is_number() && job.get("FailureReason").is_none());

    let name = best["TrainingJobName"].as_str().unwrap();
    let suffix = name.strip_prefix("best-002-").unwrap();
    assert!(suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    let trial = server.finished_job(name).await;
    assert_eq!(trial["TuningJobArn"], job["HyperParameterTuningJobArn"]);
    let given = json!({ "_tuning_objective_metric": "score", "epochs": "2", "kind": "7" });
    assert_eq!(trial["HyperParameters"], given);
    let file = place.state().join(format!("jobs/{name}/opt-ml/input/config/hyperparameters.json"));
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap(), given);
    for bearer in [&job["HyperParameterTuningJobArn"], &trial["TrainingJobArn"]] {
        let tags = server.sagemaker("ListTags", json!({ "ResourceArn": bearer })).await;
        assert_eq!(tags["Tags"][0]["Value"], "catalogue");
    }

    let descending = json!({ "SortBy": "FinalObjectiveMetricValue", "SortOrder": "Descending" });
    let scores: Vec<f64> = trials(&server, "best", descending).await.iter().map(score).collect();
    assert_eq!(scores, [0.7, 0.3, 0.1]);
    let page = json!({ "MaxResults": 2, "StatusEquals": "Completed" });
    let first = of_all(&trials(&server, "best", page).await, "TrainingJobName");
    assert_eq!((first.len(), first[1].as_str()), (2, Some(name)), "by name, ascending");
    let list = server.sagemaker("ListHyperParameterTuningJobs", json!({ "NameContains": "es" })).await;
    let summary = &list["HyperParameterTuningJobSummaries"][0];
    assert_eq!((&summary["Strategy"], &summary["TrainingJobStatusCounters"]["Completed"]), (&json!("Grid"), &json!(3)));
    server.terminate().await;
}

#[tokio::test]
async fn a_trial_that_fails_does_not_end_the_tuning_job_and_all_do() {
    let place = Place::new(&train("[ $(hyperparameter kind) = bad ] && exit 3\necho \"score=0.5;\""), "");
    let server = place.start();
    let job = finished(&server, "some", kinds(&["bad", "good"]), json!({})).await;
    assert_eq!(job["TrainingJobStatusCounters"]["NonRetryableError"], 1);
    assert_eq!(job["BestTrainingJob"]["TunedHyperParameters"]["kind"], "good");
    let failed = &trials(&server, "some", json!({ "StatusEquals": "Failed" })).await[0];
    assert_eq!(failed["ObjectiveStatus"], "Failed");
    assert!(failed["FailureReason"].as_str().unwrap().contains("exit code: 3"), "{failed}");

    for (name, metric, words) in [
        ("all", "score=([0-9.]+);", "All training jobs failed. Please take a look at the training jobs failures"),
        ("none", "other=([0-9.]+);", "No objective metrics found after running 1 training jobs."),
    ] {
        let values = if name == "all" { ["bad"] } else { ["good"] };
        let mut request = request(name, kinds(&values), json!({}));
        request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"][0]["Regex"] = json!(metric);
        server.sagemaker("CreateHyperParameterTuningJob", request).await;
        let job = over(&server, name).await;
        assert_eq!(job["HyperParameterTuningJobStatus"], "Failed", "{job}");
        assert!(job["FailureReason"].as_str().unwrap().starts_with(words), "{job}");
    }
    server.terminate().await;
}

#[tokio::test]
async fn a_tuning_job_gives_up_after_five_trials_that_fail() {
    let place = Place::new("exit 3", "");
    let server = place.start();
    let limits = json!({ "MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 1 });
    start(&server, "failing", json!({ "ResourceLimits": limits }), json!({})).await;
    let job = over(&server, "failing").await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(reason.starts_with("No training job succeeded after 5 attempts."), "{reason}");
    assert_eq!(trials(&server, "failing", json!({})).await.len(), 5);
    server.terminate().await;
}

#[tokio::test]
async fn a_trial_below_the_median_of_earlier_ones_is_stopped() {
    let place = Place::new(
        &train("[ $(hyperparameter kind) = good ] && echo 'score=0.9;' && exit 0\necho 'score=0.1;'\nexec sleep 600"),
        "",
    );
    let server = place.start();
    let mut config = kinds(&["good", "bad"]);
    config["TrainingJobEarlyStoppingType"] = json!("Auto");
    let job = finished(&server, "early", config, json!({})).await;
    assert_eq!((score(&job["BestTrainingJob"]), &job["TrainingJobStatusCounters"]["Stopped"]), (0.9, &json!(1)));
    let trials = trials(&server, "early", json!({})).await;
    assert_eq!((&trials[1]["TrainingJobStatus"], score(&trials[1])), (&json!("Stopped"), 0.1));
    server.terminate().await;
}

#[tokio::test]
async fn hyperband_stops_who_is_behind_at_a_rung_and_who_has_had_all() {
    let report = r#"
case $(hyperparameter kind) in good) score=0.9 ;; *) score=0.1 ;; esac
while :; do echo "score=$score;"; sleep 0.2; done"#;
    let place = Place::new(&train(report), "");
    let server = place.start();
    let config = json!({
        "Strategy": "Hyperband",
        "StrategyConfig": { "HyperbandStrategyConfig": { "MinResource": 1, "MaxResource": 9 } },
        "ResourceLimits": { "MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1 },
        "ParameterRanges": { "CategoricalParameterRanges": [{ "Name": "kind", "Values": ["bad", "good"] }] },
        "RandomSeed": 1,
    });
    finished(&server, "rungs", config, json!({})).await;
    let trials = trials(&server, "rungs", json!({})).await;
    assert_eq!(trials[0]["TunedHyperParameters"]["kind"], "good", "the seed must begin with the good one");
    let reports = |trial: &Value| {
        let name = trial["TrainingJobName"].as_str().unwrap();
        std::fs::read_to_string(place.state().join(format!("jobs/{name}/job.log"))).unwrap().lines().count()
    };
    assert_eq!(of_all(&trials, "TrainingJobStatus"), ["Stopped", "Stopped"]);
    assert!(reports(&trials[0]) >= 9 && reports(&trials[1]) < 9, "{trials:?}");
    server.terminate().await;
}

#[tokio::test]
async fn a_stopped_tuning_job_stops_its_trials_and_starts_no_others() {
    let place = Place::new(&train("echo 'score=0.4;'\nexec sleep 600"), "");
    let server = place.start();
    let limits = json!({ "MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 2 });
    start(&server, "stop", json!({ "ResourceLimits": limits }), json!({})).await;
    let name = json!({ "HyperParameterTuningJobName": "stop" });
    let two = |job: &Value| job["TrainingJobStatusCounters"]["InProgress"] == 2;
    server.poll("DescribeHyperParameterTuningJob", name.clone(), two).await;
    for trial in trials(&server, "stop", json!({})).await {
        pid(&place.state().join(format!("jobs/{}/opt-ml/pid", trial["TrainingJobName"].as_str().unwrap()))).await;
    }
    server.sagemaker("StopHyperParameterTuningJob", name.clone()).await;
    let job = over(&server, "stop").await;
    assert_eq!(job["HyperParameterTuningJobStatus"], "Stopped");
    assert_eq!(of_all(&trials(&server, "stop", json!({})).await, "TrainingJobStatus"), ["Stopped", "Stopped"]);
    let (code, message) = server.refused("StopHyperParameterTuningJob", name).await;
    assert_eq!(code, "ValidationException");
    assert!(message.ends_with("is in status Stopped."), "{message}");
    server.terminate().await;
}

#[tokio::test]
async fn a_tuning_job_ends_at_its_target_or_when_its_time_is_up() {
    let place = Place::new(&train("echo 'score=0.8;'\n[ $(hyperparameter epochs) = 2 ] || exec sleep 600"), "");
    let server = place.start();
    let criteria = json!({ "TargetObjectiveMetricValue": 0.75 });
    let limits = json!({ "MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 2, "MaxRuntimeInSeconds": 600 });
    let config = json!({ "TuningJobCompletionCriteria": criteria, "ResourceLimits": limits });
    finished(&server, "target", config.clone(), json!({})).await;
    assert!(trials(&server, "target", json!({})).await.len() < 10);

    let mut long = request("time", config, json!({}));
    long["TrainingJobDefinition"]["StaticHyperParameters"] = json!({ "epochs": "9" });
    server.sagemaker("CreateHyperParameterTuningJob", long).await;
    let logs = || {
        std::fs::read_dir(place.state().join("jobs")).unwrap().flatten().filter(|entry| {
            let log = std::fs::read_to_string(entry.path().join("job.log"));
            entry.file_name().to_string_lossy().starts_with("time-") && log.is_ok_and(|log| log.contains("score"))
        })
    };
    until("two trials report", || logs().count() == 2).await;
    let advanced = server.post("/_local/clock").body(json!({ "AdvanceInSeconds": 600 }).to_string()).send().await;
    assert!(advanced.unwrap().status().is_success());
    assert_eq!(over(&server, "time").await["TrainingJobStatusCounters"]["Stopped"], 2);
    server.terminate().await;
}

#[tokio::test]
async fn a_warm_start_builds_on_its_parents() {
    let place = Place::new(&train("echo \"score=0.$(hyperparameter kind);\""), "");
    let server = place.start();
    let from = |parent: &str, kind: &str| {
        let parents = json!([{ "HyperParameterTuningJobName": parent }]);
        json!({ "WarmStartConfig": { "ParentHyperParameterTuningJobs": parents, "WarmStartType": kind } })
    };
    let parent = finished(&server, "parent", kinds(&["9", "2", "1", "3", "4"]), json!({})).await;
    let bayesian = json!({
        "Strategy": "Bayesian",
        "ResourceLimits": { "MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1 },
        "ParameterRanges": { "CategoricalParameterRanges": [{ "Name": "kind", "Values": ["2", "8"] }] },
    });
    let child = finished(&server, "child", bayesian.clone(), from("parent", "IdenticalDataAndAlgorithm")).await;
    assert_eq!((score(&child["BestTrainingJob"]), score(&child["OverallBestTrainingJob"])), (0.8, 0.9));
    assert_eq!(child["OverallBestTrainingJob"]["TrainingJobName"], parent["BestTrainingJob"]["TrainingJobName"]);
    assert_eq!(child["OverallBestTrainingJob"]["TuningJobName"], "parent");

    let other = finished(&server, "transfer", bayesian.clone(), from("parent", "TransferLearning")).await;
    assert!(other.get("OverallBestTrainingJob").is_none(), "its data may be another's");
    let mut less = bayesian.clone();
    less["HyperParameterTuningJobObjective"] = json!({ "Type": "Minimize", "MetricName": "score" });
    let mut image = request("x", bayesian.clone(), from("parent", "IdenticalDataAndAlgorithm"));
    image["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = json!("other");
    for (request, words) in [
        (request("x", bayesian.clone(), from("no-one", "TransferLearning")), "can't find a tuning job"),
        (request("x", less, from("parent", "TransferLearning")), "'parent' has another objective"),
        (request("x", json!({}), from("parent", "TransferLearning")), "'parent' has other hyperparameters"),
        (image, "'parent' has another AlgorithmSpecification.TrainingImage"),
    ] {
        let (_, message) = server.refused("CreateHyperParameterTuningJob", request).await;
        assert!(message.contains(words), "{message}");
    }
    server.terminate().await;
}

#[tokio::test]
async fn what_cannot_be_tuned_is_refused_in_the_words_of_aws() {
    let place = Place::new(&train("exec sleep 600"), "");
    let server = place.start();
    let ranges = |ranges: Value| json!({ "ParameterRanges": ranges });
    let limits = |limits: Value| json!({ "ResourceLimits": limits });
    let few = json!({ "IntegerParameterRanges": [{ "Name": "n", "MinValue": "1", "MaxValue": "3" }] });
    let epochs = json!({ "CategoricalParameterRanges": [{ "Name": "epochs", "Values": ["1", "2", "3", "4"] }] });
    let objective = json!({ "HyperParameterTuningJobObjective": { "Type": "Maximize", "MetricName": "other" } });
    let mut grid = kinds(&["a", "b"]);
    grid["ResourceLimits"]["MaxNumberOfTrainingJobs"] = json!(3);
    for (config, words) in [
        (
            ranges(few),
            "combinations for the provided ranges [3.0] must be equal or greater than the value of MaxNumberOfJobs, [4]",
        ),
        (ranges(epochs), "'epochs' is both static and searched"),
        (objective, "A metric is required for this hyperparameter tuning job objective."),
        (json!({ "Strategy": "Grid" }), "Grid takes categorical hyperparameters only; 'lr' is none"),
        (grid, "which is 2"),
        (json!({ "Strategy": "Sobol" }), "unknown variant `Sobol`"),
        (
            json!({ "Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto" }),
            "must be Off for the strategy Hyperband",
        ),
        (limits(json!({ "MaxParallelTrainingJobs": 1 })), "Nothing ends this tuning job"),
        (
            limits(json!({ "MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 0 })),
            "Value '0' at 'hyperParameterTuningJobConfig.resourceLimits.maxParallelTrainingJobs' failed to satisfy \
             constraint: Member must have value greater than or equal to 1",
        ),
        (
            limits(json!({ "MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1, "MaxRuntimeInSeconds": 60 })),
            "greater than or equal to 120",
        ),
    ] {
        let (code, message) = server.refused("CreateHyperParameterTuningJob", request("x", config, json!({}))).await;
        assert_eq!(code, "ValidationException");
        assert!(message.contains(words), "{message}");
    }
    let mut nowhere = request("x", json!({}), json!({}));
    nowhere["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"] = json!("s3://no-bucket/out");
    let long = "x".repeat(33);
    for (request, words) in [
        (request(&long, json!({}), json!({})), "Member must have length less than or equal to 32"),
        (request("a_b", json!({}), json!({})), "pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$"),
        (request("x", json!({}), json!({ "TrainingJobDefinitions": [] })), "does not support TrainingJobDefinitions"),
        (nowhere, "The bucket of the S3 output path s3://no-bucket/out does not exist."),
    ] {
        let (_, message) = server.refused("CreateHyperParameterTuningJob", request).await;
        assert!(message.contains(words), "{message}");
    }
    let (code, _) =
        server.refused("DescribeHyperParameterTuningJob", json!({ "HyperParameterTuningJobName": "x" })).await;
    assert_eq!(code, "ResourceNotFound");
    start(&server, "x", json!({}), json!({})).await;
    let (code, _) = server.refused("CreateHyperParameterTuningJob", request("x", json!({}), json!({}))).await;
    assert_eq!(code, "ResourceInUse");
    server.terminate().await;
}

#[tokio::test]
async fn a_tuning_job_whose_server_died_has_failed_and_can_be_built_on() {
    let place = Place::new(&train("echo 'score=0.5;'\n[ $(hyperparameter kind) = quick ] || exec sleep 600"), "");
    let config = kinds(&["quick", "long", "never"]);
    for (name, in_order) in [("killed", false), ("ended", true)] {
        let server = place.start();
        start(&server, name, config.clone(), json!({})).await;
        let describe = json!({ "HyperParameterTuningJobName": name });
        let second = |job: &Value| {
            job["TrainingJobStatusCounters"]["Completed"] == 1 && job["TrainingJobStatusCounters"]["InProgress"] == 1
        };
        server.poll("DescribeHyperParameterTuningJob", describe, second).await;
        if in_order { server.terminate().await } else { server.kill() }
    }
    let server = place.start();
    for name in ["killed", "ended"] {
        let job = over(&server, name).await;
        assert_eq!(job["HyperParameterTuningJobStatus"], "Failed");
        assert!(job["FailureReason"].as_str().unwrap().contains("the local platform was stopped"), "{job}");
        assert_eq!(of_all(&trials(&server, name, json!({})).await, "TrainingJobStatus"), ["Completed", "Failed"]);
        assert_eq!(job["BestTrainingJob"]["TunedHyperParameters"]["kind"], "quick");
    }
    let parents = json!([{ "HyperParameterTuningJobName": "killed" }]);
    let warm = json!({ "ParentHyperParameterTuningJobs": parents, "WarmStartType": "IdenticalDataAndAlgorithm" });
    let job = finished(&server, "again", kinds(&["quick"]), json!({ "WarmStartConfig": warm })).await;
    assert_eq!(job["OverallBestTrainingJob"]["TuningJobName"], "again");
    server.terminate().await;
}
