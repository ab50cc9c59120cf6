//! An event: a flag that can be waited for.
//!
//! ```text
//!   clear ──set: store, wake all──▶ set ──clear: store──▶ clear
//! ```
//!
//! Nobody owns it. A death between store and wake leaves sleepers beside a set flag until their tick.

use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, Release};
use crate::error::Result;
use crate::layout::{Kind, describe};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Placed, Verb};
use crate::sys::clock::Deadline;
use crate::wait::WaitWord;

/// An event in memory.
#[repr(C)]
#[derive(Debug)]
pub struct EventCell {
    set: AtomicU32,
    changed: WaitWord,
    pad: [AtomicU32; 14],
}

describe! { TABLE:
    EventCell = 64 { set @ 0, changed @ 4 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for EventCell {}

/// A flag that processes set, clear and wait for (`multiprocessing.Event`).
///
/// A process that is killed leaves it as it is.
#[derive(Clone)]
pub struct Event {
    cell: Placed<EventCell>,
}

impl Event {
    /// Creates an event that is not set; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Create)
    }

    /// Opens an event.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open)
    }

    /// Opens an event, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate)
    }

    fn get(segment: &Segment, name: &str, verb: Verb) -> Result<Self> {
        let request = super::request::<EventCell>(name, verb, Kind::Event);
        Ok(Self { cell: Placed::get(segment.attached(), &request, |_, _| Ok(()), |_| Ok(()))? })
    }

    /// Sets the flag and wakes all who wait. Async-signal-safe.
    pub fn set(&self) {
        self.cell.set.store(1, Release);
        self.cell.changed.notify(u32::MAX);
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.cell.set.store(0, Release);
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.cell.set.load(Acquire) != 0
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler.
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::Never)
    }

    /// Waits until the flag is set, for at most `timeout`; then `TimedOut`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_until(timeout.into())
    }

    /// Waits until the flag is set, or `deadline`.
    pub fn wait_until(&self, deadline: Deadline) -> Result<()> {
        let ready = || Ok(self.is_set().then_some(()));
        match ready()? {
            Some(()) => Ok(()),
            None => self.cell.changed.wait(&**self.cell.handle().segment(), deadline, || None, ready),
        }
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &std::sync::Arc<crate::segment::attach::Attached> {
        self.cell.handle().segment()
    }

    /// The word that waiters sleep on.
    pub(crate) fn wait_word(&self) -> &WaitWord {
        &self.cell.changed
    }

    /// The event's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}
