//! A trade mark's statement of goods and services: each item with its code, and the mark's profile.

use std::io::Write as _;

use anyhow::bail;
use unspsc_contract::invocation::{
    MarkProfile, Outcome, RemarkKind, StatementItem, StatementRequest, StatementResponse,
};

use crate::coded::CodedTable;
use crate::options::{AnswerFormat, InvokeArgs};
use crate::session::Session;
use crate::tables::{align_numbers, table_of_texts};

use super::ask::{patiently, send};
use super::output::{Sink, unwritten};
use super::{input, show};

/// Columns of an item, before those of its answer.
const COLUMNS: [&str; 5] = ["text", "start", "end", "nice_class", "classified"];

/// Asks about one statement and writes the answer.
pub(super) async fn run(session: &Session, args: &InvokeArgs, format: AnswerFormat) -> anyhow::Result<()> {
    let statement = input::statement(args).await?;
    let request = StatementRequest { statement, top_k: None, threshold: None, depth: Some(args.depth) };
    let (client, endpoint) = (&session.clients.runtime, args.endpoint.as_str());
    let answered = patiently(&session.progress, session.pace.patience, || send(client, endpoint, &request));
    let answer: StatementResponse = answered.await?;
    let mut sink = Sink::open(args.output.as_deref())?;
    match format {
        AnswerFormat::Table => writeln!(sink, "{}", describe(&answer)?).map_err(unwritten)?,
        AnswerFormat::Json => {
            serde_json::to_writer_pretty(&mut sink, &answer).map_err(unwritten)?;
            writeln!(sink).map_err(unwritten)?;
        }
        AnswerFormat::Csv => sink = items(sink, &answer.items)?,
    }
    if let Some(path) = sink.finish()? {
        session.progress.say(&format!("written to {}", path.display()));
    }
    match answer.profile.failed.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} items could not be classified", answer.items.len()),
    }
}

/// Writes a row for each item.
fn items(sink: Sink, items: &[StatementItem]) -> anyhow::Result<Sink> {
    let mut rows = CodedTable::begin(sink, &COLUMNS.map(str::to_owned))?;
    for StatementItem { text, place, nice_class, classified, outcome } in items {
        let nice_class = nice_class.map(|class| class.to_string()).unwrap_or_default();
        let cells = [text.clone(), place.start.to_string(), place.end.to_string(), nice_class, classified.clone()];
        rows.write(&cells, outcome)?;
    }
    rows.into_inner()
}

/// The items with their codes, the segments of the mark, and what names no goods.
fn describe(answer: &StatementResponse) -> anyhow::Result<String> {
    let StatementResponse { profile, items, remarks } = answer;
    let texts: Vec<String> = items.iter().map(named).collect();
    let outcomes: Vec<&Outcome> = items.iter().map(|item| &item.outcome).collect();
    let mut shown = format!("{}\n\n{}", show::described(&texts, outcomes.into_iter())?, segments(profile, items));
    for remark in remarks {
        let kind = match remark.kind {
            RemarkKind::Exclusion => "excluded",
            RemarkKind::Limitation => "limited",
            RemarkKind::Deletion => "deleted",
            RemarkKind::Filing => "of the filing",
        };
        shown += &format!("\n{kind}: {}", remark.text);
    }
    Ok(shown)
}

fn named(item: &StatementItem) -> String {
    item.nice_class.map_or_else(|| item.text.clone(), |class| format!("{} (class {class})", item.text))
}

/// The mark's profile.
fn segments(profile: &MarkProfile, items: &[StatementItem]) -> String {
    let mut rows = table_of_texts(["segment of the mark", "title", "share", "items"]);
    for segment in &profile.segments {
        let texts = segment.items.iter().filter_map(|place| items.get(*place)).map(|item| item.text.as_str());
        let title = segment.title.as_deref().unwrap_or("–");
        let share = format!("{:.3}", segment.share);
        rows.add_row([segment.label.as_str(), title, &share, &texts.collect::<Vec<_>>().join(", ")]);
    }
    if profile.other > 0.0 {
        rows.add_row(["all others", "", &format!("{:.3}", profile.other), ""]);
    }
    align_numbers(&mut rows, [2]);
    rows.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_profile_and_remarks_are_shown() {
        let json = r#"{"profile": {"segments": [{"label": "50000000", "title": "Food", "share": 0.96, "mean_probability": 0.9,
            "items": [0]}], "other": 0.04, "failed": [], "needs_review": []},
            "items": [{"text": "coffee", "start": 10, "end": 16, "nice_class": 30, "classified": "coffee",
            "label": "50200000", "title": "Beverages", "level": "family", "probability": 0.9, "truncated": false,
            "needs_review": false, "top_k": []}],
            "remarks": [{"kind": "exclusion", "text": "excluding rolls", "start": 18, "end": 33}]}"#;
        let answer: StatementResponse = serde_json::from_str(json).unwrap();
        let shown = describe(&answer).unwrap();
        for part in ["coffee (class 30)", "50200000", "0.960", "all others", "0.040", "excluded: excluding rolls"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
}
