//! Target tracking: looks at the metric of each policy and changes the number of instances.
//!
//! As AWS does it with two alarms a policy: the high one rings after three datapoints in a row above the target, the low one after fifteen
//! minutes of datapoints below nine tenths of it. A datapoint is a minute of invocations for each instance, or, for the high-resolution
//! metric of concurrency, what is under way at each instance every ten seconds. A variant without traffic has the datapoint 0.
//! Scaling goes by proportion: so many instances that each has the target.
//!
//! Sources: <https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html> for cooldowns,
//! <https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-policy.html> for the metrics; the windows of the alarms are those
//! that AWS makes, which no page promises.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::activities;
use super::record::{Metric, ScalableTarget, ScalingPolicy, TargetTracking};
use crate::error::ApiError;
use crate::hosting;
use crate::platform::Platform;
use crate::store::State;
use crate::time::Time;

/// How often metrics are looked at: the shortest period there is.
const TICK: Duration = Duration::from_secs(10);
/// Datapoints in a row above the target that add instances.
const HIGH_POINTS: usize = 3;
/// Minutes below the lower bound after which instances are taken away.
const LOW_WINDOW: Duration = Duration::from_secs(15 * 60);
/// The lower bound's part of the target.
const LOW_SHARE: f64 = 0.9;

/// What is known of a policy's metric and of what was done about it.
#[derive(Debug, Default)]
struct Track {
    /// The newest datapoints, oldest first.
    points: VecDeque<f64>,
    /// The end of the last period that is among them.
    last: Option<Time>,
    /// When instances were last added, and how many there were before.
    out: Option<(Time, u32)>,
    /// When instances were last taken away.
    r#in: Option<Time>,
}

/// Looks at all policies for as long as the platform runs.
pub(crate) async fn run(platform: Arc<Platform>) {
    let mut tracks: HashMap<String, Track> = HashMap::new();
    loop {
        platform.clock.sleep_until(floor(platform.clock.now(), TICK).plus(TICK)).await;
        let policies = platform.store.read(|state| {
            let with_target = |policy: &ScalingPolicy| {
                Some((policy.clone(), state.scalable_targets.get(&policy.resource_id)?.clone()))
            };
            state.scaling_policies.iter().filter_map(with_target).collect::<Vec<_>>()
        });
        tracks.retain(|arn, _| policies.iter().any(|(policy, _)| policy.arn == *arn));
        for (policy, target) in policies {
            let track = tracks.entry(policy.arn.clone()).or_default();
            if let Err(error) = look(&platform, &policy, &target, track) {
                tracing::error!(policy = policy.policy_name, %error, "cannot scale");
            }
        }
    }
}

/// Adds the datapoints of the periods that have ended, and acts on them.
fn look(
    platform: &Platform,
    policy: &ScalingPolicy,
    target: &ScalableTarget,
    track: &mut Track,
) -> Result<(), ApiError> {
    let Some(metric) = policy.target_tracking.metric() else { return Ok(()) };
    let Some((endpoint, variant)) = parts(&policy.resource_id) else { return Ok(()) };
    let capacity = platform.store.read(|state| {
        let variant = state.endpoints.get(endpoint)?.variant(variant)?;
        Some((variant.current_instance_count, variant.desired_instance_count))
    });
    let Some((current, desired)) = capacity.filter(|(current, _)| *current > 0) else { return Ok(()) };
    let (now, period) = (platform.clock.now(), metric.period());
    let newest = floor(now, period);
    let window = usize::try_from(LOW_WINDOW.as_secs() / period.as_secs()).unwrap_or(HIGH_POINTS);
    let mut end = track.last.map_or(newest, |last| last.plus(period));
    if track.last.is_none() {
        track.last = Some(newest);
        return Ok(());
    }
    // A datapoint is acted on once, in the look that adds it.
    if end > newest {
        return Ok(());
    }
    while end <= newest {
        let sum = match metric {
            Metric::InvocationsPerInstance => platform.traffic.before(endpoint, variant, end) as f64,
            // What was under way in a period that nobody looked at is not known.
            Metric::ConcurrentRequests | Metric::Backlog if end < newest => 0.0,
            Metric::Backlog => platform.queues.backlog(endpoint) as f64,
            Metric::ConcurrentRequests => platform.routes.outstanding(endpoint, variant) as f64,
        };
        track.points.push_back(sum / f64::from(current));
        while track.points.len() > window {
            track.points.pop_front();
        }
        track.last = Some(end);
        end = end.plus(period);
    }
    let Some((count, side)) = decide(track, window, desired, target, &policy.target_tracking, now) else {
        return Ok(());
    };
    let alarm = policy.alarms.get(side as usize).map_or("", |alarm| alarm.alarm_name.as_str());
    let cause = format!("monitor alarm {alarm} in state ALARM triggered policy {}", policy.policy_name);
    let begin = |state: &mut State| activities::begin(state, &policy.resource_id, count, cause, now);
    if hosting::set_capacity(platform, endpoint, variant, count, begin)? {
        tracing::info!(endpoint, variant, from = desired, to = count, "scaling");
        match side {
            Side::High => track.out = Some((now, desired)),
            Side::Low => track.r#in = Some(now),
        }
    }
    Ok(())
}

/// Which alarm rings; the number is that of the policy's alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    High = 0,
    Low = 1,
}

/// The number of instances that the datapoints ask for, if it is another one than `desired`.
fn decide(
    track: &Track,
    window: usize,
    desired: u32,
    target: &ScalableTarget,
    policy: &TargetTracking,
    now: Time,
) -> Option<(u32, Side)> {
    let bounds = (target.min_capacity.max(1), target.max_capacity.max(1));
    let wanted = |capacity: u32, value: f64| {
        let instances = (f64::from(capacity) * value / policy.target_value).ceil();
        // The cast saturates.
        u32::try_from((instances as i64).clamp(bounds.0, bounds.1)).unwrap_or(desired)
    };
    let cooling = |since: Option<Time>, seconds: i64| {
        since.is_some_and(|since| now.since(since) < Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let high: Vec<f64> = track.points.iter().rev().take(HIGH_POINTS).copied().collect();
    if high.len() == HIGH_POINTS && high.iter().all(|point| *point > policy.target_value) && !target.is_out_suspended()
    {
        let out = track.out.filter(|(since, _)| cooling(Some(*since), policy.scale_out_cooldown));
        // While it cools down, what has just been added counts as a part of what is needed.
        let capacity = out.map_or(desired, |(_, before)| before);
        let count = wanted(capacity, high.first().copied().unwrap_or(0.0));
        return (count > desired).then_some((count, Side::High));
    }
    let low = track.points.len() >= window && track.points.iter().all(|point| *point < LOW_SHARE * policy.target_value);
    if !low || policy.disable_scale_in || target.is_in_suspended() || cooling(track.r#in, policy.scale_in_cooldown) {
        return None;
    }
    let busiest = track.points.iter().copied().fold(0.0, f64::max);
    let count = wanted(desired, busiest);
    (count < desired).then_some((count, Side::Low))
}

/// Endpoint and variant of `endpoint/ENDPOINT/variant/VARIANT`.
pub(super) fn parts(resource: &str) -> Option<(&str, &str)> {
    resource.strip_prefix("endpoint/")?.split_once("/variant/")
}

/// The last whole period before `time`.
fn floor(time: Time, period: Duration) -> Time {
    let millis = i64::try_from(period.as_millis()).unwrap_or(1).max(1);
    Time::from_millis(time.millis().div_euclid(millis) * millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> TargetTracking {
        let metric = json!({ "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance" });
        let policy = json!({
            "TargetValue": 25.0, "ScaleOutCooldown": 30, "ScaleInCooldown": 300, "PredefinedMetricSpecification": metric,
        });
        serde_json::from_value(policy).unwrap()
    }

    fn decision(points: &[f64], desired: u32, change: impl FnOnce(&mut Track)) -> Option<(u32, Side)> {
        let mut track = Track { points: points.iter().copied().collect(), ..Track::default() };
        change(&mut track);
        let target = super::super::record::example(1, 4);
        decide(&track, 15, desired, &target, &policy(), Time::from_millis(1_000_000))
    }

    #[test]
    fn three_busy_minutes_add_as_many_as_the_load_needs() {
        assert_eq!(decision(&[100.0, 100.0], 1, |_| ()), None, "two are too few");
        assert_eq!(decision(&[100.0, 20.0, 100.0, 100.0], 1, |_| ()), None, "not in a row");
        assert_eq!(decision(&[26.0, 30.0, 60.0], 1, |_| ()), Some((3, Side::High)));
        assert_eq!(decision(&[900.0; 3], 1, |_| ()), Some((4, Side::High)), "no more than the maximum");
        assert_eq!(decision(&[25.0; 3], 1, |_| ()), None, "the target itself is no breach");
    }

    #[test]
    fn a_quarter_of_an_hour_without_load_takes_them_away_again() {
        assert_eq!(decision(&[0.0; 14], 4, |_| ()), None);
        assert_eq!(decision(&[0.0; 15], 4, |_| ()), Some((1, Side::Low)));
        let mut points = [5.0; 15];
        assert_eq!(decision(&points, 4, |_| ()), Some((1, Side::Low)));
        points[3] = 20.0;
        assert_eq!(decision(&points, 4, |_| ()), None, "its busiest minute needs all four");
        assert_eq!(decision(&[0.0; 15], 1, |_| ()), None);
    }

    #[test]
    fn cooldowns_hold_back_what_has_just_been_done() {
        let just_now = Time::from_millis(990_000);
        let long_ago = Time::from_millis(1000);
        // One became two ten seconds ago; the old load asks for two and has them, a higher one gets its third.
        assert_eq!(decision(&[50.0; 3], 2, |track| track.out = Some((just_now, 1))), None);
        assert_eq!(decision(&[70.0; 3], 2, |track| track.out = Some((just_now, 1))), Some((3, Side::High)));
        assert_eq!(decision(&[50.0; 3], 2, |track| track.out = Some((long_ago, 1))), Some((4, Side::High)));
        assert_eq!(decision(&[0.0; 15], 4, |track| track.r#in = Some(just_now)), None);
        assert_eq!(decision(&[0.0; 15], 4, |track| track.r#in = Some(long_ago)), Some((1, Side::Low)));
    }

    #[test]
    fn resources_have_an_endpoint_and_a_variant() {
        assert_eq!(parts("endpoint/e/variant/v"), Some(("e", "v")));
        assert_eq!(parts("table/t"), None);
    }
}
