//! Which job a run is about: one that is there, or the next; and creating it so that a lost answer costs nothing.

use anyhow::{Context as _, bail};

use crate::aws::ServiceError;
use crate::content::{self, CONTENT, Content};
use crate::session::Session;
use crate::undo::Started;
use crate::{follow, tune};

/// Jobs with the same content that may have failed before somebody looks into it.
const MAX_ATTEMPTS: u32 = 50;

/// A kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A training job.
    Training,
    /// A hyperparameter tuning job.
    Tuning,
}

/// A job that was looked for, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) arn: Option<String>,
    /// The status in SageMaker's words, which are the same for all kinds.
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

impl Kind {
    /// SageMaker's limit for a name.
    fn longest_name(self) -> usize {
        match self {
            Self::Training => 63,
            // It begins the names of the trials.
            Self::Tuning => 32,
        }
    }

    /// The job `name` of this kind.
    fn job(self, name: &str) -> Started {
        match self {
            Self::Training => Started::Job(name.to_owned()),
            Self::Tuning => Started::Tuning(name.to_owned()),
        }
    }

    async fn look(self, session: &Session, name: &str) -> Result<Found, ServiceError> {
        match self {
            Self::Training => Ok(follow::found(&follow::describe(session, name).await?)),
            Self::Tuning => Ok(tune::found(&tune::describe(session, name).await?)),
        }
    }

    async fn stop(self, session: &Session, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Training => follow::stop(session, name).await,
            Self::Tuning => tune::stop(session, name).await,
        }
    }
}

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
    for number in 1..=MAX_ATTEMPTS {
        let name = name(kind, base, number)?;
        let job = kind.job(&name);
        let found = match kind.look(session, &name).await {
            Err(error) if error.is_missing() => return Ok(Attempt::New(name)),
            outcome => outcome?,
        };
        if !is_ours(session, &found, content).await? {
            bail!("{job} exists and is of other data, settings or image: choose another --job-name");
        }
        match found.status.as_str() {
            "Completed" => {
                session.progress.say(&format!("{job} has completed already"));
                return Ok(Attempt::Completed(name));
            }
            "InProgress" => {
                session.progress.say(&format!("{job} runs already and is followed"));
                return Ok(Attempt::Running(name));
            }
            "Stopping" if !session.is_plan() => kind.stop(session, &name).await?,
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
    let started = kind.job(name);
    session.undo.note(started.clone());
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
    let found = async { is_ours(session, &kind.look(session, name).await?, content).await };
    found.await.unwrap_or(false)
}

/// Whether the job was made with this content.
async fn is_ours(session: &Session, found: &Found, content: &Content) -> anyhow::Result<bool> {
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
