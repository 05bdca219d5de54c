//! `unspsc train`: prepare, upload, CreateTrainingJob, follow, report.
//!
//! The name of a job follows from all that decides its result, and so do the places of what is uploaded. A second run
//! finds what the first has left, whatever it was that ended that one.

mod attempt;
mod channels;
mod request;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::json;
use unspsc_contract::{Hyperparameters, ModelKind, files};

use crate::content::{Content, digest};
use crate::options::TrainArgs;
use crate::progress::print;
use crate::report::Report;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::{follow, prepare, report};

use self::attempt::Attempt;
use self::channels::Channels;
use self::request::Request;

/// Hyperparameters that have an option of their own.
const OPTIONS: [&str; 3] = ["model", "level", "seed"];
/// Where everything lies in the bucket; SageMaker adds a job's name to it for what the job leaves.
const PREFIX: &str = "unspsc";

/// A training that has come to its end, or of a plan, one that would have.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The job's name.
    pub(crate) job: String,
    /// The model archive in S3.
    pub(crate) artifact: String,
    /// What it reports; nothing in a plan.
    pub(crate) report: Option<Report>,
}

/// Trains and shows how good the model is.
pub(crate) async fn run(session: &Session, args: &TrainArgs) -> anyhow::Result<()> {
    let trained = train(session, args).await?;
    let Some(report) = &trained.report else { return Ok(()) };
    print(&report::describe(report, &args.data)?)?;
    print(&format!("model: {}", trained.artifact))?;
    if session.ends_with_process() || args.job.model == ModelKind::Rnn {
        return Ok(());
    }
    print(&format!("next: {}", session.command(&format!("deploy --job {}", trained.job))))
}

/// Brings one training job to its end: a new one, or that of an earlier run with the same content.
pub(crate) async fn train(session: &Session, args: &TrainArgs) -> anyhow::Result<Trained> {
    let hyperparameters = hyperparameters(args)?;
    request::check(&args.job)?;
    let image_needed = "--train-image is needed on AWS: the URI of the training image in ECR";
    let image = session.setting(args.job.train_image.as_deref(), "unspsc-train:local", image_needed)?;
    session.role()?;
    let bucket = S3Uri::new(session.bucket()?, PREFIX);
    let folder = session.writable(&args.output).join("data");
    let (prepared, paths) = prepare::prepare_into(&session.progress, &args.data, &folder).await?;
    let channels = Channels::read(&paths, args.job.encoder.as_deref()).await?;
    let content = content(session, args, image, &hyperparameters, &channels)?;
    let attempt = attempt::find(session, args.job.job_name.as_deref(), &args.job.model.to_string(), &content).await?;
    let job = attempt.job().to_owned();
    if let Attempt::New(_) = attempt {
        let channels = channels.upload(session, &bucket).await?;
        let fingerprint = &prepared.manifest.fingerprint;
        let request = Request { image, hyperparameters, channels, fingerprint, content: &content, args: &args.job };
        request::create(session, &job, &bucket, request).await?;
    }
    if session.is_plan() {
        let artifact = bucket.join(&job).join("output").join(files::MODEL_ARCHIVE).to_string();
        return Ok(Trained { job, artifact, report: None });
    }
    if let Attempt::New(_) = attempt {
        session.progress.say(&format!("training job {job} was created"));
    }
    let description = match attempt {
        Attempt::Completed(_) => follow::describe(session, &job).await?,
        Attempt::New(_) | Attempt::Running(_) => follow::follow(session, &job).await?,
    };
    let artifact = follow::artifact(&job, &description)?;
    let report = report::fetch(session, &description, &args.output.join(&job)).await.with_context(|| {
        format!("training job {job} has completed, and what it left cannot be had; --job-name trains it anew under another name")
    })?;
    Ok(Trained { job, artifact, report: Some(report) })
}

/// The string map that the job gets, checked here as the training container will check it.
fn hyperparameters(args: &TrainArgs) -> anyhow::Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::from([
        ("model".to_owned(), args.job.model.to_string()),
        ("level".to_owned(), args.data.level().to_string()),
        ("seed".to_owned(), args.data.seed.to_string()),
    ]);
    for (name, value) in &args.job.hyperparameters {
        if OPTIONS.contains(&name.as_str()) {
            bail!("hyperparameter `{name}` has an option of its own: write --{name} {value}");
        }
        if map.insert(name.clone(), value.clone()).is_some() {
            bail!("hyperparameter `{name}` is given twice: leave one of them away");
        }
    }
    Ok(Hyperparameters::from_map(&map)?.to_map())
}

/// Everything that decides what the job leaves.
fn content(
    session: &Session,
    args: &TrainArgs,
    image: &str,
    hyperparameters: &BTreeMap<String, String>,
    channels: &Channels,
) -> anyhow::Result<Content> {
    // On this machine the image is a program, which changes without its name.
    let program = session.train_program().map(digest).transpose()?;
    let encoder = program.as_ref().and_then(|_| std::env::var("UNSPSC_ENCODER").ok());
    let encoder = encoder.filter(|_| args.job.encoder.is_none());
    Content::of(&json!({
        "channels": channels.digests(),
        "hyperparameters": hyperparameters,
        "image": image,
        "instance": args.job.train_instance,
        "version": env!("CARGO_PKG_VERSION"),
        "program": program,
        "encoder": encoder,
    }))
}
