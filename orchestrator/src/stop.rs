//! `unspsc stop`: a job before its end.

use anyhow::bail;

use crate::kinds::{self, Kind};
use crate::options::StopArgs;
use crate::progress::print;
use crate::session::Session;
use crate::{batch, follow, status};

/// Stops the jobs of this name, and says what they have left.
pub(crate) async fn run(session: &Session, args: &StopArgs) -> anyhow::Result<()> {
    let name = &args.name;
    let jobs = kinds::find(session, name).await?.into_iter().filter(|kind| *kind != Kind::Endpoint);
    let jobs: Vec<Kind> = jobs.collect();
    if jobs.is_empty() {
        let destroy = session.command(&format!("destroy --endpoint {name}"));
        bail!("{name} is an endpoint, which has no end of its own: `{destroy}` takes it down");
    }
    for kind in jobs {
        stop(session, kind, name).await?;
    }
    Ok(())
}

async fn stop(session: &Session, kind: Kind, name: &str) -> anyhow::Result<()> {
    let noun = kind.noun();
    let state = kinds::state(session, kind, name).await?;
    if state.is_over {
        let said = format!("{noun} {name} is {} already", state.status);
        if session.is_plan() {
            session.progress.say(&said);
        } else {
            print(&said)?;
        }
        // Whoever ran it may have been killed before it could delete the model that was made for it.
        return if kind == Kind::Transform { batch::delete_model(session, name).await } else { Ok(()) };
    }
    if !session.is_plan() {
        let grace = if session.is_local() { "time" } else { "120 seconds" };
        session.progress.say(&match kind {
            Kind::Tuning => {
                format!("the trials of {name} that run get SIGTERM and have {grace} to save their best epochs")
            }
            Kind::Transform => {
                format!("{name} leaves no output: SageMaker stores none of a transform job that is stopped")
            }
            Kind::Training | Kind::Endpoint => format!("{name} gets SIGTERM and has {grace} to save its best epoch"),
        });
    }
    if kind == Kind::Transform {
        // With the model that was made for it.
        batch::take_down(session, name).await?;
    } else {
        kinds::stop(session, kind, name).await?;
    }
    if session.is_plan() {
        return Ok(());
    }
    let status = kinds::state(session, kind, name).await?.status;
    print(&format!("{noun} {name} is {status}"))?;
    match left(session, kind, name).await? {
        Some(left) => print(&left),
        None => Ok(()),
    }
}

/// What the job has left that can be used.
async fn left(session: &Session, kind: Kind, name: &str) -> anyhow::Result<Option<String>> {
    Ok(match kind {
        Kind::Training => {
            let job = follow::describe(session, name).await?;
            follow::model_left(&job).map(|artifact| format!("model of its best epoch: {artifact}"))
        }
        Kind::Tuning => {
            let job = kinds::describe_tuning(session, name).await?;
            job.best_training_job().map(|best| format!("best trial: {}", status::result(best)))
        }
        Kind::Transform | Kind::Endpoint => None,
    })
}
