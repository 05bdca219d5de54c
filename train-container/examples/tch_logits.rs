//! Shows what the libtorch network computes: `tch_logits MODEL_DIR < texts > answers`.
//!
//! The counterpart of the engine's example `logits`, in the same format: one JSON string a line in, one JSON object with
//! logits and token vectors a line out. `scripts/parity` compares both with what `transformers` computes.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde_json::json;
use train_container::TrainedClassifier;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: tch_logits MODEL_DIR < texts > answers")?);
    let classifier = TrainedClassifier::load(&directory)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let logits = classifier.logits(&[text.as_str()])?;
        writeln!(out, "{}", json!({ "logits": logits.first(), "hidden": classifier.hidden_states(&text)? }))?;
    }
    Ok(())
}
