//! The records of models, endpoint configurations and endpoints.
//!
//! Field names are those of the API, so a record is also the answer of its `Describe…` operation; members that the
//! platform has no use for are kept and described.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::shift::Policy;
use crate::names;
use crate::store;
use crate::time::Time;

/// The request of `CreateModel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModelSpec {
    pub(crate) model_name: String,
    pub(crate) primary_container: Container,
    #[serde(default)]
    enable_network_isolation: bool,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// What serves a model, and with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The archive that becomes the folder `model`; absent where the program brings its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_data_url: Option<String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Model {
    pub(crate) model_arn: String,
    pub(crate) creation_time: Time,
    #[serde(flatten)]
    pub(crate) spec: ModelSpec,
}

/// The request of `CreateEndpointConfig`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointConfigSpec {
    pub(crate) endpoint_config_name: String,
    pub(crate) production_variants: Vec<Variant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) async_inference_config: Option<AsyncConfig>,
    #[serde(default)]
    enable_network_isolation: bool,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A model and how many instances serve it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Variant {
    pub(crate) variant_name: String,
    pub(crate) model_name: String,
    /// Absent for a serverless variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) initial_instance_count: Option<u32>,
    #[serde(default = "full_weight")]
    pub(crate) initial_variant_weight: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serverless_config: Option<ServerlessConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_startup_health_check_timeout_in_seconds: Option<u64>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

fn full_weight() -> f64 {
    1.0
}

impl Variant {
    /// How many instances it has at first: a serverless one has one, which stays.
    pub(crate) fn first_count(&self) -> u32 {
        self.initial_instance_count.unwrap_or(1)
    }
}

/// A variant without instances of the caller's own.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServerlessConfig {
    #[serde(rename = "MemorySizeInMB")]
    pub(crate) memory_size_in_mb: u32,
    pub(crate) max_concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provisioned_concurrency: Option<u32>,
}

/// Where the answers of asynchronous invocations go, and how many an instance gets at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AsyncConfig {
    pub(crate) output_config: AsyncOutput,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_config: Option<AsyncClient>,
}

/// Where the answers of asynchronous invocations go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AsyncOutput {
    pub(crate) s3_output_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_failure_path: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// How many asynchronous invocations an instance gets at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AsyncClient {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_concurrent_invocations_per_instance: Option<u32>,
}

/// An endpoint configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointConfig {
    pub(crate) endpoint_config_arn: String,
    pub(crate) creation_time: Time,
    #[serde(flatten)]
    pub(crate) spec: EndpointConfigSpec,
}

/// `EndpointStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndpointStatus {
    Creating,
    Updating,
    RollingBack,
    InService,
    Deleting,
    Failed,
}

impl EndpointStatus {
    /// Whether the endpoint takes no change at the moment.
    pub(crate) fn is_in_progress(self) -> bool {
        matches!(self, Self::Creating | Self::Updating | Self::RollingBack | Self::Deleting)
    }
}

/// A variant of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VariantSummary {
    pub(crate) variant_name: String,
    deployed_images: Vec<Value>,
    pub(crate) current_weight: f64,
    pub(crate) desired_weight: f64,
    pub(crate) current_instance_count: u32,
    pub(crate) desired_instance_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_serverless_config: Option<Value>,
}

impl VariantSummary {
    /// `part` with `count` instances wanted and none up.
    pub(crate) fn new(part: &Part, count: u32, weight: f64, now: Time) -> Self {
        let image = |image: &String| json!({ "SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now });
        Self {
            variant_name: part.variant.variant_name.clone(),
            deployed_images: part.container.image.iter().map(image).collect(),
            current_weight: weight,
            desired_weight: weight,
            current_instance_count: 0,
            desired_instance_count: count,
            current_serverless_config: part.variant.serverless_config.map(|config| json!(config)),
        }
    }
}

/// A variant and what serves it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) variant: Variant,
    pub(crate) container: Container,
}

/// What an endpoint is made of: a configuration as it was when it was asked for, since it can be deleted meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) config: String,
    /// How many deployments the endpoint has seen; each has a folder of its own.
    pub(crate) number: u32,
    pub(crate) parts: Vec<Part>,
    pub(crate) asynchronous: Option<AsyncConfig>,
}

/// A deployment that is to take the place of the endpoint's present one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) deployment: Deployment,
    /// `RetainAllVariantProperties`: numbers of instances and weights stay as they are.
    pub(crate) retain: bool,
    pub(crate) policy: Policy,
}

/// An endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    pub(crate) endpoint_name: String,
    pub(crate) endpoint_arn: String,
    pub(crate) endpoint_config_name: String,
    /// Empty until the first instances are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) production_variants: Vec<VariantSummary>,
    /// What an update has in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pending_deployment_summary: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_deployment_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) async_inference_config: Option<AsyncConfig>,
    pub(crate) endpoint_status: EndpointStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_reason: Option<String>,
    pub(crate) creation_time: Time,
    pub(crate) last_modified_time: Time,
    #[serde(rename = "_Deployment")]
    pub(crate) deployment: Deployment,
    /// How many deployments were ever begun.
    #[serde(rename = "_Deployments")]
    pub(crate) deployments: u32,
    #[serde(rename = "_Update")]
    pub(crate) update: Option<Update>,
}

impl Endpoint {
    /// An endpoint that has just been asked for.
    pub(crate) fn new(name: &str, deployment: Deployment, now: Time) -> Self {
        Self {
            endpoint_name: name.to_owned(),
            endpoint_arn: names::arn("endpoint", name),
            endpoint_config_name: deployment.config.clone(),
            production_variants: Vec::new(),
            pending_deployment_summary: None,
            last_deployment_config: None,
            async_inference_config: deployment.asynchronous.clone(),
            endpoint_status: EndpointStatus::Creating,
            failure_reason: None,
            creation_time: now,
            last_modified_time: now,
            deployments: deployment.number,
            deployment,
            update: None,
        }
    }

    /// Takes the endpoint to `status`.
    pub(crate) fn enter(&mut self, status: EndpointStatus, now: Time) {
        self.endpoint_status = status;
        self.last_modified_time = now;
    }

    /// Notes why something failed, with SageMaker's limit on the length of `reason`.
    pub(crate) fn blame(&mut self, reason: &str) {
        self.failure_reason = Some(store::failure_reason(reason));
    }

    /// Ends the endpoint.
    pub(crate) fn fail(&mut self, reason: &str, now: Time) {
        self.blame(reason);
        self.enter(EndpointStatus::Failed, now);
    }

    /// The variant `name`, once the endpoint has been in service.
    pub(crate) fn variant(&self, name: &str) -> Option<&VariantSummary> {
        self.production_variants.iter().find(|variant| variant.variant_name == name)
    }
}

/// An endpoint of the configuration `c` without any variant, for tests.
#[cfg(test)]
pub(crate) fn example(name: &str) -> Endpoint {
    let deployment = Deployment { config: "c".to_owned(), number: 1, parts: Vec::new(), asynchronous: None };
    Endpoint::new(name, deployment, Time::now())
}
