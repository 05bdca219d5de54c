//! How good head and index are together, level by level.

use std::collections::BTreeMap;

use unspsc_contract::LevelScores;
use unspsc_page::{reliability_diagram, table};
use unspsc_taxonomy::Level;

use super::percent;

/// A table with a line for each level, and how far the probabilities of each can be trusted; nothing where they were not judged.
pub(super) fn section(levels: &BTreeMap<Level, LevelScores>) -> String {
    if levels.is_empty() {
        return String::new();
    }
    let row = |(level, scores): (&Level, &LevelScores)| {
        let shares = [scores.accuracy, scores.balanced_accuracy, scores.top5_accuracy, scores.ece, scores.coverage];
        let counts = [level.to_string(), scores.rows.to_string(), scores.classes.to_string()];
        counts.into_iter().chain(shares.map(percent)).collect()
    };
    let head = [
        "level",
        "rows",
        "codes",
        "accuracy",
        "balanced accuracy",
        "among the first five",
        "calibration error",
        "answered at 90 % precision",
    ];
    let caption = "Test rows whose code reaches the level, as the model answers when it is served";
    let diagram =
        |(level, scores): (&Level, &LevelScores)| reliability_diagram(&format!("Right, {level}"), &scores.bins, &[]);
    let diagrams: String = levels.iter().map(diagram).collect();
    format!(
        "<section><h2>Head and index, by level</h2>\n{}<p class=\"note\">All other sections are of the head alone. Here the index of \
         titles and training texts is searched as well, by vectors and by words, and all are weighed as was best on validation; a row's own text \
         counts for nothing where the index holds it.</p>\n<div class=\"charts\">{diagrams}</div>\n</section>\n",
        table(caption, head, 1, levels.iter().map(row))
    )
}
