//! How a job is carried out: what its request says, then what its container says, then SageMaker's defaults.

use std::time::Duration;

use serde::Deserialize;

use super::processing::Processing;
use super::record::TransformJobSpec;
use super::split::Cut;

/// SageMaker's limit of a payload, and of all payloads that an instance has at a time, in MB.
pub(super) const MAX_PAYLOAD_MB: u64 = 100;
/// SageMaker's payload where nobody says more, in MB.
const PAYLOAD_MB: u64 = 6;
/// SageMaker's time for an invocation, and how often one is repeated.
const TIMEOUT: Duration = Duration::from_secs(600);
const RETRIES: u32 = 3;
const MB: u64 = 1024 * 1024;

/// What a container answers to `GET /execution-parameters`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameters {
    max_concurrent_transforms: Option<u64>,
    batch_strategy: Option<String>,
    #[serde(rename = "MaxPayloadInMB")]
    max_payload_in_mb: Option<u64>,
}

/// How a job is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) cut: Cut,
    pub(super) gzip: bool,
    /// 0 where an object that is not split is streamed.
    payload_mb: u64,
    /// Requests that an instance has at a time.
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) content_type: Option<String>,
    pub(super) accept: Option<String>,
    /// Whether every answer ends with a line feed.
    pub(super) assemble_lines: bool,
    pub(super) processing: Option<Processing>,
}

impl Plan {
    /// The plan for a job whose container has answered `told`.
    pub(super) fn new(spec: &TransformJobSpec, told: &Parameters) -> Self {
        let set = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let payload_mb =
            set(spec.max_payload_in_mb).or(told.max_payload_in_mb).unwrap_or(PAYLOAD_MB).min(MAX_PAYLOAD_MB);
        let concurrency = set(spec.max_concurrent_transforms).filter(|number| *number > 0);
        let concurrency = concurrency.or(told.max_concurrent_transforms).unwrap_or(1);
        // A container that asks for too much together gets fewer requests, not shorter ones.
        let concurrency = concurrency.clamp(1, MAX_PAYLOAD_MB / payload_mb.max(1));
        let single = spec.batch_strategy.as_deref().or(told.batch_strategy.as_deref()).is_some_and(is_single);
        let client = spec.model_client_config.clone().unwrap_or_default();
        let input = &spec.transform_input;
        let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
        Self {
            cut: match (is(&input.split_type, "Line"), single) {
                (false, _) => Cut::Whole,
                (true, true) => Cut::SingleRecord,
                (true, false) => Cut::MultiRecord,
            },
            gzip: is(&input.compression_type, "Gzip"),
            payload_mb,
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            timeout: set(client.invocations_timeout_in_seconds).map_or(TIMEOUT, Duration::from_secs),
            retries: set(client.invocations_max_retries).and_then(|retries| retries.try_into().ok()).unwrap_or(RETRIES),
            content_type: input.content_type.clone(),
            accept: spec.transform_output.accept.clone(),
            assemble_lines: is(&spec.transform_output.assemble_with, "Line"),
            // The request was refused if this is an error.
            processing: Processing::of(spec).ok().flatten(),
        }
    }

    /// Bytes that a body held in memory may have; where `MaxPayloadInMB` is 0, all that are under way have 100 MB together.
    pub(super) fn body_limit(&self) -> usize {
        let unbounded = MAX_PAYLOAD_MB / u64::try_from(self.concurrency).unwrap_or(1).max(1);
        let mb = if self.payload_mb == 0 { unbounded } else { self.payload_mb };
        usize::try_from(mb * MB).unwrap_or(usize::MAX)
    }

    /// Whether an object goes to the container as it is read, whatever its size.
    pub(super) fn streams(&self) -> bool {
        self.payload_mb == 0 && self.cut == Cut::Whole && self.processing.is_none()
    }

    /// SageMaker's line about it in the data log.
    pub(super) fn summary(&self) -> String {
        let strategy = if self.cut == Cut::SingleRecord { "SINGLE_RECORD" } else { "MULTI_RECORD" };
        format!(
            "MaxConcurrentTransforms={}, MaxPayloadInMB={}, BatchStrategy={strategy}",
            self.concurrency, self.payload_mb
        )
    }
}

/// The variables that a container gets of the request; what the request leaves out is not set.
pub(super) fn environment(spec: &TransformJobSpec) -> Vec<(String, String)> {
    let strategy = |strategy: &String| if is_single(strategy) { "SINGLE_RECORD" } else { "MULTI_RECORD" }.to_owned();
    let asked = spec.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
    let own = [
        ("SAGEMAKER_BATCH", Some("true".to_owned())),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", spec.max_payload_in_mb.map(|payload| payload.to_string())),
        ("SAGEMAKER_BATCH_STRATEGY", spec.batch_strategy.as_ref().map(strategy)),
        (
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
            spec.max_concurrent_transforms.filter(|number| *number > 0).map(|number| number.to_string()),
        ),
    ];
    asked.chain(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))).collect()
}

/// `SingleRecord`, as requests write it, or `SINGLE_RECORD`, as containers do.
fn is_single(strategy: &str) -> bool {
    strategy.replace('_', "").eq_ignore_ascii_case("SingleRecord")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan(changes: Value, told: Value) -> Plan {
        let mut spec = serde_json::to_value(super::super::record::example("job").spec).unwrap();
        spec["TransformInput"]["SplitType"] = json!("Line");
        let Value::Object(changes) = changes else { unreachable!("changes are an object") };
        spec.as_object_mut().unwrap().extend(changes);
        Plan::new(&serde_json::from_value(spec).unwrap(), &serde_json::from_value(told).unwrap())
    }

    #[test]
    fn the_request_goes_before_the_container_and_that_before_the_defaults() {
        let told = json!({ "MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3 });
        let defaults = plan(json!({}), json!({}));
        assert_eq!(defaults.summary(), "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD");
        assert_eq!((defaults.timeout, defaults.retries, defaults.body_limit()), (TIMEOUT, 3, 6 << 20));
        assert_eq!(
            plan(json!({}), told.clone()).summary(),
            "MaxConcurrentTransforms=8, MaxPayloadInMB=3, BatchStrategy=SINGLE_RECORD"
        );
        let own = json!({ "MaxConcurrentTransforms": 2, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 50 });
        assert_eq!(
            plan(own, told.clone()).summary(),
            "MaxConcurrentTransforms=2, MaxPayloadInMB=50, BatchStrategy=MULTI_RECORD"
        );
        assert_eq!(plan(json!({ "MaxConcurrentTransforms": 0 }), told).concurrency, 8, "0 leaves it to the container");
        let retries = json!({ "ModelClientConfig": { "InvocationsMaxRetries": 0, "InvocationsTimeoutInSeconds": 5 } });
        let client = plan(retries, json!({}));
        assert_eq!((client.timeout, client.retries), (Duration::from_secs(5), 0));
    }

    #[test]
    fn all_payloads_together_stay_within_the_limit() {
        let told = json!({ "MaxConcurrentTransforms": 64 });
        assert_eq!(plan(json!({}), told.clone()).concurrency, 16);
        assert_eq!(plan(json!({ "MaxPayloadInMB": 100 }), told.clone()).concurrency, 1);
        let unbounded = plan(json!({ "MaxPayloadInMB": 0 }), told);
        assert_eq!((unbounded.concurrency, unbounded.body_limit()), (64, 1 << 20));
        assert!(!unbounded.streams(), "it is split");
    }

    #[test]
    fn a_container_learns_what_the_request_sets_and_nothing_else() {
        let mut spec = super::super::record::example("job").spec;
        spec.environment = [("GREETING".to_owned(), "hello".to_owned())].into();
        let pairs = |spec: &TransformJobSpec| {
            environment(spec).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(pairs(&spec), ["GREETING=hello", "SAGEMAKER_BATCH=true"]);
        spec.batch_strategy = Some("SingleRecord".to_owned());
        spec.max_payload_in_mb = Some(0);
        spec.max_concurrent_transforms = Some(0);
        assert_eq!(
            pairs(&spec)[1..],
            ["SAGEMAKER_BATCH=true", "SAGEMAKER_MAX_PAYLOAD_IN_MB=0", "SAGEMAKER_BATCH_STRATEGY=SINGLE_RECORD"]
        );
    }
}
