//! `unspsc infra`: what has to be there before anything is trained, made of a template by CloudFormation, and what stands
//! before an endpoint, which `unspsc lambda deploy` makes.

mod settings;
mod status;
mod stores;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{anyhow, bail};

use crate::destroy::{self, Base};
use crate::options::{InfraDownArgs, InfraUpArgs, PlatformArgs, StackArgs};
use crate::session::Session;
use crate::stacks::{self, Consent, Stack, Wanted};
use crate::{confirm, images};

pub(crate) use self::settings::{are_set, tell};
pub(crate) use self::status::run as status;
pub(crate) use self::stores::{Store, of as stores};

/// The template of bucket, repositories, role and policy.
const BASE: &str = include_str!("../../../infrastructure/base.yaml");

/// Parameters that say whether the stack makes a repository, and the end of that one's name.
const REPOSITORIES: [(&str, &str); 3] = [
    ("MakeTrainCpuRepository", "train-cpu"),
    ("MakeTrainGpuRepository", "train-gpu"),
    ("MakeServeRepository", "serve"),
];

/// The stack of bucket, repositories, role and policy.
pub(crate) fn base_name(args: &StackArgs) -> String {
    format!("{}-base", args.name)
}

/// The stack of the Lambda before an endpoint.
pub(crate) fn front_name(args: &StackArgs) -> String {
    format!("{}-front", args.name)
}

/// Makes or changes the stack, and says what belongs into the settings.
pub(crate) async fn up(session: &Session, args: &InfraUpArgs, config: Option<&Path>) -> anyhow::Result<()> {
    let consent = Consent { yes: args.yes, verb: "infra up" };
    let stack = base(session, &args.stack, &consent).await?;
    let Some(stack) = stack.filter(|_| !session.is_plan()) else { return Ok(()) };
    settings::tell(session, &stack, &args.stack, &args.platform, (config, args.save))?;
    session.progress.say(&format!(
        "for whoever runs `unspsc`, who need not make stacks: attach {} to user, group or role",
        stack.output("OperatorPolicyArn")?
    ));
    Ok(())
}

/// Makes or changes the stack, by which this session works from now on; nothing comes of it in a plan.
pub(crate) async fn base(session: &Session, args: &StackArgs, consent: &Consent) -> anyhow::Result<Option<Stack>> {
    let there = stacks::cleared(session, &base_name(args), consent).await?;
    let mut parameters = BTreeMap::from([("Name", args.name.clone())]);
    for (parameter, kind) in REPOSITORIES {
        let makes = match &there {
            Some(there) => there.parameters.get(parameter).is_none_or(|makes| makes == "true"),
            // Those that are there go with the stack whose deletion was planned.
            None if session.has_planned() => true,
            None => !is_made_otherwise(session, &repository(args, kind)).await?,
        };
        parameters.insert(parameter, makes.to_string());
    }
    let wanted = Wanted { name: base_name(args), template: BASE, parameters, momentary: &[] };
    let stack = stacks::bring(session, &wanted, there, consent).await?;
    if let Some(stack) = &stack {
        session.provide(stack.output("ExecutionRoleArn")?, stack.output("Bucket")?);
    }
    Ok(stack)
}

/// Takes both stacks down, and what they hold only if that is wanted.
pub(crate) async fn down(session: &Session, args: &InfraDownArgs) -> anyhow::Result<()> {
    let (base, front) = both(session, &args.stack).await?;
    let found: Vec<String> = front.iter().chain(&base).map(ToString::to_string).collect();
    if found.is_empty() {
        let (base, front) = (base_name(&args.stack), front_name(&args.stack));
        session.progress.say(&format!("nothing is there of the stacks {base} and {front}"));
        return Ok(());
    }
    let stores = match &base {
        Some(base) => stores::of(session, base).await?,
        None => Vec::new(),
    };
    if let Some(full) = full(&stores).filter(|_| !args.delete_data) {
        bail!("{full}: nothing was deleted; --delete-data deletes all of that too, and it cannot be had back");
    }
    if let Some(base) = &base
        && let Some(users) = users(session, base, &stores, None).await?
    {
        return Err(users.refusal(base));
    }
    if !session.is_plan() && !args.yes {
        let unasked = "this deletes the stacks with what they hold: confirm with --yes, or see with `unspsc plan infra down` what \
                       would be done";
        if !confirm::asked(session, found.iter().cloned().chain(full(&stores)), "delete all of this?", unasked).await? {
            bail!("nothing was deleted");
        }
    }
    // What asks the endpoint goes before what that needs.
    if let Some(front) = &front {
        stacks::delete(session, front).await?;
    }
    if let Some(base) = &base {
        delete(session, base, &stores).await?;
    }
    if !session.is_plan() {
        let stays = match &base {
            Some(base) => stays(session, base, &args.stack).await?,
            None => String::new(),
        };
        session.progress.say(&format!("gone: {}{stays}", found.join(", ")));
    }
    Ok(())
}

/// Whether the repository is there before the stack that could make it; said, if it is.
async fn is_made_otherwise(session: &Session, repository: &str) -> anyhow::Result<bool> {
    let is_there = images::is_repository(session, repository).await?;
    if is_there {
        session.progress.say(&format!(
            "repository {repository} is there already: the stack does without one of its own, and leaves it alone"
        ));
    }
    Ok(is_there)
}

fn repository(args: &StackArgs, kind: &str) -> String {
    format!("{}-{kind}", args.name)
}

/// The repositories of this name that are none of the stack's and stay when it goes, in words behind others.
pub(crate) async fn stays(session: &Session, base: &Stack, args: &StackArgs) -> anyhow::Result<String> {
    let mut words = String::new();
    let is_other = |parameter: &str| base.parameters.get(parameter).is_some_and(|makes| makes == "false");
    for (_, kind) in REPOSITORIES.iter().filter(|(parameter, _)| is_other(parameter)) {
        let name = repository(args, kind);
        if images::is_repository(session, &name).await? {
            words += &format!("; repository {name}, which the stack has not made, stays");
        }
    }
    Ok(words)
}

/// Deletes the stack of bucket and repositories, and all that is in these.
pub(crate) async fn delete(session: &Session, base: &Stack, stores: &[Store]) -> anyhow::Result<()> {
    for store in stores {
        store.clear(session).await?;
    }
    stacks::delete(session, base).await
}

/// Both stacks as far as they are there and ours.
pub(crate) async fn both(session: &Session, args: &StackArgs) -> anyhow::Result<(Option<Stack>, Option<Stack>)> {
    let base = stacks::over(session, &base_name(args)).await?;
    Ok((base, stacks::over(session, &front_name(args)).await?))
}

/// Those of `stores` that hold something, in words.
pub(crate) fn full(stores: &[Store]) -> Option<String> {
    let full: Vec<String> = stores.iter().filter(|store| !store.is_empty()).map(ToString::to_string).collect();
    (!full.is_empty()).then(|| full.join(", "))
}

/// Who still works by the role, the bucket or the images of the stack, but for the `endpoint` that goes too; with what ends it.
pub(crate) async fn users(
    session: &Session,
    stack: &Stack,
    stores: &[Store],
    endpoint: Option<&str>,
) -> anyhow::Result<Option<Users>> {
    let (buckets, repositories) = stores::names(stores);
    let base = Base { role: stack.outputs.get("ExecutionRoleArn").cloned(), buckets, repositories };
    let running = destroy::running_by(session, &base, endpoint).await?;
    let (who, ends): (Vec<String>, Vec<String>) = running.into_iter().unzip();
    Ok((!who.is_empty()).then(|| Users { who: who.join(", "), ends: ends.join(", ") }))
}

/// Who works by a stack.
pub(crate) struct Users {
    pub(crate) who: String,
    /// What ends that.
    ends: String,
}

impl Users {
    /// Why nothing of `stack` is deleted.
    pub(crate) fn refusal(&self, stack: &Stack) -> anyhow::Error {
        let Self { who, ends } = self;
        anyhow!("{stack} is in use by {who}, through its role, bucket or images: nothing was deleted; first {ends}")
    }
}

/// Refuses settings of another stack, whose bucket and role would be taken in place of this one's.
pub(crate) fn check_settings(base: &Stack, platform: &PlatformArgs) -> anyhow::Result<()> {
    let others = [("role", "ExecutionRoleArn", &platform.role), ("bucket", "Bucket", &platform.bucket)];
    for (setting, output, set) in others {
        let own = base.output(output)?;
        if let Some(other) = set.as_deref().filter(|other| *other != own) {
            bail!(
                "the settings have {setting} {other} and {base} has {own}: leave {setting} away, or give the settings of \
                 {base} with --config"
            );
        }
    }
    Ok(())
}
