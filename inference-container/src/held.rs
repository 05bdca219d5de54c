//! The memory that bodies take up together. Each is bounded by itself; that many large ones come at a time must not end
//! the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api_error::ApiError;

/// Most bytes of bodies that are held at a time: twenty of the platform's longest. What is made of a body takes several
/// times as much, and an `ml.m5.large` has 8 GiB.
pub(crate) const MOST: usize = 512 << 20;

/// Seconds after which a body that found no room may try again: those that are there are answered sooner or later.
const RETRY_AFTER: u64 = 5;

/// Counts what is held of all bodies; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

/// What is held of one body; dropped, it is nothing.
#[derive(Debug)]
pub(crate) struct Held {
    bodies: Bodies,
    bytes: usize,
}

impl Bodies {
    /// One that holds nothing yet.
    pub(crate) fn begin(&self) -> Held {
        Held { bodies: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Holds `bytes` more.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if all bodies together would be too much.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes += bytes;
        let before = self.bodies.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MOST { Err(ApiError::Overloaded { retry_after: RETRY_AFTER }) } else { Ok(()) }
    }

    /// Holds `bytes` less.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.bodies.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_together_have_a_limit_and_what_is_dropped_makes_room() {
        let bodies = Bodies::default();
        let (mut first, mut second) = (bodies.begin(), bodies.begin());
        assert_eq!(first.take(MOST - 5), Ok(()));
        assert_eq!(second.take(5), Ok(()));
        second.give_back(2);
        assert_eq!(bodies.begin().take(3), Err(ApiError::Overloaded { retry_after: RETRY_AFTER }));
        assert_eq!(second.take(2), Ok(()));
        drop(first);
        assert_eq!(bodies.begin().take(MOST - 5), Ok(()));
        drop(second);
        assert_eq!(bodies.begin().take(MOST), Ok(()));
    }
}
