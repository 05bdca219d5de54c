//! `unspsc lambda deploy`: the stack before an endpoint, and versions of the Lambda that its callers get once they answer.

mod ask;
mod front;
mod package;
mod release;
mod status;

use anyhow::{Context as _, bail};
use aws_sdk_applicationautoscaling::types::ScalableTarget;
use aws_sdk_sagemaker::types::ProductionVariantSummary;

use crate::options::{LambdaDeployArgs, PlatformArgs, StackArgs};
use crate::progress::print;
use crate::session::Session;
use crate::stacks::{self, Consent, Stack, State};
use crate::storage::S3Uri;
use crate::{deploy, infra};

pub(crate) use self::ask::answer;
pub(crate) use self::front::Front;
pub(crate) use self::status::show;

use self::package::Package;
use self::release::Release;

/// The template of the Lambda, its role, alarms and dashboard.
const FRONT: &str = include_str!("../../../infrastructure/endpoint.yaml");
/// The alias that callers call.
pub(crate) const LIVE: &str = "live";
/// Parameters that say how the stack was made, and not what it is: the code goes past it, and so does the alias.
const MOMENTARY: &[&str] = &["CodeBucket", "CodeKey", "LiveVersion"];
/// What the names of functions end in.
const FUNCTION: &str = "-classify";
/// Where packages lie in the bucket.
const PLACE: &str = "unspsc/lambda";

/// Refuses a package that Lambda would refuse.
pub(crate) async fn check_package(front: &Front) -> anyhow::Result<()> {
    Package::read(front).await.map(drop)
}

/// The Lambda as it is called.
pub(crate) fn function_name(args: &StackArgs) -> String {
    format!("{}{FUNCTION}", args.name)
}

/// Whether `name` is one that a Lambda of this program may have.
pub(crate) fn is_function(name: &str) -> bool {
    name.ends_with(FUNCTION)
}

/// Deploys and prints what is to be called.
pub(crate) async fn run(session: &Session, args: &LambdaDeployArgs) -> anyhow::Result<()> {
    let consent = Consent { yes: args.yes, verb: "lambda deploy" };
    let front = Front::of(session, &args.lambda, &args.stack).await?;
    let on = (&args.stack, &args.platform);
    let Some(alias) = deploy(session, &front, on, &args.endpoint, &consent).await? else { return Ok(()) };
    print(&alias)
}

/// Brings the package to the Lambda before the endpoint; the ARN of what is to be called, or nothing in a plan.
pub(crate) async fn deploy(
    session: &Session,
    front: &Front,
    (stack, platform): (&StackArgs, &PlatformArgs),
    endpoint: &str,
    consent: &Consent,
) -> anyhow::Result<Option<String>> {
    let package = Package::read(front).await?;
    let instances = most_instances(session, endpoint).await?;
    let name = infra::base_name(stack);
    let Some(base) = stacks::settled(session, &name).await?.filter(|base| base.state() == State::Stands) else {
        let up = session.command(&format!("infra up{}", stack.option()));
        bail!("there is no stack {name}, whose bucket takes the package: `{up}` makes it");
    };
    infra::check_settings(&base, platform)?;
    session.provide(base.output("ExecutionRoleArn")?, base.output("Bucket")?);
    deploy::refuse_other_stack(session, endpoint).await?;
    let place = package.upload(session, &S3Uri::new(session.bucket()?, PLACE)).await?;
    let function = function_name(stack);
    let there = stacks::cleared(session, &infra::front_name(stack), consent).await?;
    let live = match &there {
        Some(_) => release::live_version(session, &function).await?,
        None => String::new(),
    };
    let former = match &there {
        Some(_) => release::endpoint_of(session, &function, &live).await?.filter(|former| former != endpoint),
        None => None,
    };
    let wanted = front.wanted(stack, (endpoint, former.as_deref().unwrap_or_default(), instances), (&place, &live));
    let made = match stacks::bring(session, &wanted, there.clone(), consent).await {
        Err(error) if there.is_some() && !session.is_plan() => {
            // What CloudFormation takes back is the alias too, to the version that the stack has led it to last.
            release::keep(session, &function, &live).await.with_context(|| format!("{error:#}"))?;
            return Err(error);
        }
        made => made?,
    };
    if session.is_plan() && there.is_none() {
        return Ok(None);
    }
    if let Some(former) = former.as_ref().filter(|_| session.is_plan()) {
        session
            .progress
            .say(&format!("and, when nothing asks endpoint {former} any more, one more change of the stack"));
    }
    let is_planned = session.is_plan() && made.is_none();
    let release = Release { front, function: &function, package: &package, place: &place, is_planned };
    release::release(session, &release).await?;
    let made = made.filter(|_| !session.is_plan());
    if let (Some(former), Some(made)) = (former, &made) {
        let live = release::live_version(session, &function).await?;
        let wanted = front.wanted(stack, (endpoint, "", instances), (&place, &live));
        // It is what was confirmed.
        let consent = Consent { yes: true, ..*consent };
        if let Err(error) = stacks::bring(session, &wanted, Some(made.clone()), &consent).await {
            release::keep(session, &function, &live).await.with_context(|| format!("{error:#}"))?;
            return Err(error);
        }
        session.progress.say(&format!("nothing asks endpoint {former} any more, and the Lambda's role may not"));
    }
    made.map(|made| made.output("AliasArn").map(str::to_owned)).transpose()
}

/// How many instances the endpoint may have, which an alarm watches for.
async fn most_instances(session: &Session, endpoint: &str) -> anyhow::Result<i32> {
    let described = match deploy::describe(session, endpoint).await {
        Err(error) if error.is_missing() => bail!(
            "there is no endpoint {endpoint} for the Lambda to ask: `{}` makes one",
            session.command(&format!("deploy --job NAME --endpoint {endpoint}"))
        ),
        described => described?,
    };
    if described.async_inference_config().is_some() {
        bail!(
            "endpoint {endpoint} answers into a bucket (--async), and the Lambda waits for answers: it needs another endpoint"
        );
    }
    let targets = deploy::targets(session, &deploy::resource_id(endpoint)).await?;
    let scaled = targets.iter().map(ScalableTarget::max_capacity).max();
    let now = described.production_variants().iter().filter_map(ProductionVariantSummary::current_instance_count).max();
    Ok(scaled.or(now).unwrap_or(1).max(1))
}

/// The endpoint that the alias's version asks, which is another than the stack's while one takes the other's place.
pub(crate) async fn asked(session: &Session, front: &Stack) -> anyhow::Result<Option<String>> {
    let has = |key: &str| front.parameters.get(key).filter(|value| !value.is_empty());
    if has("FormerEndpointName").is_some()
        && let Some(function) = front.outputs.get("FunctionName")
    {
        let live = release::live_version(session, function).await?;
        if let Some(asked) = release::endpoint_of(session, function, &live).await? {
            return Ok(Some(asked));
        }
    }
    Ok(has("EndpointName").cloned())
}

/// What a stack says of the Lambda's name.
fn function_of(front: &Stack) -> anyhow::Result<&str> {
    front.output("FunctionName")
}
