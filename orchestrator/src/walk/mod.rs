//! `unspsc up` and `unspsc down`: from an empty account to a classifier behind a Lambda, and back. Each step is a verb of its
//! own, and leaves alone what is there, so that the same command goes on where it was interrupted.

mod down;
mod steps;

use std::path::Path;

use anyhow::{Context as _, bail};
use unspsc_contract::ModelKind;

use crate::deploy::{self, Rollout};
use crate::images::{self, LocalName};
use crate::lambda::{self, Front};
use crate::options::{ServeArgs, StackArgs, TuneArgs, UpArgs};
use crate::progress::print;
use crate::session::Session;
use crate::stacks::Consent;
use crate::{artifact, infra, report, train, tune};

pub(crate) use self::down::down;

use self::steps::Steps;

/// What the Lambda is asked in the end.
const TEXT: &str = "Edible sandwiches, coffee, tea; bread, biscuits";

/// Goes all steps up.
pub(crate) async fn up(session: &Session, args: &UpArgs, config: Option<&Path>) -> anyhow::Result<()> {
    // Before anything is paid for.
    check(session, args).await?;
    let front = Front::of(session, &args.lambda, &args.stack).await?;
    lambda::check_package(&front).await?;
    let endpoint = args.endpoint.as_ref().or(front.endpoint.as_ref()).unwrap_or(&args.stack.name);
    let consent = Consent { yes: args.yes, verb: "up" };
    // One that the Lambda asks is found by it.
    let down = down_words(Some(endpoint.as_str()).filter(|_| front.endpoint.is_none()), &args.stack);
    let mut steps = Steps::new(session, 6, "up", down.clone());

    steps.begin("bucket, repositories, role and policy", "paid for what is stored");
    let base = infra::base(session, &args.stack, &consent).await?;
    if steps.ends_plan() {
        return Ok(());
    }
    let base = base.context("CloudFormation has made no stack")?;
    infra::check_settings(&base, &args.tune.train.platform)?;
    if !session.is_plan() && !infra::are_set(&base, &args.tune.train.platform) {
        infra::tell(session, &base, &args.stack, &args.tune.train.platform, (config, false))?;
    }

    deploy::refuse_other_stack(session, endpoint).await?;

    steps.begin("images in ECR", "paid for what is stored");
    let (tune, serve) = with_images(session, args).await?;
    if steps.ends_plan() {
        return Ok(());
    }

    steps.begin("a model", &of_jobs(args));
    let artifact = model(session, args, &tune).await?;
    if steps.ends_plan() {
        return Ok(());
    }

    steps.begin(&format!("endpoint {endpoint}"), &of_instances(session, args, &down));
    deploy::put(session, &artifact, Some(endpoint), &serve, &Rollout::at_once()).await?;
    if steps.ends_plan() {
        return Ok(());
    }

    steps.begin("the Lambda before it", &of_environments(session, &front, &down));
    let on = (&args.stack, &args.tune.train.platform);
    let alias = lambda::deploy(session, &front, on, endpoint, &consent).await?;
    if session.is_plan() {
        return Ok(());
    }

    steps.begin("a text through all of it", "");
    let answer = lambda::answer(session, &lambda::function_name(&args.stack), lambda::LIVE, TEXT).await?;
    print(&format!("{TEXT}\n{}", serde_json::to_string_pretty(&answer)?))?;
    steps.end();
    print(&alias.context("the stack of the Lambda names no alias")?)
}

/// The words of the command that goes down; of the `endpoint` where it has to be named.
fn down_words(endpoint: Option<&str>, stack: &StackArgs) -> String {
    let of = endpoint.filter(|endpoint| *endpoint != stack.name).map(|name| format!(" --endpoint {name}"));
    format!("down{}{}", of.unwrap_or_default(), stack.option())
}

/// Refuses what would only be refused after hours.
async fn check(session: &Session, args: &UpArgs) -> anyhow::Result<()> {
    if session.ends_with_process() {
        bail!(
            "--local ends with this command, and all that it makes with it: take the whole way with `unspsc run --local`"
        );
    }
    if args.serve.asynchronous {
        bail!("the Lambda waits for the answers of its endpoint, and one with --async gives none: leave it out");
    }
    let job = &args.tune.train.job;
    if job.model == ModelKind::Rnn {
        bail!("the rnn baseline is there to be compared with and is not served: leave --model away");
    }
    let images = wanted(args)?;
    let of_training = images::first(&images, "train").map(LocalName::as_str).or(job.train_image.as_deref());
    let data = &args.tune.train.data;
    for (option, path) in [("--data", &data.data), ("--groups", &data.groups), ("--encoder", &job.encoder)] {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            bail!("{option} {} does not exist", path.display());
        }
    }
    let role = args.tune.train.platform.role.as_deref().unwrap_or_default();
    train::check_encoder(job, of_training.unwrap_or_default(), role)?;
    if args.train_only {
        train::hyperparameters(&args.tune.train).map(drop)?;
    } else {
        tune::check_options(&args.tune)?;
    }
    if images.is_empty() {
        for image in [&job.train_image, &args.serve.serve_image].into_iter().flatten() {
            images::check_pushed(session, image, &args.stack.option()).await?;
        }
    }
    images::check(&images).await
}

/// The options with the images that are in ECR then.
async fn with_images(session: &Session, args: &UpArgs) -> anyhow::Result<(TuneArgs, ServeArgs)> {
    let (mut tune, mut serve) = (args.tune.clone(), args.serve.clone());
    let names = wanted(args)?;
    if names.is_empty() {
        session.progress.say("the images are those of the settings");
        return Ok((tune, serve));
    }
    let pinned = images::bring(session, &names, &args.stack.name).await?;
    let of = |word: &str| images::first(&pinned, word).map(|one| one.reference.clone());
    tune.train.job.train_image = of("train").or(tune.train.job.train_image);
    serve.serve_image = of("serve").or(serve.serve_image);
    Ok((tune, serve))
}

/// The images of this machine to bring to ECR: those that were given, or this project's for the instances; none where the
/// settings name both.
fn wanted(args: &UpArgs) -> anyhow::Result<Vec<LocalName>> {
    let job = &args.tune.train.job;
    if !args.images.is_empty() {
        return Ok(args.images.clone());
    }
    if job.train_image.is_some() && args.serve.serve_image.is_some() {
        return Ok(Vec::new());
    }
    let family = job.train_instance.trim_start_matches("ml.");
    // Families with a GPU begin so: g4dn, g5, p3 and the like.
    let train = if family.starts_with(['g', 'p']) { "unspsc-train-gpu:latest" } else { "unspsc-train-cpu:latest" };
    let parsed = [train, "unspsc-serve:latest"].map(|name| name.parse().map_err(anyhow::Error::msg));
    parsed.into_iter().collect()
}

/// The place of the model that is trained, or was.
async fn model(session: &Session, args: &UpArgs, tune: &TuneArgs) -> anyhow::Result<String> {
    if !args.train_only {
        let job = tune::tune(session, tune).await?;
        if session.has_planned() {
            return Ok(String::new());
        }
        return artifact::find(session, None, Some(&job), None).await;
    }
    let trained = train::train(session, &tune.train).await?;
    if let Some(report) = &trained.report {
        print(&report::describe(report, &tune.train.data)?)?;
    }
    Ok(trained.artifact)
}

/// What the third step costs.
fn of_jobs(args: &UpArgs) -> String {
    let (job, search) = (&args.tune.train.job, &args.tune.search);
    let jobs = if args.train_only { "one job".to_owned() } else { format!("{} trials at most", search.max_jobs) };
    let price = search.price_per_hour.map(|price| format!(", {price} dollars an hour each")).unwrap_or_default();
    format!("{jobs} on {}{price}, paid while it trains", job.train_instance)
}

/// What the fourth step costs.
fn of_instances(session: &Session, args: &UpArgs, down: &str) -> String {
    if args.serve.serverless {
        return "serverless, paid for each request".to_owned();
    }
    let scaling = &args.serve.scaling;
    let (least, most) = (scaling.min_instances, scaling.max_instances);
    let (instance, down) = (&args.serve.serve_instance, session.command(down));
    format!("{least} to {most} instances {instance}, paid by the hour until `{down}`")
}

/// What the fifth step costs.
fn of_environments(session: &Session, front: &Front, down: &str) -> String {
    let (ready, memory) = (front.ready, front.memory_mb);
    if ready == 0 {
        return format!("{memory} MB, paid for each request");
    }
    let down = session.command(down);
    format!("{ready} environments of {memory} MB kept ready, paid by the hour until `{down}`, and each request")
}
