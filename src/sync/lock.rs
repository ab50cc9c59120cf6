//! A named lock: the [lock word](crate::latch) as an object of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::atomic::AtomicU32;
use crate::error::{ErrorKind, Result};
use crate::latch::{Acquired, LockWord};
use crate::layout::{Kind, describe};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Handle, Part, Placed, Verb};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// A lock in memory.
#[repr(C)]
#[derive(Debug)]
pub struct LockCell {
    word: LockWord,
    pad: [AtomicU32; 15],
}

describe! { TABLE:
    LockCell = 64 { word @ 0 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for LockCell {}

/// A mutual exclusion lock for threads of any number of processes. Not recursive.
///
/// A process owns it, whichever of its threads took it; any thread of that process may release it, and no
/// other process may. If the owner is killed, the next one to acquire it is told so
/// ([`Acquired::OwnerDied`]) and holds it: what the lock protects may be half changed. A thread that ends
/// while its process lives keeps what it held.
#[derive(Clone)]
pub struct Lock {
    cell: Placed<LockCell>,
}

impl Lock {
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
        let request = super::request::<LockCell>(name, verb, Kind::Lock);
        Ok(Self { cell: Placed::get(segment.attached(), &request, |_, _| Ok(()), |_| Ok(()))? })
    }

    /// Acquires the lock, waiting for it.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler, `Poisoned`.
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Never)
    }

    /// Acquires the lock if it is free; else `WouldBlock`.
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Now)
    }

    /// Acquires the lock, waiting for it for at most `timeout`; then `TimedOut`.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock_until(timeout.into())
    }

    /// Acquires the lock, waiting until `deadline`.
    #[inline]
    pub fn lock_until(&self, deadline: Deadline) -> Result<LockGuard<'_>> {
        LockGuard::acquire(self.cell.handle(), &self.cell.word, deadline)
    }

    /// Acquires the lock, and runs `repair` before anybody else can have it if its last owner died. If that
    /// returns false or panics, what the lock protects is declared beyond repair: see [`LockGuard::poison`].
    ///
    /// # Errors
    /// As of [`lock_until`](Self::lock_until), and `Poisoned`.
    pub fn lock_or_repair(&self, deadline: Deadline, repair: impl FnOnce() -> bool) -> Result<LockGuard<'_>> {
        let mut guard = self.lock_until(deadline)?;
        if guard.owner_died() {
            // What is not repaired, because it could not be or because that panicked, is not handed on as whole.
            let repaired = catch_unwind(AssertUnwindSafe(repair));
            if !matches!(repaired, Ok(true)) {
                guard.poison()?;
                return match repaired {
                    Ok(_) => Err(ErrorKind::Poisoned.into()),
                    Err(panic) => resume_unwind(panic),
                };
            }
            guard.acquired = Acquired::Clean;
        }
        Ok(guard)
    }

    /// Whether what the lock protects was declared beyond repair.
    pub fn is_poisoned(&self) -> bool {
        self.cell.word.is_poisoned()
    }

    /// Takes the declaration back, when what the lock protects was made anew; whether there was one.
    pub fn clear_poison(&self) -> bool {
        self.cell.word.clear_poison()
    }

    /// Acquires the lock without a guard; [`release`](Self::release) gives it back.
    #[inline]
    pub fn acquire(&self, deadline: Deadline) -> Result<Acquired> {
        self.cell.word.lock(&**self.cell.handle().segment(), deadline)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// `NotHeld` when nobody holds it, `NotOwner` when another process does.
    #[inline]
    pub fn release(&self) -> Result<()> {
        release(self.cell.handle(), &self.cell.word)
    }

    /// [`release`](Self::release), declaring what the lock protects to be beyond repair; see
    /// [`LockGuard::poison`].
    pub fn release_poisoned(&self) -> Result<()> {
        self.cell.word.poison(self.cell.handle().me()?).map_err(|e| e.of(self.cell.handle().describe()))
    }

    /// The process that holds the lock: its label in the segment, 0 if nobody does.
    pub fn holder(&self) -> u32 {
        self.cell.word.holder()
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &std::sync::Arc<crate::segment::attach::Attached> {
        self.cell.handle().segment()
    }

    /// The lock word itself.
    pub(crate) fn lock_word(&self) -> &LockWord {
        &self.cell.word
    }

    /// The lock's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

/// Gives a lock word of an object back, with an error that names the object.
#[inline]
pub(crate) fn release(handle: &Handle, word: &LockWord) -> Result<()> {
    word.unlock(handle.me()?).map_err(|e| e.of(handle.describe()))
}

/// Holds a lock, and gives it back when dropped. In a forked child it is inert: the parent holds the lock.
#[must_use]
pub struct LockGuard<'a> {
    word: &'a LockWord,
    handle: &'a Handle,
    me: Label,
    acquired: Acquired,
}

impl<'a> LockGuard<'a> {
    #[inline]
    pub(crate) fn acquire(handle: &'a Handle, word: &'a LockWord, deadline: Deadline) -> Result<Self> {
        let me = handle.me()?;
        let acquired = word.lock_as(me, &**handle.segment(), deadline)?;
        Ok(Self { word, handle, me, acquired })
    }

    /// Whether the previous owner died while it held the lock, so that what the lock protects may be half
    /// changed. Every owner is told until one gives the lock back in good order.
    pub fn owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }

    /// Gives the lock back, and says if that failed.
    pub fn unlock(self) -> Result<()> {
        let result = self.give_back();
        std::mem::forget(self);
        result
    }

    /// Declares what the lock protects to be beyond repair, and gives the lock back: whoever waits for it or
    /// asks for it gets `Poisoned`, until somebody [clears](Lock::clear_poison) that.
    pub fn poison(self) -> Result<()> {
        let result = self.check_owner().and_then(|()| self.word.poison(self.me));
        std::mem::forget(self);
        result
    }

    /// In a forked child the lock is the parent's.
    #[inline]
    fn check_owner(&self) -> Result<()> {
        if self.handle.is_me(self.me) { Ok(()) } else { Err(ErrorKind::NotOwner.into()) }
    }

    #[inline]
    fn give_back(&self) -> Result<()> {
        self.check_owner()?;
        self.word.unlock(self.me)
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let _ = self.give_back();
    }
}

/// Frees a lock whose holder is dead.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    if let Ok(cell) = part.at::<LockCell>(0) {
        cell.word.recover(dead);
    }
}
