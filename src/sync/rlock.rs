//! A lock that the thread which holds it can take again.
//!
//! ```text
//!   free ─ lock word ─▶ held ─ owner = this thread, depth = 1 ─▶ mine ─ depth ± 1 ─▶ mine
//!     ◀─ lock word ──── held ◀──────── owner = 0 ────────────────────┘ depth = 1, released
//! ```
//!
//! The owner's word is cleared before the lock word is given back and set after it was taken, so it names a
//! thread only while the lock word names its process. It names seat, generation and thread: what a dead
//! owner left in it is nobody else's, ever.

#[cfg(not(loom))]
use std::cell::Cell;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32 as LocalU32, Ordering};
use std::time::Duration;

use crate::atomic::{AtomicU32, AtomicU64, Relaxed};
use crate::error::{ErrorKind, Result};
use crate::latch::{Acquired, LockWord};
use crate::layout::{Kind, describe};
use crate::segment::Segment;
use crate::segment::attach::{Attached, Shared};
use crate::segment::handle::{Part, Placed, Verb};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// A reentrant lock in memory.
#[repr(C)]
#[derive(Debug)]
pub struct RLockCell {
    word: LockWord,
    depth: AtomicU32,
    owner: AtomicU64,
    pad: [AtomicU64; 6],
}

describe! { TABLE:
    RLockCell = 64 { word @ 0, depth @ 4, owner @ 8 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for RLockCell {}

#[cfg(loom)]
use crate::sys::model::thread;

/// A number of the calling thread, unique in its process.
#[cfg(not(loom))]
fn thread() -> u32 {
    static NEXT: LocalU32 = LocalU32::new(1);
    thread_local! {
        static MINE: Cell<u32> = const { Cell::new(0) };
    }
    MINE.with(|mine| {
        if mine.get() == 0 {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get()
    })
}

impl RLockCell {
    /// The calling thread in the owner's word: label in 12 bits, its seat's generation in 20, the thread.
    fn owner_word(seg: &Attached, me: Label) -> u64 {
        u64::from(me) | u64::from(seg.generation(me) & 0xf_ffff) << 12 | u64::from(thread()) << 32
    }

    /// Whether the calling thread holds it.
    fn is_mine(&self, seg: &Attached, me: Label) -> bool {
        self.word.holder() == me && self.owner.load(Relaxed) == Self::owner_word(seg, me)
    }

    pub(super) fn lock(&self, seg: &Attached, deadline: Deadline) -> Result<Acquired> {
        let me = seg.me()?;
        if self.is_mine(seg, me) {
            self.depth.store(self.depth.load(Relaxed).wrapping_add(1), Relaxed);
            return Ok(Acquired::Clean);
        }
        let acquired = self.word.lock(seg, deadline)?;
        self.depth.store(1, Relaxed);
        self.owner.store(Self::owner_word(seg, me), Relaxed);
        Ok(acquired)
    }

    /// Undoes one `lock`.
    ///
    /// # Errors
    /// `NotHeld` when nobody holds it, `NotOwner` when another thread or process does.
    pub(super) fn unlock(&self, seg: &Attached) -> Result<()> {
        let depth = self.check_mine(seg)?;
        if depth > 1 {
            self.depth.store(depth - 1, Relaxed);
            return Ok(());
        }
        self.owner.store(0, Relaxed);
        self.word.unlock(seg.me()?)
    }

    /// How often the calling thread has locked it; an error if it has not.
    pub(super) fn check_mine(&self, seg: &Attached) -> Result<u32> {
        let me = seg.me()?;
        if self.is_mine(seg, me) {
            return Ok(self.depth.load(Relaxed));
        }
        Err(if self.word.holder() == 0 { ErrorKind::NotHeld } else { ErrorKind::NotOwner }.into())
    }

    /// Gives it back entirely, to be [locked again](Self::relock) as often as before.
    pub(super) fn unlock_all(&self, seg: &Attached) -> Result<u32> {
        let depth = self.check_mine(seg)?;
        self.owner.store(0, Relaxed);
        self.word.unlock(seg.me()?)?;
        Ok(depth)
    }

    /// Takes it `depth` times.
    pub(super) fn relock(&self, seg: &Attached, depth: u32) -> Result<Acquired> {
        let acquired = loop {
            match self.lock(seg, Deadline::Never) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.depth.store(depth, Relaxed);
        Ok(acquired)
    }

    pub(super) fn recover(&self, dead: Label) {
        self.word.recover(dead);
    }

    /// The label of the process that holds it, 0 if nobody does.
    pub(super) fn holder(&self) -> Label {
        self.word.holder()
    }
}

/// A mutual exclusion lock that the thread which holds it can take again (`multiprocessing.RLock`). It is
/// free when it was given back as often as it was taken, by that thread.
///
/// If the owner's process is killed, the next one to acquire it is told so and holds it. A thread that ends
/// while its process lives keeps what it held.
#[derive(Clone)]
pub struct RLock {
    cell: Placed<RLockCell>,
}

impl RLock {
    /// Creates a lock; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Create)
    }

    /// Opens a lock.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open)
    }

    /// Opens a lock, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate)
    }

    fn get(segment: &Segment, name: &str, verb: Verb) -> Result<Self> {
        let request = super::request::<RLockCell>(name, verb, Kind::RLock);
        Ok(Self { cell: Placed::get(segment.attached(), &request, |_, _| Ok(()), |_| Ok(()))? })
    }

    fn seg(&self) -> &Attached {
        self.cell.handle().segment()
    }

    /// Acquires the lock, waiting for it.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler.
    pub fn lock(&self) -> Result<RLockGuard<'_>> {
        self.lock_until(Deadline::Never)
    }

    /// Acquires the lock if it is free or this thread's; else `WouldBlock`.
    pub fn try_lock(&self) -> Result<RLockGuard<'_>> {
        self.lock_until(Deadline::Now)
    }

    /// Acquires the lock, waiting for it for at most `timeout`; then `TimedOut`.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard<'_>> {
        self.lock_until(timeout.into())
    }

    /// Acquires the lock, waiting until `deadline`.
    pub fn lock_until(&self, deadline: Deadline) -> Result<RLockGuard<'_>> {
        let acquired = self.acquire(deadline)?;
        Ok(RLockGuard { cell: &self.cell, seg: self.seg(), acquired, thread: std::marker::PhantomData })
    }

    /// Acquires the lock without a guard; [`release`](Self::release) gives it back.
    pub fn acquire(&self, deadline: Deadline) -> Result<Acquired> {
        self.cell.lock(self.seg(), deadline)
    }

    /// Gives the lock back once.
    ///
    /// # Errors
    /// `NotHeld` when nobody holds it, `NotOwner` when another thread or process does.
    pub fn release(&self) -> Result<()> {
        self.cell.unlock(self.seg()).map_err(|e| e.of(self.cell.handle().describe()))
    }

    /// The process that holds the lock: its label in the segment, 0 if nobody does.
    pub fn holder(&self) -> u32 {
        self.cell.holder()
    }

    /// The lock's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

/// Holds an [`RLock`] or a [`Condition`](super::Condition), and gives it back once when dropped, in the same
/// thread. In a forked child it is inert: the parent holds the lock.
#[must_use]
pub struct RLockGuard<'a> {
    cell: &'a RLockCell,
    seg: &'a Attached,
    acquired: Acquired,
    /// A raw pointer: the guard must not go to another thread.
    thread: std::marker::PhantomData<*const ()>,
}

impl<'a> RLockGuard<'a> {
    pub(super) fn over(cell: &'a RLockCell, seg: &'a Attached, acquired: Acquired) -> Self {
        Self { cell, seg, acquired, thread: std::marker::PhantomData }
    }

    /// Whether the previous owner died while it held the lock; see
    /// [`LockGuard::owner_died`](super::LockGuard::owner_died).
    pub fn owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        // In a forked child the label is another one, so this is an error and changes nothing.
        let _ = self.cell.unlock(self.seg);
    }
}

/// Frees a lock whose holder is dead.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    if let Ok(cell) = part.at::<RLockCell>(0) {
        cell.recover(dead);
    }
}
