//! How good a classifier's answers are, counted row by row. Training and `unspsc evaluate` judge by the same figures.
//!
//! `tests/golden/metrics.json` holds what scikit-learn and NumPy say to the same rows.

mod confusion;
mod coverage;
mod hierarchy;
mod reliability;
mod top;

pub use confusion::{Confusion, Found};
pub use coverage::{Coverage, Covered};
pub use hierarchy::Hierarchical;
pub use reliability::Reliability;
pub use top::Top;

/// What the peers computed.
#[cfg(test)]
fn golden() -> serde_json::Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
