//! One answer at all four levels, from what the head and the index say of a text.
//!
//! The head knows the codes that it was trained on; the index has the titles and texts whose vectors are nearest to the text's,
//! and the titles that share most with its words, whatever their codes. At each code of the tree, the children are weighed
//! against one another by all three:
//!
//! ```text
//! P(child | parent) ∝ head(child | parent)^a · vectors(child | parent)^b · words(child | parent)^c
//! ```
//!
//! with a share for "none of these", since not every code has been seen. `a`, `b`, `c` and that share are fitted to held-out rows,
//! level by level ([`fit()`]): a conditional logit (McFadden 1974). A code's probability is its parent's times its share, so that
//! the children of a code never have more than it has.

mod evidence;
mod fit;
mod head;
mod newton;
mod probabilities;
mod source;
mod weights;

pub use evidence::{Found, Hierarchy, Near};
pub use fit::{Judged, fit, fit_thresholds};
pub use probabilities::Probabilities;
pub use weights::{LevelWeights, Threshold, Weights};
