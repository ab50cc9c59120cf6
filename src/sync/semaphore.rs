//! A counting semaphore.
//!
//! ```text
//!   acquire:  value v > 0 ──CAS──▶ v − 1                      v = 0: sleep
//!   release:  value v ──CAS──▶ v + k ─ wake up to k
//! ```
//!
//! Permits are not owned: one that was acquired by a process that died is gone, as with POSIX semaphores, so
//! that a semaphore can be used for signalling. A death between release and wake leaves a sleeper beside a
//! free permit until its tick.

use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, Relaxed};
use crate::error::{Result, fail};
use crate::layout::{Kind, Spec, describe};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Handle, Part, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::WaitWord;

/// A semaphore in memory.
#[repr(C)]
#[derive(Debug)]
pub struct SemaphoreCell {
    value: AtomicU32,
    free: WaitWord,
    pad: [AtomicU32; 14],
}

describe! { TABLE:
    SemaphoreCell = 64 { value @ 0, free @ 4 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for SemaphoreCell {}

/// A counting semaphore for threads of any number of processes.
///
/// Anybody may release it, also without having acquired it. A process that is killed does not give back what
/// it had acquired.
pub struct Semaphore {
    handle: Handle,
}

impl Semaphore {
    /// The largest value.
    pub const MAX: u32 = i32::MAX as u32;

    /// Creates a semaphore with a first value; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, value: u32) -> Result<Self> {
        Self::get(segment, name, Verb::Create, value)
    }

    /// Opens a semaphore.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open, 0)
    }

    /// Opens a semaphore, or creates it with a first value.
    pub fn open_or_create(segment: &Segment, name: &str, value: u32) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate, value)
    }

    fn get(segment: &Segment, name: &str, verb: Verb, value: u32) -> Result<Self> {
        if value > Self::MAX {
            fail!(InvalidArgument, "the value of a semaphore is at most {}; got {value}", Self::MAX);
        }
        let spec = Spec {
            kind: Kind::Semaphore as u32,
            typecode: 0,
            element: 0,
            variant: 0,
            count: 1,
            type_name: String::new(),
        };
        let size = size_of::<SemaphoreCell>() as u64;
        let init = |part: &Part<'_>| {
            part.words(0, size / 8)?.iter().for_each(|word| word.store(0, Relaxed));
            part.at::<SemaphoreCell>(0)?.value.store(value, Relaxed);
            Ok(())
        };
        let request = Request { name, verb, role: 1, size, spec };
        let handle = Handle::get(segment.attached(), &request, init, |_| Ok(()))?;
        handle.part().at::<SemaphoreCell>(0)?;
        Ok(Self { handle })
    }

    #[inline]
    fn cell(&self) -> &SemaphoreCell {
        // SAFETY: `get` has checked that the cell lies in the object, which the handle keeps mapped.
        unsafe { &*self.handle.part().base.as_ptr().cast::<SemaphoreCell>() }
    }

    #[inline]
    fn try_take(&self) -> bool {
        let value = &self.cell().value;
        let mut now = value.load(Acquire);
        while now > 0 {
            match value.cas(now, now - 1) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
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
        self.handle.me()?;
        if self.try_take() {
            return Ok(());
        }
        let ready = || Ok(self.try_take().then_some(()));
        self.cell().free.wait(&**self.handle.segment(), deadline, || None, ready)
    }

    /// Adds `permits`, and wakes as many who wait.
    ///
    /// # Errors
    /// `Overflow`, with nothing added, when the value would exceed [`MAX`](Self::MAX).
    #[inline]
    pub fn release(&self, permits: u32) -> Result<()> {
        let value = &self.cell().value;
        let mut now = value.load(Relaxed);
        loop {
            let Some(next) = now.checked_add(permits).filter(|next| *next <= Self::MAX) else {
                fail!(
                    Overflow,
                    "{} has value {now}, {permits} more exceed its maximum of {}",
                    self.handle.describe(),
                    Self::MAX
                );
            };
            match value.cas(now, next) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        self.cell().free.notify(permits);
        Ok(())
    }

    /// The value at this moment.
    pub fn value(&self) -> u32 {
        self.cell().value.load(Acquire)
    }

    /// The semaphore's name.
    pub fn name(&self) -> String {
        self.handle.name()
    }
}

impl Clone for Semaphore {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}
