//! Which job a run is about: one that is there, or the next; and creating it so that a lost answer costs nothing.

use anyhow::{Context as _, bail};

use crate::aws::ServiceError;
use crate::content::{self, CONTENT, Content};
use crate::kinds::{self, Kind, State};
use crate::session::Session;
use crate::undo::Started;

/// Jobs with the same content that may have failed before somebody looks into it.
const MAX_ATTEMPTS: u32 = 50;

/// A job with the content that was asked for.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// There is none that completed or runs; this is the next name.
    New(String),
    /// It runs.
    Running(String),
    /// It has completed.
    Completed(String),
}

impl Attempt {
    /// The job's name.
    pub(crate) fn job(&self) -> &str {
        let (Self::New(name) | Self::Running(name) | Self::Completed(name)) = self;
        name
    }
}

/// Looks for the job `base` with this content, or the last of its later attempts.
pub(crate) async fn find(session: &Session, kind: Kind, base: &str, content: &Content) -> anyhow::Result<Attempt> {
    find_whole(session, kind, base, content, async |_| Ok(true)).await
}

/// The same, past jobs that have completed and whose output is not there any more.
pub(crate) async fn find_whole(
    session: &Session,
    kind: Kind,
    base: &str,
    content: &Content,
    is_whole: impl AsyncFn(&str) -> anyhow::Result<bool>,
) -> anyhow::Result<Attempt> {
    for number in 1..=MAX_ATTEMPTS {
        let name = name(kind, base, number)?;
        let job = format!("{} {name}", kind.noun());
        let found = match kinds::state(session, kind, &name).await {
            Err(error) if error.is_missing() => return Ok(Attempt::New(name)),
            outcome => outcome?,
        };
        if !is_ours(session, &found, content).await? {
            let way_out = if kind == Kind::Transform { "" } else { ": choose another --job-name" };
            bail!("{job} exists and is of other data, settings or image{way_out}");
        }
        match found.status.as_str() {
            "Completed" if !is_whole(&name).await? => {
                session.progress.say(&format!("{job} has completed, and its output is gone: the next attempt begins"));
                continue;
            }
            "Completed" => {
                session.progress.say(&format!("{job} has completed already"));
                return Ok(Attempt::Completed(name));
            }
            "InProgress" => {
                session.progress.say(&format!("{job} runs already and is followed"));
                return Ok(Attempt::Running(name));
            }
            "Stopping" if !session.is_plan() => kinds::stop(session, kind, &name).await?,
            _ => {}
        }
        let reason = found.reason.map(|reason| format!(" ({})", reason.trim())).unwrap_or_default();
        session.progress.say(&format!("{job} is {}{reason}: the next attempt begins", found.status));
    }
    bail!("{MAX_ATTEMPTS} jobs with this content have failed or were stopped: look into {base} with `unspsc logs`")
}

/// Creates the job `name` by `request`; what was created although the answer got lost is found.
pub(crate) async fn create(
    session: &Session,
    kind: Kind,
    name: &str,
    content: &Content,
    request: impl Future<Output = Result<(), ServiceError>>,
) -> anyhow::Result<()> {
    let started = Started::job(kind, name);
    session.undo.note_once(started.clone());
    let Err(error) = request.await else { return Ok(()) };
    if (error.is_taken() || error.is_transient()) && is_there(session, kind, name, content).await {
        return Ok(());
    }
    // What was refused is not there, and a name that is taken is that of a job which is not ours to stop.
    if !error.is_transient() {
        session.undo.settle(&started);
    }
    Err(error).with_context(|| format!("cannot create {name}"))
}

/// Whether the job is there after all, and ours.
async fn is_there(session: &Session, kind: Kind, name: &str, content: &Content) -> bool {
    let found = async { is_ours(session, &kinds::state(session, kind, name).await?, content).await };
    found.await.unwrap_or(false)
}

/// Whether the job was made with this content.
async fn is_ours(session: &Session, found: &State, content: &Content) -> anyhow::Result<bool> {
    let Some(arn) = &found.arn else { return Ok(false) };
    let tags = content::tags_of(&session.clients.sagemaker, arn).await?;
    Ok(content::value(&tags, CONTENT) == Some(content.hash()))
}

/// The name of the attempt `number`, from 1.
fn name(kind: Kind, base: &str, number: u32) -> anyhow::Result<String> {
    let name = if number == 1 { base.to_owned() } else { format!("{base}-{number}") };
    let longest = kind.longest_name();
    if name.len() > longest {
        bail!("{name} is longer than {longest} characters: choose a shorter --job-name");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_numbered_from_the_second_on() {
        assert_eq!(name(Kind::Training, "unspsc-rnn-0", 1).unwrap(), "unspsc-rnn-0");
        assert_eq!(name(Kind::Training, "unspsc-rnn-0", 12).unwrap(), "unspsc-rnn-0-12");
        for (kind, length) in [(Kind::Training, 62), (Kind::Tuning, 31)] {
            let error = name(kind, &"x".repeat(length), 2).unwrap_err().to_string();
            assert!(error.contains("shorter --job-name"), "{error}");
        }
    }
}
