//! Clients that are not ours: boto3 with botocore's model of the services, and the AWS CLI.

use std::process::Command;

use crate::python::python;
use crate::server::{Place, Server};
use crate::stand_in;

/// Prints two values of a metric and ends; sleeps instead if its hyperparameters say so.
const TRAIN: &str = r#"
cd "$SAGEMAKER_BASE_DIR"
echo "train:loss=2.5;"
echo "train:loss=1.25;"
grep -q sleep input/config/hyperparameters.json && exec sleep 600
cp input/data/train/rows.csv model/weights"#;

/// Python with the packages, as a client of the server.
fn client(server: &Server, script: Option<&str>) -> Command {
    let mut command = python(script);
    command.envs([("AWS_ENDPOINT_URL", server.url.as_str()), ("AWS_DEFAULT_REGION", "us-east-1")]);
    command.envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")]);
    command
}

async fn output(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{}\n{}", texts[0], texts[1]);
    texts[0].clone()
}

async fn aws(server: &Server, arguments: &[&str]) -> String {
    let mut command = client(server, None);
    command.args(["-m", "awscli"]).args(arguments).args(["--output", "json"]);
    output(command).await
}

#[tokio::test]
async fn boto3_goes_through_a_whole_session_and_finds_every_answer_as_aws_would_give_it() {
    let place = Place::new(TRAIN, &stand_in::serve());
    let server = place.start();
    let words = output(client(&server, Some("session.py"))).await;
    assert!(words.starts_with("judged ") && words.contains("sagemaker:UpdateEndpoint"), "{words}");
    server.terminate().await;
}

#[tokio::test]
async fn the_aws_cli_trains_deploys_and_asks() {
    let place = Place::new(TRAIN, &stand_in::serve());
    let server = place.start();
    let folder = place.folder.path();
    std::fs::write(folder.join("rows.csv"), "description,unspsc\npens,44121701\n").unwrap();
    let file = folder.join("rows.csv").display().to_string();
    aws(&server, &["s3", "mb", "s3://shell-bucket"]).await;
    aws(&server, &["s3", "cp", &file, "s3://shell-bucket/in/rows.csv"]).await;
    aws(
        &server,
        &[
            "sagemaker",
            "create-training-job",
            "--training-job-name",
            "job",
            "--algorithm-specification",
            "TrainingImage=train:latest,TrainingInputMode=File",
            "--role-arn",
            "arn:aws:iam::000000000000:role/local",
            "--input-data-config",
            r#"[{"ChannelName":"train","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix","S3Uri":"s3://shell-bucket/in/"}}}]"#,
            "--output-data-config",
            "S3OutputPath=s3://shell-bucket/out",
            "--resource-config",
            "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=5",
            "--stopping-condition",
            "MaxRuntimeInSeconds=3600",
        ],
    ).await;
    server.finished_job("job").await;
    aws(&server, &["sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "job"]).await;
    let model = "ModelDataUrl=s3://shell-bucket/out/job/output/model.tar.gz,Image=serve:latest";
    let role = "arn:aws:iam::000000000000:role/local";
    aws(
        &server,
        &["sagemaker", "create-model", "--model-name", "m", "--primary-container", model, "--execution-role-arn", role],
    )
    .await;
    let variant = "VariantName=v,ModelName=m,InitialInstanceCount=1,InstanceType=ml.m5.large";
    aws(
        &server,
        &["sagemaker", "create-endpoint-config", "--endpoint-config-name", "c", "--production-variants", variant],
    )
    .await;
    aws(&server, &["sagemaker", "create-endpoint", "--endpoint-name", "e", "--endpoint-config-name", "c"]).await;
    server.endpoint_when_made("e").await;
    let answer = folder.join("answer").display().to_string();
    let body = ["--body", "hello"];
    aws(
        &server,
        &[["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "e"].as_slice(), &body, &[&answer]].concat(),
    )
    .await;
    assert_eq!(std::fs::read_to_string(folder.join("answer")).unwrap(), "hello");
    let listed: serde_json::Value =
        serde_json::from_str(&aws(&server, &["sagemaker", "list-endpoints"]).await).unwrap();
    assert_eq!(listed["Endpoints"][0]["EndpointStatus"], "InService");
    aws(&server, &["sagemaker", "delete-endpoint", "--endpoint-name", "e"]).await;
    server.terminate().await;
}
