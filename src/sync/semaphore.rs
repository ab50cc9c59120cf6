//! A counting semaphore, bounded or not, with permits that are owned or not.
//!
//! ```text
//!   acquire:  value v > 0 ──CAS──▶ v − 1                      v = 0: sleep
//!   release:  value v ──CAS──▶ v + k ─ wake up to k
//!
//!   with undo, each permit is a cell:
//!   acquire:  FREE ──CAS──▶ p          release:  p ──CAS──▶ FREE ─ wake 1        p dies, sweep: CAS ──▶ FREE
//! ```
//!
//! Without undo nobody owns a permit: one that was acquired by a process that died is gone, as with POSIX
//! semaphores, so that a semaphore can be used for signalling. With undo (System V's `SEM_UNDO`) a permit
//! names its holder from the instruction at which it is held, and comes back when that dies; then only who
//! holds a permit can release it, and the value never exceeds the first one.
//!
//! A death between release and wake leaves a sleeper beside a free permit until its tick.

use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed};
use crate::error::{Result, fail};
use crate::layout::{Kind, Spec, describe, round_up};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Part, Placed, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

/// A semaphore in memory; with undo, one word per permit follows.
#[repr(C)]
#[derive(Debug)]
pub struct SemaphoreCell {
    value: AtomicU32,
    free: WaitWord,
    max: AtomicU32,
    /// With undo: the number of permits; else 0.
    permits: AtomicU32,
    /// With undo: where to look for a free permit, a hint.
    next: AtomicU32,
    pad: [AtomicU32; 11],
}

describe! { TABLE:
    SemaphoreCell = 64 { value @ 0, free @ 4, max @ 8, permits @ 12, next @ 16 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for SemaphoreCell {}

const PERMITS: u64 = size_of::<SemaphoreCell>() as u64;
const BOUNDED: u32 = 1;
const UNDO: u32 = 2;

/// How to create a [`Semaphore`].
#[derive(Clone, Debug, Default)]
pub struct SemaphoreOptions {
    value: u32,
    variant: u32,
}

impl SemaphoreOptions {
    /// A first value, which may be exceeded, and permits that nobody owns.
    pub fn new(value: u32) -> Self {
        Self { value, variant: 0 }
    }

    /// A release beyond the first value is an error (`multiprocessing.BoundedSemaphore`).
    pub fn bounded(mut self) -> Self {
        self.variant |= BOUNDED;
        self
    }

    /// Permits are owned by processes: those of one that is killed come back, only who holds one can release
    /// it, and the value never exceeds the first one, at most 65536.
    pub fn undo(mut self) -> Self {
        self.variant |= UNDO;
        self
    }

    fn permits(&self) -> u32 {
        if self.variant & UNDO == 0 { 0 } else { self.value }
    }
}

/// A counting semaphore for threads of any number of processes.
///
/// Without [`undo`](SemaphoreOptions::undo) anybody may release it, also without having acquired it, and a
/// process that is killed does not give back what it had acquired; with it, the other way round.
#[derive(Clone)]
pub struct Semaphore {
    cell: Placed<SemaphoreCell>,
}

impl Semaphore {
    /// The largest value.
    pub const MAX: u32 = i32::MAX as u32;

    /// Creates a semaphore with a first value; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, value: u32) -> Result<Self> {
        Self::create_with(segment, name, &SemaphoreOptions::new(value))
    }

    /// Creates a semaphore; an error when the name is taken.
    pub fn create_with(segment: &Segment, name: &str, options: &SemaphoreOptions) -> Result<Self> {
        Self::get(segment, name, Verb::Create, Some(options))
    }

    /// Opens a semaphore of any sort.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open, None)
    }

    /// Opens a semaphore, which must have been created without options, or creates it with a first value.
    pub fn open_or_create(segment: &Segment, name: &str, value: u32) -> Result<Self> {
        Self::open_or_create_with(segment, name, &SemaphoreOptions::new(value))
    }

    /// Opens a semaphore, which must be of the same sort, or creates it.
    pub fn open_or_create_with(segment: &Segment, name: &str, options: &SemaphoreOptions) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate, Some(options))
    }

    fn get(segment: &Segment, name: &str, verb: Verb, options: Option<&SemaphoreOptions>) -> Result<Self> {
        let default = SemaphoreOptions::default();
        let o = options.unwrap_or(&default);
        if o.value > Self::MAX {
            fail!(InvalidArgument, "the value of a semaphore is at most {}; got {}", Self::MAX, o.value);
        }
        if o.permits() > 1 << 16 {
            fail!(InvalidArgument, "a semaphore with undo has at most 65536 permits; got {}", o.value);
        }
        let spec = Spec { kind: Kind::Semaphore as u32, variant: o.variant, count: 1, ..Spec::default() };
        let fits = |have: &Spec| {
            if options.is_some() && have.variant != spec.variant {
                let sort = |v: u32| match v {
                    0 => "plain",
                    BOUNDED => "bounded",
                    _ => "with undo",
                };
                fail!(WrongType, "it is {}, not {}", sort(have.variant), sort(spec.variant));
            }
            Ok(())
        };
        let init = |cell: &SemaphoreCell, _: &Part<'_>| {
            cell.value.store(o.value, Relaxed);
            cell.max.store(if o.variant == 0 { Self::MAX } else { o.value }, Relaxed);
            cell.permits.store(o.permits(), Relaxed);
            Ok(())
        };
        let size = PERMITS + round_up(u64::from(o.permits()) * 4, 8);
        let request = Request { name, verb, role: 1, size, spec: spec.clone() };
        let semaphore = Self { cell: Placed::get(segment.attached(), &request, init, fits)? };
        semaphore.permits()?;
        Ok(semaphore)
    }

    /// The permits, if they are owned.
    fn permits(&self) -> Result<&[AtomicU32]> {
        permits(&self.cell.handle().part(), &self.cell)
    }

    /// Takes a permit if there is one.
    #[inline]
    fn try_take(&self, me: Label) -> Result<Option<()>> {
        if self.cell.permits.load(Relaxed) != 0 {
            return self.try_own(me);
        }
        let value = &self.cell.value;
        let mut now = value.load(Acquire);
        while now > 0 {
            match value.cas(now, now - 1) {
                Ok(_) => return Ok(Some(())),
                Err(other) => now = other,
            }
        }
        Ok(None)
    }

    fn try_own(&self, me: Label) -> Result<Option<()>> {
        let permits = self.permits()?;
        let start = self.cell.next.load(Relaxed) as usize % permits.len();
        for i in (start..permits.len()).chain(0..start) {
            if permits[i].load(Relaxed) == 0 && permits[i].cas(0, me).is_ok() {
                self.cell.next.store(i as u32 + 1, Relaxed);
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    /// Acquires a permit, waiting for one.
    ///
    /// # Errors
    /// `Interrupted` by a signal handler.
    pub fn acquire(&self) -> Result<()> {
        self.acquire_until(Deadline::Never)
    }

    /// Acquires a permit if there is one; else `WouldBlock`.
    pub fn try_acquire(&self) -> Result<()> {
        self.acquire_until(Deadline::Now)
    }

    /// Acquires a permit, waiting for at most `timeout`; then `TimedOut`.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.acquire_until(timeout.into())
    }

    /// Acquires a permit, waiting until `deadline`.
    #[inline]
    pub fn acquire_until(&self, deadline: Deadline) -> Result<()> {
        let me = self.cell.handle().me()?;
        if self.try_take(me)?.is_some() {
            return Ok(());
        }
        self.cell.free.wait(&**self.cell.handle().segment(), deadline, || None, || self.try_take(me))
    }

    /// Adds `permits`, and wakes as many who wait.
    ///
    /// # Errors
    /// `Overflow` when the value would exceed its maximum: [`MAX`](Self::MAX), or of a bounded semaphore its
    /// first value. `NotHeld`, with undo, when this process does not hold that many. Nothing was added then.
    #[inline]
    pub fn release(&self, permits: u32) -> Result<()> {
        if self.cell.permits.load(Relaxed) != 0 {
            self.disown(permits)?;
        } else {
            self.add(permits)?;
        }
        self.cell.free.notify(permits);
        Ok(())
    }

    fn add(&self, permits: u32) -> Result<()> {
        let (value, max) = (&self.cell.value, self.cell.max.load(Relaxed));
        let mut now = value.load(Relaxed);
        loop {
            let Some(next) = now.checked_add(permits).filter(|next| *next <= max) else {
                let name = self.cell.handle().describe();
                fail!(Overflow, "{name} has value {now}, {permits} more exceed its maximum of {max}");
            };
            match value.cas(now, next) {
                Ok(_) => return Ok(()),
                Err(other) => now = other,
            }
        }
    }

    fn disown(&self, count: u32) -> Result<()> {
        let me = self.cell.handle().me()?;
        let permits = self.permits()?;
        let mine = permits.iter().filter(|permit| permit.load(Relaxed) == me);
        let held = mine.clone().count();
        if held < count as usize {
            let name = self.cell.handle().describe();
            fail!(NotHeld, "{name}: this process holds {held} permits; got {count} to release");
        }
        mine.filter(|permit| permit.cas(me, 0).is_ok()).take(count as usize).for_each(drop);
        Ok(())
    }

    /// The value at this moment.
    pub fn value(&self) -> u32 {
        match self.permits() {
            Ok(permits) if !permits.is_empty() => {
                permits.iter().filter(|p| p.load(Acquire) == 0).count() as u32
            }
            _ => self.cell.value.load(Acquire),
        }
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &std::sync::Arc<crate::segment::attach::Attached> {
        self.cell.handle().segment()
    }

    /// The word that waiters sleep on.
    pub(crate) fn wait_word(&self) -> &WaitWord {
        &self.cell.free
    }

    /// The semaphore's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

/// The permits that follow a semaphore with undo.
fn permits<'a>(part: &Part<'a>, cell: &SemaphoreCell) -> Result<&'a [AtomicU32]> {
    let count = cell.permits.load(Relaxed) as usize;
    let words: &[AtomicU64] = part.words(PERMITS, count.div_ceil(2) as u64)?;
    // SAFETY: the words are in the part, and each is as large as two permits.
    Ok(unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<AtomicU32>(), count) })
}

/// Gives back the permits that `dead` owned.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    let Ok(cell) = part.at::<SemaphoreCell>(0) else { return };
    let back =
        permits(part, cell).unwrap_or_default().iter().filter(|permit| permit.cas(dead, 0).is_ok()).count();
    cell.free.notify(back as u32);
}
