//! A condition variable with its lock.
//!
//! ```text
//!   a waiter's cell:
//!   FREE ──claim, holding the lock──▶ WAITING(p, n) ──notify: CAS──▶ NOTIFIED(p) ──lock taken again──▶ FREE
//!                                        │ time is up: CAS ──▶ FREE       │
//!                                        │ p dies, sweep ──▶ FREE         │ p dies, sweep ──▶ FREE,
//!                                                                           and the oldest WAITING is notified
//! ```
//!
//! Waiters are cells that name their participant, not a count: a notification goes to a cell, the one that
//! has waited longest, and one whose waiter dies before it has the lock again passes on. Each cell has a
//! word of its own to sleep on, so a notification wakes whom it is for.

use std::time::Duration;

use super::rlock::{RLockCell, RLockGuard};
use crate::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed};
use crate::error::{ErrorKind, Result, fail};
use crate::latch::Acquired;
use crate::layout::{Kind, Spec, describe};
use crate::segment::Segment;
use crate::segment::attach::{Attached, Shared};
use crate::segment::handle::{Part, Placed, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

/// A condition in memory; its waiters follow.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct ConditionCell {
    lock: RLockCell,
    waiters: AtomicU32,
    /// How many of the first places were ever taken: the others need no look. Raised before a place is taken.
    used: AtomicU32,
    /// The number of the next waiter; only who holds the lock draws one.
    next: AtomicU64,
    pad_next: [AtomicU64; 6],
}

/// The place of one waiter.
#[repr(C)]
#[derive(Debug)]
pub struct Waiter {
    /// 0 free; else 1 waiting or 2 notified in two bits, the label in 12, the number above.
    state: AtomicU64,
    woken: WaitWord,
    pad: [AtomicU32; 13],
}

describe! { TABLE:
    ConditionCell = 128 { lock @ 0, waiters @ 64, used @ 68, next @ 72 }
    Waiter = 64 { state @ 0, woken @ 8 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for ConditionCell {}
// SAFETY: as above.
unsafe impl Shared for Waiter {}

const WAITERS: u64 = size_of::<ConditionCell>() as u64;
/// How many may wait at a time, for each participant that the segment admits.
const WAITERS_EACH: u32 = 4;

const WAITING: u64 = 1;
const NOTIFIED: u64 = 2;
const STATE: u64 = 3;
const NUMBER_SHIFT: u32 = 14;

fn waiting(me: Label, number: u64) -> u64 {
    number << NUMBER_SHIFT | u64::from(me) << 2 | WAITING
}

fn label(state: u64) -> Label {
    (state >> 2) as Label & 0xfff
}

/// A condition variable together with its lock, which is reentrant as an [`RLock`](super::RLock)
/// (`multiprocessing.Condition`).
///
/// Only who holds the lock waits and notifies. A notification that is spent on a process which dies before it
/// has the lock again passes on to another waiter. Four threads per participant of the segment may wait at a
/// time.
#[derive(Clone)]
pub struct Condition {
    cell: Placed<ConditionCell>,
}

impl Condition {
    /// Creates a condition; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Create)
    }

    /// Opens a condition.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open)
    }

    /// Opens a condition, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate)
    }

    fn get(segment: &Segment, name: &str, verb: Verb) -> Result<Self> {
        let count = segment.attached().seats() * WAITERS_EACH;
        let spec = Spec { kind: Kind::Condition as u32, count: 1, ..Spec::default() };
        let size = WAITERS + u64::from(count) * size_of::<Waiter>() as u64;
        let request = Request { name, verb, role: 1, size, spec };
        let init = |cell: &ConditionCell, _: &Part<'_>| {
            cell.waiters.store(count, Relaxed);
            Ok(())
        };
        let condition = Self { cell: Placed::get(segment.attached(), &request, init, |_| Ok(()))? };
        if places(&condition.cell.handle().part(), &condition.cell).count() == 0 {
            return Err(segment.attached().corrupted("a condition has no room for waiters"));
        }
        Ok(condition)
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

    /// Acquires the lock, waiting until `deadline`.
    pub fn lock_until(&self, deadline: Deadline) -> Result<RLockGuard<'_>> {
        let acquired = self.acquire(deadline)?;
        Ok(RLockGuard::over(&self.cell.lock, self.seg(), acquired))
    }

    /// Acquires the lock without a guard; [`release`](Self::release) gives it back.
    pub fn acquire(&self, deadline: Deadline) -> Result<Acquired> {
        self.cell.lock.lock(self.seg(), deadline)
    }

    /// Gives the lock back once.
    ///
    /// # Errors
    /// `NotHeld` when nobody holds it, `NotOwner` when another thread or process does.
    pub fn release(&self) -> Result<()> {
        self.cell.lock.unlock(self.seg()).map_err(|e| self.explain(e))
    }

    fn explain(&self, e: crate::error::Error) -> crate::error::Error {
        e.of(self.cell.handle().describe())
    }

    /// Gives the lock back, waits for a notification, and takes the lock again. `OwnerDied` also without a
    /// notification: whoever held the lock meanwhile died, and what it protects may be half changed.
    ///
    /// # Errors
    /// `NotHeld`, `NotOwner` without the lock; `LimitReached` when too many wait; `Interrupted` by a signal
    /// handler. But for the first two, the lock is held again.
    pub fn wait(&self) -> Result<Acquired> {
        self.wait_until(Deadline::Never)
    }

    /// [`wait`](Self::wait) for at most `timeout`; then `TimedOut`, with the lock held again.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Acquired> {
        self.wait_until(timeout.into())
    }

    /// [`wait`](Self::wait) until `deadline`, which bounds the wait for the notification and not for the lock.
    pub fn wait_until(&self, deadline: Deadline) -> Result<Acquired> {
        let (seg, me) = (self.seg(), self.seg().me()?);
        self.cell.lock.check_mine(seg).map_err(|e| self.explain(e))?;
        let number = self.cell.next.fetch_add(1, Relaxed);
        let mine = waiting(me, number);
        let part = self.cell.handle().part();
        let Some(place) = take_place(&part, &self.cell, mine) else {
            fail!(LimitReached, "{}: too many wait for it", self.cell.handle().describe());
        };
        let depth = self.cell.lock.unlock_all(seg)?;
        let ready = || Ok((place.state.load(Acquire) != mine).then_some(()));
        let woken = place.woken.wait(
            seg,
            if deadline == Deadline::Now { Deadline::from_ns(1) } else { deadline },
            || None,
            ready,
        );
        // Whether time was up or the notification came first, this decides.
        let in_time = woken.is_ok() || place.state.cas(mine, 0).is_err();
        let acquired = self.cell.lock.relock(seg, depth)?;
        if in_time {
            // Only now: a death before passes the notification on.
            place.state.store(0, Relaxed);
            return Ok(acquired);
        }
        // Nobody else would be told: giving the lock back in good order clears the mark.
        if acquired == Acquired::OwnerDied { Ok(acquired) } else { woken.map(|()| acquired) }
    }

    /// Waits until `ready` returns true, which is asked with the lock held, or `deadline`; what it returned last.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait), and `OwnerDied` when whoever held the lock meanwhile died. The lock is held.
    pub fn wait_for(&self, deadline: Deadline, mut ready: impl FnMut() -> bool) -> Result<bool> {
        loop {
            if ready() {
                return Ok(true);
            }
            match self.wait_until(deadline) {
                Err(e) if e.is_timeout() => return Ok(ready()),
                Ok(Acquired::OwnerDied) => return Err(ErrorKind::OwnerDied.into()),
                other => drop(other?),
            }
        }
    }

    /// Wakes up to `n` of those who wait, the longest waiting first.
    ///
    /// # Errors
    /// `NotHeld`, `NotOwner` without the lock.
    pub fn notify(&self, n: usize) -> Result<()> {
        self.cell.lock.check_mine(self.seg()).map_err(|e| self.explain(e))?;
        let part = self.cell.handle().part();
        for _ in 0..n {
            if !notify_oldest(&part, &self.cell) {
                break;
            }
        }
        Ok(())
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) -> Result<()> {
        self.notify(usize::MAX)
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        let part = self.cell.handle().part();
        waiters(&part, &self.cell).filter(|w| w.state.load(Acquire) & STATE == WAITING).count()
    }

    /// The condition's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

fn places<'a>(part: &Part<'a>, cell: &ConditionCell) -> impl Iterator<Item = &'a Waiter> {
    let count = u64::from(cell.waiters.load(Relaxed));
    let part = *part;
    (0..count).map_while(move |i| part.at::<Waiter>(WAITERS + i * size_of::<Waiter>() as u64).ok())
}

/// Takes the first free place; only who holds the lock does.
fn take_place<'a>(part: &Part<'a>, cell: &ConditionCell, mine: u64) -> Option<&'a Waiter> {
    let free = |place: &&Waiter| place.state.load(Relaxed) == 0;
    let (index, place) = places(part, cell).enumerate().find(|(_, place)| free(place))?;
    if cell.used.load(Relaxed) <= index as u32 {
        cell.used.store(index as u32 + 1, Relaxed);
    }
    // The claim releases what was stored before it; others only free places.
    place.state.cas(0, mine).is_ok().then_some(place)
}

/// The places in which somebody may wait.
fn waiters<'a>(part: &Part<'a>, cell: &ConditionCell) -> impl Iterator<Item = &'a Waiter> {
    places(part, cell).take(cell.used.load(Relaxed) as usize)
}

/// Notifies who has waited longest; false if nobody waits.
fn notify_oldest(part: &Part<'_>, cell: &ConditionCell) -> bool {
    loop {
        let waiting = waiters(part, cell).filter_map(|waiter| {
            let state = waiter.state.load(Acquire);
            (state & STATE == WAITING).then_some((state, waiter))
        });
        let Some((state, waiter)) = waiting.min_by_key(|(state, _)| state >> NUMBER_SHIFT) else {
            return false;
        };
        if waiter.state.cas(state, state & !STATE | NOTIFIED).is_ok() {
            waiter.woken.notify(1);
            return true;
        }
    }
}

/// Forgets that `dead` waits, passes on the notifications that were spent on it, and frees the lock.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    let Ok(cell) = part.at::<ConditionCell>(0) else { return };
    for waiter in waiters(part, cell) {
        let mut state = waiter.state.load(Acquire);
        while state != 0 && label(state) == dead {
            // Passed on first: a sweep that dies in between is begun again, and one wake too many does no harm.
            if state & STATE == NOTIFIED {
                notify_oldest(part, cell);
            }
            match waiter.state.cas(state, 0) {
                Ok(_) => break,
                Err(now) => state = now, // notified meanwhile, by somebody who did not know that it was dead
            }
        }
    }
    cell.lock.recover(dead);
}
