//! A question that whoever sits at the terminal answers before something is done.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};

use crate::session::Session;

/// Shows `lines` and asks `question`; without a terminal there is nobody to ask, and `unasked` says what to do.
pub(crate) async fn asked<S: AsRef<str>>(
    session: &Session,
    lines: impl IntoIterator<Item = S>,
    question: &str,
    unasked: &str,
) -> anyhow::Result<bool> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        bail!("{unasked}");
    }
    lines.into_iter().for_each(|line| session.progress.say(&format!("  {}", line.as_ref())));
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stderr().flush()?;
    let (sender, answer) = tokio::sync::oneshot::channel();
    // A thread of its own: a signal ends the command while it waits.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // Whoever asked may be gone.
        let _ = sender.send(read.map(|_| line));
    });
    let answer = answer.await.context("the question came to a sudden end")??;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
