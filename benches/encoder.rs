//! Time of one batch through the engine: `cargo bench -p unspsc-engine --bench encoder -- MODEL_DIR [THREADS]`.
//!
//! Prints, for each batch size and text length, the median and the least of the times in milliseconds.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use unspsc_artifact::{Artifact, TokenIds, Weights};
use unspsc_contract::files;
use unspsc_engine::Engine;

/// Batch size and tokens a text.
const SHAPES: [(usize, u32); 8] = [(1, 8), (1, 16), (1, 128), (8, 16), (8, 32), (32, 16), (32, 32), (8, 128)];

/// Each shape is repeated for this long, and at least five times.
const TIME_EACH: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds the word `--bench` to what the caller says.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let directory = PathBuf::from(arguments.next().ok_or("usage: encoder MODEL_DIR [THREADS]")?);
    let threads = match arguments.next() {
        Some(threads) => threads.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };
    let artifact = Artifact::load(&directory)?;
    let weights = Weights::read(&directory.join(files::WEIGHTS))?;
    let started = Instant::now();
    let mut engine = Engine::load(&artifact.config, &artifact.metadata, &weights, threads)?;
    println!("{threads} threads, {}, loaded in {:.0?}", engine.instruction_set(), started.elapsed());
    println!("{:>9} {:>9} {:>9} {:>9}", "shape", "median ms", "least ms", "texts/s");
    let vocabulary = u32::try_from(artifact.config.vocab_size)?;
    for (texts, tokens) in SHAPES {
        let ids = |text: u32| (0..tokens).map(|token| (text * 7919 + token * 104_729) % vocabulary).collect();
        let batch: Vec<TokenIds> =
            (0..texts as u32).map(|text| TokenIds { ids: ids(text), truncated: false }).collect();
        let mut times = Vec::new();
        let started = Instant::now();
        while times.len() < 5 || started.elapsed() < TIME_EACH {
            let one = Instant::now();
            engine.classify(&batch)?;
            times.push(one.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let rate = texts as f64 / median * 1e3;
        println!("{:>9} {median:>9.2} {:>9.2} {rate:>9.0}", format!("{texts}x{tokens}"), times[0]);
    }
    Ok(())
}
