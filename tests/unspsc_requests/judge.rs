//! `tests/clients/judge.py`, which knows botocore's model of the services.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::python::python;

/// The judge, who sits until this is dropped.
pub(crate) struct Judge {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let mut process = python(Some("judge.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    /// What there is to say of these requests, of the plan for them, and of those that were made for the plan.
    pub(crate) fn hears(&mut self, requests: &[Value], plan: Option<&Value>, looked: &[Value]) -> Value {
        let given = json!({ "requests": requests, "plan": plan, "looked": looked });
        writeln!(self.process.stdin.as_mut().unwrap(), "{given}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("the judge has ended: {answer}"))
    }

    /// What there is to say against one request.
    pub(crate) fn faults(&mut self, request: &Value, plan: Option<&Value>) -> String {
        let answer = self.hears(std::slice::from_ref(request), plan, &[]);
        let faults = answer["faults"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap());
        faults.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // Its input ends; it may have ended before.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
