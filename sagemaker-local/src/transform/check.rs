//! What `CreateTransformJob` refuses: what SageMaker refuses, in its words, and what this platform would otherwise silently leave out.

use super::plan::MAX_PAYLOAD_MB;
use super::processing::Processing;
use super::record::{TransformInput, TransformJobSpec};
use crate::error::ApiError;
use crate::hosting::MAX_INSTANCES;
use crate::names;
use crate::platform::Platform;
use crate::storage::{S3Uri, S3UriError};

/// SageMaker's limits of the environment: variables, and characters of a name and of a value.
const MAX_VARIABLES: usize = 16;
const MAX_KEY_CHARS: usize = 1024;
const MAX_VALUE_CHARS: usize = 10_240;
/// SageMaker's limits of a content type, of an address and of a JSONPath, in characters.
const MAX_TYPE_CHARS: usize = 256;
const MAX_URI_CHARS: usize = 1024;
const MAX_PATH_CHARS: usize = 63;

/// Refuses a request that cannot be carried out; `role` is the model's.
pub(super) fn check(platform: &Platform, spec: &TransformJobSpec, role: &str) -> Result<(), ApiError> {
    check_members(spec)?;
    check_sizes(spec)?;
    check_environment(spec)?;
    check_supported(spec)?;
    Processing::of(spec).map_err(ApiError::validation)?;
    let output = address(&spec.transform_output.s3_output_path)?;
    if !platform.storage.has_bucket(&output.bucket) {
        return Err(ApiError::validation(format!("The bucket of the S3 output path {output} does not exist.")));
    }
    let text = &spec.transform_input.data_source.s3_data_source.s3_uri;
    let input = address(text)?;
    if platform.storage.objects(&input).is_ok_and(|objects| !objects.is_empty()) {
        return Ok(());
    }
    Err(ApiError::no_objects(text, &input.bucket, role))
}

/// Forms and enumerations, member by member.
fn check_members(spec: &TransformJobSpec) -> Result<(), ApiError> {
    names::check("transformJobName", &spec.transform_job_name)?;
    names::check("modelName", &spec.model_name)?;
    let TransformInput { data_source, content_type, compression_type, split_type } = &spec.transform_input;
    let (source, output) = (&data_source.s3_data_source, &spec.transform_output);
    let processing = spec.data_processing.clone().unwrap_or_default();
    let kinds = ["ManifestFile", "S3Prefix", "AugmentedManifestFile", "Converse"];
    for (member, value, allowed) in [
        ("batchStrategy", spec.batch_strategy.as_deref(), ["MultiRecord", "SingleRecord"].as_slice()),
        ("transformInput.dataSource.s3DataSource.s3DataType", Some(source.s3_data_type.as_str()), kinds.as_slice()),
        ("transformInput.compressionType", compression_type.as_deref(), &["None", "Gzip"]),
        ("transformInput.splitType", split_type.as_deref(), &["None", "Line", "RecordIO", "TFRecord"]),
        ("transformOutput.assembleWith", output.assemble_with.as_deref(), &["None", "Line"]),
        ("dataProcessing.joinSource", processing.join_source.as_deref(), &["Input", "None"]),
    ] {
        if let Some(value) = value.filter(|value| !allowed.contains(value)) {
            let broken = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
            return Err(ApiError::constraint(member, value, &broken));
        }
    }
    for (member, value, limit) in [
        ("transformInput.contentType", content_type.as_deref(), MAX_TYPE_CHARS),
        ("transformOutput.accept", output.accept.as_deref(), MAX_TYPE_CHARS),
        ("transformInput.dataSource.s3DataSource.s3Uri", Some(source.s3_uri.as_str()), MAX_URI_CHARS),
        ("transformOutput.s3OutputPath", Some(output.s3_output_path.as_str()), MAX_URI_CHARS),
        ("dataProcessing.inputFilter", processing.input_filter.as_deref(), MAX_PATH_CHARS),
        ("dataProcessing.outputFilter", processing.output_filter.as_deref(), MAX_PATH_CHARS),
    ] {
        if let Some(value) = value {
            check_length(member, value, limit)?;
        }
    }
    Ok(())
}

fn check_length(member: &str, value: &str, limit: usize) -> Result<(), ApiError> {
    if value.chars().count() <= limit {
        return Ok(());
    }
    Err(ApiError::constraint(member, value, &format!("Member must have length less than or equal to {limit}")))
}

/// Numbers, each by itself and together.
fn check_sizes(spec: &TransformJobSpec) -> Result<(), ApiError> {
    let most = i64::try_from(MAX_PAYLOAD_MB).unwrap_or(i64::MAX);
    let client = spec.model_client_config.clone().unwrap_or_default();
    for (member, value, least, most) in [
        ("maxConcurrentTransforms", spec.max_concurrent_transforms, 0, i64::MAX),
        ("maxPayloadInMB", spec.max_payload_in_mb, 0, most),
        ("modelClientConfig.invocationsTimeoutInSeconds", client.invocations_timeout_in_seconds, 1, 3600),
        ("modelClientConfig.invocationsMaxRetries", client.invocations_max_retries, 0, 3),
        ("transformResources.instanceCount", Some(spec.transform_resources.instance_count), 1, i64::MAX),
    ] {
        let Some(value) = value else { continue };
        if value < least {
            let broken = format!("Member must have value greater than or equal to {least}");
            return Err(ApiError::constraint(member, &value.to_string(), &broken));
        }
        if value > most {
            let broken = format!("Member must have value less than or equal to {most}");
            return Err(ApiError::constraint(member, &value.to_string(), &broken));
        }
    }
    // A payload without a limit still needs a connection and a thread of the container.
    let concurrent = spec.max_concurrent_transforms.unwrap_or(0);
    let payload = spec.max_payload_in_mb.unwrap_or(1).max(1);
    if concurrent.saturating_mul(payload) > most {
        return Err(ApiError::validation(format!(
            "The value of (MaxConcurrentTransforms * MaxPayloadInMB) must not exceed {most} MB: lower one of {concurrent} \
             and {payload}."
        )));
    }
    Ok(())
}

fn check_environment(spec: &TransformJobSpec) -> Result<(), ApiError> {
    if spec.environment.len() > MAX_VARIABLES {
        let broken = format!("Member must have length less than or equal to {MAX_VARIABLES}");
        return Err(ApiError::constraint("environment", &format!("{} variables", spec.environment.len()), &broken));
    }
    for (key, value) in &spec.environment {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain || key.len() > MAX_KEY_CHARS || key.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
            let broken = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]{0,1023}]";
            return Err(ApiError::constraint("environment", key, broken));
        }
        check_length(&format!("environment.{key}"), value, MAX_VALUE_CHARS)?;
    }
    Ok(())
}

/// Refuses what SageMaker has and this platform lacks.
fn check_supported(spec: &TransformJobSpec) -> Result<(), ApiError> {
    let lacks = |what: String| Err(ApiError::validation(format!("sagemaker-local does not support {what}")));
    let input = &spec.transform_input;
    let kind = &input.data_source.s3_data_source.s3_data_type;
    if kind != "S3Prefix" {
        return lacks(format!("the S3DataType {kind} of TransformInput; use S3Prefix"));
    }
    if let Some(split) = input.split_type.as_deref().filter(|split| ["RecordIO", "TFRecord"].contains(split)) {
        return lacks(format!("the SplitType {split}; use Line or None"));
    }
    if spec.transform_resources.instance_count > i64::from(MAX_INSTANCES) {
        return lacks(format!("TransformResources.InstanceCount above {MAX_INSTANCES}"));
    }
    if spec.other.contains_key("DataCaptureConfig") {
        return lacks("DataCaptureConfig".to_owned());
    }
    Ok(())
}

/// The address in a member of a request.
pub(super) fn address(text: &str) -> Result<S3Uri, ApiError> {
    text.parse().map_err(|error: S3UriError| ApiError::validation(error.to_string()))
}
