//! What int16 and int8 cost on real texts: `agreement MODEL_DIR texts.csv`, with the columns `description` and `label`.
//!
//! For each precision prints the share of texts whose top label is float32's, balanced accuracy, and how far logits
//! differ from float32's.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use unspsc_artifact::{Artifact, TokenIds, Weights};
use unspsc_contract::files;
use unspsc_engine::{Engine, Precision};

/// Texts that are classified together.
const BATCH: usize = 64;

/// The limits that the project promises to keep, in percent of the texts and in points.
const LEAST_AGREEMENT: f64 = 99.5;
const MOST_LOST: f64 = 0.2;

/// Logits of texts, `[texts, labels]`.
type Rows = Vec<Vec<f32>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut path = || arguments.next().ok_or("usage: agreement MODEL_DIR texts.csv");
    let (directory, rows) = (path()?, path()?);
    let artifact = Artifact::load(&directory)?;
    let (texts, labels) = read(&rows, &artifact)?;
    let names = artifact.metadata.label_names(&artifact.config);
    let exact = logits(&directory, &artifact, Precision::Float32, &texts)?.0;
    let before = 100.0 * balanced_accuracy(&exact, &labels, &names);
    println!("{} texts; balanced accuracy in float32 {before:.2} %", texts.len());

    let mut broken = Vec::new();
    for precision in [Precision::Int16, Precision::Int8] {
        let (quantised, computed) = logits(&directory, &artifact, precision, &texts)?;
        let same = exact.iter().zip(&quantised).filter(|(exact, quantised)| top(exact) == top(quantised)).count();
        let agreement = 100.0 * same as f64 / texts.len() as f64;
        let after = 100.0 * balanced_accuracy(&quantised, &labels, &names);
        let (mean, largest) = differences(&exact, &quantised);
        println!("{precision} ({computed}): same top label {agreement:.2} %, balanced accuracy {after:.2} %,");
        println!("    logits differ by {mean:.4} in the mean, {largest:.3} at most");
        if agreement < LEAST_AGREEMENT || before - after > MOST_LOST {
            broken.push(precision.as_str());
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    let broken = broken.join(" and ");
    Err(format!("{broken}: less than {LEAST_AGREEMENT} % agree, or more than {MOST_LOST} points are lost").into())
}

/// By how much logits differ, in the mean and at most.
fn differences(exact: &Rows, quantised: &Rows) -> (f64, f64) {
    let all = exact.iter().flatten().zip(quantised.iter().flatten()).map(|(a, b)| f64::from((a - b).abs()));
    let (largest, total) = all.fold((0.0, 0.0), |(largest, total), value| (value.max(largest), total + value));
    (total / exact.iter().map(Vec::len).sum::<usize>() as f64, largest)
}

/// Texts as tokens, and their labels.
fn read(path: &Path, artifact: &Artifact) -> Result<(Vec<TokenIds>, Vec<String>), Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(path)?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name).ok_or(format!("no column `{name}`"));
    let (description, label) = (column("description")?, column("label")?);
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let row = row?;
        texts.push(artifact.text.encode(&row[description])?);
        labels.push(row[label].to_owned());
    }
    Ok((texts, labels))
}

/// The logits of each text, `[texts, labels]`, and how they were computed.
fn logits(
    directory: &Path,
    artifact: &Artifact,
    precision: Precision,
    texts: &[TokenIds],
) -> Result<(Rows, String), Box<dyn Error>> {
    let weights = Weights::read(&directory.join(files::WEIGHTS))?;
    let threads = std::thread::available_parallelism()?.get();
    let mut engine = Engine::load(&artifact.config, &artifact.metadata, &weights, precision, threads)?;
    let mut logits = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        logits.extend(engine.classify(batch)?.rows().map(<[f32]>::to_vec));
    }
    Ok((logits, format!("{}, {}", engine.precision(), engine.instruction_set())))
}

/// The label with the highest logit.
fn top(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0)
}

/// The mean recall over the labels that occur.
fn balanced_accuracy(logits: &[Vec<f32>], labels: &[String], names: &[String]) -> f64 {
    let mut recalls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (logits, label) in logits.iter().zip(labels) {
        let (right, all) = recalls.entry(label).or_default();
        *right += usize::from(names[top(logits)] == *label);
        *all += 1;
    }
    let sum: f64 = recalls.values().map(|(right, all)| *right as f64 / *all as f64).sum();
    sum / recalls.len() as f64
}
