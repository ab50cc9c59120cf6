//! Work that was taken and is not done: `task_done` and `join`.
//!
//! ```text
//!   get:   cell FULL ─▶ READING(p) ─ taken[p] + 1 ─▶ FREE            task_done: taken[p] − 1, tell who joins
//!   recv:  cell FULL ─▶ HELD(p) ─ its guard is dropped ─▶ FREE       p dies, sweep: taken[p] = 0
//! ```
//!
//! What is unfinished is never a bare number: it is the cells that are not free, plus what each participant
//! has taken and not done, counted in a word of its own. The count goes up before the cell is given back, so
//! an item is in one of the two places at any time; a death in between redelivers the item, and its count is
//! cleared. Who joins looks at the cells first and at the counts after, and starts again if something was put
//! meanwhile.

use super::ring::{Ring, Shape};
use crate::atomic::{AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, SeqCst, fence};
use crate::error::{ErrorKind, Result};
use crate::layout::describe;
use crate::segment::attach::{Attached, Shared};
use crate::segment::handle::Part;
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

/// Behind the cells of a joinable queue; one [`Taken`] per participant follows.
#[repr(C)]
#[derive(Debug)]
pub struct JoinHead {
    idle: WaitWord,
    pad: [AtomicU32; 15],
}

/// What one participant has taken and not done.
#[repr(C)]
#[derive(Debug)]
pub struct Taken {
    count: AtomicU64,
    pad: [AtomicU64; 7],
}

describe! { TABLE:
    JoinHead = 64 { idle @ 0 }
    Taken = 64 { count @ 0 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for JoinHead {}
// SAFETY: as above.
unsafe impl Shared for Taken {}

/// The counts of a joinable queue.
#[derive(Clone, Copy)]
pub struct Join<'a> {
    part: Part<'a>,
    at: u64,
}

impl<'a> Join<'a> {
    /// The bytes that the counts need.
    pub fn size(seats: u32) -> u64 {
        size_of::<JoinHead>() as u64 + u64::from(seats) * size_of::<Taken>() as u64
    }

    /// The counts behind the ring of `shape`; checked to lie in the part.
    pub fn over(part: Part<'a>, shape: &Shape) -> Result<Self> {
        let join = Self { part, at: shape.size() };
        join.taken(part.seg.seats())?;
        Ok(join)
    }

    /// Fills the memory of a new one.
    pub fn init(part: &Part<'_>, shape: &Shape) -> Result<()> {
        part.words(shape.size(), Self::size(part.seg.seats()) / 8)?
            .iter()
            .for_each(|word| word.store(0, Relaxed));
        Ok(())
    }

    fn idle(&self) -> Result<&'a WaitWord> {
        self.part.at::<JoinHead>(self.at).map(|head| &head.idle)
    }

    fn taken(&self, label: Label) -> Result<&'a AtomicU64> {
        let at = self.at + size_of::<JoinHead>() as u64 + u64::from(label - 1) * size_of::<Taken>() as u64;
        self.part.at::<Taken>(at).map(|taken| &taken.count)
    }

    /// Counts an item that is about to leave its cell.
    pub fn take(&self, me: Label) -> Result<()> {
        self.taken(me)?.fetch_add(1, AcqRel);
        Ok(())
    }

    /// An item that this process has taken is done.
    ///
    /// # Errors
    /// `NotHeld` when it has none.
    pub fn done(&self, me: Label) -> Result<()> {
        let count = self.taken(me)?;
        let mut now = count.load(Relaxed);
        loop {
            let Some(next) = now.checked_sub(1) else { return Err(ErrorKind::NotHeld.into()) };
            match count.cas(now, next) {
                Ok(_) => return self.look_again(),
                Err(other) => now = other,
            }
        }
    }

    /// Wakes who joins: something was done.
    pub fn look_again(&self) -> Result<()> {
        self.idle()?.notify(u32::MAX);
        Ok(())
    }

    /// Forgets what `dead` had taken.
    pub fn recover(&self, dead: Label) {
        if let Ok(count) = self.taken(dead) {
            count.store(0, SeqCst);
            let _ = self.look_again();
        }
    }

    fn worker(&self) -> Option<Label> {
        (1..=self.part.seg.seats())
            .find(|label| self.taken(*label).is_ok_and(|count| count.load(Acquire) != 0))
    }

    fn is_idle(&self, ring: &Ring<'_>) -> bool {
        let before = ring.puts();
        let idle = ring.is_idle() && self.worker().is_none();
        fence(SeqCst);
        idle && ring.puts() == before
    }

    /// Waits until every item that was put is done, or `deadline`.
    pub fn join(&self, seg: &Attached, ring: &Ring<'_>, deadline: Deadline) -> Result<()> {
        let me = seg.me()?;
        let ready = || Ok(self.is_idle(ring).then_some(()));
        let other = || ring.holder().or_else(|| self.worker()).filter(|label| *label != me);
        match ready()? {
            Some(()) => Ok(()),
            None => self.idle()?.sleep_until(seg, deadline, other, ready),
        }
    }
}
