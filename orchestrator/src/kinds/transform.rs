//! Batch transform jobs.

use aws_sdk_sagemaker::operation::describe_transform_job::DescribeTransformJobOutput;

use crate::aws::{ServiceError, failed};
use crate::session::Session;

/// The description of the transform job `name`.
pub(crate) async fn describe(session: &Session, name: &str) -> Result<DescribeTransformJobOutput, ServiceError> {
    let request = session.clients.sagemaker.describe_transform_job().transform_job_name(name);
    request.send().await.map_err(failed("DescribeTransformJob"))
}
