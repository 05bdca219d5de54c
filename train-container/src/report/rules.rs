//! The rules' verdicts: what was found first, then what was not.

use std::fmt::Write as _;

use unspsc_contract::{RuleStatus, RuleVerdict};
use unspsc_page::escape;

/// What each rule says, in one table.
pub(super) fn section(verdicts: &[RuleVerdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let with = |status: RuleStatus| verdicts.iter().filter(move |verdict| verdict.status == status);
    let count = |status| with(status).count();
    let mut html = format!(
        "<section><h2>What the rules found</h2>\n<p class=\"note\">{} of {} rules found an issue, {} looked and found \
         none, {} could not look.</p>\n<div class=\"wide long\"><table class=\"verdicts\">\n",
        count(RuleStatus::Issue),
        verdicts.len(),
        count(RuleStatus::Ok),
        count(RuleStatus::NotEvaluated)
    );
    for status in [RuleStatus::Issue, RuleStatus::Ok, RuleStatus::NotEvaluated] {
        with(status).for_each(|verdict| row(&mut html, verdict));
    }
    html.push_str("</table></div>\n</section>\n");
    html
}

fn row(html: &mut String, verdict: &RuleVerdict) {
    let (class, word) = match verdict.status {
        RuleStatus::Issue => ("issue", "issue"),
        RuleStatus::Ok => ("ok", "ok"),
        RuleStatus::NotEvaluated => ("none", "not evaluated"),
    };
    let step = match verdict.step {
        Some(0) => "<br>before step 1".to_owned(),
        Some(step) => format!("<br>step {step}"),
        None => String::new(),
    };
    let (name, evidence) = (title(&verdict.rule), sentence(&verdict.evidence));
    let _ = writeln!(
        html,
        "<tr><th scope=\"row\">{}</th><td><span class=\"badge {class}\">{word}</span></td>\
         <td>{}<small>{step}</small></td></tr>",
        escape(&name),
        escape(&evidence)
    );
}

/// `low_gpu_utilization` as people write it.
fn title(rule: &str) -> String {
    let word = |word: &str| if ["cpu", "gpu"].contains(&word) { word.to_uppercase() } else { word.to_owned() };
    let words: Vec<String> = rule.split('_').map(word).collect();
    capitalised(&words.join(" "))
}

fn sentence(evidence: &str) -> String {
    capitalised(evidence) + "."
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_come_first_with_step_and_evidence() {
        let verdict = |rule: &str, status, step, evidence: &str| RuleVerdict {
            rule: rule.into(),
            status,
            step,
            evidence: evidence.into(),
        };
        let html = section(&[
            verdict("low_gpu_utilization", RuleStatus::NotEvaluated, None, "no GPU"),
            verdict("overfit", RuleStatus::Ok, None, "all <well>"),
            verdict("cpu_bottleneck", RuleStatus::Issue, Some(7), "the CPU is busy"),
            verdict("class_imbalance", RuleStatus::Issue, Some(0), "1 to 9"),
        ]);
        let parts = [
            "2 of 4 rules",
            "CPU bottleneck",
            "The CPU is busy.",
            "step 7",
            "before step 1",
            "Overfit",
            "All &lt;well&gt;.",
        ];
        let places: Vec<usize> =
            parts.into_iter().map(|part| html.find(part).unwrap_or_else(|| panic!("{part}"))).collect();
        assert!(places.is_sorted(), "{html}");
        assert!(html.contains("Low GPU utilization") && section(&[]).is_empty());
    }
}
