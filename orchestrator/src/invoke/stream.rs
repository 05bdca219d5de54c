//! Many rows to an endpoint: some requests at a time, answers in the order of the rows, memory for a few requests.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sagemakerruntime::Client;
use tokio::task::JoinSet;
use unspsc_contract::invocation::{Depth, ErrorBody, Outcome};
use unspsc_dataset::TextRow;

use crate::coded::{failed, outcome_of};
use crate::options::InvokeArgs;
use crate::progress::Progress;
use crate::session::Session;

use super::ask::{self, ContainerFailure, Refusal, patiently};
use super::input::Input;
use super::output::Output;

/// Descriptions in a request: the engine is at its best, and the request ends long before a deadline.
const ROWS: usize = 200;
/// Bytes of text in a request, unless its first row has more: well below what the service and the container take.
const BYTES: usize = 1 << 20;
/// How many requests may be under way or wait for one before them, for each that may be under way; and how many are made at
/// least before a container counts as one that answers nothing.
const WINDOW: u64 = 4;

/// Where questions go, for a task that asks them.
struct Asking {
    client: Client,
    endpoint: String,
    depth: Depth,
    silence: Duration,
    progress: Progress,
    /// Whether it has answered anything yet: what fails on everything is no bad row.
    has_answered: AtomicBool,
}

/// Rows that are asked about together, and what is answered.
struct Answered {
    rows: Vec<TextRow>,
    outcomes: Vec<Outcome>,
    /// What the container said last, if it has answered none of them.
    refused: Option<anyhow::Error>,
}

/// Asks about all rows and writes the answers; returns how many have none.
pub(super) async fn run(
    session: &Session,
    args: &InvokeArgs,
    input: &Input,
    total: usize,
    output: &mut Output,
) -> anyhow::Result<usize> {
    if input.damaged() > 0 {
        let told = "characters of the input cannot be read and are replaced; it should be UTF-8";
        session.progress.say(&format!("{} {told}", input.damaged()));
    }
    let asking = Arc::new(Asking {
        client: session.clients.runtime.clone(),
        endpoint: args.endpoint.clone(),
        depth: args.depth,
        silence: session.pace.patience,
        progress: session.progress.clone(),
        has_answered: AtomicBool::new(false),
    });
    // Answers on a terminal are progress enough.
    let is_shown = total > ROWS && (args.output.is_some() || !io::stdout().is_terminal());
    let step = is_shown.then(|| session.progress.count(&format!("asking endpoint {}", args.endpoint), total as u64));
    let mut rows = input.rows()?;
    let (mut asked, mut under_way, mut waiting) = (0u64, JoinSet::new(), BTreeMap::new());
    let (mut written, mut failures, mut is_held) = (0u64, 0, false);
    loop {
        // While nothing is answered, a few more show whether these are bad rows or the container is.
        let window = if is_held { WINDOW.max(args.concurrency as u64) } else { WINDOW * args.concurrency as u64 };
        if under_way.len() < args.concurrency && asked < written + window {
            let chunk = next_chunk(&mut rows)?;
            if !chunk.is_empty() {
                let (asking, number) = (Arc::clone(&asking), asked);
                under_way.spawn(async move { (number, asking.answer(chunk).await) });
                asked += 1;
                continue;
            }
        }
        let Some(answered) = under_way.join_next().await else {
            let held: Option<Answered> = waiting.remove(&written);
            return held.and_then(|held| held.refused).map_or(Ok(failures), Err);
        };
        let (number, answered) = answered.context("a request came to a sudden end")?;
        waiting.insert(number, answered?);
        while let Some(next) = waiting.remove(&written) {
            is_held = next.refused.is_some() && !asking.has_answered.load(Ordering::Relaxed);
            if is_held {
                waiting.insert(written, next);
                break;
            }
            let Answered { rows, outcomes, .. } = next;
            output.write(&rows, &outcomes)?;
            failures += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Error(_))).count();
            step.iter().for_each(|step| step.advance(rows.len() as u64));
            written += 1;
        }
    }
}

/// The next rows that go together; none at the end.
fn next_chunk(rows: &mut impl Iterator<Item = anyhow::Result<TextRow>>) -> anyhow::Result<Vec<TextRow>> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < ROWS && bytes < BYTES {
        let Some(row) = rows.next() else { break };
        let row = row?;
        bytes += row.text.as_ref().map_or(0, String::len);
        chunk.push(row);
    }
    Ok(chunk)
}

impl Asking {
    /// Asks about the rows that have a text.
    async fn answer(&self, rows: Vec<TextRow>) -> anyhow::Result<Answered> {
        let texts: Vec<String> = rows.iter().filter_map(|row| row.text.clone().ok()).collect();
        let (answers, refused) = self.outcomes(&texts).await?;
        let mut answers = answers.into_iter();
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in &rows {
            outcomes.push(match &row.text {
                Err(problem) => outcome_of(problem),
                Ok(_) => answers.next().context("an answer is missing")?,
            });
        }
        Ok(Answered { rows, outcomes, refused })
    }

    /// An outcome for each text. Where the container fails on all of them together, each half is tried by itself, down to the text
    /// that it is; what it said last comes too if it answers none.
    ///
    /// # Errors
    /// If the service refuses.
    async fn outcomes(&self, texts: &[String]) -> anyhow::Result<(Vec<Outcome>, Option<anyhow::Error>)> {
        let (mut outcomes, mut parts) = (Vec::with_capacity(texts.len()), vec![texts]);
        let (mut has_answer, mut refused) = (false, None);
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let request = ask::at_depth(part, self.depth);
            let asked =
                patiently(&self.progress, self.silence, || ask::answers(&self.client, &self.endpoint, &request));
            match asked.await {
                Ok(answer) => {
                    has_answer = true;
                    self.has_answered.store(true, Ordering::Relaxed);
                    outcomes.extend(answer.predictions);
                }
                Err(error) => match of_a_text(&error) {
                    None => return Err(error),
                    Some(_) if part.len() > 1 => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                    Some(outcome) => {
                        outcomes.push(outcome);
                        refused = Some(error);
                    }
                },
            }
        }
        Ok((outcomes, refused.filter(|_| !has_answer)))
    }
}

/// What is to be said of a text where `error` may come from it; nothing where any text would meet it.
fn of_a_text(error: &anyhow::Error) -> Option<Outcome> {
    if let Some(ContainerFailure(message)) = error.downcast_ref() {
        return Some(failed("container_failure", message.clone()));
    }
    let Refusal(detail) = error.downcast_ref()?;
    let is_of_request = ["invalid_request", "not_acceptable", "not_found", "unsupported_media_type"];
    (!is_of_request.contains(&detail.code.as_str())).then(|| Outcome::Error(ErrorBody { error: detail.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_bounded_in_rows_and_bytes() {
        let row = |bytes: usize| TextRow { cells: Vec::new(), text: Ok("x".repeat(bytes)) };
        let sizes = |rows: Vec<TextRow>| {
            let mut rows = rows.into_iter().map(Ok);
            let chunks = std::iter::from_fn(|| Some(next_chunk(&mut rows).unwrap().len()).filter(|rows| *rows > 0));
            chunks.collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec![row(3); 450]), [200, 200, 50]);
        assert_eq!(sizes(vec![row(BYTES), row(BYTES / 2), row(BYTES / 2), row(1)]), [1, 2, 1]);
    }

    #[test]
    fn what_is_wrong_with_every_request_is_no_bad_row() {
        let refused = |code: &str| ask::refusal(&format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#));
        assert!(of_a_text(&refused("invalid_request")).is_none());
        assert!(of_a_text(&refused("model_failure")).is_some() && of_a_text(&ask::refusal("boom")).is_some());
        assert!(of_a_text(&anyhow::anyhow!("no credentials")).is_none());
    }
}
