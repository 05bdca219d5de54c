//! New endpoints of every kind, and deployments that are repeated.

use serde_json::json;

use crate::ground::{BUCKET, Ground, artifact};

const VARIANT: &str = "endpoint/e/variant/AllTraffic";

#[test]
fn a_new_endpoint_answers_scales_and_is_left_alone_the_second_time() {
    let ground = Ground::new(&[]);
    let load = ["--peak-calls-per-minute", "120"];
    let (code, out, err) = ground.deploy("one", &load);
    assert!(code == 0 && out == "e\n", "{err}");
    assert!(err.contains("smoke test: \"toner cartridge magenta\" is one"), "{err}");
    assert!(err.contains("1 to 4 instances, so that each gets 25 invocations a minute, one every 2.4 s"), "{err}");
    assert!(err.contains("120 calls a minute need 5 instances, and 4 bear 100: pass --max-instances 5"), "{err}");
    ground.assert_tidy("one", "after the first deployment");
    assert_eq!(ground.scaling(), [format!("{VARIANT} 1 to 4"), "e-invocations 25.0".to_owned()]);
    assert!(ground.tags().contains(&"unspsc:managed-by=unspsc".to_owned()), "{:?}", ground.tags());

    let before = ground.endpoint();
    let (code, out, _) = ground.unspsc(&[&["plan"], Ground::deploying(&artifact("one"), &[]).as_slice()].concat());
    assert!(code == 0 && out == "nothing to change\n", "{out}");
    let (code, _, err) = ground.deploy("one", &[]);
    assert!(code == 0 && err.contains("smoke test"), "{err}");
    assert_eq!(ground.endpoint(), before);

    let (code, _, err) = ground.deploy("one", &["--scale-by", "concurrency", "--max-instances", "3"]);
    assert!(code == 0 && err.contains("5 invocations under way, which is 300 a minute if one takes a second"), "{err}");
    assert_eq!(ground.scaling(), [format!("{VARIANT} 1 to 3"), "e-concurrency 5.0".to_owned()], "one policy alone");
    let (code, _, err) = ground.deploy("one", &["--min-instances", "3", "--max-instances", "2"]);
    assert!(code == 1 && err.contains("--min-instances 3 is more than --max-instances 2"), "{err}");
}

#[test]
fn a_new_endpoint_that_does_not_answer_or_come_up_is_taken_down() {
    let ground = Ground::new(&[]);
    let (code, _, err) = ground.deploy("none", &[]);
    assert!(code == 1 && err.contains("there is no archive s3://unspsc-local/none.tar.gz"), "{err}");
    assert!(!err.contains("taking down"), "nothing was made: {err}");
    let (code, out, err) = ground.deploy("bad", &[]);
    assert!(code == 1 && out.is_empty(), "{err}");
    assert!(err.contains("endpoint e failed the smoke test") && err.contains("out of order"), "{err}");
    assert!(err.contains("endpoint e is taken down"), "{err}");
    ground.assert_bare("after a smoke test that failed");
    let (code, _, err) = ground.deploy("dead", &[]);
    assert!(code == 1 && err.contains("endpoint e is Failed: ") && err.contains("logs e"), "{err}");
    ground.assert_bare("after a container that did not come up");
    let (code, _, err) = ground.unspsc(&["logs", "e"]);
    assert!(code == 0 && err.contains("e is not there any more; this is what it has logged"), "{err}");
    let (code, _, err) = ground.unspsc(&["logs", "e", "--follow"]);
    assert_eq!(code, 0, "nothing is to come: {err}");
    let (code, _, err) = ground.unspsc(&["logs", "f"]);
    assert!(code == 1 && err.contains("no job and no endpoint named f"), "{err}");
}

#[test]
fn a_serverless_endpoint_has_no_instances_and_no_policy() {
    let ground = Ground::new(&[]);
    let load = ["--peak-calls-per-minute", "600"];
    let (code, _, err) =
        ground.deploy("one", &[&["--serverless", "--serverless-memory-mb", "2048"][..], &load].concat());
    assert!(err.contains("10 at a time if one takes a second, and 5 are taken"), "{err}");
    assert!(code == 0 && err.contains("smoke test") && err.contains("serverless: it scales by itself"), "{err}");
    let variant = &ground.config()["ProductionVariants"][0];
    assert_eq!(variant["ServerlessConfig"], json!({ "MemorySizeInMB": 2048, "MaxConcurrency": 5 }));
    assert_eq!(ground.scaling(), Vec::<String>::new());
    // To instances, which scale, and back.
    assert_eq!(ground.deploy("one", &[]).0, 0);
    assert_eq!(ground.scaling().len(), 2);
    let (code, _, err) = ground.deploy("one", &["--serverless"]);
    assert!(code == 0, "{err}");
    assert_eq!(ground.scaling(), Vec::<String>::new());
    ground.assert_tidy("one", "after two changes of kind");
    for (more, words) in [
        (["--serverless", "--async"].as_slice(), "exclude each other"),
        (&["--serverless", "--rollout", "canary"], "updated all at once"),
        (&["--rollout", "linear", "--rollout-percent", "5"], "10 to 50 percent"),
    ] {
        let (code, _, err) = ground.deploy("two", more);
        assert!(code == 1 && err.contains(words), "{more:?}: {err}");
    }
    let (code, _, err) = ground.deploy("two", &["--serverless", "--serverless-memory-mb", "1500"]);
    assert!(code == 2 && err.contains("1024, 2048, 3072, 4096, 5120, 6144"), "{err}");
}

#[test]
fn an_asynchronous_endpoint_is_tested_through_the_bucket_and_scales_by_its_backlog() {
    let ground = Ground::new(&[]);
    let (code, _, err) = ground.deploy("one", &["--async", "--async-concurrency", "2"]);
    assert!(code == 0 && err.contains("is one") && err.contains("so that 5 requests wait or are under way"), "{err}");
    let config = &ground.config()["AsyncInferenceConfig"];
    assert_eq!(config["OutputConfig"]["S3OutputPath"], format!("s3://{BUCKET}/unspsc/e/async"));
    assert_eq!(config["ClientConfig"]["MaxConcurrentInvocationsPerInstance"], 2);
    assert_eq!(ground.scaling(), [format!("{VARIANT} 1 to 4"), "e-backlog 5.0".to_owned()]);
    assert_eq!(ground.objects("unspsc/e"), Vec::<std::path::PathBuf>::new(), "the smoke test leaves nothing");
    let (code, _, err) = ground.deploy("bad", &["--async"]);
    assert!(code == 1 && err.contains("serves its former model again"), "{err}");
    assert_eq!(ground.objects("unspsc/e"), Vec::<std::path::PathBuf>::new());
    ground.assert_tidy("one", "after an update that was taken back");
}

/// The request of a tuning job of one trial, whose stand-in does what `what` says.
fn tuning(name: &str, what: &str) -> serde_json::Value {
    json!({
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": { "Type": "Maximize", "MetricName": "score" },
            "ResourceLimits": { "MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1 },
            "ParameterRanges": { "ContinuousParameterRanges": [{ "Name": "lr", "MinValue": "0.1", "MaxValue": "1" }] },
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": { "what": what },
            "AlgorithmSpecification": {
                "TrainingImage": "train:latest",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{ "Name": "score", "Regex": "score=([0-9.]+);" }],
            },
            "RoleArn": "arn:aws:iam::000000000000:role/local",
            "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
            "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
            "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
        },
    })
}

#[test]
fn the_best_trial_of_a_tuning_job_is_deployed_and_a_job_without_one_is_named() {
    let ground = Ground::new(&[]);
    for (name, what) in [("good", "scored"), ("poor", "failing"), ("early", "endless")] {
        ground.sagemaker("CreateHyperParameterTuningJob", &tuning(name, what));
    }
    let (code, _, err) = ground.unspsc(&["deploy", "--tuning-job", "early"]);
    assert!(code == 1 && err.contains("InProgress and has no best trial: wait"), "{err}");
    for name in ["good", "poor"] {
        let described =
            || ground.sagemaker("DescribeHyperParameterTuningJob", &json!({ "HyperParameterTuningJobName": name }));
        while described()["HyperParameterTuningJobStatus"] == "InProgress" {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    let (code, _, err) = ground.unspsc(&["deploy", "--tuning-job", "poor"]);
    assert!(code == 1 && err.contains("has no best trial: tune again"), "{err}");
    let (code, _, err) = ground.unspsc(&["deploy", "--tuning-job", "none"]);
    assert!(code == 1 && err.contains("there is no tuning job none"), "{err}");
    let (code, out, err) = ground.unspsc(&["deploy", "--tuning-job", "good"]);
    assert!(code == 0 && out == "good\n" && err.contains("best trial of good: "), "{err}");
    assert_eq!(ground.names()[0], ["good"]);
}
