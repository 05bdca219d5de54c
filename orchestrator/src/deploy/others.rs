//! Endpoints that work by the role of another NAME's stack, and belong to what that one has made.

use anyhow::bail;

use crate::aws::failed;
use crate::session::Session;

use super::{configs_used, describe, models_used};

/// What the names of the roles end in that stacks make.
const EXECUTION: &str = "-execution";

/// Refuses an endpoint, if it is there, that works by the role of another stack than this session does.
pub(crate) async fn refuse_other_stack(session: &Session, name: &str) -> anyhow::Result<()> {
    let own = session.role()?;
    if !own.ends_with(EXECUTION) {
        return Ok(());
    }
    let described = match describe(session, name).await {
        Err(error) if error.is_missing() => return Ok(()),
        described => described?,
    };
    for model in models_used(session, &configs_used(&described)).await? {
        let request = session.clients.sagemaker.describe_model().model_name(model);
        let found = match request.send().await.map_err(failed("DescribeModel")) {
            Err(error) if error.is_missing() => continue,
            found => found?,
        };
        if let Some(other) = found.execution_role_arn().filter(|other| *other != own && other.ends_with(EXECUTION)) {
            bail!(
                "endpoint {name} works by {other}, which is the role of another stack, and {own} is that of this one: choose \
                 another --endpoint"
            );
        }
    }
    Ok(())
}
