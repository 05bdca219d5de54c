//! `destroy`: one endpoint or everything, asked for, shown, repeated, and nothing of anybody else's.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use serde_json::{Value, json};

use crate::ground::{BUCKET, Ground, LIMIT, artifact};

/// What `destroy` names without doing it.
fn named(ground: &Ground, what: &[&str]) -> Vec<String> {
    let (code, out, err) = ground.unspsc(&[&["destroy", "--dry-run"], what].concat());
    assert_eq!(code, 0, "{err}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn an_endpoint_goes_in_the_order_that_works_and_only_when_that_was_confirmed() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let one = ["--endpoint", "e"];
    let [_, configs, models] = ground.names();
    let expected = [
        "scaling policy e-invocations of endpoint/e/variant/AllTraffic".to_owned(),
        "scalable target endpoint/e/variant/AllTraffic".to_owned(),
        "endpoint e".to_owned(),
        format!("endpoint configuration {}", configs[0]),
        format!("model {}", models[0]),
    ];
    assert_eq!(named(&ground, &one), expected);
    let (_, out, _) = ground.unspsc(&["plan", "destroy", "--endpoint", "e"]);
    let planned: Vec<&str> =
        out.lines().filter_map(|line| line.split(' ').nth(1)).filter(|word| word.starts_with('D')).collect();
    let deletes =
        ["DeleteScalingPolicy", "DeregisterScalableTarget", "DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"];
    assert_eq!(planned, deletes, "{out}");
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e"]);
    assert!(code == 1 && err.contains("confirm with --yes") && err.contains("--dry-run"), "{err}");
    ground.assert_tidy("one", "nobody has confirmed it");
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
    assert!(code == 0 && err.contains("gone: endpoint e"), "{err}");
    ground.assert_bare("after destroy");
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
    assert!(code == 0 && err.contains("nothing is there of endpoint e"), "{err}");
    assert_eq!(named(&ground, &one), ["nothing to take down"]);
    let (code, _, err) = ground.unspsc(&["destroy", "--yes"]);
    assert!(code == 2 && err.contains("--endpoint") && err.contains("--all"), "{err}");
}

#[test]
fn an_endpoint_goes_even_where_its_scaling_cannot_be_looked_at() {
    let ground = Ground::new(&["error:operation=DescribeScalingPolicies,times=100,skip=1"]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
    assert!(code == 1 && err.contains("DescribeScalingPolicies"), "{err}");
    assert_eq!(ground.names().concat(), Vec::<String>::new(), "the instances are what costs money");
}

#[test]
fn whoever_sits_at_a_terminal_is_asked() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    for (answer, code) in [("\n", 1), ("y\n", 0)] {
        let terminal = openpty(None, None).unwrap();
        let (mut screen, slave) = (File::from(terminal.master), File::from(terminal.slave));
        let mut command = ground.unspsc_at(&ground.url, &["destroy", "--endpoint", "e"]);
        command.stdin(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::from(slave)).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        // What the terminal was set up with is not the test's to keep open.
        drop(command);
        let mut seen = String::new();
        let mut bytes = [0; 4096];
        while !seen.contains("[y/N]") {
            let length = screen.read(&mut bytes).unwrap();
            seen += &String::from_utf8_lossy(&bytes[..length]);
        }
        assert!(seen.contains("scaling policy e-invocations") && seen.contains("delete all of this?"), "{seen}");
        screen.write_all(answer.as_bytes()).unwrap();
        // It says more than a terminal holds that nobody reads.
        std::thread::spawn(move || while matches!(screen.read(&mut bytes), Ok(1..)) {});
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(ground.names()[0].len(), usize::try_from(code).unwrap());
    }
}

#[test]
fn what_somebody_elses_endpoint_serves_from_stays() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    let before = ground.names();
    // Recreated in the console, say.
    ground.sagemaker("DeleteEndpoint", &json!({ "EndpointName": "e" }));
    let recreated = json!({ "EndpointName": "e", "EndpointConfigName": before[1][0] });
    let begin = Instant::now();
    while ground.ask("SageMaker.CreateEndpoint", &recreated).is_err() {
        assert!(begin.elapsed() < LIMIT, "it does not go");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
    assert!(code == 1 && err.contains(&format!("model {} stays: endpoint e", before[2][0])), "{err}");
    assert!(!err.contains("taking down endpoint e"), "{err}");
    assert_eq!(ground.names(), before);
    let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--dry-run"]);
    assert!(code == 1 && err.contains("endpoint e would still be there"), "{err}");
    let (code, _, err) = ground.unspsc(&["destroy", "--all", "--yes"]);
    assert!(code == 0 && err.contains(&format!("endpoint configuration {} stays", before[1][0])), "{err}");
    assert_eq!(ground.names(), before);
}

/// A training job that runs until it is stopped, and a model that bears no tag.
fn start_others(ground: &Ground, tags: &Value) {
    let role = "arn:aws:iam::000000000000:role/local";
    ground.sagemaker(
        "CreateTrainingJob",
        &json!({
            "TrainingJobName": "training",
            "HyperParameters": { "what": "endless" },
            "AlgorithmSpecification": { "TrainingImage": "i", "TrainingInputMode": "File" },
            "RoleArn": role,
            "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
            "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
            "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
            "Tags": tags,
        }),
    );
    let container = json!({ "Image": "i", "ModelDataUrl": artifact("one") });
    let model = json!({ "ModelName": "other", "PrimaryContainer": container, "ExecutionRoleArn": role });
    ground.sagemaker("CreateModel", &model);
}

#[test]
fn all_that_bears_the_tag_goes_and_what_is_of_others_stays() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    assert_eq!(ground.unspsc(&["deploy", "--endpoint", "f", "--artifact", &artifact("two"), "--serverless"]).0, 0);
    start_others(&ground, &json!([{ "Key": "unspsc:managed-by", "Value": "unspsc" }]));
    ground.begin_upload("unspsc/data/some/file.csv");
    ground.begin_upload("elsewhere/file.csv");
    let lines = named(&ground, &["--all"]);
    assert_eq!(lines.len(), 1 + 2 + 3 * 2 + 1, "{lines:#?}");
    assert_eq!(lines[lines.len() - 1], format!("incomplete upload to s3://{BUCKET}/unspsc/data/some/file.csv"));
    assert!(lines[0].starts_with("training job training"), "jobs are told to stop first: {lines:#?}");
    assert!(lines[1].starts_with("scaling policy"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("other")), "{lines:#?}");
    let (code, _, err) = ground.unspsc(&["destroy", "--all"]);
    assert!(code == 1 && err.contains("confirm with --yes"), "{err}");
    let objects = ground.objects("").len();
    let (code, _, err) = ground.unspsc(&["destroy", "--all", "--yes"]);
    assert!(code == 0 && err.contains("objects in the bucket"), "{err}");
    assert_eq!(ground.names(), [vec![], vec![], vec!["other".to_owned()]]);
    assert_eq!(ground.scaling(), Vec::<String>::new());
    assert!(ground.objects("").len() >= objects, "models stay, and the job has left what it had");
    let job = ground.sagemaker("DescribeTrainingJob", &json!({ "TrainingJobName": "training" }));
    assert_eq!(job["TrainingJobStatus"], "Stopped");
    assert_eq!(named(&ground, &["--all"]), ["nothing to take down"]);
    assert_eq!(ground.uploads(), ["elsewhere/file.csv"]);
}
