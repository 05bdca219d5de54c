//! Times of searching a title index beside those of the encoder that makes its vectors, and what four bits a value cost.
//!
//! `search times MODEL_DIR ROUNDS`: milliseconds a batch, medians of rounds in which the contenders take turns.
//! `search model MODEL_DIR TEXTS`: milliseconds a text of a trained model's, on one thread, for the lines of the file TEXTS.
//! `search exactness [VECTORS HIDDEN]`: cosines and neighbours against float32, of random vectors or of a file of float32.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unspsc_artifact::{Artifact, Entry, EntryKind, Metadata, ModelConfig, TitleIndex, TokenIds, Weights};
use unspsc_contract::{Pooling, files};
use unspsc_engine::{Engine, Precision, Search};

const USAGE: &str =
    "usage: search times MODEL_DIR ROUNDS | search model MODEL_DIR TEXTS | search exactness [VECTORS HIDDEN]";

/// Vectors of the index: as many as the code list has titles.
const ENTRIES: usize = 150_000;

/// Neighbours that are asked for.
const COUNT: usize = 10;

/// Those that a trained model asks for.
const NEIGHBOURS: usize = 64;

/// Token ids from here on are words.
const FIRST_WORD: u32 = 1000;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    // cargo adds the word `--bench` to what the caller says.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["times", model, rounds] => times(Path::new(model), rounds.parse()?),
        ["model", directory, texts] => model(Path::new(directory), &std::fs::read_to_string(texts)?),
        ["exactness"] => [384, 768].into_iter().try_for_each(|hidden| exactness(hidden, &random(20_000 * hidden))),
        ["exactness", vectors, hidden] => {
            let bytes = std::fs::read(vectors)?;
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            exactness(hidden.parse()?, &values)
        }
        _ => Err(USAGE.into()),
    }
}

/// Values whose vectors have directions without a preference.
fn random(count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    // Nearly normal: the sum of a few uniform values.
    (0..count).map(|_| (0..4).map(|_| random.random_range(-1.0_f32..1.0)).sum()).collect()
}

/// A search through `vectors`, `[entries, hidden]`.
fn search(hidden: usize, vectors: &[f32]) -> Result<(tempfile::TempDir, Search), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(files::INDEX);
    let entry = Entry { code: "44121701".parse()?, kind: EntryKind::Title, text: "" };
    let entries = vec![entry; vectors.len() / hidden];
    TitleIndex::write(&path, hidden, &entries, vectors, &BTreeMap::new())?;
    let started = Instant::now();
    let index = TitleIndex::read(&path, hidden)?;
    println!("{} vectors of {hidden}, read in {:.1?}", index.entries(), started.elapsed());
    Ok((folder, Search::new(index)))
}

fn times(model: &Path, rounds: usize) -> Outcome {
    let config = ModelConfig::read(&model.join(files::CONFIG))?;
    let (_folder, search) = search(config.hidden_size, &random(ENTRIES * config.hidden_size))?;
    println!("{}; ms, medians of {rounds}: search, then int16 and int8 with 8 and 16 tokens", search.instruction_set());
    for threads in [1, 2] {
        let mut engines =
            [load(model, &config, Precision::Int16, threads)?, load(model, &config, Precision::Int8, threads)?];
        for texts in [1, 8, 32] {
            let queries = random(texts * config.hidden_size);
            let batches = [8, 16].map(|tokens| batch(texts as u32, tokens, config.vocab_size as u32));
            let mut all = vec![Vec::new(); 5];
            for _ in 0..rounds {
                all[0].push(milliseconds(|| Ok(engines[0].install(|| search.nearest(&queries, COUNT))))?);
                for (at, engine) in engines.iter_mut().enumerate() {
                    for (tokens, batch) in batches.iter().enumerate() {
                        all[1 + 2 * at + tokens].push(milliseconds(|| Ok(engine.classify(batch)?))?);
                    }
                }
            }
            let medians: Vec<f64> = all.iter_mut().map(|times| median(times)).collect();
            let bytes = search.index().packed_vectors().len() as f64;
            println!(
                "{threads} threads, {texts} texts: {medians:.2?}; {:.1} GB/s of vectors",
                bytes / medians[0] / 1e6
            );
        }
    }
    Ok(())
}

fn model(directory: &Path, texts: &str) -> Outcome {
    let artifact = Artifact::load(directory)?;
    let weights = Weights::read(&directory.join(files::WEIGHTS))?;
    let mut engine = Engine::load(&artifact.config, &artifact.metadata, &weights, Precision::Int16, 1)?;
    let search = Search::new(TitleIndex::read(&directory.join(files::INDEX), artifact.config.hidden_size)?);
    let mut all = vec![Vec::new(); 4];
    if texts.is_empty() {
        return Err("the file of texts is empty: write one a line".into());
    }
    for text in texts.lines() {
        let mut tokens = Vec::new();
        all[0].push(milliseconds(|| {
            tokens.push(artifact.text.encode(text)?);
            Ok(())
        })?);
        let mut queries = Vec::new();
        all[1].push(milliseconds(|| {
            queries.extend(engine.classify(&tokens)?.pooled().flatten());
            Ok(())
        })?);
        all[2].push(milliseconds(|| Ok(engine.install(|| search.nearest(&queries, NEIGHBOURS))))?);
        all[3].push(milliseconds(|| Ok(engine.install(|| search.sharing_words(&tokens, NEIGHBOURS))))?);
    }
    println!("{} entries, {} texts; ms a text, median and 99th percentile", search.index().entries(), all[0].len());
    for (name, times) in ["tokens and words", "encoder and head, int16", "by vectors", "by words"].iter().zip(&mut all)
    {
        times.sort_unstable_by(f64::total_cmp);
        println!("{name}: {:.3} {:.3}", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
    Ok(())
}

fn load(model: &Path, config: &ModelConfig, precision: Precision, threads: usize) -> Result<Engine, Box<dyn Error>> {
    let weights = Weights::read(&model.join(files::WEIGHTS))?;
    let metadata = Metadata { pooling: Pooling::Mean, ..Metadata::foreign(config) };
    Ok(Engine::load(config, &metadata, &weights, precision, threads)?)
}

/// So many texts of so many words that hardly repeat.
fn batch(texts: u32, tokens: u32, vocabulary: u32) -> Vec<TokenIds> {
    let word = |place: u32| FIRST_WORD + (place * 7919) % (vocabulary - FIRST_WORD);
    let ids = |text: u32| (text * tokens..(text + 1) * tokens).map(word).collect();
    (0..texts).map(|text| TokenIds { ids: ids(text), ..TokenIds::default() }).collect()
}

fn milliseconds<T>(run: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    std::hint::black_box(run()?);
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What 4 bits, and 8 of the query, make of cosines and neighbours; 500 of the vectors are the queries.
fn exactness(hidden: usize, vectors: &[f32]) -> Outcome {
    let (_folder, search) = search(hidden, vectors)?;
    let units: Vec<Vec<f32>> = vectors.chunks_exact(hidden).map(unit).collect();
    let step = (units.len() / 500).max(1);
    let (mut largest, mut squares, mut cosines, mut kept, mut asked) = (0.0_f64, 0.0, 0_usize, 0, 0);
    for query in units.iter().step_by(step) {
        let exact: Vec<f32> = units.iter().map(|unit| unit.iter().zip(query).map(|(a, b)| a * b).sum()).collect();
        let found = search.nearest(query, units.len()).remove(0);
        for neighbour in &found {
            let error = f64::from(neighbour.score - exact[neighbour.entry as usize]);
            (largest, squares, cosines) = (largest.max(error.abs()), squares + error * error, cosines + 1);
        }
        let mut order: Vec<u32> = (0..).take(units.len()).collect();
        order.sort_unstable_by(|a, b| exact[*b as usize].total_cmp(&exact[*a as usize]));
        kept += found[..COUNT].iter().filter(|neighbour| order[..COUNT].contains(&neighbour.entry)).count();
        asked += COUNT;
    }
    let rms = (squares / cosines as f64).sqrt();
    println!("cosines differ by {largest:.4} at most, {rms:.5} rms; {kept} of {asked} nearest are the same");
    Ok(())
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).collect()
}
