//! `unspsc down`: first what costs by the hour, then what is stored, if that is wanted.

use anyhow::bail;

use crate::infra::{Store, Users};
use crate::options::{DownArgs, StackArgs};
use crate::session::Session;
use crate::stacks::Stack;
use crate::{confirm, deploy, destroy, infra, lambda, stacks};

use super::steps::Steps;

/// What there is to take down.
struct Found {
    base: Option<Stack>,
    front: Option<Stack>,
    /// Name of the endpoint, and whether it is there.
    endpoint: (String, bool),
    stores: Vec<Store>,
    /// What the stores hold, in words.
    full: Option<String>,
    /// Who else works by the base.
    users: Option<Users>,
}

impl Found {
    async fn look(session: &Session, args: &DownArgs) -> anyhow::Result<Self> {
        let (base, front) = infra::both(session, &args.stack).await?;
        // The one that the Lambda asks may have another name.
        let asked = match &front {
            Some(front) => lambda::asked(session, front).await?,
            None => None,
        };
        let asked = asked.as_ref();
        let endpoint = args.endpoint.as_ref().or(asked).unwrap_or(&args.stack.name).clone();
        let is_there = match deploy::describe(session, &endpoint).await {
            Err(error) if error.is_missing() => false,
            described => described.map(|_| true)?,
        };
        if let (Some(asked), Some(given), false) = (asked, &args.endpoint, is_there)
            && asked != given
        {
            bail!("the Lambda asks endpoint {asked}, and there is no endpoint {given}: nothing was deleted");
        }
        let stores = match &base {
            Some(base) => infra::stores(session, base).await?,
            None => Vec::new(),
        };
        let full = infra::full(&stores);
        let users = match base.as_ref().filter(|_| full.is_none() || args.delete_data) {
            Some(base) => infra::users(session, base, &stores, Some(&endpoint)).await?,
            None => None,
        };
        Ok(Self { base, front, endpoint: (endpoint, is_there), stores, full, users })
    }

    /// The base, where it goes too: what holds nothing and serves nobody goes without being asked for.
    fn base_that_goes(&self, args: &DownArgs) -> Option<&Stack> {
        let goes = args.delete_data || self.full.is_none() && self.users.is_none();
        self.base.as_ref().filter(|_| goes)
    }

    /// What goes, in words.
    fn lines(&self, args: &DownArgs) -> Vec<String> {
        let (endpoint, is_there) = &self.endpoint;
        let endpoint = is_there.then(|| format!("endpoint {endpoint} and what belongs to it"));
        let base = self.base_that_goes(args);
        let full = self.full.clone().filter(|_| base.is_some());
        let front = self.front.iter().map(ToString::to_string);
        front.chain(endpoint).chain(base.map(ToString::to_string)).chain(full).collect()
    }

    /// What is left of it after all steps, in words; `paid` is what else costs.
    async fn left(&self, session: &Session, args: &DownArgs, paid: &str) -> anyhow::Result<String> {
        let StackArgs { name } = &args.stack;
        Ok(match &self.base {
            Some(base) if self.base_that_goes(args).is_none() => match &self.full {
                Some(full) => {
                    let delete = session.command(&format!("down --delete-data --yes{}", args.stack.option()));
                    format!("{paid}; {base} stays, with {full}: `{delete}` deletes that too, and it cannot be had back")
                }
                None => {
                    let who = self.users.as_ref().map(|users| users.who.as_str()).unwrap_or_default();
                    format!("{paid}; {base} stays, which is in use by {who}")
                }
            },
            None if self.front.is_none() && !self.endpoint.1 => {
                let (front, base) = (infra::front_name(&args.stack), infra::base_name(&args.stack));
                format!("there is no stack {front}, no endpoint {} and no stack {base}; {paid}", self.endpoint.0)
            }
            base => {
                let stays = match base {
                    Some(base) => infra::stays(session, base, &args.stack).await?,
                    None => String::new(),
                };
                format!("nothing of --name {name} is left{stays}; {paid}")
            }
        })
    }
}

/// The words of this command, which finds the endpoint without the Lambda too.
fn down_words(args: &DownArgs, endpoint: &str) -> String {
    let data = if args.delete_data { " --delete-data" } else { "" };
    format!("{}{data}", super::down_words(Some(endpoint), &args.stack))
}

/// Goes all steps down.
pub(crate) async fn down(session: &Session, args: &DownArgs) -> anyhow::Result<()> {
    let found = Found::look(session, args).await?;
    if let (Some(base), Some(users), true) = (&found.base, &found.users, args.delete_data) {
        return Err(users.refusal(base));
    }
    let lines = found.lines(args);
    if !lines.is_empty() && !session.is_plan() && !args.yes {
        let unasked = "this takes down the Lambda, the endpoint and what they stand on: confirm with --yes, or see with `unspsc plan \
                       down` what would be done";
        if !confirm::asked(session, lines, "delete all of this?", unasked).await? {
            bail!("nothing was deleted");
        }
    }
    let endpoint = &found.endpoint.0;
    let mut steps = Steps::new(session, 3, "down", down_words(args, endpoint));
    steps.begin("the Lambda", "");
    if let Some(front) = &found.front {
        stacks::delete(session, front).await?;
    }
    steps.begin(&format!("endpoint {endpoint}"), "");
    if !destroy::destroy(session, endpoint).await? {
        bail!("endpoint {endpoint} is somebody else's, and stays");
    }
    steps.begin("bucket, repositories, role and policy", "");
    if let Some(base) = found.base_that_goes(args) {
        infra::delete(session, base, &found.stores).await?;
    }
    steps.end();
    if session.is_plan() {
        return Ok(());
    }
    // Others may run in the same account. Who may not list all stacks sees none.
    let mut running = destroy::running(session).await?;
    running.extend(stacks::fronts(session).await.unwrap_or_default());
    let paid = match running.as_slice() {
        [] => "nothing is left that costs by the hour".to_owned(),
        _ => format!("what else was made by this program still runs, and is paid for: {}", running.join(", ")),
    };
    session.progress.say(&found.left(session, args, &paid).await?);
    Ok(())
}
