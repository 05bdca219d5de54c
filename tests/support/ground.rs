//! A moto with what `unspsc` needs of AWS beside SageMaker, and a folder to work in.

#![allow(dead_code, reason = "each test file needs some of them")]

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::stacks::{BUCKET, Stacks, between, program};
use crate::support::{texts, unspsc};

pub(crate) const DEPLOY: [&str; 6] = ["lambda", "deploy", "--endpoint", "catalogue", "--package", "bootstrap"];

pub(crate) struct Ground {
    pub(crate) stacks: Stacks,
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self { stacks: Stacks::start(None), folder: tempfile::tempdir().unwrap() }
    }

    /// The same with the stack of bucket and role, an endpoint of somebody else's, and a program for the Lambda.
    pub(crate) fn with_endpoint() -> Self {
        let ground = Self::new();
        ground.does(&["infra", "up", "--yes"]);
        ground.stacks.endpoint("catalogue", "other", false);
        ground.program("one");
        ground.stacks.take();
        ground
    }

    /// Makes a program for arm64 as far as its head goes.
    pub(crate) fn program(&self, text: &str) {
        fs::write(self.folder.path().join("bootstrap"), program(183, text)).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = unspsc(words);
        command.args(["--endpoint-url", &self.stacks.url]).current_dir(&self.folder);
        command
    }

    /// Its exit code, standard output and standard error.
    pub(crate) fn says(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let (out, err) = texts(&output);
        (output.status.code().unwrap(), out, err)
    }

    /// What it says, where it succeeds.
    pub(crate) fn does(&self, words: &[&str]) -> (String, String) {
        let (code, out, err) = self.says(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        (out, err)
    }

    /// What it says, where it fails.
    pub(crate) fn fails(&self, words: &[&str], says: &str) -> String {
        let (code, out, err) = self.says(words);
        assert!(code == 1 && err.contains(says), "`{says}` is not said: {out}{err}");
        err
    }

    /// `lambda deploy` with further words.
    pub(crate) fn deploys(&self, words: &[&str]) -> (String, String) {
        self.does(&[&DEPLOY[..], &["--yes"], words].concat())
    }

    /// What `lambda deploy` is refused with.
    pub(crate) fn deploy_fails(&self, words: &[&str], says: &str) -> String {
        self.fails(&[&DEPLOY[..], &["--yes"], words].concat(), says)
    }

    pub(crate) fn planned(&self, words: &[&str]) -> Vec<Value> {
        let (out, _) = self.does(&[&["plan", "--json"], &DEPLOY[..], words].concat());
        serde_json::from_str(&out).unwrap()
    }

    /// Puts an object into the stack's bucket.
    pub(crate) fn put(&self, key: &str) {
        let (status, answer) = self.stacks.ask("s3", "PUT", &format!("/{BUCKET}/{key}"), "abc");
        assert_eq!(status, 200, "{answer}");
    }

    /// The version that the alias leads to.
    pub(crate) fn live(&self) -> String {
        let answer = self.stacks.ask("lambda", "GET", "/2015-03-31/functions/unspsc-classify/aliases/live", "").1;
        serde_json::from_str::<Value>(&answer).unwrap()["FunctionVersion"].as_str().unwrap().to_owned()
    }

    pub(crate) fn configuration(&self, qualifier: &str) -> Value {
        let path = format!("/2015-03-31/functions/unspsc-classify/configuration?Qualifier={qualifier}");
        serde_json::from_str(&self.stacks.ask("lambda", "GET", &path, "").1).unwrap()
    }

    /// A parameter of the stack before the endpoint.
    pub(crate) fn parameter(&self, key: &str) -> String {
        let described = self.stacks.cloudformation("Action=DescribeStacks&StackName=unspsc-front");
        let rest = between(&described, &format!("<ParameterKey>{key}</ParameterKey>"), "</member>").to_owned();
        between(&rest, "<ParameterValue>", "</ParameterValue>").to_owned()
    }
}
