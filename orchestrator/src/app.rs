//! From the command line to the verb, and the order in which everything ends.

use std::sync::Arc;

use crate::interrupt::{Interrupted, Interrupts};
use crate::options::{Command, DataCommand, OnInterrupt, PlannedVerb, PlatformArgs};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::session::Session;
use crate::{
    augment, batch, causes, deploy, destroy, download, evaluate, exit, explore, invoke, leave, logs, pipeline, prepare,
    status, stop, train, tune,
};

/// Runs one verb; whatever it leaves unfinished is undone before this returns, at a signal too.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match &command {
        // It has been carried out where the command line's definition is at hand.
        Command::Init(_) => Ok(()),
        Command::Data(command) => data(command).await,
        Command::Train(args) => {
            let on = On { interrupt: args.on_interrupt, ..On::platform(&args.train.platform) };
            on.does(async |session| train::run(session, &args.train).await).await
        }
        Command::Tune(args) => {
            let on = On { interrupt: args.on_interrupt, ..On::platform(&args.tune.train.platform) };
            on.does(async |session| tune::run(session, &args.tune).await).await
        }
        Command::Status(args) => {
            On::platform(&args.platform).does(async |session| status::run(session, args).await).await
        }
        Command::Logs(args) => On::platform(&args.platform).does(async |session| logs::run(session, args).await).await,
        Command::Stop(args) => On::platform(&args.platform).does(async |session| stop::run(session, args).await).await,
        Command::Deploy(args) => {
            On::platform(&args.platform).does(async |session| deploy::run(session, args).await).await
        }
        Command::Invoke(args) => {
            On::platform(&args.platform).does(async |session| invoke::run(session, args).await).await
        }
        Command::Batch(args) => {
            let on = On { interrupt: args.on_interrupt, ..On::platform(&args.platform) };
            on.does(async |session| batch::run(session, args).await).await
        }
        Command::Evaluate(args) if args.answerer.endpoint.is_some() => {
            let on = On::platform(&args.platform);
            on.does(async |session| evaluate::run(Some(session), &session.progress, args).await).await
        }
        Command::Evaluate(args) => Interrupts::install()?.guard(evaluate::run(None, &Progress::new(), args)).await,
        Command::Destroy(args) => {
            On::platform(&args.platform).does(async |session| destroy::run(session, args).await).await
        }
        Command::Run(args) => {
            On::platform(&args.train.platform).does(async |session| pipeline::run(session, args).await).await
        }
        Command::Plan(args) => {
            let plan = Arc::new(Plan::default());
            planned(&args.verb, &plan).await?;
            plan.print(args.json)
        }
    }
}

async fn data(command: &DataCommand) -> anyhow::Result<()> {
    let (mut interrupts, progress) = (Interrupts::install()?, Progress::new());
    match command {
        DataCommand::Prepare(args) => interrupts.guard(prepare::run(&progress, args)).await,
        DataCommand::Augment(args) => interrupts.guard(augment::run(&progress, args)).await,
        DataCommand::Explore(args) => interrupts.guard(explore::run(&progress, args)).await,
        DataCommand::Download(args) => {
            let outcome = interrupts.guard(download::run(&progress, args)).await;
            if outcome.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
                download::kept(args).iter().for_each(|line| progress.say(line));
            }
            outcome
        }
    }
}

/// Runs a verb whose changing requests `plan` takes.
async fn planned(verb: &PlannedVerb, plan: &Arc<Plan>) -> anyhow::Result<()> {
    let on = |platform| On { plan: Some(plan), ..On::platform(platform) };
    match verb {
        PlannedVerb::Train(args) => {
            on(&args.train.platform).does(async |session| train::run(session, &args.train).await).await
        }
        PlannedVerb::Tune(args) => {
            on(&args.tune.train.platform).does(async |session| tune::run(session, &args.tune).await).await
        }
        PlannedVerb::Deploy(args) => on(&args.platform).does(async |session| deploy::run(session, args).await).await,
        PlannedVerb::Destroy(args) => on(&args.platform).does(async |session| destroy::run(session, args).await).await,
        PlannedVerb::Stop(args) => on(&args.platform).does(async |session| stop::run(session, args).await).await,
        PlannedVerb::Batch(args) => on(&args.platform).does(async |session| batch::run(session, args).await).await,
        PlannedVerb::Run(args) => {
            on(&args.train.platform).does(async |session| pipeline::run(session, args).await).await
        }
    }
}

/// Where and how a verb works.
struct On<'a> {
    platform: &'a PlatformArgs,
    /// What takes the requests that change something, instead of the service.
    plan: Option<&'a Arc<Plan>>,
    interrupt: OnInterrupt,
}

impl<'a> On<'a> {
    /// On a platform; a signal undoes what was started.
    fn platform(platform: &'a PlatformArgs) -> Self {
        Self { platform, plan: None, interrupt: OnInterrupt::Stop }
    }

    /// Does `work` on the platform, which is opened for it and closed behind it.
    async fn does(self, work: impl AsyncFnOnce(&Session) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut interrupts = Interrupts::install()?;
        // Credentials may take their time, and so may the local platform.
        let session = interrupts.guard(Session::open(self.platform, Progress::new(), self.plan.cloned())).await?;
        let outcome = leave::guard(&mut interrupts, &session, self.interrupt, work(&session)).await;
        let outcome = outcome.map_err(|error| causes::at_address(error, self.platform.endpoint_url.as_deref()));
        if session.is_plan() {
            session.close().await;
            return outcome;
        }
        if outcome.is_err() && session.has_undo() {
            session.progress.say("stopping early: taking down what was started");
        }
        let mut resisted = Vec::new();
        let undoing = async {
            resisted = session.undo_all().await;
            Ok(())
        };
        // A second signal means: do not wait for the service.
        let undone = interrupts.guard(undoing).await;
        // The platform of `--local` takes everything with it.
        if undone.is_err() && !session.ends_with_process() {
            session.name_undone();
        }
        let outcome = outcome.map_err(|error| exit::as_it_stands(error, &resisted));
        session.close().await;
        outcome.and(undone)
    }
}
