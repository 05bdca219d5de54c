//! What a signal means while a job runs: stop it, leave it, or go on.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::exit::Unfinished;
use crate::interrupt::{Interrupted, Interrupts};
use crate::kinds::{self, Kind};
use crate::options::OnInterrupt;
use crate::poll::{self, Pace};
use crate::session::Session;
use crate::undo::Started;

/// How often at least it is asked whether a job is there that is being created.
const SOON: Duration = Duration::from_secs(1);

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Stop,
    Leave,
    GoOn,
}

/// What is to be done about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Stop,
    Leave,
    Ask,
}

/// Runs `work`, and gives it up at a signal; a job that it follows is stopped or left as `mode` or the user says.
pub(crate) async fn guard<T>(
    interrupts: &mut Interrupts,
    session: &Session,
    mode: OnInterrupt,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::pin!(work);
    loop {
        let interrupted = tokio::select! {
            outcome = &mut work => return outcome,
            interrupted = interrupts.next() => interrupted,
        };
        let Some(job) = session.undo.job().filter(|_| !session.ends_with_process()) else {
            return Err(interrupted.into());
        };
        let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        match reaction(mode, interrupted, is_terminal) {
            Reaction::Stop => return Err(interrupted.into()),
            Reaction::Leave => return left(interrupts, session, job, work.as_mut()).await,
            Reaction::Ask => {}
        }
        session.progress.hold();
        let answer = tokio::select! {
            outcome = &mut work => {
                session.progress.go_on();
                return outcome;
            }
            answer = ask(&job) => answer,
            // A second Ctrl-C: away from here, and nothing undone that cannot be had back.
            _ = interrupts.next() => Answer::Leave,
        };
        session.progress.go_on();
        match answer {
            Answer::Stop => return Err(Unfinished::Stopped { job, reason: String::new() }.into()),
            Answer::Leave => return left(interrupts, session, job, work.as_mut()).await,
            Answer::GoOn => {}
        }
    }
}

fn reaction(mode: OnInterrupt, interrupted: Interrupted, is_terminal: bool) -> Reaction {
    match mode {
        OnInterrupt::Leave => Reaction::Leave,
        OnInterrupt::Ask if is_terminal && interrupted == Interrupted::Interrupt => Reaction::Ask,
        OnInterrupt::Ask | OnInterrupt::Stop => Reaction::Stop,
    }
}

/// Leaves the job once it is there: it is noted before it is asked for, and `work` goes on for as long as that takes. What
/// `work` comes to meanwhile counts, such as that the job was refused; another signal does not wait.
async fn left<T>(
    interrupts: &mut Interrupts,
    session: &Session,
    job: Started,
    work: Pin<&mut impl Future<Output = anyhow::Result<T>>>,
) -> anyhow::Result<T> {
    let pace = Pace { interval: session.pace.interval.min(SOON), ..session.pace };
    let there = poll::until(pace, async || {
        let state = match &job {
            Started::Job(name) => kinds::state(session, Kind::Training, name).await,
            Started::Tuning(name) => kinds::state(session, Kind::Tuning, name).await,
            Started::Transform(name) => kinds::state(session, Kind::Transform, name).await,
            Started::Upload { .. }
            | Started::Endpoint(_)
            | Started::Update(_)
            | Started::ChangeSet { .. }
            | Started::Stack(_)
            | Started::Tag(_) => return Ok(Some(())),
        };
        // Where it cannot be seen it may be there.
        Ok((!state.is_err_and(|error| error.is_missing())).then_some(()))
    });
    tokio::select! {
        outcome = work => return outcome,
        _ = interrupts.next() => {}
        _ = there => {}
    }
    session.undo.settle(&job);
    Err(Unfinished::Running { job }.into())
}

/// Asks until there is an answer.
async fn ask(job: &Started) -> Answer {
    loop {
        let question = format!("\n{job} runs: stop the job, leave it running, or go on following? [s/l/g] ");
        // Without a terminal there is nobody to ask, and the job is left as it is.
        if write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush()).is_err() {
            return Answer::Leave;
        }
        let (sender, receiver) = oneshot::channel();
        // A thread of its own: nothing waits for it when the job is over sooner than the user answers.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // Whoever asked may be gone.
            let _ = sender.send(read.ok().filter(|length| *length > 0).map(|_| line));
        });
        match receiver.await {
            Ok(Some(line)) => {
                if let Some(answer) = understood(&line) {
                    return answer;
                }
            }
            _ => return Answer::Leave,
        }
    }
}

fn understood(line: &str) -> Option<Answer> {
    match line.trim().to_lowercase().as_str() {
        "s" | "stop" => Some(Answer::Stop),
        "l" | "leave" => Some(Answer::Leave),
        "g" | "go on" => Some(Answer::GoOn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ctrl_c_on_a_terminal_asks() {
        use Interrupted::{Interrupt, Terminate};
        use OnInterrupt::{Ask, Leave, Stop};
        for (mode, interrupted, is_terminal, expected) in [
            (Ask, Interrupt, true, Reaction::Ask),
            (Ask, Interrupt, false, Reaction::Stop),
            (Ask, Terminate, true, Reaction::Stop),
            (Stop, Interrupt, true, Reaction::Stop),
            (Leave, Terminate, false, Reaction::Leave),
        ] {
            assert_eq!(reaction(mode, interrupted, is_terminal), expected, "{mode:?} {interrupted:?} {is_terminal}");
        }
    }

    #[test]
    fn answers_are_letters_or_words() {
        assert_eq!(understood("s\n"), Some(Answer::Stop));
        assert_eq!(understood(" Leave "), Some(Answer::Leave));
        assert_eq!(understood("g"), Some(Answer::GoOn));
        assert_eq!(understood("yes"), None);
    }
}
