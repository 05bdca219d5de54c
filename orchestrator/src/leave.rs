//! What a signal means while a job runs: stop it, leave it, or go on.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use tokio::sync::oneshot;

use crate::exit::Unfinished;
use crate::interrupt::{Interrupted, Interrupts};
use crate::kinds::{self, Kind};
use crate::options::OnInterrupt;
use crate::session::Session;
use crate::undo::Started;

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
            Reaction::Leave => return Err(left(session, job).await),
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
            Answer::Leave => return Err(left(session, job).await),
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

/// That the job is left, unless its creation had not come to the service yet: then there is nothing to leave.
async fn left(session: &Session, job: Started) -> anyhow::Error {
    let state = match &job {
        Started::Job(name) => kinds::state(session, Kind::Training, name).await,
        Started::Tuning(name) => kinds::state(session, Kind::Tuning, name).await,
        Started::Transform(name) => kinds::state(session, Kind::Transform, name).await,
        Started::Upload { .. } | Started::Endpoint(_) | Started::Update(_) | Started::Tag(_) => {
            return Unfinished::Running { job }.into();
        }
    };
    if state.is_err_and(|error| error.is_missing()) {
        return Unfinished::Stopped { job, reason: " before it was created".to_owned() }.into();
    }
    session.undo.settle(&job);
    Unfinished::Running { job }.into()
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
