//! `unspsc infra`: what has to be there before anything is trained, made of a template by CloudFormation, and what stands
//! before an endpoint, which `unspsc lambda deploy` makes.

mod settings;
mod status;
mod stores;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;

use crate::options::{InfraDownArgs, InfraUpArgs, StackArgs};
use crate::session::Session;
use crate::stacks::{self, Consent, Stack, Wanted};
use crate::{confirm, destroy};

pub(crate) use self::settings::{are_set, tell};
pub(crate) use self::status::run as status;
pub(crate) use self::stores::{Store, of as stores};

/// The template of bucket, repositories, role and policy.
const BASE: &str = include_str!("../../../infrastructure/base.yaml");

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
    settings::tell(session, &stack, &args.stack, &args.platform, config)?;
    session.progress.say(&format!(
        "for whoever runs `unspsc`, who need not make stacks: attach {} to user, group or role",
        stack.output("OperatorPolicyArn")?
    ));
    Ok(())
}

/// Makes or changes the stack, by which this session works from now on; nothing comes of it in a plan.
pub(crate) async fn base(session: &Session, args: &StackArgs, consent: &Consent) -> anyhow::Result<Option<Stack>> {
    let parameters = BTreeMap::from([("Name", args.name.clone())]);
    let wanted = Wanted { name: base_name(args), template: BASE, parameters, momentary: &[] };
    let stack = stacks::bring(session, &wanted, consent).await?;
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
    if base.is_some() {
        refuse_what_is_used(session, None).await?;
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
        session.progress.say(&format!("gone: {}", found.join(", ")));
    }
    Ok(())
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

/// Nobody's role is deleted who may still work by it, which is whatever of this program is in the account, but for the
/// `endpoint` that goes too.
pub(crate) async fn refuse_what_is_used(session: &Session, endpoint: Option<&str>) -> anyhow::Result<()> {
    let mut running = destroy::running(session).await?;
    let goes = endpoint.map(|name| format!("endpoint {name}"));
    running.retain(|one| Some(one) != goes.as_ref());
    if running.is_empty() {
        return Ok(());
    }
    bail!(
        "there is still {}, which may run by the role and the bucket of the stack: nothing was deleted; take down what it is with \
         `{}` and `{}`, or all that this program has made with `{}`",
        running.join(", "),
        session.command("destroy --endpoint NAME"),
        session.command("stop JOB"),
        session.command("destroy --all")
    )
}
