//! `unspsc deploy`: model, endpoint configuration, endpoint, a text that it has to answer, and scaling.

mod clear;
mod create;
mod former;
mod others;
mod rollout;
mod scaling;
mod smoke;
mod there;
mod update;
mod wanted;

use anyhow::bail;

use crate::artifact;
use crate::content::CONTENT;
use crate::options::{DeployArgs, ModelArgs, ServeArgs};
use crate::progress::print;
use crate::session::Session;
use crate::undo::Started;

pub(crate) use self::clear::{configs_used, leave_update, models_used};
pub(crate) use self::former::TakenOff;
pub(crate) use self::others::refuse_other_stack;
pub(crate) use self::rollout::Rollout;
pub(crate) use self::scaling::{policies, resource_id, resource_prefix, targets};
pub(crate) use self::there::{describe, is_settled, status};
pub(crate) use self::wanted::{Pieces, Wanted};

/// The one variant of an endpoint.
pub(crate) const VARIANT: &str = "AllTraffic";

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
    let ModelArgs { job, tuning_job, artifact } = &args.model;
    let artifact = artifact::find(session, job.as_deref(), tuning_job.as_deref(), artifact.as_deref()).await?;
    let given = args.endpoint.as_ref().or(args.model.job.as_ref()).or(args.model.tuning_job.as_ref());
    let endpoint = put(session, &artifact, given.map(String::as_str), &args.serve, &rollout).await?;
    if session.is_plan() {
        return Ok(());
    }
    if let (true, Some(peak)) = (args.serve.serverless, args.serve.scaling.peak_calls_per_minute) {
        session.progress.say(&scaling::need_of_serverless(peak, args.serve.serverless_concurrency));
    }
    print(&endpoint)
}

/// Puts the model at `artifact` behind an endpoint that is there to stay, and returns its name.
pub(crate) async fn put(
    session: &Session,
    artifact: &str,
    endpoint: Option<&str>,
    serve: &ServeArgs,
    rollout: &Rollout,
) -> anyhow::Result<String> {
    let wanted = Wanted::new(session, artifact, serve)?.looked_at(session).await?;
    let endpoint = endpoint.map_or_else(|| wanted.endpoint_name(), |name| Ok(name.to_owned()))?;
    deploy(session, &endpoint, &wanted, rollout).await?;
    session.undo.settle(&Started::Endpoint(endpoint.clone()));
    Ok(endpoint)
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
    former::replaced(session, wanted.scaling.is_some()).await?;
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
