//! What the unit tests of several modules share.

use unspsc_contract::invocation::{BatchStrategy, ExecutionParameters};

use crate::request::RequestLimits;

/// Small limits, so that tests can exceed them.
pub(crate) const LIMITS: RequestLimits = RequestLimits {
    max_body_bytes: 4096,
    max_top_k: 20,
    review_threshold: None,
    default_accept: None,
    execution: ExecutionParameters {
        max_concurrent_transforms: 4,
        batch_strategy: BatchStrategy::MultiRecord,
        max_payload_in_mb: 6,
    },
};
