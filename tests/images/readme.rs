//! README's section on Docker, typed word for word.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::container::images;
use crate::docker_engine::docker;

/// The lines after `$ ` of all blocks of a section.
fn commands(section: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let start = readme.find(&format!("\n## {section}\n")).unwrap();
    let rest = &readme[start + 4..];
    let section = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
    let mut lines = section.lines().peekable();
    let mut commands = Vec::new();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut command = command.to_owned();
        // A line that goes on.
        while command.ends_with('\\') {
            command.push('\n');
            command.push_str(lines.next().unwrap());
        }
        commands.push(command);
    }
    commands
}

/// Removes the server of a failed run.
struct Cleaned(String);

impl Drop for Cleaned {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

#[test]
fn what_readme_says_of_docker_is_so() {
    let Some(images) = images() else { return };
    let commands = commands("Docker");
    let (begun, commands) = commands.split_at(2);
    assert_eq!(begun, ["scripts/setup encoder", "scripts/build-images"], "both were done by scripts/test");
    // The checkout is read; what is written goes elsewhere. Nobody else may have the port or the name.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("data"), folder.path().join("data")).unwrap();
    let encoder = folder.path().join(".deps/encoder");
    fs::create_dir_all(&encoder).unwrap();
    std::os::unix::fs::symlink(crate::encoder(), encoder.join("all-MiniLM-L6-v2")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let name = format!("unspsc-readme-{port}");
    let _cleaned = Cleaned(name.clone());
    let said: Vec<String> = commands
        .iter()
        .map(|command| {
            let own = command.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            let own =
                own.replace("--name unspsc ", &format!("--name {name} ")).replace("30 unspsc", &format!("30 {name}"));
            let own = own.replace(" unspsc-train-cpu ", &format!(" {} ", images.train));
            let own = own.replace(" unspsc-serve ", &format!(" {} ", images.serve));
            let output = Command::new("bash").args(["-ec", &own]).current_dir(&folder).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{own}: {said}");
            said
        })
        .collect();
    let of = |word: &str| {
        let place = commands.iter().position(|command| command.contains(word)).unwrap();
        said[place].as_str()
    };
    assert!(of("unspsc-train-cpu").contains("balanced_accuracy="));
    let answer: serde_json::Value = serde_json::from_str(of("/invocations")).unwrap();
    assert!(answer["label"].is_string() && answer["path"].is_array(), "{answer}");
    assert!(
        docker(&["ps", "--quiet", "--filter", &format!("name={name}")]).unwrap().is_empty(),
        "it has stopped and gone"
    );
}
