//! The thread that sleeps for those who wait without sleeping: futures and event descriptors.
//!
//! ```text
//!   wait:    announce on the word ── look ── entry (word, value seen, whom to wake) ── thread started, or told
//!   thread:  sleep on all words ── word changed, or tick: wake, and drop the entry ── no entry left: end
//! ```
//!
//! There is no thread while nobody waits. An entry is woken once, in vain or not; who waits looks, and waits anew.
//! In a forked child there is no such thread either, and the first who waits there starts one of its own.
//!
//! Entries do not keep their segments, so that one that is closed is left at once. The thread takes hold of a segment
//! under the lock alone, to look at a word; what it sleeps on may be unmapped meanwhile, which is the kernel's to tell.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use super::{Interest, MOST_WORDS, TICK};
use crate::error::Result;
use crate::segment::attach::Attached;
use crate::sys::clock::now;
use crate::sys::fork::{ForkLock, on_fork};
use crate::sys::{futex, process, thread};
use crate::wait::Peers;

/// How often is looked at what does not fit into one sleep.
const CROWDED_TICK: u64 = 5_000_000;

/// A word and the value to sleep on.
type Watched = (*const AtomicU32, u32);

struct Entry {
    watcher: u64,
    segment: Weak<Attached>,
    watched: Watched,
    waker: Waker,
}

// SAFETY: the word is an atomic, and is only looked at with its segment in hand, which keeps it mapped.
unsafe impl Send for Entry {}

impl Entry {
    /// Whether the word has changed, or this process has left the segment. (The word's object may be gone, and then
    /// the wake is in vain.)
    fn has_changed(&self) -> bool {
        let (word, seen) = self.watched;
        // SAFETY: the segment keeps the word mapped.
        self.segment.upgrade().is_none_or(|_segment| unsafe { &*word }.load(Ordering::Acquire) != seen)
    }
}

struct Reactor {
    entries: Vec<Entry>,
    /// The process whose thread sleeps for the entries; 0 none.
    process: u32,
}

/// Held by a thread that forks, too, so that no child finds it in the hands of one that is not there. Neither wakers
/// nor anything else that is not ours is called or dropped under it: that might want it itself.
static REACTOR: ForkLock<Reactor> = ForkLock::new(Reactor { entries: Vec::new(), process: 0 });
/// Bumped to tell the thread of a new entry.
static TOLD: AtomicU32 = AtomicU32::new(0);

/// Who has entries of his own, until he is dropped: then they are gone, and the thread has nothing of their segments.
pub struct Watcher {
    id: u64,
    has_watched: AtomicBool,
}

impl Watcher {
    /// One without entries.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), has_watched: AtomicBool::new(false) }
    }

    /// Has `waker` woken when the object of `interest` may have become ready, after the sleep on its word was
    /// [announced](Interest::announce) with `seen`. A descriptor is not for the reactor.
    pub fn watch(&self, interest: &Interest<'_>, word: &AtomicU32, seen: u32, waker: &Waker) -> Result<()> {
        let Some(segment) = interest.segment() else { return Ok(()) };
        respect_forks()?;
        let entry = Entry {
            watcher: self.id,
            segment: Arc::downgrade(segment),
            watched: (word, seen),
            waker: waker.clone(),
        };
        self.has_watched.store(true, Ordering::Relaxed);
        let mut of_parent = Vec::new(); // nobody waits for them here
        let mut reactor = REACTOR.lock();
        if reactor.process != process::pid() {
            of_parent = std::mem::take(&mut reactor.entries);
            thread::spawn(run)?;
            reactor.process = process::pid();
        }
        reactor.entries.push(entry);
        drop(reactor);
        drop(of_parent);
        TOLD.fetch_add(1, Ordering::SeqCst);
        futex::wake(&TOLD, 1);
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.has_watched.load(Ordering::Relaxed) {
            let mut reactor = REACTOR.lock();
            let gone: Vec<_> = reactor.entries.extract_if(.., |entry| entry.watcher == self.id).collect();
            drop(reactor);
            drop(gone);
        }
    }
}

/// Has every fork wait for the lock from now on. (The segments' own handlers are there already, so before a fork this
/// lock is taken first, and the registry's under it, as the thread may do.)
fn respect_forks() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    on_fork(before_fork, after_fork, after_fork).inspect_err(|_| DONE.store(false, Ordering::Relaxed))
}

extern "C" fn before_fork() {
    REACTOR.acquire();
}

extern "C" fn after_fork() {
    // SAFETY: this thread, or the one that it is a copy of, acquired it in `before_fork`.
    unsafe { REACTOR.release() };
}

fn run() {
    let mut patrolled = now();
    loop {
        let told = TOLD.load(Ordering::SeqCst);
        let Some((mut words, tick)) = wake_changed(&mut patrolled) else { return };
        words.push((&TOLD, told));
        futex::wait_any(&words, now() + tick);
    }
}

/// Wakes whose word has changed, and at a tick all; what to sleep on and for how long, or `None` when nobody waits
/// any more and the thread is to end.
fn wake_changed(patrolled: &mut u64) -> Option<(Vec<Watched>, u64)> {
    let mut reactor = REACTOR.lock();
    let tick = now() >= *patrolled + TICK;
    if tick {
        patrol(&reactor.entries);
        *patrolled = now();
    }
    let crowded = reactor.entries.len() > MOST_WORDS;
    let woken: Vec<_> = reactor.entries.extract_if(.., |entry| tick || entry.has_changed()).collect();
    let words = reactor.entries.iter().take(MOST_WORDS).map(|entry| entry.watched).collect();
    let ended = reactor.entries.is_empty() && woken.is_empty();
    if ended {
        reactor.process = 0;
    }
    drop(reactor);
    for entry in woken {
        entry.waker.wake();
    }
    (!ended).then_some((words, if crowded { CROWDED_TICK } else { TICK }))
}

/// Looks after the participants of all segments that are waited for.
fn patrol(entries: &[Entry]) {
    let mut segments: Vec<&Weak<Attached>> = Vec::new();
    for entry in entries {
        if !segments.iter().any(|other| other.ptr_eq(&entry.segment)) {
            segments.push(&entry.segment);
        }
    }
    segments.into_iter().filter_map(Weak::upgrade).for_each(|segment| segment.patrol());
}
