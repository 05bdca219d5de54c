//! Scaling by target tracking: what is registered, what it means, and what a load needs.

use anyhow::bail;
use aws_sdk_applicationautoscaling::types::{
    CustomizedMetricSpecification, MetricDimension, MetricStatistic, MetricType, PolicyType,
    PredefinedMetricSpecification, ScalableDimension, ScalableTarget, ScalingPolicy, ServiceNamespace, SuspendedState,
    TargetTrackingScalingPolicyConfiguration,
};

use crate::aws::{ServiceError, failed};
use crate::destroy;
use crate::options::{ScaleBy, ScalingArgs};
use crate::session::Session;

use super::VARIANT;

/// How an endpoint scales.
#[derive(Debug, PartialEq)]
pub(super) struct Scaling {
    pub(super) min: i32,
    max: i32,
    metric: Metric,
    target: f64,
    scale_in_secs: i32,
    scale_out_secs: i32,
    /// Calls a minute that it is to bear.
    peak: Option<f64>,
}

/// What is held at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    /// Invocations a minute and instance.
    Invocations,
    /// Invocations under way at an instance.
    Concurrency,
    /// Asynchronous requests that wait or are under way, by instance.
    Backlog,
}

impl Metric {
    const ALL: [Self; 3] = [Self::Invocations, Self::Concurrency, Self::Backlog];

    /// The name of the endpoint's policy.
    fn policy(self, endpoint: &str) -> String {
        let word = match self {
            Self::Invocations => "invocations",
            Self::Concurrency => "concurrency",
            Self::Backlog => "backlog",
        };
        format!("{endpoint}-{word}")
    }
}

impl Scaling {
    /// What `args` ask for.
    pub(super) fn new(args: &ScalingArgs, asynchronous: bool) -> anyhow::Result<Self> {
        let (min, max) = (args.min_instances, args.max_instances);
        if min > max {
            bail!("--min-instances {min} is more than --max-instances {max}");
        }
        let (metric, target) = match (asynchronous, args.scale_by) {
            (true, _) => (Metric::Backlog, args.target_backlog),
            (false, ScaleBy::Invocations) => (Metric::Invocations, args.target_invocations),
            (false, ScaleBy::Concurrency) => (Metric::Concurrency, args.target_concurrency),
        };
        let (scale_in_secs, scale_out_secs) = (args.scale_in_cooldown_secs, args.scale_out_cooldown_secs);
        Ok(Self { min, max, metric, target, scale_in_secs, scale_out_secs, peak: args.peak_calls_per_minute })
    }

    /// The name of the endpoint's policy.
    pub(super) fn policy(&self, endpoint: &str) -> String {
        self.metric.policy(endpoint)
    }

    /// What the target means.
    pub(super) fn meaning(&self) -> String {
        let range = if self.min == self.max {
            format!("{} instance{}", self.min, if self.min == 1 { "" } else { "s" })
        } else {
            format!("{} to {} instances", self.min, self.max)
        };
        let target = self.target;
        match self.metric {
            Metric::Invocations => {
                format!("{range}, so that each gets {target} invocations a minute, one every {:.1} s", 60.0 / target)
            }
            Metric::Concurrency => format!(
                "{range}, so that each has {target} invocations under way, which is {:.0} a minute if one takes a second",
                60.0 * target
            ),
            Metric::Backlog => format!("{range}, so that {target} requests wait or are under way for each"),
        }
    }

    /// What the load that was given needs. How many calls a minute an instance bears is known of the first metric; of
    /// calls under way it follows from how long one takes, and what waits in a queue says nothing of it.
    pub(super) fn need(&self) -> Option<String> {
        let peak = self.peak?;
        let (borne_by_one, condition) = match self.metric {
            Metric::Invocations => (self.target, ""),
            Metric::Concurrency => (60.0 * self.target, " if one takes a second"),
            Metric::Backlog => {
                return Some(format!("how many instances {peak} calls a minute need depends on how long one takes"));
            }
        };
        let needed = (peak / borne_by_one).ceil().max(1.0);
        let plural = if needed > 1.0 { "instances" } else { "instance" };
        let begin = format!("{peak} calls a minute need {needed} {plural}{condition}");
        Some(if needed > f64::from(self.max) {
            let borne = borne_by_one * f64::from(self.max);
            format!("{begin}, and {} bear {borne}: pass --max-instances {needed}", self.max)
        } else {
            format!("{begin}; up to {} are allowed", self.max)
        })
    }

    /// Registers the endpoint for scaling; what is right already is left alone. Before it is in service, its capacity
    /// would not be taken over. A plan that has taken scaling off does not look: it is still there.
    pub(super) async fn apply(&self, session: &Session, endpoint: &str) -> anyhow::Result<()> {
        let resource = resource_id(endpoint);
        let (targets, policies) = if session.is_plan() && session.taken_off.is_some() {
            (Vec::new(), Vec::new())
        } else {
            (targets(session, &resource).await?, policies(session, &resource).await?)
        };
        let is_right = |target: &ScalableTarget| (target.min_capacity(), target.max_capacity()) == (self.min, self.max);
        if !targets.iter().any(is_right) {
            register(session, &resource, self.min, self.max, session.taken_off.suspended()).await?;
        }
        let wanted = self.tracking(endpoint)?;
        let name = self.metric.policy(endpoint);
        let found = policies.iter().find(|policy| policy.policy_name() == name);
        let found = found.and_then(|policy| policy.target_tracking_scaling_policy_configuration());
        if found.is_none_or(|found| !is_same(found, &wanted)) {
            put(session, &resource, &name, wanted).await?;
        }
        // Two of ours would pull at the same variant: the one of another metric goes once the new one is there.
        for other in Metric::ALL.iter().map(|metric| metric.policy(endpoint)).filter(|other| *other != name) {
            if policies.iter().any(|policy| policy.policy_name() == other) {
                destroy::policy(session, &resource, &other).await?;
            }
        }
        Ok(())
    }

    fn tracking(&self, endpoint: &str) -> anyhow::Result<TargetTrackingScalingPolicyConfiguration> {
        let tracking = TargetTrackingScalingPolicyConfiguration::builder()
            .target_value(self.target)
            .scale_in_cooldown(self.scale_in_secs)
            .scale_out_cooldown(self.scale_out_secs);
        let predefined = |metric| PredefinedMetricSpecification::builder().predefined_metric_type(metric).build();
        let tracking = match self.metric {
            Metric::Invocations => tracking
                .predefined_metric_specification(predefined(MetricType::SageMakerVariantInvocationsPerInstance)?),
            Metric::Concurrency => tracking.predefined_metric_specification(predefined(
                MetricType::SageMakerVariantConcurrentRequestsPerModelHighResolution,
            )?),
            // Developer guide, "Autoscale an asynchronous endpoint": CloudWatch has it, autoscaling no name for it.
            Metric::Backlog => tracking.customized_metric_specification(
                CustomizedMetricSpecification::builder()
                    .metric_name("ApproximateBacklogSizePerInstance")
                    .namespace("AWS/SageMaker")
                    .dimensions(MetricDimension::builder().name("EndpointName").value(endpoint).build()?)
                    .statistic(MetricStatistic::Average)
                    .build(),
            ),
        };
        Ok(tracking.build()?)
    }
}

/// What a load needs of a serverless endpoint that takes so many invocations at a time.
pub(super) fn need_of_serverless(peak: f64, concurrency: i32) -> String {
    let needed = (peak / 60.0).ceil().max(1.0);
    let begin = format!("{peak} calls a minute are {needed} at a time if one takes a second");
    if needed > f64::from(concurrency) {
        format!("{begin}, and {concurrency} are taken: pass --serverless-concurrency {needed}")
    } else {
        format!("{begin}; up to {concurrency} are taken")
    }
}

/// Whether `found` does what `wanted` does; the service adds members of its own.
fn is_same(
    found: &TargetTrackingScalingPolicyConfiguration,
    wanted: &TargetTrackingScalingPolicyConfiguration,
) -> bool {
    let predefined = |policy: &TargetTrackingScalingPolicyConfiguration| {
        policy.predefined_metric_specification().map(|metric| metric.predefined_metric_type().clone())
    };
    let customized = |policy: &TargetTrackingScalingPolicyConfiguration| {
        policy.customized_metric_specification().and_then(|metric| metric.metric_name().map(str::to_owned))
    };
    found.target_value() == wanted.target_value()
        && found.scale_in_cooldown() == wanted.scale_in_cooldown()
        && found.scale_out_cooldown() == wanted.scale_out_cooldown()
        && predefined(found) == predefined(wanted)
        && customized(found) == customized(wanted)
}

/// Whether a policy of the endpoint bears a name of this program's.
pub(super) fn is_ours(endpoint: &str, policy: &str) -> bool {
    Metric::ALL.iter().any(|metric| metric.policy(endpoint) == policy)
}

pub(super) async fn register(
    session: &Session,
    resource: &str,
    min: i32,
    max: i32,
    suspended: Option<SuspendedState>,
) -> Result<(), ServiceError> {
    let target = session.clients.scaling.register_scalable_target().service_namespace(ServiceNamespace::Sagemaker);
    let target = target.resource_id(resource).min_capacity(min).max_capacity(max).set_suspended_state(suspended);
    let target = target.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    target.send().await.map(drop).map_err(failed("RegisterScalableTarget"))
}

pub(super) async fn put(
    session: &Session,
    resource: &str,
    name: &str,
    tracking: TargetTrackingScalingPolicyConfiguration,
) -> Result<(), ServiceError> {
    let policy = session.clients.scaling.put_scaling_policy().service_namespace(ServiceNamespace::Sagemaker);
    let policy = policy.policy_name(name).resource_id(resource).policy_type(PolicyType::TargetTrackingScaling);
    let policy = policy.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    let policy = policy.target_tracking_scaling_policy_configuration(tracking);
    policy.send().await.map(drop).map_err(failed("PutScalingPolicy"))
}

/// What is registered of `resource`.
pub(crate) async fn targets(session: &Session, resource: &str) -> Result<Vec<ScalableTarget>, ServiceError> {
    let request = session.clients.scaling.describe_scalable_targets().service_namespace(ServiceNamespace::Sagemaker);
    let request = request.resource_ids(resource);
    let request = request.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    let answer = request.send().await.map_err(failed("DescribeScalableTargets"))?;
    Ok(answer.scalable_targets.unwrap_or_default())
}

/// The policies of `resource`.
pub(crate) async fn policies(session: &Session, resource: &str) -> Result<Vec<ScalingPolicy>, ServiceError> {
    let request = session.clients.scaling.describe_scaling_policies().service_namespace(ServiceNamespace::Sagemaker);
    let request = request.resource_id(resource);
    let request = request.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
    let answer = request.send().await.map_err(failed("DescribeScalingPolicies"))?;
    Ok(answer.scaling_policies.unwrap_or_default())
}

/// The endpoint's variant as Application Auto Scaling names it.
pub(crate) fn resource_id(endpoint: &str) -> String {
    format!("{}{VARIANT}", resource_prefix(endpoint))
}

/// What the names of all variants of the endpoint begin with.
pub(crate) fn resource_prefix(endpoint: &str) -> String {
    format!("endpoint/{endpoint}/variant/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(metric: Metric, target: f64, peak: f64) -> Scaling {
        Scaling { min: 1, max: 4, metric, target, scale_in_secs: 300, scale_out_secs: 30, peak: Some(peak) }
    }

    #[test]
    fn a_load_is_told_in_instances() {
        let need = |peak| scaling(Metric::Invocations, 25.0, peak).need().unwrap();
        assert_eq!(need(100.0), "100 calls a minute need 4 instances; up to 4 are allowed");
        assert_eq!(need(101.0), "101 calls a minute need 5 instances, and 4 bear 100: pass --max-instances 5");
        assert_eq!(need(0.5), "0.5 calls a minute need 1 instance; up to 4 are allowed");
        let need = |peak| scaling(Metric::Concurrency, 5.0, peak).need().unwrap();
        assert_eq!(need(600.0), "600 calls a minute need 2 instances if one takes a second; up to 4 are allowed");
        assert!(need(1500.0).contains("5 instances if one takes a second, and 4 bear 1200: pass --max-instances 5"));
        assert!(scaling(Metric::Backlog, 5.0, 10.0).need().unwrap().contains("how long one takes"));
        assert!(need_of_serverless(600.0, 5).ends_with(
            "10 at a time if one takes a second, and 5 are taken: pass \
                                                        --serverless-concurrency 10"
        ));
        assert!(need_of_serverless(60.0, 5).ends_with("1 at a time if one takes a second; up to 5 are taken"));
    }

    #[test]
    fn a_target_is_told_in_plain_words() {
        let meaning = |metric, target| scaling(metric, target, 1.0).meaning();
        assert_eq!(
            meaning(Metric::Invocations, 25.0),
            "1 to 4 instances, so that each gets 25 invocations a minute, one every 2.4 s"
        );
        assert!(meaning(Metric::Concurrency, 5.0).contains("300 a minute if one takes a second"));
        let fixed = Scaling { max: 1, ..scaling(Metric::Backlog, 5.0, 1.0) };
        assert!(fixed.meaning().starts_with("1 instance, so that 5 requests"));
    }

    #[test]
    fn policies_are_compared_by_what_they_do() {
        let tracking = |metric, target| scaling(metric, target, 1.0).tracking("e").unwrap();
        assert!(is_same(&tracking(Metric::Invocations, 25.0), &tracking(Metric::Invocations, 25.0)));
        assert!(is_same(&tracking(Metric::Backlog, 5.0), &tracking(Metric::Backlog, 5.0)));
        assert!(!is_same(&tracking(Metric::Invocations, 25.0), &tracking(Metric::Invocations, 30.0)));
        assert!(!is_same(&tracking(Metric::Invocations, 25.0), &tracking(Metric::Concurrency, 25.0)));
    }
}
