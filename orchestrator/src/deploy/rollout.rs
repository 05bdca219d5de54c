//! How an update takes the traffic over: SageMaker's deployment guardrails, with their limits.
//!
//! Source: <https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html>, and botocore's model for the
//! limits of each number.

use anyhow::bail;
use aws_sdk_sagemaker::types::{
    Alarm, AutoRollbackConfig, BlueGreenUpdatePolicy, CapacitySize, CapacitySizeType, DeploymentConfig,
    TrafficRoutingConfig, TrafficRoutingConfigType,
};

use crate::options::{RolloutArgs, RolloutKind};

/// Alarms that one update heeds at most.
const MAX_ALARMS: usize = 10;
/// Percent of the traffic that the first step moves, or each of equal ones, where nothing is said.
const CANARY_PERCENT: i32 = 10;
const LINEAR_PERCENT: i32 = 25;
/// The least that one of equal steps may move.
const MIN_LINEAR_PERCENT: i32 = 10;
/// Alarms that go by minutes have rung within so many seconds.
const WAIT_SECS: i32 = 300;

/// How an update takes the traffic over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rollout {
    kind: RolloutKind,
    percent: i32,
    wait_secs: i32,
    timeout_secs: Option<i32>,
    alarms: Vec<String>,
}

impl Rollout {
    /// In one step, with nothing to watch.
    pub(crate) fn at_once() -> Self {
        Self { kind: RolloutKind::AllAtOnce, percent: 100, wait_secs: 0, timeout_secs: None, alarms: Vec::new() }
    }

    /// What `args` ask for, checked as SageMaker checks it.
    pub(crate) fn new(args: &RolloutArgs) -> anyhow::Result<Self> {
        let kind = args.rollout;
        let is_plain = kind == RolloutKind::AllAtOnce && args.rollback_alarms.is_empty();
        let percent = match (kind, args.rollout_percent) {
            (RolloutKind::AllAtOnce, None) => 100,
            (RolloutKind::AllAtOnce, Some(_)) => {
                bail!("--rollout-percent is the size of a step: pass --rollout canary or --rollout linear with it")
            }
            (RolloutKind::Canary, percent) => percent.unwrap_or(CANARY_PERCENT),
            (RolloutKind::Linear, Some(percent)) if percent < MIN_LINEAR_PERCENT => {
                bail!("--rollout-percent {percent}: with --rollout linear a step moves 10 to 50 percent")
            }
            (RolloutKind::Linear, percent) => percent.unwrap_or(LINEAR_PERCENT),
        };
        if args.rollback_alarms.len() > MAX_ALARMS {
            bail!("--rollback-alarm is given {} times, and may be {MAX_ALARMS} times", args.rollback_alarms.len());
        }
        let rollout = Self {
            kind,
            percent,
            wait_secs: args.rollout_wait_secs.unwrap_or(if is_plain { 0 } else { WAIT_SECS }),
            timeout_secs: args.rollout_timeout_secs,
            alarms: args.rollback_alarms.clone(),
        };
        let waits = rollout.waits_secs();
        if let Some(timeout) = rollout.timeout_secs.filter(|timeout| *timeout <= waits) {
            bail!(
                "--rollout-timeout-secs {timeout}: the waits of the steps alone take {waits} seconds: give more time, \
                 or a shorter --rollout-wait-secs"
            );
        }
        Ok(rollout)
    }

    /// Seconds of waiting in all.
    fn waits_secs(&self) -> i32 {
        let steps = match self.kind {
            RolloutKind::AllAtOnce => 1,
            RolloutKind::Canary => 2,
            RolloutKind::Linear => (100 + self.percent - 1) / self.percent,
        };
        steps * self.wait_secs
    }

    /// Whether it is more than a serverless endpoint can do.
    pub(super) fn is_guarded(&self) -> bool {
        *self != Self::at_once()
    }

    /// What UpdateEndpoint is told.
    pub(super) fn config(&self) -> DeploymentConfig {
        let size = CapacitySize::builder().r#type(CapacitySizeType::CapacityPercent).value(self.percent).build();
        let routing = TrafficRoutingConfig::builder().wait_interval_in_seconds(self.wait_secs);
        let routing = match self.kind {
            RolloutKind::AllAtOnce => routing.r#type(TrafficRoutingConfigType::AllAtOnce),
            RolloutKind::Canary => routing.r#type(TrafficRoutingConfigType::Canary).canary_size(size),
            RolloutKind::Linear => routing.r#type(TrafficRoutingConfigType::Linear).linear_step_size(size),
        };
        let policy = BlueGreenUpdatePolicy::builder().traffic_routing_configuration(routing.build());
        let policy = policy.termination_wait_in_seconds(self.wait_secs);
        let policy = policy.set_maximum_execution_timeout_in_seconds(self.timeout_secs).build();
        let alarms: Vec<Alarm> = self.alarms.iter().map(|name| Alarm::builder().alarm_name(name).build()).collect();
        let rollback = (!alarms.is_empty()).then(|| AutoRollbackConfig::builder().set_alarms(Some(alarms)).build());
        let config = DeploymentConfig::builder().blue_green_update_policy(policy);
        config.set_auto_rollback_configuration(rollback).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(rollout: RolloutKind) -> RolloutArgs {
        RolloutArgs {
            rollout,
            rollout_percent: None,
            rollout_wait_secs: None,
            rollout_timeout_secs: None,
            rollback_alarms: Vec::new(),
        }
    }

    fn refusal(args: &RolloutArgs) -> String {
        Rollout::new(args).unwrap_err().to_string()
    }

    #[test]
    fn defaults_watch_the_alarms_for_five_minutes_where_there_is_something_to_watch() {
        let plain = Rollout::new(&args(RolloutKind::AllAtOnce)).unwrap();
        assert_eq!(plain, Rollout::at_once());
        let watched = RolloutArgs { rollback_alarms: vec!["a".to_owned()], ..args(RolloutKind::AllAtOnce) };
        assert_eq!(Rollout::new(&watched).unwrap().wait_secs, 300);
        let linear = Rollout::new(&args(RolloutKind::Linear)).unwrap();
        assert_eq!((linear.percent, linear.waits_secs()), (25, 1200));
        assert_eq!(Rollout::new(&args(RolloutKind::Canary)).unwrap().waits_secs(), 600);
    }

    #[test]
    fn what_sagemaker_would_refuse_is_refused_with_the_way_out() {
        let percent = RolloutArgs { rollout_percent: Some(5), ..args(RolloutKind::Linear) };
        assert!(refusal(&percent).contains("10 to 50"));
        assert!(Rollout::new(&RolloutArgs { rollout: RolloutKind::Canary, ..percent }).is_ok());
        let sized = RolloutArgs { rollout_percent: Some(20), ..args(RolloutKind::AllAtOnce) };
        assert!(refusal(&sized).contains("--rollout canary"));
        let hurried = RolloutArgs { rollout_timeout_secs: Some(600), ..args(RolloutKind::Canary) };
        assert!(refusal(&hurried).contains("take 600 seconds"));
        let alarmed = RolloutArgs { rollback_alarms: vec![String::new(); 11], ..args(RolloutKind::Canary) };
        assert!(refusal(&alarmed).contains("10 times"));
    }
}
