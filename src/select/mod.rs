//! Waiting for any of several things with one call: objects, processes, plain descriptors.
//!
//! ```text
//!   announce on every word ── look at every object ── sleep on all words (futex_waitv), and descriptors (poll)
//!         ▲──────────────────────────── woken, tick, changed ─────────────────────────────┘
//! ```
//!
//! The steps are those of [`wait`](crate::wait), for several words at once. Nothing is taken: who is told that an
//! object is ready may find that somebody else was faster. A wake that was meant for one who would have taken
//! something is passed on when the call returns.
//!
//! Words and descriptors cannot be slept on together. Where there are both, a thread sleeps on the words for the
//! length of the call, and tells the caller through an event descriptor.
//!
//! `futex_waitv(2)` is in Linux since 5.16; on older kernels the call looks every millisecond.

mod bell;
#[cfg(feature = "async")]
mod future;
mod reactor;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as LocalU32, Ordering};

pub use bell::Bell;

use crate::atomic::heavy_fence;
use crate::error::{ErrorKind, Result, fail};
use crate::latch::LockWord;
use crate::pipe::Pipe;
use crate::queue::Queue;
use crate::segment::attach::Attached;
use crate::sync::{Event, Lock, Semaphore};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Sleep};
use crate::sys::poll::{self, Wanted};
use crate::sys::thread;
use crate::wait::{Peers, WaitWord};

/// How often a waiter looks after the participants of its segments.
const TICK: u64 = 80_000_000;
/// `futex_waitv` takes 128 words; one is the bell's.
const MOST_WORDS: usize = 127;

/// Something to wait for with [`wait_any`]. Its methods on the objects say what: that a queue can be got from,
/// that a lock is free.
pub struct Interest<'a>(Source<'a>);

type Ready<'a> = Box<dyn Fn() -> Result<bool> + Send + Sync + 'a>;

enum Source<'a> {
    Word { seg: &'a Arc<Attached>, word: &'a WaitWord, ready: Ready<'a> },
    Lock { seg: &'a Arc<Attached>, word: &'a LockWord },
    Descriptor { fd: BorrowedFd<'a>, wanted: Wanted },
}

impl<'a> Interest<'a> {
    /// The end of a process, by its pidfd (pidfd_open(2)), also if it is not a participant.
    pub fn exited(pidfd: BorrowedFd<'a>) -> Self {
        Self::readable(pidfd)
    }

    /// That a descriptor can be read from, or has ended.
    pub fn readable(fd: BorrowedFd<'a>) -> Self {
        Self(Source::Descriptor { fd, wanted: Wanted::Read })
    }

    /// That a descriptor can be written to, or has ended.
    pub fn writable(fd: BorrowedFd<'a>) -> Self {
        Self(Source::Descriptor { fd, wanted: Wanted::Write })
    }

    fn is_ready(&self) -> Result<bool> {
        match &self.0 {
            Source::Word { ready, .. } => ready(),
            Source::Lock { word, .. } => Ok(word.holder() == 0),
            Source::Descriptor { .. } => Ok(false),
        }
    }

    /// Announces a sleep; the word to sleep on and its value.
    fn announce(&self) -> Option<(&'a LocalU32, u32)> {
        match self.0 {
            Source::Word { word, .. } => Some(word.announce()),
            Source::Lock { word, .. } => Some(word.announce()),
            Source::Descriptor { .. } => None,
        }
    }

    /// Lets somebody else have a wake that may have been meant for him.
    fn pass_on(&self) {
        match self.0 {
            Source::Word { word, .. } => word.notify(1),
            Source::Lock { word, .. } => word.nudge(),
            Source::Descriptor { .. } => {}
        }
    }

    fn segment(&self) -> Option<&'a Arc<Attached>> {
        match self.0 {
            Source::Word { seg, .. } | Source::Lock { seg, .. } => Some(seg),
            Source::Descriptor { .. } => None,
        }
    }
}

impl Queue {
    /// That an item can be got, or that the queue is shut down.
    pub fn readable(&self) -> Interest<'_> {
        let ring = self.ring();
        let ready = Box::new(move || Ok(!self.is_empty() || self.is_shutdown()));
        Interest(Source::Word { seg: self.segment(), word: ring.items_word(), ready })
    }

    /// That an item can be put, or that the queue is shut down.
    pub fn writable(&self) -> Interest<'_> {
        let ring = self.ring();
        let ready = Box::new(move || Ok(!self.is_full() || self.is_shutdown()));
        Interest(Source::Word { seg: self.segment(), word: ring.space_word(), ready })
    }
}

impl Pipe {
    /// That a message can be received, or the end-of-file.
    ///
    /// # Errors
    /// `Unsupported` at an end that only sends.
    pub fn readable(&self) -> Result<Interest<'_>> {
        let word = self.incoming()?.items_word();
        Ok(Interest(Source::Word {
            seg: self.segment(),
            word,
            ready: Box::new(move || self.poll(Deadline::Now)),
        }))
    }

    /// That a message can be sent.
    ///
    /// # Errors
    /// `Unsupported` at an end that only receives.
    pub fn writable(&self) -> Result<Interest<'_>> {
        let word = self.outgoing()?.space_word();
        let ready = Box::new(move || Ok(!self.outgoing()?.is_full()));
        Ok(Interest(Source::Word { seg: self.segment(), word, ready }))
    }
}

impl Event {
    /// That the event is set.
    pub fn when_set(&self) -> Interest<'_> {
        Interest(Source::Word {
            seg: self.segment(),
            word: self.wait_word(),
            ready: Box::new(move || Ok(self.is_set())),
        })
    }
}

impl Semaphore {
    /// That a permit can be acquired.
    pub fn when_free(&self) -> Interest<'_> {
        let ready = Box::new(move || Ok(self.value() > 0));
        Interest(Source::Word { seg: self.segment(), word: self.wait_word(), ready })
    }
}

impl Lock {
    /// That nobody holds the lock.
    pub fn when_free(&self) -> Interest<'_> {
        Interest(Source::Lock { seg: self.segment(), word: self.lock_word() })
    }
}

/// Waits until any of `interests` is ready, or `deadline`; which of them are, by their index, at least one.
///
/// Any thread may call it, and several may wait for the same things. An object whose holder or peer is killed
/// becomes ready within a tick of 80 ms.
///
/// # Errors
/// `WouldBlock`, `TimedOut`, `Interrupted`; `InvalidArgument` for none, or for more than 127 objects.
pub fn wait_any(interests: &[Interest<'_>], deadline: Deadline) -> Result<Vec<usize>> {
    let objects = interests.iter().filter(|i| i.segment().is_some()).count();
    if interests.is_empty() || objects > MOST_WORDS {
        fail!(InvalidArgument, "wait_any takes 1 to {MOST_WORDS} objects; got {objects}");
    }
    for segment in interests.iter().filter_map(Interest::segment) {
        segment.me()?;
    }
    let result = wait_for_some(interests, deadline);
    // A wake may have come for this caller together with the end of the wait, or for what it does not take.
    interests.iter().for_each(Interest::pass_on);
    result
}

fn wait_for_some(interests: &[Interest<'_>], deadline: Deadline) -> Result<Vec<usize>> {
    let descriptors: Vec<_> = interests
        .iter()
        .enumerate()
        .filter_map(|(i, interest)| match interest.0 {
            Source::Descriptor { fd, wanted } => Some((i, fd, wanted)),
            _ => None,
        })
        .collect();
    loop {
        let words: Vec<_> = interests.iter().filter_map(Interest::announce).collect();
        heavy_fence(); // pairs with the fence of who notifies; unseen, the tick finds out
        let mut ready = Vec::new();
        for (i, interest) in interests.iter().enumerate() {
            if interest.is_ready()? {
                ready.push(i);
            }
        }
        ready.extend(poll::look(&descriptors)?);
        if !ready.is_empty() {
            ready.sort_unstable();
            return Ok(ready);
        }
        match deadline {
            Deadline::Now => return Err(ErrorKind::WouldBlock.into()),
            deadline if deadline.passed() => return Err(ErrorKind::TimedOut.into()),
            _ => {}
        }
        if sleep(&words, &descriptors, deadline.earlier(TICK))? == Sleep::TimedOut {
            patrol(interests);
        }
    }
}

/// Sleeps until a word has changed, a descriptor is ready, or `at`.
fn sleep(
    words: &[(&LocalU32, u32)],
    descriptors: &[(usize, BorrowedFd<'_>, Wanted)],
    at: u64,
) -> Result<Sleep> {
    let address = |&(word, seen): &(&LocalU32, u32)| (std::ptr::from_ref(word), seen);
    let slept = if descriptors.is_empty() {
        futex::wait_any(&words.iter().map(address).collect::<Vec<_>>(), at)
    } else {
        let bell = poll::Bell::new()?;
        let silence = LocalU32::new(0);
        let watch_words = || {
            let all: Vec<_> = words.iter().chain(&[(&silence, 0)]).map(address).collect();
            futex::wait_any(&all, at);
            bell.ring();
        };
        let poll = || {
            let slept = poll::sleep(descriptors, &bell, at);
            silence.store(1, Ordering::SeqCst);
            futex::wake(&silence, 1);
            slept
        };
        if words.is_empty() { poll()? } else { thread::beside(watch_words, poll)?? }
    };
    if slept == Sleep::Interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(slept) }
}

/// Looks after the participants of all segments that are waited for.
fn patrol(interests: &[Interest<'_>]) {
    let mut seen: Vec<&Arc<Attached>> = Vec::new();
    for segment in interests.iter().filter_map(Interest::segment) {
        if !seen.iter().any(|other| Arc::ptr_eq(other, segment)) {
            segment.patrol();
            seen.push(segment);
        }
    }
}
