//! `unspsc up` and `unspsc down`: from an empty account to a classifier behind a Lambda, and back. Each step is a verb of its
//! own, and leaves alone what is there, so that the same command goes on where it was interrupted.

mod down;
mod steps;

use std::path::Path;

use anyhow::{Context as _, bail};
use unspsc_contract::ModelKind;

use crate::deploy::{self, Rollout};
use crate::images::{self, LocalName};
use crate::options::{PlatformArgs, ServeArgs, TuneArgs, UpArgs};
use crate::progress::print;
use crate::session::Session;
use crate::stacks::{Consent, Stack};
use crate::{artifact, infra, lambda, report, train, tune};

pub(crate) use self::down::down;

use self::steps::Steps;

/// What the Lambda is asked in the end.
const TEXT: &str = "Edible sandwiches, coffee, tea; bread, biscuits";

/// Goes all steps up.
pub(crate) async fn up(session: &Session, args: &UpArgs, config: Option<&Path>) -> anyhow::Result<()> {
    check(session, args)?;
    // Before anything is paid for.
    lambda::check_package(&args.lambda).await?;
    let endpoint = args.endpoint.as_ref().unwrap_or(&args.stack.name);
    let consent = Consent { yes: args.yes, verb: "up" };
    let mut steps = Steps::new(session, 6, "up");

    steps.begin("bucket, repositories, role and policy", "paid for what is stored");
    let base = infra::base(session, &args.stack, &consent).await?;
    if steps.ends_plan() {
        return Ok(());
    }
    let base = base.context("CloudFormation has made no stack")?;
    check_settings(&base, &args.tune.train.platform)?;
    if !session.is_plan() && !infra::are_set(&base, &args.tune.train.platform) {
        infra::tell(session, &base, &args.stack, &args.tune.train.platform, config)?;
    }

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

    steps.begin(&format!("endpoint {endpoint}"), &of_instances(args));
    deploy::put(session, &artifact, Some(endpoint), &serve, &Rollout::at_once()).await?;
    if steps.ends_plan() {
        return Ok(());
    }

    steps.begin("the Lambda before it", &of_environments(args));
    let alias = lambda::deploy(session, &args.lambda, &args.stack, endpoint, &consent).await?;
    if session.is_plan() {
        return Ok(());
    }

    steps.begin("a text through all of it", "");
    let answer = lambda::answer(session, &lambda::function_name(&args.stack), lambda::LIVE, TEXT).await?;
    print(&format!("{TEXT}\n{}", serde_json::to_string_pretty(&answer)?))?;
    steps.end();
    print(&alias.context("the stack of the Lambda names no alias")?)
}

/// Refuses what would only be refused after hours.
fn check(session: &Session, args: &UpArgs) -> anyhow::Result<()> {
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
    // An image of the caller's own may hold one.
    let is_ours = |image: &str| image.rsplit('/').next().is_some_and(|name| name.starts_with("unspsc-"));
    let is_own =
        args.images.iter().map(LocalName::as_str).chain(job.train_image.as_deref()).any(|image| !is_ours(image));
    if job.encoder.is_none() && !is_own {
        bail!(
            "the images of this project hold no encoder: give the folder of one with --encoder, such as \
             .deps/encoder/all-MiniLM-L6-v2, which scripts/setup makes"
        );
    }
    if args.train_only { train::hyperparameters(&args.tune.train).map(drop) } else { tune::check_options(&args.tune) }
}

/// Refuses settings of another stack, whose bucket and role would be taken in place of this one's.
fn check_settings(base: &Stack, platform: &PlatformArgs) -> anyhow::Result<()> {
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

/// The options with the images that are in ECR then.
async fn with_images(session: &Session, args: &UpArgs) -> anyhow::Result<(TuneArgs, ServeArgs)> {
    let (mut tune, mut serve) = (args.tune.clone(), args.serve.clone());
    if tune.train.job.train_image.is_some() && serve.serve_image.is_some() && args.images.is_empty() {
        session.progress.say("the images are those of the settings");
        return Ok((tune, serve));
    }
    let names = if args.images.is_empty() { usual(&tune)? } else { args.images.clone() };
    let pinned = images::bring(session, &names, &args.stack.name).await?;
    let of = |word: &str| images::first(&pinned, word).map(str::to_owned);
    tune.train.job.train_image = of("train").or(tune.train.job.train_image);
    serve.serve_image = of("serve").or(serve.serve_image);
    Ok((tune, serve))
}

/// The images of this project for the instances.
fn usual(tune: &TuneArgs) -> anyhow::Result<Vec<LocalName>> {
    let family = tune.train.job.train_instance.trim_start_matches("ml.");
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
fn of_instances(args: &UpArgs) -> String {
    if args.serve.serverless {
        return "serverless, paid for each request".to_owned();
    }
    let scaling = &args.serve.scaling;
    let (least, most) = (scaling.min_instances, scaling.max_instances);
    format!("{least} to {most} instances {}, paid by the hour until `unspsc down`", args.serve.serve_instance)
}

/// What the fifth step costs.
fn of_environments(args: &UpArgs) -> String {
    let (ready, memory) = (args.lambda.provisioned_concurrency, args.lambda.lambda_memory_mb);
    if ready == 0 {
        return format!("{memory} MB, paid for each request");
    }
    format!("{ready} environments of {memory} MB kept ready, paid by the hour until `unspsc down`, and each request")
}
