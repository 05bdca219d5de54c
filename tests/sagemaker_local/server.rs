//! A `sagemaker-local` process and its client.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far above what anything here takes; only a hang meets it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
const STOP_GRACE: &str = "SAGEMAKER_LOCAL_STOP_GRACE_SECS";
/// A bucket that every server has.
pub(crate) const BUCKET: &str = "test-bucket";

/// A running server; killed when dropped, and its children with it.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    client: reqwest::Client,
}

/// A state folder and the programs that a server is to run.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    train: PathBuf,
    serve: PathBuf,
}

impl Place {
    /// A folder whose bucket holds one CSV file; `train` and `serve` are bodies of shell scripts.
    pub(crate) fn new(train: &str, serve: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { train: folder.path().join("train"), serve: folder.path().join("serve"), folder };
        script(&place.train, train);
        script(&place.serve, serve);
        fs::create_dir_all(place.object("in")).unwrap();
        fs::write(place.object("in/rows.csv"), "description,unspsc\npens,44121701\n").unwrap();
        place
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The file of an object in the bucket.
    pub(crate) fn object(&self, key: &str) -> PathBuf {
        self.state().join("s3").join(BUCKET).join(key)
    }

    /// Puts an archive with the file `weights` into the bucket as `model.tar.gz`.
    pub(crate) fn pack_model(&self) {
        let model = self.folder.path().join("model");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("weights"), "the weights").unwrap();
        let packed =
            Command::new("tar").arg("-C").arg(&model).arg("-czf").arg(self.object("model.tar.gz")).arg(".").status();
        assert!(packed.unwrap().success());
    }

    /// The server's command; whatever is stopped has one second, an endpoint `ping_limit_secs` to start.
    pub(crate) fn command(&self, ping_limit_secs: u64) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagemaker-local"));
        command.args(["--port", "0", "--log", "warn,s3s=off"]).env(STOP_GRACE, "1");
        command.arg("--state").arg(self.state());
        command.arg("--train").arg(&self.train).arg("--serve").arg(&self.serve);
        command.arg("--ping-limit-secs").arg(ping_limit_secs.to_string());
        command
    }

    pub(crate) fn start(&self) -> Server {
        self.start_with_ping_limit(LIMIT.as_secs())
    }

    pub(crate) fn start_with_ping_limit(&self, secs: u64) -> Server {
        Self::started(self.command(secs))
    }

    /// A server whose jobs and endpoints have SageMaker's own time to end.
    pub(crate) fn start_patient(&self) -> Server {
        let mut command = self.command(LIMIT.as_secs());
        command.env_remove(STOP_GRACE);
        Self::started(command)
    }

    /// A server that things go wrong with.
    pub(crate) fn start_with_faults(&self, faults: &[&str]) -> Server {
        let mut command = self.command(LIMIT.as_secs());
        for fault in faults {
            command.args(["--fault", fault]);
        }
        Self::started(command)
    }

    fn started(mut command: Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().expect("the server ended before it listened");
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap().trim_end_matches(',');
        let url = url.to_owned();
        // The export lines are read too, so that the server never writes into a closed pipe.
        assert!(lines.take(4).all(|line| line.starts_with("export AWS_")));
        Server { process, url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }
}

impl Server {
    /// An operation of a JSON protocol: the status and the answer.
    pub(crate) async fn call(&self, target: &str, body: Value) -> (u16, Value) {
        let request = self.post("/").header("x-amz-target", target).body(body.to_string());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// An operation of SageMaker that must succeed.
    pub(crate) async fn sagemaker(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(&format!("SageMaker.{operation}"), body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// An operation of SageMaker that must be refused: the code and the message.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        let (status, answer) = self.call(&format!("SageMaker.{operation}"), body).await;
        assert_eq!(status, 400, "{operation}: {answer}");
        (answer["__type"].as_str().unwrap().to_owned(), answer["message"].as_str().unwrap().to_owned())
    }

    /// A POST signed by the right key; the JSON services look no further.
    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let key = "AWS4-HMAC-SHA256 Credential=local/20261122/us-east-1/sagemaker/aws4_request, Signature=0";
        self.client.post(format!("{}{path}", self.url)).header("authorization", key)
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Starts a training job on the bucket's file, with `changes` to the request.
    pub(crate) async fn start_job(&self, name: &str, changes: Value) {
        let mut request = json!({
            "TrainingJobName": name,
            "RoleArn": "arn:aws:iam::000000000000:role/local",
            "AlgorithmSpecification": {
                "TrainingImage": "train:latest",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{ "Name": "train:loss", "Regex": "train:loss=([0-9eE.+-]+);" }],
            },
            "HyperParameters": { "epochs": "2" },
            "InputDataConfig": [{
                "ChannelName": "training",
                "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": format!("s3://{BUCKET}/in/") } },
            }],
            "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/out") },
            "ResourceConfig": { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5 },
            "StoppingCondition": { "MaxRuntimeInSeconds": 3600 },
        });
        request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.sagemaker("CreateTrainingJob", request).await;
    }

    /// The description of a job once it is no longer under way.
    pub(crate) async fn finished_job(&self, name: &str) -> Value {
        self.job_when(name, |job| !["InProgress", "Stopping"].contains(&job["TrainingJobStatus"].as_str().unwrap()))
            .await
    }

    /// The description of a job once `ready` accepts it.
    pub(crate) async fn job_when(&self, name: &str, ready: impl Fn(&Value) -> bool) -> Value {
        self.poll("DescribeTrainingJob", json!({ "TrainingJobName": name }), ready).await
    }

    /// The description of an endpoint once it is no longer being made.
    pub(crate) async fn endpoint_when_made(&self, name: &str) -> Value {
        let made = |endpoint: &Value| endpoint["EndpointStatus"] != "Creating";
        self.poll("DescribeEndpoint", json!({ "EndpointName": name }), made).await
    }

    /// The description of an endpoint once `ready` accepts it.
    pub(crate) async fn endpoint_when(&self, name: &str, ready: impl Fn(&Value) -> bool) -> Value {
        self.poll("DescribeEndpoint", json!({ "EndpointName": name }), ready).await
    }

    /// Puts the server's clock ahead.
    pub(crate) async fn advance(&self, seconds: u64) {
        let request = self.post("/_local/clock").body(json!({ "AdvanceInSeconds": seconds }).to_string());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// The refusal to describe an endpoint, once its deletion is through.
    pub(crate) async fn deleted_endpoint(&self, name: &str) -> (String, String) {
        let request = json!({ "EndpointName": name });
        let asking = async {
            while self.call("SageMaker.DescribeEndpoint", request.clone()).await.0 == 200 {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(LIMIT, asking).await.unwrap();
        self.refused("DescribeEndpoint", request).await
    }

    /// Asks until `ready` accepts the answer.
    pub(crate) async fn poll(&self, operation: &str, body: Value, ready: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.sagemaker(operation, body.clone()).await;
                if ready(&answer) {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("{operation} {body} never got there"))
    }

    /// SIGKILL, as the kernel does when memory runs out.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; returns once the server has ended well.
    pub(crate) async fn terminate(self) {
        self.signal(Signal::SIGTERM);
        assert!(self.ended().await.success());
    }

    /// Sends the server `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
    }

    /// How the server ended, once it has.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        until("the server ends", || self.process.try_wait().unwrap().is_some()).await;
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `true_now` holds.
pub(crate) async fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    let waiting = async {
        while !true_now() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// The process id that a stand-in wrote to `path`.
pub(crate) async fn pid(path: &Path) -> i32 {
    let read = || fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    until("a stand-in writes its process id", || read().is_some()).await;
    read().unwrap()
}

/// True unless the process has ended; one that only waits for its parent to take note has.
pub(crate) fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until the process has ended.
pub(crate) async fn gone(pid: i32) {
    until("a child ends", || !runs(pid)).await;
}

fn script(path: &Path, body: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
    // Written by another process: a file that this one writes cannot run while a fork of another test holds it.
    assert!(Command::new("install").arg("-m755").arg(draft).arg(path).status().unwrap().success());
}
