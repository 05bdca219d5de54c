//! `unspsc deploy`: model, endpoint configuration, endpoint, a text that it has to answer, and scaling.

mod clear;
mod create;
mod rollout;
mod scaling;
mod smoke;
mod there;
mod update;
mod wanted;

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::types::HyperParameterTuningJobStatus;

use crate::aws::failed;
use crate::content::CONTENT;
use crate::follow;
use crate::options::{DeployArgs, ModelArgs};
use crate::progress::print;
use crate::session::Session;
use crate::undo::Started;

pub(crate) use self::clear::leave_update;
pub(crate) use self::rollout::Rollout;
pub(crate) use self::scaling::{policies, resource_id, resource_prefix};
pub(crate) use self::there::{describe, is_settled, status};
pub(crate) use self::wanted::{Pieces, Wanted};

/// The one variant of an endpoint.
const VARIANT: &str = "AllTraffic";

/// Deploys a model and says under which name.
pub(crate) async fn run(session: &Session, args: &DeployArgs) -> anyhow::Result<()> {
    if session.ends_with_process() {
        bail!(
            "--local ends with this command, and its endpoints with it: start `sagemaker-local` and pass \
             --endpoint-url, or take the whole way with `unspsc run --local`"
        );
    }
    let rollout = Rollout::new(&args.rollout)?;
    if args.serve.serverless && rollout.is_guarded() {
        bail!("a serverless endpoint is updated all at once, without alarms: leave out --rollout and --rollback-alarm");
    }
    let artifact = artifact(session, &args.model).await?;
    let wanted = Wanted::new(session, &artifact, &args.serve)?;
    let given = args.endpoint.as_ref().or(args.model.job.as_ref()).or(args.model.tuning_job.as_ref());
    let endpoint = given.map_or_else(|| wanted.endpoint_name(), |name| Ok(name.clone()))?;
    deploy(session, &endpoint, &wanted, &rollout).await?;
    session.undo.settle(&Started::Endpoint(endpoint.clone()));
    if session.is_plan() { Ok(()) } else { print(&endpoint) }
}

/// Where the model lies.
async fn artifact(session: &Session, model: &ModelArgs) -> anyhow::Result<String> {
    let job = match (&model.artifact, &model.job, &model.tuning_job) {
        (Some(artifact), ..) => return Ok(artifact.clone()),
        (_, Some(job), _) => job.clone(),
        (_, _, Some(tuning)) => best_trial(session, tuning).await?,
        _ => bail!("--job, --tuning-job or --artifact is needed"),
    };
    match follow::describe(session, &job).await {
        Err(error) if error.is_missing() => {
            bail!("there is no training job {job}: `{}` lists those there are", session.command("status"))
        }
        outcome => follow::artifact(&job, &outcome?),
    }
}

/// The best trial of a tuning job, so far or at its end.
async fn best_trial(session: &Session, tuning: &str) -> anyhow::Result<String> {
    let request = session.clients.sagemaker.describe_hyper_parameter_tuning_job();
    let described = request.hyper_parameter_tuning_job_name(tuning).send().await;
    let described = match described.map_err(failed("DescribeHyperParameterTuningJob")) {
        Err(error) if error.is_missing() => bail!("there is no tuning job {tuning}"),
        outcome => outcome?,
    };
    let status = described.hyper_parameter_tuning_job_status();
    let is_over = status != Some(&HyperParameterTuningJobStatus::InProgress);
    let status = status.map_or("unknown", HyperParameterTuningJobStatus::as_str);
    let best = described.best_training_job().and_then(|best| best.training_job_name());
    let best = best.with_context(|| {
        let what =
            if is_over { "tune again, or deploy a job with --job" } else { "wait for its first completed trial" };
        format!("tuning job {tuning} is {status} and has no best trial: {what}")
    })?;
    let so_far = if is_over { "" } else { " so far" };
    session.progress.say(&format!("best trial of {tuning}{so_far}: {best}"));
    Ok(best.to_owned())
}

/// Puts the model behind the endpoint `name`, a new one or one that serves, going on from what an earlier run has left;
/// what it begins is noted to be undone.
pub(crate) async fn deploy(session: &Session, name: &str, wanted: &Wanted, rollout: &Rollout) -> anyhow::Result<()> {
    let pieces = wanted.pieces(name)?;
    let there = there::look(session, name).await?;
    match &there {
        None => create::endpoint(session, name, wanted, &pieces).await?,
        Some(there) if there.config == pieces.config.name => update::confirm(session, name, wanted, there).await?,
        Some(there) => update::update(session, name, wanted, (there, &pieces), rollout).await?,
    }
    if let Some(scaling) = &wanted.scaling {
        scaling.apply(session, name).await?;
    }
    if let Some(there) = there.filter(|there| there.is_noted || there.config != pieces.config.name) {
        there::tag(session, &there.arn, CONTENT, pieces.config.content.hash()).await?;
        there::forget_former(session, &there.arn).await?;
    }
    session.undo.settle(&Started::Update(name.to_owned()));
    // The endpoint serves, whatever becomes of this.
    let Pieces { model, config } = pieces;
    if let Err(error) = clear::unused(session, name, &[config.name], &[model.name]).await {
        session.progress.say(&format!("configurations and models that nothing uses may be left: {error:#}"));
    }
    if !session.is_plan() {
        tell(session, name, wanted);
    }
    Ok(())
}

/// Says what there is now.
fn tell(session: &Session, name: &str, wanted: &Wanted) {
    let Some(scaling) = &wanted.scaling else {
        session
            .progress
            .say(&format!("endpoint {name} is in service, serverless: it scales by itself, and costs nothing unused"));
        return;
    };
    session.progress.say(&format!("endpoint {name} is in service; {}", scaling.meaning()));
    if let Some(need) = scaling.need() {
        session.progress.say(&need);
    }
}
