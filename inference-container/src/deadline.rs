//! By when a request is answered.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::api_error::ApiError;

/// By when one request is answered, from its head to its last record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    /// As long as `allowed` from now on.
    pub(crate) fn within(allowed: Duration) -> Self {
        Self { at: Instant::now() + allowed, allowed }
    }

    /// How long a request may take in all.
    pub(crate) fn allowed(self) -> Duration {
        self.allowed
    }

    /// How much of that is left.
    pub(crate) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Waits for `work`, which is dropped where it takes too long.
    ///
    /// # Errors
    /// [`ApiError::DeadlineExceeded`] then.
    pub(crate) async fn wait<T>(self, work: impl Future<Output = T>) -> Result<T, ApiError> {
        timeout_at(self.at, work).await.map_err(|_| self.exceeded(None))
    }

    /// The refusal of a request that is not answered in time, but would be `retry_after` seconds later.
    pub(crate) fn exceeded(self, retry_after: Option<u64>) -> ApiError {
        ApiError::DeadlineExceeded { deadline_secs: self.allowed.as_secs(), retry_after }
    }
}
