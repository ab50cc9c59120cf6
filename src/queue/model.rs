//! What models need of queues: see [`crate::sys::model`].

use super::Queue;
use crate::error::Result;

impl Queue {
    /// Lets batches go by runs from now on.
    pub fn prefer_runs(&self) {
        self.ring().prefer_runs(true);
    }

    /// Begins anew at a ticket: short of the wrap, say.
    pub fn start_at(&self, ticket: u64) -> Result<()> {
        self.shape.init(&self.handle.part(), 0, ticket)
    }
}
