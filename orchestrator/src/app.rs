//! From the command line to the verb, and the order in which everything ends.

use crate::interrupt::{Interrupted, Interrupts};
use crate::options::{Command, DataCommand, PlatformArgs};
use crate::progress::Progress;
use crate::session::Session;
use crate::{augment, deploy, destroy, download, evaluate, explore, invoke, pipeline, prepare, train};

/// Runs one verb; whatever it leaves unfinished is undone before this returns, at a signal too.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match &command {
        Command::Data(DataCommand::Prepare(args)) => {
            Interrupts::install()?.guard(prepare::run(&Progress::new(), args)).await
        }
        Command::Data(DataCommand::Augment(args)) => {
            Interrupts::install()?.guard(augment::run(&Progress::new(), args)).await
        }
        Command::Data(DataCommand::Explore(args)) => {
            Interrupts::install()?.guard(explore::run(&Progress::new(), args)).await
        }
        Command::Data(DataCommand::Download(args)) => {
            let progress = Progress::new();
            let outcome = Interrupts::install()?.guard(download::run(&progress, args)).await;
            if outcome.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
                download::kept(args).iter().for_each(|line| progress.say(line));
            }
            outcome
        }
        Command::Train(args) => on(&args.platform, async |session| train::run(session, args).await).await,
        Command::Deploy(args) => on(&args.platform, async |session| deploy::run(session, args).await).await,
        Command::Invoke(args) => on(&args.platform, async |session| invoke::run(session, args).await).await,
        Command::Evaluate(args) if args.answerer.endpoint.is_some() => {
            on(&args.platform, async |session| evaluate::run(Some(session), &session.progress, args).await).await
        }
        Command::Evaluate(args) => Interrupts::install()?.guard(evaluate::run(None, &Progress::new(), args)).await,
        Command::Destroy(args) => on(&args.platform, async |session| destroy::run(session, args).await).await,
        Command::Run(args) => on(&args.train.platform, async |session| pipeline::run(session, args).await).await,
    }
}

/// Does `work` on a platform that is opened for it and closed behind it.
async fn on(platform: &PlatformArgs, work: impl AsyncFnOnce(&Session) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::install()?;
    let session = Session::open(platform, Progress::new()).await?;
    let outcome = interrupts.guard(work(&session)).await;
    if outcome.is_err() && session.has_undo() {
        session.progress.say("stopping early: taking down what was started");
    }
    let undoing = async {
        session.undo_all().await;
        Ok(())
    };
    // A second signal means: do not wait for the service.
    let undone = interrupts.guard(undoing).await;
    // The platform of `--local` takes everything with it.
    if undone.is_err() && !session.ends_with_process() {
        session.name_undone();
    }
    session.close().await;
    outcome.and(undone)
}
