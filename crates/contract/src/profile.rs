//! What was seen while training: the rules' verdicts, and the series that they were drawn from.

use serde::{Deserialize, Serialize};

/// What one rule says about the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// The rule's name, such as `vanishing_gradient`.
    pub rule: String,
    /// What it says.
    pub status: RuleStatus,
    /// The step, counted from 1, at which an issue was found first; 0 before the first step.
    pub step: Option<usize>,
    /// The figures behind it, or why there are none, in one sentence.
    pub evidence: String,
}

/// Whether a rule found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStatus {
    /// What the rule looks for was found.
    Issue,
    /// It was looked for and not found.
    Ok,
    /// It could not be looked for.
    NotEvaluated,
}

/// Figures over the run, each series thinned to a bounded number of rows, which are means of equally many observations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Steps that were made before: 0, or those up to the checkpoint that the run went on from.
    pub steps_before: usize,
    /// By step: `step`, `loss`, `learning_rate`, `gradient_norm`, `rows_per_second`, `padding`.
    pub steps: Series,
    /// By step: L2 norm of each layer's gradient, before clipping.
    pub gradient_norms: Series,
    /// By step: L2 norm of each layer's update through that of its weights.
    pub update_ratios: Series,
    /// By time: `seconds`, `cpu` (share of the cores granted), `memory_mib`; with a GPU `gpu` (share of the time),
    /// `gpu_memory` (share of what there is).
    pub system: Series,
}

/// A table of numbers; the first column is the place in the run, ascending.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// As many numbers each as there are columns.
    pub rows: Vec<Vec<f64>>,
}

impl Series {
    /// The column called `name` against the first one.
    pub fn points<'a>(&'a self, name: &str) -> impl Iterator<Item = (f64, f64)> + use<'a> {
        let column = self.columns.iter().position(|column| column == name);
        self.rows.iter().filter_map(move |row| Some((*row.first()?, *row.get(column?)?)))
    }
}
