//! How a model is served, how an endpoint scales, and how an update reaches it.

use clap::{ArgAction, Args, ValueEnum};

use super::values::instance;

/// How to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArgs {
    /// URI of the inference image; needed on AWS, where `unspsc images push` brings it
    #[arg(long, env = "UNSPSC_SERVE_IMAGE", value_name = "URI")]
    pub(crate) serve_image: Option<String>,
    /// Instance type to serve from
    #[arg(long, env = "UNSPSC_SERVE_INSTANCE", value_name = "TYPE", default_value = "ml.m5.large", value_parser = instance)]
    pub(crate) serve_instance: String,
    #[command(flatten)]
    pub(crate) scaling: ScalingArgs,
    /// Serve without instances of your own: paid by the millisecond, slow after a pause, not scaled by a policy
    #[arg(long, env = "UNSPSC_SERVERLESS", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub(crate) serverless: bool,
    /// With --serverless: memory in MB, 1024 to 6144 in steps of 1024; processors come in proportion
    #[arg(long, env = "UNSPSC_SERVERLESS_MEMORY_MB", value_name = "MB", default_value_t = 3072, value_parser = memory_mb)]
    pub(crate) serverless_memory_mb: i32,
    /// With --serverless: invocations at a time at most; those above are refused
    #[arg(long, env = "UNSPSC_SERVERLESS_CONCURRENCY", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(i32).range(1..=200))]
    pub(crate) serverless_concurrency: i32,
    /// Take requests from S3 and leave the answers there, below unspsc/ENDPOINT/async/ of the bucket
    #[arg(long = "async", env = "UNSPSC_ASYNC", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub(crate) asynchronous: bool,
    /// With --async: requests that an instance gets at a time
    #[arg(long, env = "UNSPSC_ASYNC_CONCURRENCY", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) async_concurrency: i32,
}

/// Between which numbers of instances to scale, and by what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ScalingArgs {
    /// Instances at least
    #[arg(long, env = "UNSPSC_MIN_INSTANCES", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) min_instances: i32,
    /// Instances at most
    #[arg(long, env = "UNSPSC_MAX_INSTANCES", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) max_instances: i32,
    /// What to hold at its target: `invocations` a minute, or `concurrency`, those under way, looked at every ten
    /// seconds; endpoints with --async go by what waits
    #[arg(
        long,
        env = "UNSPSC_SCALE_BY",
        value_name = "METRIC",
        default_value = "invocations",
        hide_possible_values = true
    )]
    pub(crate) scale_by: ScaleBy,
    /// Invocations a minute that each instance is to get
    #[arg(long, env = "UNSPSC_TARGET_INVOCATIONS", value_name = "N", default_value = "25", value_parser = target)]
    pub(crate) target_invocations: f64,
    /// With --scale-by concurrency: invocations that each instance is to have under way
    #[arg(long, env = "UNSPSC_TARGET_CONCURRENCY", value_name = "N", default_value = "5", value_parser = target)]
    pub(crate) target_concurrency: f64,
    /// With --async: requests that are to wait or to be under way for each instance
    #[arg(long, env = "UNSPSC_TARGET_BACKLOG", value_name = "N", default_value = "5", value_parser = target)]
    pub(crate) target_backlog: f64,
    /// Seconds from taking an instance away to taking the next
    #[arg(long, env = "UNSPSC_SCALE_IN_COOLDOWN_SECS", value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(i32).range(0..=86_400))]
    pub(crate) scale_in_cooldown_secs: i32,
    /// Seconds from adding an instance to adding the next
    #[arg(long, env = "UNSPSC_SCALE_OUT_COOLDOWN_SECS", value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(i32).range(0..=86_400))]
    pub(crate) scale_out_cooldown_secs: i32,
    /// Calls a minute at the busiest time: says how many instances they need
    #[arg(long, env = "UNSPSC_PEAK_CALLS_PER_MINUTE", value_name = "N", value_parser = target)]
    pub(crate) peak_calls_per_minute: Option<f64>,
}

/// What is held at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaleBy {
    /// Invocations a minute and instance.
    Invocations,
    /// Invocations under way at an instance.
    Concurrency,
}

/// How an update reaches an endpoint that serves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct RolloutArgs {
    /// How an update takes the traffic over: `all-at-once`, `canary`, a part first and then all, or `linear`, in equal
    /// steps
    #[arg(
        long,
        env = "UNSPSC_ROLLOUT",
        value_name = "HOW",
        default_value = "all-at-once",
        hide_possible_values = true
    )]
    pub(crate) rollout: RolloutKind,
    /// Part of the traffic that a step moves, in percent: 1 to 50 with canary, 10 to 50 with linear [default: 10, or
    /// 25 with linear]
    #[arg(long, env = "UNSPSC_ROLLOUT_PERCENT", value_name = "PERCENT",
          value_parser = clap::value_parser!(i32).range(1..=50))]
    pub(crate) rollout_percent: Option<i32>,
    /// Seconds to watch the alarms after each step, the last included, 3600 at most [default: 300, or 0 with
    /// all-at-once and no alarm]
    #[arg(long, env = "UNSPSC_ROLLOUT_WAIT_SECS", value_name = "SECONDS",
          value_parser = clap::value_parser!(i32).range(0..=3600))]
    pub(crate) rollout_wait_secs: Option<i32>,
    /// Seconds after which an update that is not through is taken back, 600 to 28800 [default: SageMaker's own limit]
    #[arg(long, env = "UNSPSC_ROLLOUT_TIMEOUT_SECS", value_name = "SECONDS",
          value_parser = clap::value_parser!(i32).range(600..=28_800))]
    pub(crate) rollout_timeout_secs: Option<i32>,
    /// CloudWatch alarm that takes the update back if it rings; may be repeated, 10 at most
    #[arg(long = "rollback-alarm", value_name = "NAME")]
    pub(crate) rollback_alarms: Vec<String>,
}

/// How the traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RolloutKind {
    /// In one step.
    AllAtOnce,
    /// A part, then the rest.
    Canary,
    /// In equal steps.
    Linear,
}

/// Memory of a serverless variant as SageMaker has it.
fn memory_mb(text: &str) -> Result<i32, String> {
    let memory = text.parse().ok().filter(|memory| (1024..=6144).contains(memory) && memory % 1024 == 0);
    memory.ok_or_else(|| "allowed: 1024, 2048, 3072, 4096, 5120, 6144".to_owned())
}

/// A number above 0.
fn target(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "allowed: a number above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_service() {
        assert_eq!(memory_mb("2048"), Ok(2048));
        for text in ["0", "512", "1500", "7168", "x"] {
            assert!(memory_mb(text).is_err(), "{text}");
        }
        assert_eq!(target("0.5"), Ok(0.5));
        for text in ["0", "-1", "inf", "NaN", ""] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
