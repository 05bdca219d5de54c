//! `unspsc stop`: a training job, before its end.

use anyhow::bail;

use crate::follow;
use crate::options::StopArgs;
use crate::progress::print;
use crate::session::Session;

/// Stops the job and says what it has left.
pub(crate) async fn run(session: &Session, args: &StopArgs) -> anyhow::Result<()> {
    let name = &args.name;
    match follow::describe(session, name).await {
        Err(error) if error.is_missing() => {
            bail!("there is no training job {name}: `unspsc status` lists those there are")
        }
        Ok(description) if follow::is_over(&description) => {
            let status = description.training_job_status().map_or("over", |status| status.as_str());
            let said = format!("training job {name} is {status} already");
            if session.is_plan() {
                session.progress.say(&said);
                return Ok(());
            }
            return print(&said);
        }
        outcome => outcome?,
    };
    if !session.is_plan() {
        let grace = if session.is_local() { "time" } else { "120 seconds" };
        session.progress.say(&format!("{name} gets SIGTERM and has {grace} to save its best epoch"));
    }
    follow::stop(session, name).await?;
    if session.is_plan() {
        return Ok(());
    }
    let description = follow::describe(session, name).await?;
    let status = description.training_job_status().map_or("over", |status| status.as_str());
    print(&format!("training job {name} is {status}"))?;
    match description.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts()) {
        Some(artifact) => print(&format!("model of its best epoch: {artifact}")),
        None => Ok(()),
    }
}
