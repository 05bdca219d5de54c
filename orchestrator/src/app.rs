//! From the command line to the verb, and the order in which everything ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::interrupt::{Interrupted, Interrupts};
use crate::options::{
    Command, DataCommand, ImagesCommand, InfraCommand, LambdaCommand, OnInterrupt, PlannedVerb, PlatformArgs, UpArgs,
};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::session::Session;
use crate::{
    augment, batch, causes, deploy, destroy, download, evaluate, exit, explore, images, infra, invoke, lambda, leave,
    logs, pipeline, prepare, status, stop, train, tune, walk,
};

/// Runs one verb; whatever it leaves unfinished is undone before this returns, at a signal too.
pub(crate) async fn run(command: Command, config: Option<PathBuf>) -> anyhow::Result<()> {
    let config = config.as_deref();
    match &command {
        // It has been carried out where the command line's definition is at hand.
        Command::Init(_) => Ok(()),
        Command::Data(command) => data(command).await,
        Command::Images(ImagesCommand::Push(args)) => {
            On::platform(&args.platform).does(async |session| images::push(session, args, config).await).await
        }
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
        Command::Infra(command) => infra_verb(command, config, None).await,
        Command::Lambda(LambdaCommand::Deploy(args)) => {
            On::platform(&args.platform).does(async |session| lambda::run(session, args).await).await
        }
        Command::Up(args) => up(args, config, None).await,
        Command::Down(args) => On::platform(&args.platform).does(async |session| walk::down(session, args).await).await,
        Command::Run(args) => {
            On::platform(&args.train.platform).does(async |session| pipeline::run(session, args).await).await
        }
        Command::Plan(args) => {
            let plan = Arc::new(Plan::default());
            planned(&args.verb, &plan, config).await?;
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
async fn planned(verb: &PlannedVerb, plan: &Arc<Plan>, config: Option<&Path>) -> anyhow::Result<()> {
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
        PlannedVerb::Images(ImagesCommand::Push(args)) => {
            on(&args.platform).does(async |session| images::push(session, args, config).await).await
        }
        PlannedVerb::Infra(command) => infra_verb(command, config, Some(plan)).await,
        PlannedVerb::Lambda(LambdaCommand::Deploy(args)) => {
            on(&args.platform).does(async |session| lambda::run(session, args).await).await
        }
        PlannedVerb::Up(args) => up(args, config, Some(plan)).await,
        PlannedVerb::Down(args) => on(&args.platform).does(async |session| walk::down(session, args).await).await,
        PlannedVerb::Run(args) => {
            on(&args.train.platform).does(async |session| pipeline::run(session, args).await).await
        }
    }
}

/// `infra`, by which requests are made or, with a `plan`, noted.
async fn infra_verb(command: &InfraCommand, config: Option<&Path>, plan: Option<&Arc<Plan>>) -> anyhow::Result<()> {
    let on = |platform| On { plan, ..On::platform(platform) };
    match command {
        InfraCommand::Up(args) => on(&args.platform).does(async |session| infra::up(session, args, config).await).await,
        InfraCommand::Status(args) => on(&args.platform).does(async |session| infra::status(session, args).await).await,
        InfraCommand::Down(args) => on(&args.platform).does(async |session| infra::down(session, args).await).await,
    }
}

/// The same for `up`.
async fn up(args: &UpArgs, config: Option<&Path>, plan: Option<&Arc<Plan>>) -> anyhow::Result<()> {
    let on = On { plan, interrupt: args.on_interrupt, ..On::platform(&args.tune.train.platform) };
    on.does(async |session| walk::up(session, args, config).await).await
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
