//! A lock for many readers or one writer, which survives the death of either.
//!
//! ```text
//!   read:   readers[me] + 1 ── fence ── writer's word free? ── yes: reading
//!                ▲                        └─ no: readers[me] − 1, tell the writer, wait until it is free ─┐
//!                └──────────────────────────────────────────────────────────────────────────────────────┘
//!   write:  take the writer's word ── fence ── wait until all readers' words are 0 ── writing
//! ```
//!
//! Each participant counts its own readers in a word of its own, which a sweep clears; the writer's word is
//! a [lock word](crate::latch), which a sweep frees and marks. The two fences order "count myself, look for
//! a writer" against "take the word, look for readers": one of the two sees the other. Readers do not touch
//! each other's lines.
//!
//! A writer that waits has the word, so no new reader gets in before it: no writer starves.

use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, SeqCst, fence};
use crate::error::{ErrorKind, Result};
use crate::latch::{Acquired, LockWord};
use crate::layout::{Kind, Spec, describe};
use crate::segment::Segment;
use crate::segment::attach::{Attached, Shared};
use crate::segment::handle::{Part, Placed, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

/// A reader-writer lock in memory; one [`Readers`] per participant follows.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct RwLockCell {
    writer: LockWord,
    /// Readers wait for it.
    freed: WaitWord,
    pad_freed: [AtomicU32; 14],
    /// The writer waits for it.
    drained: WaitWord,
    pad_drained: [AtomicU32; 15],
}

/// The readers of one participant.
#[repr(C)]
#[derive(Debug)]
pub struct Readers {
    count: AtomicU32,
    pad: [AtomicU32; 15],
}

describe! { TABLE:
    RwLockCell = 128 { writer @ 0, freed @ 4, drained @ 64 }
    Readers = 64 { count @ 0 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for RwLockCell {}
// SAFETY: as above.
unsafe impl Shared for Readers {}

const READERS: u64 = size_of::<RwLockCell>() as u64;

/// A lock that any number of readers hold together, or one writer alone, in any number of processes. Not
/// recursive: a thread that reads must not ask to write, nor to read again while somebody may wait to write.
///
/// If a writer is killed, those who acquire the lock next, to read or to write, are told that what it
/// protects may be half changed, until a writer gives it back in good order. Readers that are killed are
/// just forgotten.
#[derive(Clone)]
pub struct RwLock {
    cell: Placed<RwLockCell>,
}

impl RwLock {
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
        let spec = Spec { kind: Kind::RwLock as u32, count: 1, ..Spec::default() };
        let size = READERS + u64::from(segment.attached().seats()) * size_of::<Readers>() as u64;
        let request = Request { name, verb, role: 1, size, spec };
        let lock = Self { cell: Placed::get(segment.attached(), &request, |_, _| Ok(()), |_| Ok(()))? };
        lock.readers(segment.attached().seats())?;
        Ok(lock)
    }

    fn seg(&self) -> &Attached {
        self.cell.handle().segment()
    }

    fn readers(&self, label: Label) -> Result<&AtomicU32> {
        readers(&self.cell.handle().part(), label)
    }

    /// Acquires the lock for reading, waiting for it.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler.
    pub fn read(&self) -> Result<ReadGuard<'_>> {
        self.read_until(Deadline::Never)
    }

    /// Acquires the lock for reading if no writer has it or waits for it; else `WouldBlock`.
    pub fn try_read(&self) -> Result<ReadGuard<'_>> {
        self.read_until(Deadline::Now)
    }

    /// Acquires the lock for reading, waiting for at most `timeout`; then `TimedOut`.
    pub fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard<'_>> {
        self.read_until(timeout.into())
    }

    /// Acquires the lock for reading, waiting until `deadline`.
    pub fn read_until(&self, deadline: Deadline) -> Result<ReadGuard<'_>> {
        let acquired = self.acquire_read(deadline)?;
        Ok(ReadGuard { lock: self, me: self.seg().me()?, acquired })
    }

    /// Acquires the lock for writing, waiting for it.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler.
    pub fn write(&self) -> Result<WriteGuard<'_>> {
        self.write_until(Deadline::Never)
    }

    /// Acquires the lock for writing if nobody has it; else `WouldBlock`.
    pub fn try_write(&self) -> Result<WriteGuard<'_>> {
        self.write_until(Deadline::Now)
    }

    /// Acquires the lock for writing, waiting for at most `timeout`; then `TimedOut`.
    pub fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard<'_>> {
        self.write_until(timeout.into())
    }

    /// Acquires the lock for writing, waiting until `deadline`.
    pub fn write_until(&self, deadline: Deadline) -> Result<WriteGuard<'_>> {
        let acquired = self.acquire_write(deadline)?;
        Ok(WriteGuard { lock: self, me: self.seg().me()?, acquired })
    }

    /// Acquires the lock for reading without a guard.
    pub fn acquire_read(&self, deadline: Deadline) -> Result<Acquired> {
        let me = self.seg().me()?;
        let count = self.readers(me)?;
        let ready = || {
            count.fetch_add(1, SeqCst);
            fence(SeqCst); // pairs with the fence in `acquire_write`
            if self.cell.writer.holder() == 0 {
                return Ok(Some(self.cell.writer.state()));
            }
            self.uncount(count);
            Ok(None)
        };
        match ready()? {
            Some(acquired) => Ok(acquired),
            None => {
                let writer =
                    || Some(self.cell.writer.holder()).filter(|holder| *holder != 0 && *holder != me);
                self.cell.freed.sleep_until(self.seg(), deadline, writer, ready)
            }
        }
    }

    fn uncount(&self, count: &AtomicU32) {
        if count.fetch_sub(1, SeqCst) == 1 {
            self.cell.drained.notify(1);
        }
    }

    /// Acquires the lock for writing without a guard.
    pub fn acquire_write(&self, deadline: Deadline) -> Result<Acquired> {
        let me = self.seg().me()?;
        let acquired = self.cell.writer.lock(self.seg(), deadline)?;
        fence(SeqCst); // pairs with the fence in `acquire_read`
        let reader = || {
            let reads = |label: &Label| self.readers(*label).is_ok_and(|count| count.load(Acquire) != 0);
            (1..=self.seg().seats()).find(reads)
        };
        let ready = || Ok(reader().is_none().then_some(()));
        let drained = match ready()? {
            Some(()) => Ok(()),
            None => {
                let other = || reader().filter(|label| *label != me);
                self.cell.drained.sleep_until(self.seg(), deadline, other, ready)
            }
        };
        match drained {
            Ok(()) => Ok(acquired),
            Err(e) => {
                self.cell.writer.give_up(me, acquired)?;
                self.cell.freed.notify(u32::MAX);
                Err(e)
            }
        }
    }

    /// Gives the lock back after reading.
    ///
    /// # Errors
    /// `NotHeld` when no thread of this process reads.
    pub fn release_read(&self) -> Result<()> {
        let count = self.readers(self.seg().me()?)?;
        if count.load(Acquire) == 0 {
            return Err(crate::error::Error::from(ErrorKind::NotHeld).of(self.cell.handle().describe()));
        }
        self.uncount(count);
        Ok(())
    }

    /// Gives the lock back after writing.
    ///
    /// # Errors
    /// `NotHeld` when nobody writes, `NotOwner` when another process does.
    pub fn release_write(&self) -> Result<()> {
        let me = self.seg().me()?;
        self.cell.writer.unlock(me).map_err(|e| e.of(self.cell.handle().describe()))?;
        self.cell.freed.notify(u32::MAX);
        Ok(())
    }

    /// The lock's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

fn readers<'a>(part: &Part<'a>, label: Label) -> Result<&'a AtomicU32> {
    let at = READERS + u64::from(label - 1) * size_of::<Readers>() as u64;
    part.at::<Readers>(at).map(|readers| &readers.count)
}

/// Reads, and gives the lock back when dropped. In a forked child it is inert.
#[must_use]
pub struct ReadGuard<'a> {
    lock: &'a RwLock,
    me: Label,
    acquired: Acquired,
}

impl ReadGuard<'_> {
    /// Whether the last writer died, so that what the lock protects may be half changed.
    pub fn owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        if self.lock.seg().is_me(self.me) {
            let _ = self.lock.release_read();
        }
    }
}

/// Writes, and gives the lock back when dropped. In a forked child it is inert.
#[must_use]
pub struct WriteGuard<'a> {
    lock: &'a RwLock,
    me: Label,
    acquired: Acquired,
}

impl WriteGuard<'_> {
    /// Whether the last writer died, so that what the lock protects may be half changed.
    pub fn owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        if self.lock.seg().is_me(self.me) {
            let _ = self.lock.release_write();
        }
    }
}

/// Forgets the readers of `dead`, and frees the lock if it wrote.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    let Ok(cell) = part.at::<RwLockCell>(0) else { return };
    if let Ok(count) = readers(part, dead) {
        count.store(0, SeqCst);
        cell.drained.notify(1);
    }
    if cell.writer.recover(dead) {
        cell.freed.notify(u32::MAX);
    }
}
