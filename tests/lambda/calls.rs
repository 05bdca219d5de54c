//! What the function asks of AWS, kept for the judge of its role: `tests/golden/calls/lambda.json`.

use std::path::Path;

use serde_json::{Value, json};

/// Compares the requests with what is kept, or keeps them where `UNSPSC_GOLDEN=write`.
pub(crate) fn are(requests: &[Value]) {
    let mut calls: Vec<Value> = requests.iter().map(call).collect();
    calls.sort_by_key(Value::to_string);
    calls.dedup();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/calls/lambda.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&calls).unwrap());
    if std::env::var("UNSPSC_GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "UNSPSC_GOLDEN=write keeps what is new");
    }
}

/// The IAM action of a request, and the resource that it is about.
fn call(request: &Value) -> Value {
    let (method, target) = (request["method"].as_str().unwrap(), request["target"].as_str().unwrap());
    let endpoint = target.strip_prefix("/endpoints/").and_then(|rest| rest.strip_suffix("/invocations"));
    let endpoint = endpoint.filter(|_| method == "POST").unwrap_or_else(|| panic!("no call that is known: {request}"));
    let (region, account) = (sagemaker_local::REGION, "000000000000");
    json!({
        "action": "sagemaker:InvokeEndpoint",
        "resource": format!("arn:aws:sagemaker:{region}:{account}:endpoint/{endpoint}"),
    })
}
