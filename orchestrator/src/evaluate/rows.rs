//! The rows to judge by.

use std::path::Path;

use anyhow::bail;
use unspsc_contract::{EvaluatedData, EvaluatedFile};
use unspsc_dataset::{Columns, Reading, Row, is_prepared};

use crate::options::EvaluateArgs;

/// The side of a prepared set that nothing was trained on or chosen by.
const TEST: &str = "test.csv";

/// Descriptions with their codes.
#[derive(Debug)]
pub(super) struct LabelledRows {
    pub(super) rows: Vec<Row>,
    pub(super) data: EvaluatedData,
}

impl LabelledRows {
    /// File and line of `row`, as `purchases.csv line 7`.
    pub(super) fn place(&self, row: &Row) -> String {
        let (file, line) = row.place;
        let file = usize::try_from(file).ok().and_then(|file| self.data.files.get(file));
        format!("{} line {line}", file.map_or("", |file| file.name.as_str()))
    }
}

/// Reads what `args` name; of a prepared set its test side.
pub(super) fn load(args: &EvaluateArgs) -> anyhow::Result<LabelledRows> {
    let columns = Columns { description: args.description_column.clone(), code: args.code_column.clone() };
    let path = if is_prepared(&args.data) { args.data.join(TEST) } else { args.data.clone() };
    let reading = Reading { columns, ..Reading::default() };
    let loaded = unspsc_dataset::load(&path, &reading)?.without_augmented();
    if loaded.rows.is_empty() {
        bail!("{} has no row with a description and a code", path.display());
    }
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let files = loaded.sources.into_iter();
    let files = files.map(|source| EvaluatedFile { name: name(&source.path), sha256: source.sha256 }).collect();
    let data = EvaluatedData { files, rows: loaded.rows.len(), rejected: loaded.rejects.len() };
    Ok(LabelledRows { rows: loaded.rows, data })
}
