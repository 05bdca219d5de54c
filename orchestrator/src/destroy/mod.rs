//! `unspsc destroy`: an endpoint and all that belongs to it, or everything that this program has made, in the order that
//! works.

mod find;
mod jobs;
mod part;
mod ties;

use anyhow::bail;

use crate::confirm;
use crate::deploy::{Pieces, Wanted, resource_id};
use crate::options::DestroyArgs;
use crate::progress::{Step, print};
use crate::session::Session;

use self::find::Found;
pub(crate) use self::find::{configs_of, models_of};
use self::part::Part;
pub(crate) use self::part::{config, endpoint, model, policy, target};
pub(crate) use self::ties::{Base, running_by};

/// Takes down what was named, if that was confirmed.
pub(crate) async fn run(session: &Session, args: &DestroyArgs) -> anyhow::Result<()> {
    let what = args.what.endpoint.as_ref().map_or_else(
        || "everything that this program has made on SageMaker".to_owned(),
        |name| format!("endpoint {name} and what belongs to it"),
    );
    let step = session.progress.step(&format!("looking for {what}"));
    let found = match &args.what.endpoint {
        Some(name) => find::of_endpoint(session, name).await?,
        None => find::all(session).await?,
    };
    drop(step);
    tell_others(session, &found);
    if args.dry_run {
        return listed(&found);
    }
    let stays = found.stays().map(ToString::to_string);
    let what = stays.as_ref().map_or(what, |stays| format!("what belongs to {stays}"));
    let count = found.parts.len();
    if count == 0 && found.errors.is_empty() && stays.is_none() {
        session.progress.say(&format!("nothing is there of {what}"));
        return Ok(());
    }
    if count > 0 && !args.yes && !session.is_plan() && !confirmed(session, &found, &what).await? {
        bail!("nothing was deleted");
    }
    if count > 0 || !found.errors.is_empty() {
        let step = session.changing(&format!("taking down {what}"));
        take_down(session, found, &step).await?;
        drop(step);
    }
    if let Some(stays) = stays {
        bail!("{stays} is still there, since it is somebody else's");
    }
    if session.is_plan() {
        return Ok(());
    }
    session.progress.say(&format!("gone: {what}"));
    if args.what.all {
        let down = session.command("down");
        session.progress.say(&format!(
            "objects in the bucket (data, models, checkpoints) stay, and so do stacks: where there is a Lambda, `{down}` takes it down"
        ));
    }
    Ok(())
}

/// Says what bears the name and stays.
fn tell_others(session: &Session, found: &Found) {
    for part in &found.others {
        session.progress.say(&format!("{part} was not made by this program, and is left alone"));
    }
}

/// What goes, in the order in which something is done about it: jobs are told to stop before anything else.
fn in_order(found: &Found) -> impl Iterator<Item = &Part> {
    let (jobs, others): (Vec<_>, Vec<_>) = found.parts.iter().partition(|part| part.job().is_some());
    jobs.into_iter().chain(others)
}

/// Prints what would go.
fn listed(found: &Found) -> anyhow::Result<()> {
    for part in in_order(found) {
        print(&part.to_string())?;
    }
    if !found.errors.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        bail!("not all could be looked for: {}", errors.join("; "));
    }
    if found.parts.is_empty() {
        print("nothing to take down")?;
    }
    // It ends as it would without --dry-run.
    match found.stays() {
        Some(stays) => bail!("{stays} would still be there, since it is somebody else's"),
        None => Ok(()),
    }
}

/// Asks whoever sits at the terminal.
async fn confirmed(session: &Session, found: &Found, what: &str) -> anyhow::Result<bool> {
    let question = if found.parts.len() == 1 { "delete this?" } else { "delete all of this?" };
    let unasked = format!("this deletes {what}: confirm with --yes, or see with --dry-run what would go");
    confirm::asked(session, in_order(found).map(ToString::to_string), question, &unasked).await
}

/// Deletes what belongs to the endpoint; what is gone already is passed over. False if the endpoint is somebody else's,
/// and stays.
pub(crate) async fn destroy(session: &Session, name: &str) -> anyhow::Result<bool> {
    let step = session.progress.step(&format!("taking down endpoint {name}"));
    let found = find::of_endpoint(session, name).await?;
    tell_others(session, &found);
    let goes = found.stays().is_none();
    take_down(session, found, &step).await?;
    Ok(goes)
}

/// Endpoints that are there and jobs that run, of this program.
pub(crate) async fn running(session: &Session) -> anyhow::Result<Vec<String>> {
    let running = find::running(session).await?;
    Ok(running.iter().filter(|(_, is_ours)| *is_ours).map(|(part, _)| part.to_string()).collect())
}

/// What [`destroy`] would ask for, of a deployment that was planned only.
pub(crate) async fn planned(session: &Session, name: &str, wanted: &Wanted) -> anyhow::Result<()> {
    let resource = resource_id(name);
    let Pieces { model, config } = wanted.pieces(name)?;
    let mut parts = Vec::new();
    if let Some(policy) = wanted.policy(name) {
        parts.push(Part::Policy { resource: resource.clone(), name: policy });
        parts.push(Part::Target { resource });
    }
    parts.extend([Part::Endpoint(name.to_owned()), Part::Config(config.name), Part::Model(model.name)]);
    let step = session.changing(&format!("taking down endpoint {name}"));
    take_down(session, Found { parts, ..Found::default() }, &step).await
}

/// Tells jobs to stop and takes all parts down in their order. What resists holds up nothing but what it needs itself: a configuration stays
/// with its endpoint, for it says what that costs.
async fn take_down(session: &Session, found: Found, step: &Step) -> anyhow::Result<()> {
    let jobs = found.parts.iter().filter_map(Part::job);
    jobs::stop(session, jobs).await;
    let (mut errors, mut serves) = (Vec::new(), false);
    for part in &found.parts {
        if serves && matches!(part, Part::Config(_) | Part::Model(_)) {
            continue;
        }
        step.update(format!("taking down {part}"));
        if let Err(error) = part.take_down(session).await {
            serves |= matches!(part, Part::Endpoint(_));
            errors.push(error.context(format!("{part} is still there")));
        }
    }
    errors.extend(found.errors.into_iter().map(anyhow::Error::from));
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    errors.for_each(|error| session.progress.say(&format!("{error:#}")));
    Err(first)
}
