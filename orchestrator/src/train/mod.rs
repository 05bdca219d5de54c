//! `unspsc train`: prepare, upload, CreateTrainingJob, follow, report.
//!
//! The name of a job follows from all that decides its result, and so do the places of what is uploaded. A second run
//! finds what the first has left, whatever it was that ended that one.

mod channels;
mod material;
pub(crate) mod request;

use anyhow::Context as _;
use unspsc_contract::{ModelKind, files};

use crate::attempt::{self, Attempt};
use crate::content::Content;
use crate::kinds::Kind;
use crate::options::TrainArgs;
use crate::progress::print;
use crate::report::Report;
use crate::session::Session;
use crate::{follow, report};

pub(crate) use self::material::{Material, base_line, check_encoder, check_name, hyperparameters};

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
    let mut material = Material::gather(session, args).await?;
    train_on(session, args, &mut material).await
}

/// The same with what was gathered before.
pub(crate) async fn train_on(session: &Session, args: &TrainArgs, material: &mut Material) -> anyhow::Result<Trained> {
    let content = Content::of(&material.content(session, args)?)?;
    let base = args.job.job_name.clone().unwrap_or_else(|| content.name(&args.job.model.to_string()));
    let attempt = attempt::find(session, Kind::Training, &base, &content).await?;
    let job = attempt.job().to_owned();
    if let Attempt::New(_) = attempt {
        material.upload(session).await?;
        request::create(session, &job, material, &content, &args.job).await?;
    }
    if session.is_plan() {
        let artifact = material.bucket.join(&job).join("output").join(files::MODEL_ARCHIVE).to_string();
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
