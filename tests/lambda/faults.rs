//! Endpoints that load, throttle, fail and are silent: asked again while that may help, within the caller's time.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::answers::{body, first_format, function};
use crate::place::Place;
use crate::scripted::{Reply, Scripted};
use crate::stand_in_serve;

/// Time for some requests and pauses.
const SHORT: Duration = Duration::from_secs(3);

fn toner() -> Value {
    json!({ "description": "toner" })
}

#[test]
fn what_passes_is_waited_for() {
    let place = Place::new();
    let endpoint = Scripted::start();
    let function = function(&place, &endpoint.url, &[]);
    let overloaded = r#"{"error":{"code":"overloaded","message":"busy","retry_after":1}}"#;
    for passing in [
        Reply::service(429, "ModelNotReadyException"),
        Reply::service(400, "ThrottlingException"),
        Reply::service(429, "TooManyRequestsException"),
        Reply::service(503, "ServiceUnavailable"),
        Reply::service(500, "InternalFailure"),
        Reply::service(530, "InternalDependencyException"),
        Reply::container(503, overloaded),
        Reply::container(503, ""),
    ] {
        endpoint.says(&[passing.clone(), passing.clone(), Reply::Good]);
        let answer = function.invoke(&toner());
        assert!(answer["statusCode"] == 200 && answer["body"]["label"] == "44103103", "{passing:?}: {answer}");
        assert_eq!(endpoint.requests(), 3, "{passing:?}");
    }
}

#[test]
fn what_stays_is_said_at_once() {
    let place = Place::new();
    let endpoint = Scripted::start();
    let function = function(&place, &endpoint.url, &[]);
    let broken = r#"{"error":{"code":"model_failure","message":"the model fails"}}"#;
    for (reply, status, code, said) in [
        (Reply::service(400, "ValidationError"), 500, "endpoint_refused", "UNSPSC_ENDPOINT"),
        (Reply::service(400, "AccessDeniedException"), 500, "access_denied", "sagemaker:InvokeEndpoint"),
        (Reply::container(500, broken), 502, "model_failure", "the model fails"),
        (Reply::container(500, "Traceback"), 502, "container_failure", "the endpoint's container failed"),
        (Reply::container(0, "Your invocation timed out while"), 504, "deadline_exceeded", "fewer descriptions"),
        (Reply::Other("<html>"), 502, "no_predictions", "no predictions"),
    ] {
        endpoint.says(std::slice::from_ref(&reply));
        let answer = function.invoke(&toner());
        let error = &answer["body"]["error"];
        assert!(answer["statusCode"] == status && error["code"] == code, "{reply:?}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(said), "{answer}");
        assert_eq!(endpoint.requests(), 1, "{reply:?}");
    }
    assert!(function.log().contains("as the script says"), "the log says more: {}", function.log());
    assert!(!function.log().contains("Traceback"), "words of the container may quote texts: {}", function.log());
}

#[test]
fn the_callers_time_is_never_exceeded() {
    let place = Place::new();
    let endpoint = Scripted::start();
    let function = function(&place, &endpoint.url, &[]);
    for (reply, status, code, least) in [
        (Reply::service(429, "ModelNotReadyException"), 503, "not_ready", 4),
        (Reply::service(400, "ThrottlingException"), 503, "throttled", 4),
        (Reply::Silence, 504, "deadline_exceeded", 1),
        // It asks for more time than there is.
        (
            Reply::container(503, r#"{"error":{"code":"overloaded","message":"busy","retry_after":9}}"#),
            503,
            "overloaded",
            1,
        ),
    ] {
        endpoint.says(std::slice::from_ref(&reply));
        // Fails if the answer comes later.
        let answer = function.invoke_within(&toner(), SHORT);
        assert!(answer["statusCode"] == status && answer["body"]["error"]["code"] == code, "{reply:?}: {answer}");
        assert!(status == 504 || answer["body"]["error"]["retry_after"].is_u64(), "{answer}");
        assert!(endpoint.requests() >= least, "{reply:?}: {} requests", endpoint.requests());
    }
    // API Gateway gives up before the function has to.
    endpoint.says(&[Reply::Silence]);
    let mut event = first_format("POST", &toner().to_string());
    let begun = SystemTime::now() - Duration::from_secs(27);
    let millis = u64::try_from(begun.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    event["requestContext"]["requestTimeEpoch"] = millis.into();
    let answer = function.invoke(&event);
    assert!(begun.elapsed().unwrap() < Duration::from_secs(29), "API Gateway has given up");
    assert!(answer["statusCode"] == 504 && body(&answer)["error"]["code"] == "deadline_exceeded", "{answer}");
    // With no time at all.
    let answer = function.invoke_within(&toner(), Duration::from_millis(400));
    assert_eq!(answer["statusCode"], 504, "{answer}");
}

#[test]
fn a_connection_that_breaks_or_is_refused_is_made_again() {
    let place = Place::new();
    let (script, artifact) = stand_in_serve::prepare(&place);
    // The first invocation is that of `deploy`.
    let of_invocations = "operation=InvokeEndpoint,skip=1";
    let faults = [
        format!("throttle:{of_invocations},times=2"),
        format!("error:{of_invocations},times=2"),
        format!("lost-response:{of_invocations},times=2"),
    ];
    let faults: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let platform = place.platform_with(&[&["--serve", script.as_str()], &faults[..]].concat());
    let (code, _, err) = platform.verb("deploy", &["--artifact", &artifact, "--endpoint", "e"]);
    assert_eq!(code, 0, "{err}");
    let function = function(&place, &platform.url, &[]);
    let answer = function.invoke(&json!({ "descriptions": ["toner", "bread"] }));
    assert_eq!(answer["statusCode"], 200, "{answer} {}", function.log());
    assert_eq!(answer["body"]["predictions"][1]["title"], "title of bread");
    let line: Value = serde_json::from_str(function.log().lines().last().unwrap()).unwrap();
    assert_eq!(line["requests"], 7, "{line}");

    // The container hangs, and so does not answer in time.
    let answer = function.invoke_within(&json!({ "descriptions": ["hang"] }), SHORT);
    assert_eq!(answer["statusCode"], 504, "{answer}");
    drop(function);
    let gone = self::function(&place, "http://127.0.0.1:1", &[]);
    let answer = gone.invoke_within(&toner(), SHORT);
    assert!(answer["statusCode"] == 503 && answer["body"]["error"]["code"] == "unavailable", "{answer}");
    drop(gone);
    platform.stop();
}
