//! The end of the page: how the set was made, and of what.

use unspsc_dataset::{Grouping, Options};
use unspsc_page::{escape, pairs, table};

use crate::explore::survey::Survey;
use crate::tables::count;

use super::About;

/// Files that are listed; a folder may hold thousands.
const MAX_FILES: usize = 100;

/// Options, identity, files with digests, and the command.
pub(crate) fn facts(survey: &Survey, about: &About) -> String {
    let manifest = &survey.manifest;
    let identity = [
        ("fingerprint (SHA-256)", manifest.fingerprint.clone()),
        ("cleaning", format!("version {}", manifest.cleaning)),
        ("program", manifest.prepared_by.clone()),
    ];
    let mut html = format!(
        "<section class=\"facts\">{}{}</section>\n",
        pairs("Options", options(&manifest.options, about).into_iter().chain(augmentation(survey))),
        pairs("Identity", identity)
    );
    let files = manifest.sources.iter().take(MAX_FILES).map(|source| {
        let words = [source.path.display().to_string(), source.layout.clone(), source.sha256.clone()];
        words.into_iter().chain([source.rows, source.rejects, source.repeats].map(count)).collect()
    });
    let head = ["file", "layout", "SHA-256", "rows", "rejects", "repeats"];
    html += &format!("<section>\n<h2>Files</h2>\n{}", table("In the order in which they were read.", head, 3, files));
    if let Some(more) = manifest.sources.len().checked_sub(MAX_FILES + 1) {
        html += &format!("<p class=\"note\">And {} files more.</p>\n", count(more + 1));
    }
    for skipped in manifest.skipped.iter().take(MAX_FILES) {
        let skipped = skipped.display().to_string();
        html += &format!("<p class=\"note\">{} is validation data and was left alone.</p>\n", escape(&skipped));
    }
    let command = escape(&about.command);
    html + &format!("</section>\n<section>\n<h2>Command</h2>\n<p>{command}</p>\n</section>\n")
}

fn options(options: &Options, about: &About) -> Vec<(&'static str, String)> {
    let labels = match &options.groups {
        None => format!("{} level", options.level),
        Some(Grouping::Given(groups)) => format!("groups of {} codes", count(groups.entries().count())),
        Some(Grouping::Even(number)) => format!("{number} groups of about the same size"),
    };
    let at_most =
        |most: Option<usize>| most.map_or_else(|| "all".to_owned(), |most| format!("at most {}", count(most)));
    let mut rows = vec![
        ("labels", labels),
        ("seed", options.seed.to_string()),
        ("titles of the code list", options.titles.to_string()),
        ("commodity titles of a class", at_most(options.titles_per_class)),
        ("training rows of a label", at_most(options.max_per_class)),
    ];
    if !about.columns.is_empty() {
        rows.push(("columns", about.columns.join(", ")));
    }
    rows
}

fn augmentation(survey: &Survey) -> Vec<(&'static str, String)> {
    let Some(augmentation) = &survey.manifest.augmentation else { return Vec::new() };
    let options = augmentation.options;
    let lacking: usize = augmentation.short.values().sum();
    vec![
        ("augmentation", format!("mode {}, to {} rows a class", options.mode, count(options.to))),
        ("share of words replaced", options.share.to_string()),
        ("seed of augmentation", options.seed.to_string()),
        ("rows made", count(augmentation.made)),
        ("rows moved to test", count(augmentation.moved)),
        ("rows lacking even so", count(lacking)),
    ]
}
