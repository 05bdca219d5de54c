//! Deployments that are killed between two requests: what they leave is gone on with, or found and taken down.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::ground::{Ground, LIMIT, artifact};

/// Stands between `unspsc` and the platform. Once the platform has answered `operation`, which `unspsc` never learns, the
/// receiver hears of it.
fn deaf_to(operation: &str, platform: &str) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, answered) = channel();
    let (operation, platform) = (format!(".{operation}\r\n"), platform.strip_prefix("http://").unwrap().to_owned());
    std::thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            let (operation, platform, sender) = (operation.clone(), platform.clone(), sender.clone());
            std::thread::spawn(move || pass_on(caller, &operation, &platform, &sender));
        }
    });
    (url, answered)
}

/// Passes on what comes, one request and its answer after another.
fn pass_on(mut caller: TcpStream, operation: &str, platform: &str, answered: &Sender<()>) {
    let mut server = TcpStream::connect(platform).unwrap();
    let mut answers = server.try_clone().unwrap();
    let (is_it, mut back) =
        (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), caller.try_clone().unwrap());
    let (heard, answered) = (std::sync::Arc::clone(&is_it), answered.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(length @ 1..) = answers.read(&mut bytes) {
            if heard.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = answered.send(());
                return;
            }
            if back.write_all(&bytes[..length]).is_err() {
                return;
            }
        }
    });
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = caller.read(&mut bytes) {
        if String::from_utf8_lossy(&bytes[..length]).contains(operation) {
            is_it.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        if server.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

/// Kills a deployment of `model` when the platform has carried out `operation`.
fn killed_at(ground: &Ground, operation: &str, model: &str, more: &[&str]) {
    let (url, answered) = deaf_to(operation, &ground.url);
    let artifact = artifact(model);
    let mut command = ground.unspsc_at(&url, &Ground::deploying(&artifact, more));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let heard = answered.recv_timeout(LIMIT);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(heard.is_ok(), "{operation} was not asked for");
}

#[test]
fn whatever_a_killed_deployment_leaves_is_found_by_destroy() {
    let ground = Ground::new(&[]);
    for operation in
        ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy"]
    {
        killed_at(&ground, operation, "one", &[]);
        let left: usize = ground.names().iter().map(Vec::len).sum();
        assert!(left > 0, "nothing was left at {operation}");
        let (code, out, _) = ground.unspsc(&["destroy", "--endpoint", "e", "--dry-run"]);
        assert!(code == 0 && out.lines().count() >= left, "{operation}: {out}");
        let (code, _, err) = ground.unspsc(&["destroy", "--endpoint", "e", "--yes"]);
        assert!(code == 0 && err.contains("gone: endpoint e"), "{operation}: {err}");
        ground.assert_bare(operation);
    }
}

#[test]
fn a_deployment_that_was_killed_is_gone_on_with() {
    let ground = Ground::new(&[]);
    for operation in ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget"] {
        killed_at(&ground, operation, "one", &[]);
    }
    let (code, out, err) = ground.deploy("one", &[]);
    assert!(code == 0 && out == "e\n", "{err}");
    ground.assert_tidy("one", "after four deaths");
    // An update, which dies at each of its own steps.
    for operation in
        ["CreateModel", "CreateEndpointConfig", "AddTags", "UpdateEndpoint", "DeleteTags", "DeleteEndpointConfig"]
    {
        killed_at(&ground, operation, "two", &[]);
    }
    let (code, _, err) = ground.deploy("two", &[]);
    assert!(code == 0, "{err}");
    ground.assert_tidy("two", "after six deaths");
    // What was left of a deployment that nobody came back to goes with the next one.
    killed_at(&ground, "CreateEndpointConfig", "bad", &[]);
    assert_eq!(ground.deploy("two", &[]).0, 0);
    ground.assert_tidy("two", "after a change of mind");
}

#[test]
fn the_way_back_leads_to_the_last_model_that_answered() {
    let ground = Ground::new(&[]);
    assert_eq!(ground.deploy("one", &[]).0, 0);
    // One that fails its own test, and one that SageMaker takes back, to a model that nobody has asked.
    for (model, more) in [("bad", ["--serve-instance", "ml.c5.large"].as_slice()), ("dead", &[])] {
        killed_at(&ground, "UpdateEndpoint", "bad", &[]);
        let (code, _, err) = ground.deploy(model, more);
        assert!(code == 1 && err.contains("error: endpoint e serves its former model again"), "{err}");
        ground.assert_tidy("one", model);
    }
}
