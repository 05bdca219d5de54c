//! After training: the index of titles and texts, how head and index are weighed, and how good the two are together.
//!
//! All of it is computed by the engine that will serve the model, from the files that it will serve: what is calibrated is
//! what answers.

mod entries;
mod judge;
mod served;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use unspsc_artifact::TitleIndex;
use unspsc_contract::{LevelScores, files};
use unspsc_dataset::Example;
use unspsc_hierarchy::{Hierarchy, Judged, Weights, fit, fit_thresholds};
use unspsc_taxonomy::Level;

use crate::TrainError;
use crate::data::Data;
use crate::stop::Stop;
use entries::Entries;
use judge::Tally;
use served::Served;

/// Held-out rows that head and index are weighed by: a few weights need no more, and all of a code list's would take minutes.
const MAX_JUDGED: usize = 4000;

/// How good head and index are together on the test split, by level.
pub(crate) type Levels = BTreeMap<Level, LevelScores>;

/// Adds the index to the model in `directory`, and to its metadata how head and index are weighed, fitted on the validation rows
/// of `data`. Returns how good they are on its test rows; none where labels are no codes or `stop` came first, which leaves the
/// model with its head alone.
pub(crate) fn complete(directory: &Path, data: &Data, seed: u64, stop: &Stop) -> Result<Option<Levels>, TrainError> {
    let started = Instant::now();
    let mut served = Served::load(directory)?;
    let Some(hierarchy) = Hierarchy::new(served.outputs(), Weights::even()) else {
        tracing::info!("no index: the labels are no codes");
        return Ok(None);
    };
    let entries = Entries::of(data);
    let Some(vectors) = served.vectors(entries.texts(), stop)? else {
        tracing::warn!("stopped: the model answers by its head alone");
        return Ok(None);
    };
    let path = directory.join(files::INDEX);
    TitleIndex::write(&path, served.hidden(), &entries.all(), &vectors, &data.titles).map_err(TrainError::Artifact)?;
    drop(vectors);
    served.search(&path)?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!("index of {} titles and texts in {seconds:.1} s", entries.texts().len());

    let rows = sampled(&data.splits.validation, seed);
    let Some(judged) = evidence(&mut served, &entries, &rows, stop)? else {
        tracing::warn!("stopped: the model answers by its head alone");
        return Ok(None);
    };
    let weighed = hierarchy.clone().with(fit(&hierarchy, &judged));
    let weights = fit_thresholds(&weighed, &judged);
    drop(judged);
    served.write_weights(directory, &weights)?;
    tracing::info!("head and index weighed by {} validation rows: {}", rows.len(), describe(&weights));
    test(&mut served, &entries, &weighed, (&data.splits.test, stop))
}

/// What is known of `rows`, of which none counts as its own neighbour; none where `stop` came first.
fn evidence(
    served: &mut Served,
    entries: &Entries,
    rows: &[&Example],
    stop: &Stop,
) -> Result<Option<Vec<Judged>>, TrainError> {
    let mut judged = Vec::with_capacity(rows.len());
    for rows in rows.chunks(served::BATCH) {
        if stop.requested() {
            return Ok(None);
        }
        judged.extend(served.judge(entries, rows)?);
    }
    Ok(Some(judged))
}

/// The scores of the test `rows`, by level; none where `stop` came first.
fn test(
    served: &mut Served,
    entries: &Entries,
    hierarchy: &Hierarchy,
    (rows, stop): (&[Example], &Stop),
) -> Result<Option<Levels>, TrainError> {
    let mut tally = Tally::default();
    let rows: Vec<&Example> = rows.iter().collect();
    for rows in rows.chunks(served::BATCH) {
        if stop.requested() {
            tracing::warn!("stopped: head and index were not judged together");
            return Ok(None);
        }
        for judged in served.judge(entries, rows)? {
            tally.count(judged.code, &hierarchy.probabilities(&judged.logits, &judged.found));
        }
    }
    let levels = tally.finish();
    for (level, scores) in &levels {
        let LevelScores { rows, accuracy, balanced_accuracy, top5_accuracy, ece, coverage, .. } = scores;
        tracing::info!(
            "test, head and index, {level}, {rows} rows: accuracy {accuracy:.4}, balanced {balanced_accuracy:.4}, \
             top 5 {top5_accuracy:.4}, calibration error {ece:.4}, {:.1} % answered at {:.0} % precision",
            coverage * 100.0,
            judge::PRECISION * 100.0
        );
    }
    Ok(Some(levels))
}

/// At most [`MAX_JUDGED`] of `rows`, drawn by `seed`, in their order.
fn sampled(rows: &[Example], seed: u64) -> Vec<&Example> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut places = sample(&mut random, rows.len(), rows.len().min(MAX_JUDGED)).into_vec();
    places.sort_unstable();
    places.into_iter().filter_map(|place| rows.get(place)).collect()
}

fn describe(weights: &Weights) -> String {
    let level = |(level, it): (&Level, &unspsc_hierarchy::LevelWeights)| {
        format!("{level} {:.2} of the head, {:.2} of the vectors and {:.2} of the words", it.head, it.vectors, it.words)
    };
    let levels: Vec<String> = weights.levels.iter().map(level).collect();
    format!("{}; cosines by {}, texts less {}", levels.join(", "), weights.temperature, weights.text_penalty)
}

#[cfg(test)]
mod tests;
