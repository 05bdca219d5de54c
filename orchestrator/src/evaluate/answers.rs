//! `predictions.jsonl`: one line a row, whoever has answered.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Deserializer, Serialize};
use unspsc_contract::invocation::{ErrorDetail, Outcome};
use unspsc_taxonomy::{Code, Level, clean};

use super::rows::LabelledRows;

/// How far above 1 a sum of rounded probabilities may lie.
const ROUNDING: f64 = 1e-6;

/// A line as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Written<'a> {
    pub(super) description: &'a str,
    pub(super) code: Code,
    #[serde(flatten)]
    pub(super) outcome: &'a Outcome,
}

/// A line as it is read: of what another classifier writes, `description` and `by_level` are enough.
#[derive(Debug, Deserialize)]
struct Line {
    description: String,
    #[serde(flatten)]
    answer: Answer,
}

/// What a classifier says of one text.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Answer {
    /// Candidates by level, most probable first.
    #[serde(default)]
    pub(super) by_level: BTreeMap<Level, Vec<Guess>>,
    /// The code at the level that the classifier chose; none where its labels are no codes.
    #[serde(default, deserialize_with = "code")]
    pub(super) label: Option<Code>,
    /// Whether not even its segment can be trusted.
    #[serde(default)]
    pub(super) needs_review: bool,
    /// Why there is no answer.
    pub(super) error: Option<ErrorDetail>,
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Code>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|label| label.parse().ok()))
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Guess {
    #[serde(rename = "label")]
    pub(super) code: Code,
    pub(super) title: Option<String>,
    /// 0 to 1.
    pub(super) probability: f64,
}

impl Answer {
    /// The most probable code of `level`.
    pub(super) fn best(&self, level: Level) -> Option<&Guess> {
        self.by_level.get(&level)?.first()
    }

    /// Puts the candidates in order and checks that each is a code of its level with a probability.
    fn check(&mut self) -> anyhow::Result<()> {
        for (level, guesses) in &mut self.by_level {
            for Guess { code, probability, .. } in guesses.iter_mut() {
                ensure!(code.level() == *level, "`{code}` stands under {level} and is a {}", code.level());
                let is_probability = (0.0..=1.0 + ROUNDING).contains(probability);
                ensure!(is_probability, "the probability {probability} of `{code}` is not between 0 and 1");
                *probability = probability.min(1.0);
            }
            guesses.sort_by(|one, other| other.probability.total_cmp(&one.probability));
        }
        Ok(())
    }
}

/// The lines of a file by their cleaned descriptions.
#[derive(Debug)]
pub(super) struct Answers {
    path: PathBuf,
    by_text: HashMap<String, Answer>,
}

/// Reads a file of answers. Of lines whose descriptions clean to the same string the first counts.
pub(super) fn read(path: &Path) -> anyhow::Result<Answers> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut by_text = HashMap::new();
    for (line, number) in BufReader::new(file).lines().zip(1..) {
        let place = || format!("{}, line {number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { description, mut answer } = serde_json::from_str(&line).with_context(place)?;
        answer.check().with_context(place)?;
        by_text.entry(clean(&description)).or_insert(answer);
    }
    Ok(Answers { path: path.to_owned(), by_text })
}

impl Answers {
    /// The answer to each of `rows`; one that says so where the file has none.
    pub(super) fn of(&self, rows: &LabelledRows) -> anyhow::Result<Vec<Answer>> {
        let missing = || Answer {
            error: Some(ErrorDetail {
                code: "missing".to_owned(),
                message: "no line has this description".to_owned(),
                retry_after: None,
                request_id: None,
            }),
            ..Answer::default()
        };
        let found: Vec<Option<&Answer>> =
            rows.rows.iter().map(|row| self.by_text.get(&clean(&row.description))).collect();
        if found.iter().flatten().all(|answer| answer.by_level.is_empty()) {
            bail!(
                "{} has no `by_level` with candidates for any of the rows: there is nothing to judge",
                self.path.display()
            );
        }
        Ok(found.into_iter().map(|answer| answer.cloned().unwrap_or_else(missing)).collect())
    }
}
