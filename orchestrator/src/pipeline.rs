//! `unspsc run`: the whole way, from data to answers and back to nothing running.

use anyhow::bail;
use unspsc_contract::ModelKind;
use unspsc_contract::invocation::Depth;

use crate::content::Content;
use crate::deploy::{self, Rollout, Wanted};
use crate::options::RunArgs;
use crate::progress::print;
use crate::session::Session;
use crate::undo::Started;
use crate::{destroy, invoke, report, train};

/// What the endpoint is asked unless something else is given: three kinds of goods and a service.
const EXAMPLES: [&str; 4] = [
    "prepared entrees consisting primarily of pork, fish, game or poultry",
    "Edible sandwiches, coffee, tea; bread, biscuits",
    "toner cartridge magenta",
    "monthly office cleaning service, two floors incl. windows",
];

/// Trains, deploys, asks and takes down; the endpoint stays noted to be undone until it is gone.
pub(crate) async fn run(session: &Session, args: &RunArgs) -> anyhow::Result<()> {
    if args.train.job.model == ModelKind::Rnn {
        bail!("the rnn baseline is there to be compared with and is not served: use `unspsc train --model rnn`");
    }
    if args.serve.asynchronous {
        bail!("`run` waits for the answers of its endpoint, and one with --async gives none: leave it out");
    }
    let texts: Vec<String> =
        if args.texts.is_empty() { EXAMPLES.map(str::to_owned).into() } else { args.texts.clone() };
    let trained = train::train(session, &args.train).await?;
    let wanted = Wanted::new(session, &trained.artifact, &args.serve)?;
    // A name of its own: an endpoint that `deploy` has made for the same job is there to stay.
    let endpoint = Content::of(&("run", &trained.job))?.name("run");
    // What a run that was killed has left is taken down too, however this one ends.
    session.undo.note_once(Started::Endpoint(endpoint.clone()));
    deploy::deploy(session, &endpoint, &wanted, &Rollout::at_once()).await?;
    if !session.is_plan() {
        let answer = invoke::ask(session, &endpoint, &invoke::at_depth(&texts, Depth::Auto)).await?;
        print(&format!("{}\n", invoke::describe(&texts, &answer)?))?;
    }
    let is_gone = if session.is_plan() {
        destroy::planned(session, &endpoint, &wanted).await.map(|()| true)?
    } else {
        destroy::destroy(session, &endpoint).await?
    };
    session.undo.settle(&Started::Endpoint(endpoint.clone()));
    let Some(report) = &trained.report else { return Ok(()) };
    if is_gone {
        session.progress.say(&format!("endpoint {endpoint} was taken down"));
    }
    print(&report::describe(report, &args.train.data)?)
}
