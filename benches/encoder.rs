//! Times of batches through the engine: `encoder MODEL_DIR PRECISION POOLING THREADS`, a contender of `scripts/bench-engine`.
//!
//! Reads `TEXTS TOKENS SECONDS` a line and answers with the times of so many batches in milliseconds, as a JSON list.

use std::error::Error;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use unspsc_artifact::{Metadata, ModelConfig, TokenIds, Weights};
use unspsc_contract::{Pooling, files};
use unspsc_engine::{Engine, Precision};

const USAGE: &str =
    "usage: encoder MODEL_DIR float32|int16|int8 cls|mean THREADS, and a line `TEXTS TOKENS SECONDS` for each answer";

/// Token ids from here on are words.
const FIRST_WORD: u32 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds the word `--bench` to what the caller says.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut argument = || arguments.next().ok_or(USAGE);
    let directory = PathBuf::from(argument()?);
    let (precision, pooling): (Precision, Pooling) = (argument()?.parse()?, argument()?.parse()?);
    let threads = argument()?.parse()?;
    let config = ModelConfig::read(&directory.join(files::CONFIG))?;
    let weights = Weights::read(&directory.join(files::WEIGHTS))?;
    let started = Instant::now();
    let metadata = Metadata { pooling, ..Metadata::foreign(&config) };
    let mut engine = Engine::load(&config, &metadata, &weights, precision, threads)?;
    println!("{}, {}, loaded in {:.0?}", engine.instruction_set(), engine.precision(), started.elapsed());
    drop(weights);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [texts, tokens, seconds] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(USAGE.into());
        };
        let batch = batch(texts.parse()?, tokens.parse()?, u32::try_from(config.vocab_size)?);
        let times = times(&mut engine, &batch, Duration::from_secs_f64(seconds.parse()?))?;
        println!("{times:?}");
    }
    Ok(())
}

/// So many texts of so many words that hardly repeat.
fn batch(texts: u32, tokens: u32, vocabulary: u32) -> Vec<TokenIds> {
    let word = |place: u32| FIRST_WORD + (place * 7919) % (vocabulary - FIRST_WORD);
    let ids = |text: u32| (text * tokens..(text + 1) * tokens).map(word).collect();
    (0..texts).map(|text| TokenIds { ids: ids(text), ..TokenIds::default() }).collect()
}

/// Milliseconds of each run, for so long and at least five times.
fn times(engine: &mut Engine, batch: &[TokenIds], duration: Duration) -> Result<Vec<f64>, Box<dyn Error>> {
    engine.classify(batch)?;
    let mut times = Vec::new();
    let started = Instant::now();
    while times.len() < 5 || started.elapsed() < duration {
        let one = Instant::now();
        engine.classify(batch)?;
        times.push(one.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
