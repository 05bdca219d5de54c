//! What a name stands for: a job of one of three kinds, or an endpoint. Each kind has names of its own, so that one name
//! may stand for several.

mod transform;
mod tuning;

use aws_sdk_sagemaker::types::{EndpointStatus, TrainingJobStatus};

use crate::aws::{ServiceError, failed};
use crate::session::Session;
use crate::{deploy, follow, poll};

pub(crate) use self::transform::describe as describe_transform;
pub(crate) use self::tuning::{describe as describe_tuning, is_over as is_trial_over, is_trial_of, trials};

/// A kind of thing that `status`, `logs` and `stop` find by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A training job.
    Training,
    /// A hyperparameter tuning job.
    Tuning,
    /// A batch transform job.
    Transform,
    /// An endpoint.
    Endpoint,
}

impl Kind {
    /// In the order in which they are shown.
    const ALL: [Self; 4] = [Self::Training, Self::Tuning, Self::Transform, Self::Endpoint];

    /// What people call it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Training => "training job",
            Self::Tuning => "tuning job",
            Self::Transform => "transform job",
            Self::Endpoint => "endpoint",
        }
    }

    /// The same with its article.
    pub(crate) fn with_article(self) -> String {
        format!("{} {}", if self == Self::Endpoint { "an" } else { "a" }, self.noun())
    }

    /// The longest name that SageMaker takes, in characters; a longer one is refused as malformed and not as missing.
    pub(crate) fn longest_name(self) -> usize {
        // That of a tuning job begins the names of its trials.
        if self == Self::Tuning { 32 } else { 63 }
    }
}

/// The status of a job that was told to stop, the same for all kinds.
pub(crate) const STOPPING: &str = "Stopping";

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) arn: Option<String>,
    /// SageMaker's word for it.
    pub(crate) status: String,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// Whether nothing will become of it any more.
    pub(crate) is_over: bool,
}

/// Everything that `name` stands for: one thing at least.
pub(crate) async fn find(session: &Session, name: &str) -> anyhow::Result<Vec<Kind>> {
    match look(session, name).await? {
        found if found.is_empty() => Err(nothing(session, name)),
        found => Ok(found),
    }
}

/// That `name` stands for nothing.
pub(crate) fn nothing(session: &Session, name: &str) -> anyhow::Error {
    anyhow::anyhow!("there is no job and no endpoint named {name}: `{}` lists them", session.command("status"))
}

/// Everything that `name` stands for.
pub(crate) async fn look(session: &Session, name: &str) -> anyhow::Result<Vec<Kind>> {
    let (mut found, mut denied) = (Vec::new(), None);
    for kind in Kind::ALL.into_iter().filter(|kind| name.len() <= kind.longest_name()) {
        match state(session, kind, name).await {
            Ok(_) => found.push(kind),
            Err(error) if error.is_missing() => {}
            // Whoever may look at endpoints alone still gets to see one.
            Err(error @ ServiceError::Denied { .. }) => denied = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match denied {
        Some(error) if found.is_empty() => Err(error.into()),
        _ => Ok(found),
    }
}

/// How the `kind` of this name stands.
pub(crate) async fn state(session: &Session, kind: Kind, name: &str) -> Result<State, ServiceError> {
    let (arn, status, reason) = match kind {
        Kind::Training => {
            let job = follow::describe(session, name).await?;
            let status = job.training_job_status().map(|status| status.as_str().to_owned());
            (job.training_job_arn, status, job.failure_reason)
        }
        Kind::Tuning => {
            let job = tuning::describe(session, name).await?;
            let status = job.hyper_parameter_tuning_job_status().map(|status| status.as_str().to_owned());
            (job.hyper_parameter_tuning_job_arn, status, job.failure_reason)
        }
        Kind::Transform => {
            let job = transform::describe(session, name).await?;
            let status = job.transform_job_status().map(|status| status.as_str().to_owned());
            (job.transform_job_arn, status, job.failure_reason)
        }
        Kind::Endpoint => {
            let endpoint = deploy::describe(session, name).await?;
            let status = endpoint.endpoint_status().map(|status| status.as_str().to_owned());
            (endpoint.endpoint_arn, status, endpoint.failure_reason)
        }
    };
    let status = status.unwrap_or_else(|| "unknown".to_owned());
    let is_over = match kind {
        Kind::Endpoint => status == EndpointStatus::Failed.as_str(),
        _ => is_over(&status),
    };
    Ok(State { arn, status, reason, is_over })
}

/// Whether a job of any kind with this status is at its end: the three have the same words for that.
pub(crate) fn is_over(status: &str) -> bool {
    use TrainingJobStatus::{Completed, Failed, Stopped};
    [Completed, Failed, Stopped].iter().any(|over| over.as_str() == status)
}

/// Stops the job `name` if it runs, and waits for its end.
pub(crate) async fn stop(session: &Session, kind: Kind, name: &str) -> anyhow::Result<()> {
    let found = match state(session, kind, name).await {
        Err(error) if error.is_missing() => return Ok(()),
        Ok(state) if state.is_over => return Ok(()),
        outcome => outcome?,
    };
    let step = session.changing(&format!("stopping {name}"));
    // One that is stopping need not be told, and may refuse to be.
    let told = if found.status == STOPPING { Ok(()) } else { ask_to_stop(session, kind, name).await };
    if let Err(error) = told {
        // It may have ended by itself in the meantime.
        if !state(session, kind, name).await?.is_over {
            return Err(error.into());
        }
    }
    if !session.is_plan() {
        poll::until(session.pace, async || Ok(state(session, kind, name).await?.is_over.then_some(()))).await?;
    }
    drop(step);
    Ok(())
}

/// Tells the job `name` to stop.
pub(crate) async fn ask_to_stop(session: &Session, kind: Kind, name: &str) -> Result<(), ServiceError> {
    let sagemaker = &session.clients.sagemaker;
    match kind {
        Kind::Training => {
            let stopped = sagemaker.stop_training_job().training_job_name(name).send().await;
            stopped.map(drop).map_err(failed("StopTrainingJob"))
        }
        Kind::Tuning => {
            let stopped =
                sagemaker.stop_hyper_parameter_tuning_job().hyper_parameter_tuning_job_name(name).send().await;
            stopped.map(drop).map_err(failed("StopHyperParameterTuningJob"))
        }
        Kind::Transform => {
            let stopped = sagemaker.stop_transform_job().transform_job_name(name).send().await;
            stopped.map(drop).map_err(failed("StopTransformJob"))
        }
        // An endpoint has no end of its own: `destroy` takes it down.
        Kind::Endpoint => Ok(()),
    }
}
