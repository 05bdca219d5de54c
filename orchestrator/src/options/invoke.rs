//! The options of `unspsc invoke`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use unspsc_contract::invocation::Depth;

use super::platform::PlatformArgs;
use super::values::{at_a_time, resource_name};

/// `invoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InvokeArgs {
    /// Name of the endpoint
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: String,
    /// How deep to answer: `auto`, as deep as can be trusted, or `segment`, `family`, `class` or `commodity`
    #[arg(long, value_name = "DEPTH", default_value = "auto")]
    pub(crate) depth: Depth,
    /// Texts, one an argument; `-`, or none where standard input is no terminal, reads them from there
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// File with the texts: a table with a column `description`, JSON Lines, or a text a line; plain or gzip
    #[arg(long, value_name = "PATH", conflicts_with = "texts")]
    pub(crate) file: Option<PathBuf>,
    /// Column of the text, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME", conflicts_with = "texts")]
    pub(crate) description_column: Vec<String>,
    /// The text is a trade mark's statement of goods and services: answer each item, and the mark's segments
    #[arg(long, conflicts_with = "description_column")]
    pub(crate) statement: bool,
    /// Form of the answers: `table` for people, `json`, a line a row with all that the endpoint says, or `csv`, the input's columns
    /// with those of the answer [default: that of the name of --output, else table]
    #[arg(long, value_name = "FORM", hide_possible_values = true)]
    pub(crate) format: Option<AnswerFormat>,
    /// File to write the answers into, which has its name once it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Requests of up to 200 texts that may be under way at a time, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_a_time)]
    pub(crate) concurrency: usize,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// A form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// For people.
    Table,
    /// JSON Lines; of a statement one document.
    Json,
    /// The columns of the input with those of the answer.
    Csv,
}

impl AnswerFormat {
    /// The form of a file of this name.
    pub(crate) fn of(path: &Path) -> Self {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("csv") => Self::Csv,
            Some("json" | "jsonl" | "ndjson") => Self::Json,
            _ => Self::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_its_form() {
        let forms = ["a.CSV", "a.jsonl", "a.json", "a.txt", "csv"].map(|name| AnswerFormat::of(Path::new(name)));
        use AnswerFormat::{Csv, Json, Table};
        assert_eq!(forms, [Csv, Json, Json, Table, Table]);
    }
}
