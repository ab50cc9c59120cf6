//! Named values, arrays, locks, semaphores, queues and pipes in shared memory, for processes in Rust, C, C++
//! and Python that never met; any of them may be killed at any instruction.
//!
//! ```
//! use sharecell::{Queue, QueueOptions, Segment, Value};
//!
//! # fn main() -> sharecell::Result<()> {
//! # let name = format!("doc-{}", std::process::id());
//! # let name = name.as_str();
//! let segment = Segment::options().ephemeral(true).create(name)?;
//! let jobs = Queue::create(&segment, "jobs", &QueueOptions::new(64))?;
//! let done = Value::create(&segment, "done", 0i64)?;
//!
//! // In this process or any other that has opened the segment:
//! jobs.put(b"hello")?;
//! let job = jobs.recv(sharecell::Deadline::Never)?; // delivered again if we are killed here
//! assert_eq!(&job[..], b"hello");
//! done.add(1)?;
//! # drop(job);
//! # Ok(())
//! # }
//! ```
//!
//! # The layers
//!
//! A module uses those above it only; `kinds` is the one place where the segment calls the objects.
//!
//! | module | what it is |
//! |---|---|
//! | `error` | one error, one table of numbers |
//! | `sys` | all of the operating system |
//! | `atomic` | the words that protocols are written with |
//! | `wait` | the one way to wait |
//! | `latch` | the lock word |
//! | `layout` | what lies in memory |
//! | `segment` | create, open, attach, allocate, find, sweep |
//! | `sync` | locks and semaphores |
//! | `cell` | values and arrays |
//! | `queue` | the ring, queues |
//! | `pipe` | pipes |
//! | `select` | waiting for any of several |
//! | `kinds` | the table of kinds |
//! | `capi` | the C ABI |

#[cfg(not(target_os = "linux"))]
compile_error!("sharecell needs Linux: open file description locks, O_TMPFILE, futexes");

pub(crate) mod atomic;
#[cfg(feature = "capi")]
pub mod capi;
pub(crate) mod cell;
pub(crate) mod error;
pub(crate) mod kinds;
pub(crate) mod latch;
pub(crate) mod layout;
pub(crate) mod pipe;
pub(crate) mod queue;
pub(crate) mod segment;
pub(crate) mod select;
pub(crate) mod sync;
pub(crate) mod sys;
pub(crate) mod wait;

pub use cell::{Array, Char, Element, Number, Value};
pub use error::{Error, ErrorKind, Result};
pub use latch::Acquired;
pub use layout::Kind;
pub use pipe::{End, Message, Pipe, PipeOptions};
pub use queue::{Item, Queue, QueueOptions, Reservation, TypedQueue};
pub use segment::{ObjectInfo, Participant, Segment, SegmentOptions};
pub use select::{Bell, Interest, wait_any};
pub use sync::{
    Barrier, Condition, Event, Lock, LockGuard, RLock, RLockGuard, ReadGuard, RwLock, Semaphore,
    SemaphoreOptions, WriteGuard,
};
pub use sys::clock::Deadline;

/// Kills the process at a chosen access to shared memory: for this project's own tests.
#[cfg(feature = "steps")]
pub use sys::steps;

/// The machine that models run on: for this project's own tests.
#[cfg(loom)]
pub use sys::model;

/// The version of what lies in memory; segments of another version are refused.
pub const LAYOUT_VERSION: u32 = layout::LAYOUT_VERSION;

/// Every struct of the layout with its fields' offsets and sizes, as `docs/layout.md` lists them.
pub fn layout_table() -> Vec<(&'static str, &'static str, usize, usize)> {
    let objects = [cell::LAYOUT, sync::LAYOUT, queue::ring::LAYOUT, pipe::LAYOUT];
    layout::TABLES.iter().chain(objects.into_iter().flatten()).copied().flatten().copied().collect()
}
