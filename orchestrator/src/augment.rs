//! `unspsc data augment`: a prepared set with more training rows.

use anyhow::{Context as _, bail};
use unspsc_dataset::{AugmentOptions, Prepared, Thesaurus};

use crate::options::AugmentArgs;
use crate::prepare::same;
use crate::progress::{Progress, print};
use crate::tables::{align_numbers, count, table};

/// Classes that are named one by one where they stay short of the goal.
const MAX_NAMED: usize = 5;

/// Augments, writes and describes a prepared set.
pub(crate) async fn run(progress: &Progress, args: &AugmentArgs) -> anyhow::Result<()> {
    if same(&args.data, &args.output) {
        bail!("--output is the folder of --data: name another, so that the original set is kept");
    }
    let step = progress.step(&format!("augmenting {}, seed {}", args.data.display(), args.seed));
    let owned = args.clone();
    let work = tokio::task::spawn_blocking(move || augment(&owned));
    let (before, after) = work.await.context("the augmentation came to a sudden end")??;
    drop(step);
    print(&describe(&before, &after))?;
    let printed = print(&format!("written to {}: {}", args.output.display(), after.names().join(", ")));
    // The process ends here, and takes a million texts with it sooner than they are freed one by one.
    std::mem::forget(after);
    printed
}

/// The set before, without its rows, and after.
fn augment(args: &AugmentArgs) -> anyhow::Result<([usize; 3], Prepared)> {
    let (prepared, thesaurus) = std::thread::scope(|scope| {
        let thesaurus = scope.spawn(|| Thesaurus::open(&args.wordnet));
        (Prepared::read(&args.data), thesaurus.join())
    });
    let prepared = prepared?;
    if prepared.manifest.augmentation.is_some() {
        bail!("{} is augmented already: start from the set that it was made of", args.data.display());
    }
    let before = sizes(&prepared);
    let Ok(thesaurus) = thesaurus else { bail!("the reading of WordNet came to a sudden end") };
    let thesaurus = thesaurus?;
    let options = AugmentOptions { to: args.to.into(), mode: args.mode, share: args.share, seed: u64::from(args.seed) };
    let augmented = prepared.augmented(&thesaurus, options);
    augmented.write(&args.output)?;
    Ok((before, augmented))
}

fn sizes(prepared: &Prepared) -> [usize; 3] {
    prepared.splits.named().map(|(_, side)| side.len())
}

fn describe(before: &[usize; 3], after: &Prepared) -> String {
    let mut rows = table(["side", "rows before", "rows after"]);
    for ((name, side), before) in after.splits.named().into_iter().zip(before) {
        rows.add_row([name.to_owned(), count(*before), count(side.len())]);
    }
    align_numbers(&mut rows, 1..3);
    let mut text = format!("{rows}\n");
    if let Some(augmentation) = &after.manifest.augmentation {
        let (made, moved) = (count(augmentation.made), count(augmentation.moved));
        text += &format!("\n{made} rows made, {moved} moved to test");
        let short = &augmentation.short;
        if !short.is_empty() {
            let lacking = count(short.values().sum());
            let named: Vec<String> =
                short.iter().take(MAX_NAMED).map(|(label, lacking)| format!("{label} ({})", count(*lacking))).collect();
            let more = if short.len() > MAX_NAMED { ", …" } else { "" };
            let (classes, named) = (short.len(), named.join(", "));
            text += &format!("; {lacking} rows lacking in {classes} classes without more synonyms: {named}{more}");
        }
    }
    text + &format!("\nfingerprint {}", after.manifest.fingerprint)
}
