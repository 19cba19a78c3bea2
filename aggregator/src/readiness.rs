//! Whether reports can be made durable now: `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the committer, read by the HTTP side.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether the store takes commits.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it did when it was last asked.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
