//! What scaled an endpoint before its kind of instance changes, and its way back: SageMaker changes no instance type of a
//! variant that is scaled.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use aws_sdk_applicationautoscaling::types::{ScalableTarget, ScalingPolicy, SuspendedState};

use crate::destroy;
use crate::session::Session;

use super::clear;
use super::scaling::{self, policies, resource_id, targets};

/// What scaled an endpoint.
#[derive(Debug, Clone)]
pub(super) struct Former {
    endpoint: String,
    target: Option<ScalableTarget>,
    policies: Vec<ScalingPolicy>,
}

/// The scaling that is taken off for an update, until it is put back or replaced; an interrupt finds it here.
#[derive(Debug, Default)]
pub(crate) struct TakenOff(Mutex<Option<Former>>);

impl TakenOff {
    /// Whether some is taken off.
    pub(super) fn is_some(&self) -> bool {
        self.lock().is_some()
    }

    /// What of it had been suspended.
    pub(super) fn suspended(&self) -> Option<SuspendedState> {
        self.lock().as_ref()?.target.as_ref()?.suspended_state().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Former>> {
        // It is set or not, and nothing between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Former {
    /// What scales the endpoint now.
    ///
    /// # Errors
    /// Also where it could not be put back: the alarms of a step policy know it by an ARN that no other will have.
    pub(super) async fn look(session: &Session, endpoint: &str) -> anyhow::Result<Self> {
        let resource = resource_id(endpoint);
        let target = targets(session, &resource).await?.into_iter().next();
        let policies = policies(session, &resource).await?;
        let is_lost = |policy: &&ScalingPolicy| policy.target_tracking_scaling_policy_configuration().is_none();
        if let Some(policy) = policies.iter().find(is_lost) {
            bail!(
                "endpoint {endpoint} scales by policy {}, which does not track a target: it would have to go while the \
                 kind of instance changes, and could not be put back; keep the kind of instance, delete the policy \
                 yourself, or choose another --endpoint",
                policy.policy_name()
            );
        }
        Ok(Self { endpoint: endpoint.to_owned(), target, policies })
    }

    /// Takes it off.
    pub(super) async fn take_off(self, session: &Session) -> anyhow::Result<()> {
        if self.target.is_none() && self.policies.is_empty() {
            return Ok(());
        }
        session.progress.say(&format!("endpoint {} does not scale while its kind of instance changes", self.endpoint));
        // Before the first request, whose answer may get lost.
        *session.taken_off.lock() = Some(self.clone());
        let resource = resource_id(&self.endpoint);
        for policy in &self.policies {
            destroy::policy(session, &resource, policy.policy_name()).await?;
        }
        if self.target.is_some() {
            destroy::target(session, &resource).await?;
        }
        Ok(())
    }

    /// The policies that are not this program's.
    fn others(&self) -> impl Iterator<Item = &ScalingPolicy> {
        self.policies.iter().filter(|policy| !scaling::is_ours(&self.endpoint, policy.policy_name()))
    }
}

/// Puts back what was taken off, as it was; the configuration `serves` now, and one without instances is not scaled.
pub(super) async fn put_back(session: &Session, serves: &str) -> anyhow::Result<()> {
    let Some(former) = session.taken_off.lock().clone() else { return Ok(()) };
    if clear::variants(session, serves).await?.iter().any(|variant| variant.serverless_config().is_some()) {
        return replaced(session, false).await;
    }
    if let Some(target) = &former.target {
        let suspended = target.suspended_state().cloned();
        scaling::register(session, target.resource_id(), target.min_capacity(), target.max_capacity(), suspended)
            .await?;
    }
    put(session, former.policies.iter()).await?;
    *session.taken_off.lock() = None;
    Ok(())
}

/// Puts back what is of others beside the new scaling; without one, says what has gone.
pub(super) async fn replaced(session: &Session, scales: bool) -> anyhow::Result<()> {
    let Some(former) = session.taken_off.lock().clone() else { return Ok(()) };
    if scales {
        put(session, former.others()).await?;
    } else {
        former.others().for_each(|policy| {
            session.progress.say(&format!("scaling policy {} has gone with the instances", policy.policy_name()));
        });
    }
    *session.taken_off.lock() = None;
    Ok(())
}

/// Says what stays off where an update goes on without this command.
pub(super) fn tell_left(session: &Session) {
    let Some(former) = session.taken_off.lock().clone() else { return };
    session.progress.say(&format!("endpoint {} does not scale until the command has come back", former.endpoint));
    former.others().for_each(|policy| {
        session.progress.say(&format!("scaling policy {} has to be put back by hand", policy.policy_name()));
    });
}

async fn put(session: &Session, policies: impl Iterator<Item = &ScalingPolicy>) -> anyhow::Result<()> {
    for policy in policies {
        if let Some(tracking) = policy.target_tracking_scaling_policy_configuration() {
            scaling::put(session, policy.resource_id(), policy.policy_name(), tracking.clone()).await?;
        }
    }
    Ok(())
}
