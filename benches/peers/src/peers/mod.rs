//! What is measured, behind one face for each discipline.

pub mod boost;
pub mod floors;
pub mod iceoryx;
pub mod locks;
pub mod queues;
pub mod system;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::Result;
use sharecell::Segment;

/// A name that nobody else uses at the moment.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("shcbench-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// A segment for one trial.
pub struct Scratch {
    pub segment: Segment,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        Self::with_limit(1 << 30)
    }

    pub fn with_limit(limit: u64) -> Result<Self> {
        let options = Segment::options().limit(limit).participants(256).ephemeral(true);
        Ok(Self { segment: options.create(&unique())? })
    }

    /// As a process that has only heard the name opens it.
    pub fn open(&self) -> Result<Segment> {
        Ok(Segment::open(self.segment.name())?)
    }
}
