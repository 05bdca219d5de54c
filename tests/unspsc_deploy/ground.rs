//! A platform with models in its bucket, seen through its own API.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stand_in;
use crate::support::{texts, unspsc};

/// Far above what anything here takes; only a hang meets it.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// The bucket of `unspsc` on this machine.
pub(crate) const BUCKET: &str = "unspsc-local";
/// Models by what they do: two that serve, one that fails on everything, one that never answers, one that does not come up.
const MODELS: [&str; 5] = ["one", "two", "bad", "mute", "dead"];
/// The stand-in for `train` scores each of its trials, unless its folder says that it is to fail.
const TRAIN: &str = "#!/bin/sh\ncd \"$SAGEMAKER_BASE_DIR\" || exit 1\n\
                     grep -q endless input/config/hyperparameters.json && exec sleep 1000\n\
                     grep -q failing input/config/hyperparameters.json && exit 1\n\
                     mkdir -p model && printf one > model/behaviour && echo 'score=0.5;'\n";

/// A running platform; it takes everything with it when it is dropped.
pub(crate) struct Ground {
    folder: TempDir,
    server: Child,
    pub(crate) url: String,
    /// Kept open: it has more to say.
    _said: Lines<BufReader<std::process::ChildStdout>>,
}

impl Ground {
    /// A platform that things go wrong with as `faults` say.
    pub(crate) fn new(faults: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("serve", stand_in::serve()), ("train", TRAIN.to_owned())] {
            fs::write(folder.path().join(name), text).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let bucket = folder.path().join("state/s3").join(BUCKET);
        fs::create_dir_all(&bucket).unwrap();
        for model in MODELS {
            let behaviour = folder.path().join(model);
            fs::create_dir_all(&behaviour).unwrap();
            fs::write(behaviour.join("behaviour"), model).unwrap();
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(&behaviour).arg("-czf").arg(bucket.join(format!("{model}.tar.gz"))).arg("behaviour");
            assert!(tar.status().unwrap().success());
        }
        let program = Path::new(env!("CARGO_BIN_EXE_unspsc")).with_file_name("sagemaker-local");
        assert!(program.is_file(), "{} is missing: run `cargo build --release` first", program.display());
        let mut server = Command::new(program);
        server.current_dir(&folder).args(["--state", "state", "--port", "0", "--log", "error,s3s=off,s3s_fs=off"]);
        server.args(["--serve", "./serve", "--train", "./train", "--stop-grace-secs", "1"]);
        server.args(faults.iter().flat_map(|fault| ["--fault", fault]));
        let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        let address =
            |line: io::Result<String>| line.unwrap().strip_prefix("export AWS_ENDPOINT_URL=").map(str::to_owned);
        let url = said.find_map(address).unwrap();
        Self { folder, server, url, _said: said }
    }

    /// `unspsc` with these arguments, on the platform at `url`.
    pub(crate) fn unspsc_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = unspsc(arguments);
        command.args(["--endpoint-url", url]).current_dir(&self.folder);
        command
    }

    /// Exit code, standard output and standard error of `unspsc` with these arguments.
    pub(crate) fn unspsc(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.unspsc_at(&self.url, arguments).output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), out, err)
    }

    /// The arguments that deploy a model as endpoint `e`.
    pub(crate) fn deploying<'a>(artifact: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["deploy", "--endpoint", "e", "--artifact", artifact], more].concat()
    }

    /// Deploys `model` as endpoint `e`.
    pub(crate) fn deploy(&self, model: &str, more: &[&str]) -> (i32, String, String) {
        self.unspsc(&Self::deploying(&artifact(model), more))
    }

    /// Puts the archive of one model in the place of another's.
    pub(crate) fn overwrite(&self, model: &str, by: &str) {
        let bucket = self.folder.path().join("state/s3").join(BUCKET);
        fs::copy(bucket.join(format!("{by}.tar.gz")), bucket.join(format!("{model}.tar.gz"))).unwrap();
    }

    /// An operation of a JSON protocol, such as `SageMaker.ListModels`: the answer, or the refusal.
    pub(crate) fn ask(&self, target: &str, request: &Value) -> Result<Value, Value> {
        let (status, answer) = post(&self.url, "/", target, &request.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        if status == 200 { Ok(answer) } else { Err(answer) }
    }

    /// An operation of SageMaker that must succeed.
    pub(crate) fn sagemaker(&self, operation: &str, request: &Value) -> Value {
        self.ask(&format!("SageMaker.{operation}"), request).unwrap()
    }

    /// The description of endpoint `e`.
    pub(crate) fn endpoint(&self) -> Value {
        self.sagemaker("DescribeEndpoint", &json!({ "EndpointName": "e" }))
    }

    /// The description of the configuration that endpoint `e` has.
    pub(crate) fn config(&self) -> Value {
        self.sagemaker(
            "DescribeEndpointConfig",
            &json!({ "EndpointConfigName": self.endpoint()["EndpointConfigName"] }),
        )
    }

    /// The artifact of the model that endpoint `e` serves.
    pub(crate) fn served(&self) -> String {
        let model = self.config()["ProductionVariants"][0]["ModelName"].clone();
        let model = self.sagemaker("DescribeModel", &json!({ "ModelName": model }));
        model["PrimaryContainer"]["ModelDataUrl"].as_str().unwrap().to_owned()
    }

    /// The tags of endpoint `e`, as `KEY=VALUE`.
    pub(crate) fn tags(&self) -> Vec<String> {
        let tags = self.sagemaker("ListTags", &json!({ "ResourceArn": self.endpoint()["EndpointArn"] }));
        let text = |tag: &Value| format!("{}={}", tag["Key"].as_str().unwrap(), tag["Value"].as_str().unwrap());
        tags["Tags"].as_array().unwrap().iter().map(text).collect()
    }

    /// What scales: targets with their limits, and policies with their targets.
    pub(crate) fn scaling(&self) -> Vec<String> {
        let all = json!({ "ServiceNamespace": "sagemaker" });
        let targets = self.ask("AnyScaleFrontendService.DescribeScalableTargets", &all).unwrap();
        let policies = self.ask("AnyScaleFrontendService.DescribeScalingPolicies", &all).unwrap();
        let target = |target: &Value| {
            format!("{} {} to {}", target["ResourceId"].as_str().unwrap(), target["MinCapacity"], target["MaxCapacity"])
        };
        let policy = |policy: &Value| {
            let value = &policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"];
            format!("{} {value}", policy["PolicyName"].as_str().unwrap())
        };
        let targets = targets["ScalableTargets"].as_array().unwrap().iter().map(target);
        targets.chain(policies["ScalingPolicies"].as_array().unwrap().iter().map(policy)).collect()
    }

    /// Names of all endpoints, configurations and models.
    pub(crate) fn names(&self) -> [Vec<String>; 3] {
        let kinds = [
            ("ListEndpoints", "Endpoints", "EndpointName"),
            ("ListEndpointConfigs", "EndpointConfigs", "EndpointConfigName"),
            ("ListModels", "Models", "ModelName"),
        ];
        kinds.map(|(operation, list, name)| {
            let answer = self.sagemaker(operation, &json!({ "MaxResults": 100 }));
            answer[list].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
        })
    }

    /// Makes sure that nothing is left of any endpoint.
    pub(crate) fn assert_bare(&self, when: &str) {
        assert_eq!(self.names().concat(), Vec::<String>::new(), "{when}");
        assert_eq!(self.scaling(), Vec::<String>::new(), "{when}");
    }

    /// Makes sure that there is endpoint `e` with one configuration and one model, and no more.
    pub(crate) fn assert_tidy(&self, model: &str, when: &str) {
        let names = self.names();
        assert_eq!(names.each_ref().map(Vec::len), [1, 1, 1], "{when}: {names:?}");
        assert_eq!(self.served(), artifact(model), "{when}");
        assert_eq!(self.endpoint()["EndpointStatus"], "InService", "{when}");
        assert!(!self.tags().iter().any(|tag| tag.starts_with("unspsc:former")), "{when}: {:?}", self.tags());
    }

    /// Leaves an upload in parts as one that was killed does.
    pub(crate) fn begin_upload(&self, key: &str) {
        self.s3(async |s3| {
            let begun = s3.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
            let part = s3.upload_part().bucket(BUCKET).key(key).set_upload_id(begun.upload_id).part_number(1);
            part.body(b"some bytes".to_vec().into()).send().await.unwrap();
        });
    }

    /// Keys of uploads in parts that were neither completed nor aborted.
    pub(crate) fn uploads(&self) -> Vec<String> {
        self.s3(async |s3| {
            let uploads = s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
            uploads.uploads().iter().map(|upload| upload.key().unwrap().to_owned()).collect()
        })
    }

    fn s3<T>(&self, work: impl AsyncFnOnce(Client) -> T) -> T {
        let config = aws_sdk_s3::Config::builder().behavior_version_latest().region(Region::new("us-east-1"));
        let config = config.endpoint_url(&self.url).force_path_style(true);
        let config = config.credentials_provider(Credentials::new("local", "local", None, None, "test"));
        let config = config.http_client(aws_smithy_http_client::Builder::new().build_http()).build();
        tokio::runtime::Runtime::new().unwrap().block_on(work(Client::from_conf(config)))
    }

    /// Puts the platform's clock ahead.
    pub(crate) fn advance(&self, seconds: u32) {
        let body = json!({ "AdvanceInSeconds": seconds }).to_string();
        assert_eq!(post(&self.url, "/_local/clock", "", &body).0, 200);
    }

    /// Objects below `prefix` of the bucket.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join("state/s3").join(BUCKET).join(prefix);
        let mut folders = vec![folder];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // In order, so that no child of its children is left.
        let _ = Command::new("kill").args(["-TERM", &self.server.id().to_string()]).status();
        let begin = Instant::now();
        while begin.elapsed() < LIMIT && self.server.try_wait().is_ok_and(|over| over.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where a model lies.
pub(crate) fn artifact(model: &str) -> String {
    format!("s3://{BUCKET}/{model}.tar.gz")
}

/// Status and body of the answer to a POST.
fn post(url: &str, path: &str, target: &str, body: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nx-amz-target: {target}\r\nconnection: close\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=local/x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Starts `command` and reads what it says on standard error until a line has `words` in it.
pub(crate) fn until(command: &mut Command, words: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let is_said =
        lines.by_ref().map(Result::unwrap).inspect(|line| said.push(line.clone())).any(|line| line.contains(words));
    assert!(is_said, "`{words}` was not said: {said:#?}");
    (child, lines)
}

/// What `child` says on standard error from now on, and its exit code; `meanwhile` is done again and again until its end.
pub(crate) fn rest(
    mut child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    meanwhile: impl Fn(),
) -> (Option<i32>, String) {
    let reader = std::thread::spawn(move || lines.map(Result::unwrap).collect::<Vec<_>>().join("\n"));
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < LIMIT, "unspsc did not end");
        meanwhile();
        std::thread::sleep(Duration::from_millis(50));
    }
    (child.wait().unwrap().code(), reader.join().unwrap())
}
