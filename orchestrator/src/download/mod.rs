//! `unspsc data download`: the published data sets, whole or not at all.

mod answer;
mod error;
mod http;
mod part;
mod record;
mod retry;
mod sources;
mod transfer;

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use comfy_table::ContentArrangement;
use indicatif::HumanBytes;
use url::Url;

use self::error::Error;
use self::part::Place;
use self::record::{Ledger, Standing, standing};
pub(crate) use self::record::{each_block, hex};
use self::sources::{SOURCES, address};
pub(crate) use self::sources::{Source, mirror, named};
use self::transfer::{Downloader, Limits, Target};
use crate::options::DownloadArgs;
use crate::progress::{Progress, print};
use crate::tables::{align_numbers, table};

/// Downloads the chosen sources, or lists them.
///
/// # Errors
/// When a file did not come; the others are downloaded all the same.
pub(crate) async fn run(progress: &Progress, args: &DownloadArgs) -> anyhow::Result<()> {
    let sources = chosen(args);
    if args.list {
        return print(&listing(&sources, args.mirror.as_ref())?);
    }
    let _lock = lock(&args.output)?;
    let mut ledger = Ledger::read(&args.output)?;
    let mut downloader = Downloader::new(progress.clone(), Limits::default());
    let (mut files, mut failures) = (table(["file", "state", "size"]), Vec::new());
    align_numbers(&mut files, [2]);
    let targets = targets(&sources, args)?;
    for target in &targets {
        match bring(progress, &mut downloader, &mut ledger, target).await {
            Ok((state, bytes)) => {
                files.add_row([&target.label, state, &HumanBytes(bytes).to_string()]);
            }
            Err(error) => failures.push((target, error)),
        }
    }
    if files.row_count() > 0 {
        print(&format!("{files}\n\n{}", licences(&sources)))?;
    }
    for (target, error) in &failures {
        progress.say(&explain(target, error));
    }
    if !failures.is_empty() {
        bail!("{} of {} files could not be downloaded", failures.len(), targets.len());
    }
    Ok(())
}

/// What an interrupted download leaves for the next one to go on from.
pub(crate) fn kept(args: &DownloadArgs) -> Vec<String> {
    let targets = targets(&chosen(args), args).unwrap_or_default();
    let parts = targets.iter().filter_map(|target| target.place.resumable());
    parts.map(|part| format!("{} is kept: the same command goes on from there", part.display())).collect()
}

/// The sources that were asked for, each once, or all.
fn chosen(args: &DownloadArgs) -> Vec<&'static Source> {
    let is_chosen =
        |source: &&Source| args.sources.is_empty() || args.sources.iter().any(|chosen| chosen.name == source.name);
    SOURCES.iter().filter(is_chosen).collect()
}

fn targets(sources: &[&'static Source], args: &DownloadArgs) -> anyhow::Result<Vec<Target>> {
    let files = sources.iter().flat_map(|source| source.files.iter().map(move |file| (source, file)));
    let target = |(source, file): (&&'static Source, &sources::RemoteFile)| {
        let url = address(source, file, args.mirror.as_ref()).with_context(|| file.url)?;
        let place = Place::new(&args.output.join(source.name), file.name);
        Ok(Target { label: format!("{}/{}", source.name, file.name), url, place })
    };
    files.map(target).collect()
}

/// Makes the folder, and takes it for this process as long as the returned file is open.
fn lock(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder).map_err(Error::disk("make", folder))?;
    let file = File::open(folder).map_err(Error::disk("read", folder))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("another download into {} is under way", folder.display()),
        // Some network file systems know no locks; there it is up to the user.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Sees to it that the target's file is there; returns how it came about, and its length in bytes.
async fn bring(
    progress: &Progress,
    downloader: &mut Downloader,
    ledger: &mut Ledger,
    target: &Target,
) -> Result<(&'static str, u64), Error> {
    let Target { label, place, .. } = target;
    let record = ledger.get(label);
    let is_replacement = match standing(&place.file, record)? {
        Standing::Missing => false,
        Standing::Unchanged => return Ok(("unchanged", record.map_or(0, |record| record.bytes))),
        Standing::Foreign(bytes) => return Ok(("not downloaded, left as it is", bytes)),
        Standing::Differs(how) => {
            let file = place.file.display();
            progress.say(&format!("{file} is no longer what was downloaded ({how}): fetching it again"));
            true
        }
    };
    if let Some(folder) = place.file.parent() {
        fs::create_dir_all(folder).map_err(Error::disk("make", folder))?;
    }
    let record = downloader.fetch(target).await?;
    let bytes = record.bytes;
    ledger.insert(label, record)?;
    Ok((if is_replacement { "replaced" } else { "downloaded" }, bytes))
}

/// What failed, why, and what the user can do.
fn explain(target: &Target, error: &Error) -> String {
    let file = target.place.file.display();
    let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let mut text = format!("{} did not come from {}\n  reason: {error}{reason}\n", target.label, target.url);
    if let Some(part) = target.place.resumable() {
        text.push_str(&format!("  {} is kept: the same command goes on from there\n", part.display()));
    }
    if target.place.file.exists() {
        text.push_str(&format!("  {file} was left as it is\n"));
    }
    text.push_str(&format!("  place the file at {file} yourself, or train on files that you have with --data"));
    text
}

/// The catalogue for people.
fn listing(sources: &[&Source], mirror: Option<&Url>) -> anyhow::Result<String> {
    let mut urls = table(["source", "URL"]);
    // Addresses are there to be copied, so that none may be broken.
    urls.set_content_arrangement(ContentArrangement::Disabled);
    for source in sources {
        for file in source.files {
            urls.add_row([source.name, address(source, file, mirror).with_context(|| file.url)?.as_str()]);
        }
    }
    Ok(format!("{urls}\n\n{}", licences(sources)))
}

fn licences(sources: &[&Source]) -> String {
    sources.iter().map(|source| format!("{}: {}", source.name, source.licence)).collect::<Vec<_>>().join("\n")
}
