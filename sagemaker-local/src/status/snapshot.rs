//! What the page shows, as one JSON document.

use serde_json::{Value, json};
use unspsc_contract::metrics::OBJECTIVE;
use unspsc_contract::{OptMl, files};

use crate::hosting::Endpoint;
use crate::logs;
use crate::platform::Platform;
use crate::store::State;
use crate::training::TrainingJob;
use crate::transform::TransformJob;
use crate::tuning::{self, TuningJob};

/// The newest so many of each kind are shown.
const MAX_SHOWN: usize = 100;
/// Minutes of invocations that are shown.
const MINUTES: i64 = 60;
/// Values of a metric that a curve has at most.
const MAX_POINTS: usize = 200;

/// Everything at this moment.
pub(super) fn take(state: &State, platform: &Platform) -> Value {
    // Trials stand with their tuning job.
    let is_trial = |job: &&TrainingJob| job.tuning_job_arn.is_some();
    let mut jobs: Vec<&TrainingJob> = state.training_jobs.values().filter(|job| !is_trial(job)).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.creation_time));
    let mut tuning_jobs: Vec<&TuningJob> = state.tuning_jobs.values().collect();
    tuning_jobs.sort_by_key(|tuning| std::cmp::Reverse(tuning.creation_time));
    let mut transform_jobs: Vec<&TransformJob> = state.transform_jobs.values().collect();
    transform_jobs.sort_by_key(|job| std::cmp::Reverse(job.creation_time));
    let mut endpoints: Vec<&Endpoint> = state.endpoints.values().collect();
    endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.creation_time));
    json!({
        "now": platform.clock.now(),
        "training_jobs": jobs.iter().take(MAX_SHOWN).map(|job| training_job(state, platform, job)).collect::<Vec<_>>(),
        "tuning_jobs": tuning_jobs.iter().take(MAX_SHOWN).map(|tuning| tuning::shown(state, tuning)).collect::<Vec<_>>(),
        "transform_jobs": transform_jobs.iter().take(MAX_SHOWN).map(|job| transform_job(state, job)).collect::<Vec<_>>(),
        "endpoints": endpoints.iter().take(MAX_SHOWN).map(|one| endpoint(state, platform, one)).collect::<Vec<_>>(),
        "activities": state.scaling_activities.iter().rev().take(MAX_SHOWN).collect::<Vec<_>>(),
    })
}

fn training_job(state: &State, platform: &Platform, job: &TrainingJob) -> Value {
    let name = &job.spec.training_job_name;
    let tree = OptMl::new(platform.folder.job(name).opt_ml());
    let curve = job.metric_history.get(OBJECTIVE).map(|values| {
        let skipped = values.len().saturating_sub(MAX_POINTS);
        values.iter().skip(skipped).map(|(_, value)| *value).collect::<Vec<_>>()
    });
    let description = crate::store::description(job).unwrap_or_default();
    let told = |member: &str| description.get(member).cloned().unwrap_or_default();
    json!({
        "name": name,
        "status": job.training_job_status,
        "secondary": job.secondary_status,
        "created": job.creation_time,
        "ended": job.training_end_time,
        "seconds": told("TrainingTimeInSeconds"),
        "metrics": job.final_metric_data_list,
        "objective": { "name": OBJECTIVE, "values": curve },
        "failure": told("FailureReason"),
        "report": tree.output_data().join(files::REPORT).is_file(),
        "log": stream_of(state, logs::TRAINING_JOBS, &format!("{name}/")),
    })
}

fn transform_job(state: &State, job: &TransformJob) -> Value {
    let description = crate::store::description(job).unwrap_or_default();
    let told = |pointer: &str| description.pointer(pointer).cloned().unwrap_or_default();
    let name = told("/TransformJobName");
    let streams = state.log_streams.get(logs::TRANSFORM_JOBS).into_iter().flat_map(|streams| streams.keys());
    let prefix = format!("{}/", name.as_str().unwrap_or_default());
    json!({
        "name": name,
        "status": job.transform_job_status,
        "created": job.creation_time,
        "started": told("/TransformStartTime"),
        "ended": told("/TransformEndTime"),
        "model": told("/ModelName"),
        "input": told("/TransformInput/DataSource/S3DataSource/S3Uri"),
        "failure": told("/FailureReason"),
        "group": logs::TRANSFORM_JOBS,
        "streams": streams.filter(|stream| stream.starts_with(&prefix)).collect::<Vec<_>>(),
    })
}

fn endpoint(state: &State, platform: &Platform, endpoint: &Endpoint) -> Value {
    let name = &endpoint.endpoint_name;
    let variants = endpoint.production_variants.iter().map(|variant| {
        let resource = format!("endpoint/{name}/variant/{}", variant.variant_name);
        let target = state.scalable_targets.get(&resource);
        json!({
            "name": variant.variant_name,
            "current": variant.current_instance_count,
            "desired": variant.desired_instance_count,
            "weight": variant.current_weight,
            "minutes": platform.traffic.minutes(name, &variant.variant_name, platform.clock.now(), MINUTES),
            "scaling": target.map(|target| json!({ "min": target.min_capacity, "max": target.max_capacity })),
        })
    });
    let group = logs::of_endpoint(name);
    let mut streams: Vec<_> = state.log_streams.get(&group).into_iter().flatten().collect();
    streams.sort_by_key(|(_, stream)| stream.created);
    json!({
        "name": name,
        "status": endpoint.endpoint_status,
        "config": endpoint.endpoint_config_name,
        "created": endpoint.creation_time,
        "failure": endpoint.failure_reason,
        "variants": variants.collect::<Vec<_>>(),
        "group": group,
        "streams": streams.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// Group and stream of the log whose name begins with `prefix`.
fn stream_of(state: &State, group: &str, prefix: &str) -> Value {
    let stream =
        state.log_streams.get(group).and_then(|streams| streams.keys().find(|stream| stream.starts_with(prefix)));
    stream.map_or(Value::Null, |stream| json!({ "group": group, "stream": stream }))
}
