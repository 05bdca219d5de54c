//! How an update's traffic moves from the old fleet to the new one: all at once, after a canary, or step by step.
//!
//! Limits and defaults are those of SageMaker's `DeploymentConfig`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// SageMaker's longest wait between two steps, and after the last one before the old fleet ends.
const MAX_WAIT_SECS: u64 = 3600;
/// SageMaker's limits of an update's whole time.
const TIMEOUT_SECS: std::ops::RangeInclusive<u64> = 600..=28_800;

/// `DeploymentConfig`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeploymentConfig {
    blue_green_update_policy: Option<BlueGreen>,
    rolling_update_policy: Option<Value>,
    auto_rollback_configuration: Option<AutoRollback>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlueGreen {
    traffic_routing_configuration: Routing,
    #[serde(default)]
    termination_wait_in_seconds: u64,
    maximum_execution_timeout_in_seconds: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    r#type: RoutingType,
    #[serde(default)]
    wait_interval_in_seconds: u64,
    canary_size: Option<Size>,
    linear_step_size: Option<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RoutingType {
    AllAtOnce,
    Canary,
    Linear,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    r#type: SizeType,
    value: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SizeType {
    InstanceCount,
    CapacityPercent,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AutoRollback {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    alarm_name: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A deployment configuration that has been checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// Shares of the traffic that the new fleet has after each step, the last one 1.
    steps: Steps,
    wait_secs: u64,
    termination_wait_secs: u64,
    timeout_secs: Option<u64>,
    /// Alarms that take the update back.
    pub(crate) alarms: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Steps {
    AllAtOnce,
    /// A first part, then all.
    Canary(Part),
    /// Equal parts.
    Linear(Part),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Part {
    Instances(u32),
    Percent(u32),
}

impl Default for Policy {
    /// What SageMaker does where nothing is asked for.
    fn default() -> Self {
        Self { steps: Steps::AllAtOnce, wait_secs: 0, termination_wait_secs: 0, timeout_secs: None, alarms: Vec::new() }
    }
}

impl Policy {
    /// Checks `config` as SageMaker does.
    pub(crate) fn new(config: &DeploymentConfig) -> Result<Self, ApiError> {
        if config.rolling_update_policy.is_some() {
            return Err(ApiError::validation(
                "sagemaker-local does not support RollingUpdatePolicy; use BlueGreenUpdatePolicy",
            ));
        }
        let alarms = config.auto_rollback_configuration.iter().flat_map(|rollback| &rollback.alarms);
        let alarms: Vec<String> = alarms.map(|alarm| alarm.alarm_name.clone()).collect();
        if alarms.len() > 10 {
            return Err(ApiError::validation("AutoRollbackConfiguration takes at most 10 alarms"));
        }
        let Some(policy) = &config.blue_green_update_policy else { return Ok(Self { alarms, ..Self::default() }) };
        let routing = &policy.traffic_routing_configuration;
        for (member, seconds) in [
            ("WaitIntervalInSeconds", routing.wait_interval_in_seconds),
            ("TerminationWaitInSeconds", policy.termination_wait_in_seconds),
        ] {
            if seconds > MAX_WAIT_SECS {
                let broken = format!("Member must have value less than or equal to {MAX_WAIT_SECS}");
                return Err(ApiError::constraint(member, &seconds.to_string(), &broken));
            }
        }
        if let Some(seconds) = policy.maximum_execution_timeout_in_seconds.filter(|secs| !TIMEOUT_SECS.contains(secs)) {
            let broken = format!("Member must have value from {} to {}", TIMEOUT_SECS.start(), TIMEOUT_SECS.end());
            return Err(ApiError::constraint("maximumExecutionTimeoutInSeconds", &seconds.to_string(), &broken));
        }
        Ok(Self {
            steps: steps(routing)?,
            wait_secs: routing.wait_interval_in_seconds,
            termination_wait_secs: policy.termination_wait_in_seconds,
            timeout_secs: policy.maximum_execution_timeout_in_seconds,
            alarms,
        })
    }

    /// Shares of the traffic that a new fleet of so many instances has after each step; the last one is 1.
    pub(super) fn shares(&self, instances: u32) -> Vec<f64> {
        let share = |part: Part| match part {
            Part::Instances(count) => f64::from(count) / f64::from(instances.max(1)),
            Part::Percent(percent) => f64::from(percent) / 100.0,
        };
        match self.steps {
            Steps::AllAtOnce => vec![1.0],
            Steps::Canary(part) => vec![share(part).min(1.0), 1.0],
            Steps::Linear(part) => {
                let part = share(part).clamp(0.01, 1.0);
                let whole = (1..).map(|step| f64::from(step) * part).take_while(|share| *share < 1.0 - 1e-9);
                whole.chain([1.0]).collect()
            }
        }
    }

    /// The wait after each step but the last.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_secs)
    }

    /// The wait before the old fleet ends.
    pub(super) fn termination_wait(&self) -> Duration {
        Duration::from_secs(self.termination_wait_secs)
    }

    /// How long the whole update may take.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout_secs.map(Duration::from_secs)
    }
}

fn steps(routing: &Routing) -> Result<Steps, ApiError> {
    let sized = |member: &str, size: Option<Size>, percent: std::ops::RangeInclusive<u32>| {
        let size =
            size.ok_or_else(|| ApiError::validation(format!("{member} is required for this type of traffic routing")))?;
        match size.r#type {
            SizeType::InstanceCount if size.value > 0 => Ok(Part::Instances(size.value)),
            SizeType::CapacityPercent if percent.contains(&size.value) => Ok(Part::Percent(size.value)),
            _ => {
                let (low, high) = percent.into_inner();
                let message = format!("{member} must be {low} to {high} percent, or at least one instance");
                Err(ApiError::validation(message))
            }
        }
    };
    match routing.r#type {
        RoutingType::AllAtOnce => Ok(Steps::AllAtOnce),
        RoutingType::Canary => sized("CanarySize", routing.canary_size, 1..=50).map(Steps::Canary),
        RoutingType::Linear => sized("LinearStepSize", routing.linear_step_size, 10..=50).map(Steps::Linear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(routing: &Value) -> Result<Policy, ApiError> {
        let config = json!({ "BlueGreenUpdatePolicy": { "TrafficRoutingConfiguration": routing } });
        Policy::new(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn traffic_moves_in_the_steps_that_were_asked_for() {
        let shares = |routing| policy(&routing).unwrap().shares(4);
        let wait = json!(30);
        assert_eq!(Policy::default().shares(4), [1.0]);
        assert_eq!(shares(json!({ "Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": wait })), [1.0]);
        let canary = json!({ "Type": "INSTANCE_COUNT", "Value": 1 });
        assert_eq!(
            shares(json!({ "Type": "CANARY", "WaitIntervalInSeconds": wait, "CanarySize": canary })),
            [0.25, 1.0]
        );
        let step = json!({ "Type": "CAPACITY_PERCENT", "Value": 30 });
        let linear = shares(json!({ "Type": "LINEAR", "WaitIntervalInSeconds": wait, "LinearStepSize": step }));
        assert_eq!(linear.len(), 4);
        assert_eq!(linear.last(), Some(&1.0));
    }

    #[test]
    fn what_sagemaker_refuses_is_refused() {
        let size = |percent| json!({ "Type": "CAPACITY_PERCENT", "Value": percent });
        assert!(policy(&json!({ "Type": "CANARY" })).is_err());
        assert!(policy(&json!({ "Type": "CANARY", "CanarySize": size(51) })).is_err());
        assert!(policy(&json!({ "Type": "LINEAR", "LinearStepSize": size(9) })).is_err());
        assert!(policy(&json!({ "Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 3601 })).is_err());
        let rolling = json!({ "RollingUpdatePolicy": {} });
        assert!(Policy::new(&serde_json::from_value(rolling).unwrap()).is_err());
    }
}
