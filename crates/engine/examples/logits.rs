//! Shows what the engine computes: `logits MODEL_DIR < texts > answers`.
//!
//! Reads one JSON string a line and writes one JSON object a line: the text's token ids, its logits, and the last
//! layer's vector of each of its tokens. `scripts/parity` compares them with what `transformers` computes.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde_json::json;
use unspsc_artifact::{Artifact, Weights};
use unspsc_contract::files;
use unspsc_engine::{Engine, Precision};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: logits MODEL_DIR < texts > answers")?);
    let artifact = Artifact::load(&directory)?;
    let weights = Weights::read(&directory.join(files::WEIGHTS))?;
    let threads = std::thread::available_parallelism()?.get();
    let mut engine = Engine::load(&artifact.config, &artifact.metadata, &weights, Precision::Float32, threads)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let tokens = [artifact.text.encode(&text)?];
        let logits = engine.classify(&tokens)?;
        let hidden = engine.hidden_states(&tokens)?;
        let hidden: Vec<&[f32]> = hidden.chunks(artifact.config.hidden_size).collect();
        let answer = json!({ "ids": tokens[0].ids, "logits": logits.rows().next(), "hidden": hidden });
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
