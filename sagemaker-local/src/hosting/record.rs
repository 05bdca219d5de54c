//! The records of models, endpoint configurations and endpoints.
//!
//! Field names are those of the API, so a record is also the answer of its `Describe…` operation; members that the
//! platform has no use for are kept and described.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::names;
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
    #[serde(default = "one_instance")]
    pub(crate) initial_instance_count: u32,
    #[serde(default = "full_weight")]
    initial_variant_weight: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_startup_health_check_timeout_in_seconds: Option<u64>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

fn one_instance() -> u32 {
    1
}

fn full_weight() -> f64 {
    1.0
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
    InService,
    Deleting,
    Failed,
}

/// A variant of an endpoint in service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VariantSummary {
    pub(crate) variant_name: String,
    deployed_images: Vec<Value>,
    current_weight: f64,
    desired_weight: f64,
    current_instance_count: u32,
    desired_instance_count: u32,
}

impl VariantSummary {
    /// `variant` with all its instances up.
    pub(crate) fn in_service(variant: &Variant, container: &Container, now: Time) -> Self {
        let image = |image: &String| json!({ "SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now });
        Self {
            variant_name: variant.variant_name.clone(),
            deployed_images: container.image.iter().map(image).collect(),
            current_weight: variant.initial_variant_weight,
            desired_weight: variant.initial_variant_weight,
            current_instance_count: variant.initial_instance_count,
            desired_instance_count: variant.initial_instance_count,
        }
    }
}

/// An endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    pub(crate) endpoint_name: String,
    pub(crate) endpoint_arn: String,
    pub(crate) endpoint_config_name: String,
    /// Empty until the endpoint is in service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) production_variants: Vec<VariantSummary>,
    pub(crate) endpoint_status: EndpointStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    pub(crate) creation_time: Time,
    pub(crate) last_modified_time: Time,
}

impl Endpoint {
    /// SageMaker's limit for the text of a `FailureReason`.
    const MAX_REASON_CHARS: usize = 1024;

    /// An endpoint that has just been asked for.
    pub(crate) fn new(name: &str, config: &str, now: Time) -> Self {
        Self {
            endpoint_name: name.to_owned(),
            endpoint_arn: names::arn("endpoint", name),
            endpoint_config_name: config.to_owned(),
            production_variants: Vec::new(),
            endpoint_status: EndpointStatus::Creating,
            failure_reason: None,
            creation_time: now,
            last_modified_time: now,
        }
    }

    /// Takes the endpoint to `status`.
    pub(crate) fn enter(&mut self, status: EndpointStatus, now: Time) {
        self.endpoint_status = status;
        self.last_modified_time = now;
    }

    /// Ends the endpoint with SageMaker's limit on the length of `reason`.
    pub(crate) fn fail(&mut self, reason: &str, now: Time) {
        self.failure_reason = Some(reason.chars().take(Self::MAX_REASON_CHARS).collect());
        self.enter(EndpointStatus::Failed, now);
    }
}
