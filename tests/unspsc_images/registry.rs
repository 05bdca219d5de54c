//! A real registry, Debian's `docker-registry`, that asks for a password as ECR does.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The user of ECR's tokens.
pub(crate) const USER: &str = "AWS";
pub(crate) const PASSWORD: &str = "test-password";
/// The line of an `htpasswd` file for these two.
const ENTRY: &str = "AWS:$2b$04$abcdefghijklmnopqrstuuobFaEJANklW4I6zZpcLRbXjrME4Qa2m\n";
/// Forms of manifests that a client has to say it takes.
const FORMS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";

/// A registry that ends with the test.
pub(crate) struct Registry {
    process: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Registry {
    /// Starts one that keeps everything in `folder`; nothing where the program is not there.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: no docker-registry, which is a package of Debian");
            return None;
        };
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("htpasswd"), ENTRY).unwrap();
        let place = folder.display();
        let settings = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: '{place}/data' }} }}\nhttp: {{ addr: '127.0.0.1:0' }}\n\
             auth: {{ htpasswd: {{ realm: test, path: '{place}/htpasswd' }} }}\n"
        );
        std::fs::write(folder.join("settings.yml"), settings).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(folder.join("settings.yml")).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.find(|line| line.contains("listening on ")).unwrap();
        let (_, address) = listening.split_once("listening on ").unwrap();
        let address = address.split('"').next().unwrap().to_owned();
        // It goes on saying what it does.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, address })
    }

    /// Digest and form of what has `tag` in `repository`.
    pub(crate) async fn manifest(address: &str, repository: &str, tag: &str) -> Option<(String, String)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.head(format!("http://{address}/v2/{repository}/manifests/{tag}"));
        let answer = asked.basic_auth(USER, Some(PASSWORD)).header("accept", FORMS).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        answer.status().is_success().then(|| (header("docker-content-digest"), header("content-type")))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the program is: on the path, or where scripts/test has put it.
fn program() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/docker/root/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([fetched]);
    folders.map(|folder| folder.join("docker-registry")).find(|program| program.is_file())
}
