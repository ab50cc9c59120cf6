//! The thread that sleeps for those who wait without sleeping: futures and event descriptors.
//!
//! ```text
//!   wait:    announce on the word ── look ── entry (word, value seen, whom to wake) ── thread started, or told
//!   thread:  sleep on all words ── word changed, or tick: wake, and drop the entry ── no entry left: end
//! ```
//!
//! There is no thread while nobody waits. An entry is woken once, in vain or not; who waits looks, and waits anew.
//! In a forked child there is no such thread either, and the first who waits there starts one of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use super::{Interest, MOST_WORDS, TICK};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::attach::Attached;
use crate::sys::clock::now;
use crate::sys::fork::ForkLock;
use crate::sys::{futex, process};
use crate::wait::Peers;

/// How often is looked at what does not fit into one sleep.
const CROWDED_TICK: u64 = 5_000_000;

struct Entry {
    /// Keeps the word mapped. (Its object may be gone, and then the wake is in vain.)
    segment: Arc<Attached>,
    word: *const AtomicU32,
    seen: u32,
    waker: Waker,
}

// SAFETY: the word lies in the mapping that `segment` keeps, and is atomic.
unsafe impl Send for Entry {}

impl Entry {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.word }
    }
}

struct Reactor {
    entries: Vec<Entry>,
    /// The process whose thread sleeps for the entries; 0 none.
    process: u32,
}

static REACTOR: ForkLock<Reactor> = ForkLock::new(Reactor { entries: Vec::new(), process: 0 });
/// Bumped to tell the thread of a new entry.
static TOLD: AtomicU32 = AtomicU32::new(0);

/// Has `waker` woken when the object of `interest` may have become ready, after the sleep on its word was
/// [announced](Interest::announce) with `seen`. A descriptor is not for the reactor.
pub fn watch(interest: &Interest<'_>, word: &AtomicU32, seen: u32, waker: &Waker) -> Result<()> {
    let Some(segment) = interest.segment() else { return Ok(()) };
    let entry = Entry { segment: Arc::clone(segment), word, seen, waker: waker.clone() };
    let mut reactor = REACTOR.lock();
    if reactor.process != process::pid() {
        reactor.entries.clear(); // of a parent: nobody waits for them here
        let thread = std::thread::Builder::new().name("sharecell".into());
        thread.spawn(run).map_err(|e| {
            Error::new(ErrorKind::OutOfResources, format!("starting a thread to wait in: {e}"))
        })?;
        reactor.process = process::pid();
    }
    reactor.entries.push(entry);
    drop(reactor);
    TOLD.fetch_add(1, Ordering::SeqCst);
    futex::wake(&TOLD, 1);
    Ok(())
}

fn run() {
    let mut patrolled = now();
    loop {
        let told = TOLD.load(Ordering::SeqCst);
        let Some((words, tick)) = wake_changed(&mut patrolled) else { return };
        let words: Vec<_> = words.iter().map(|(segment, word, seen)| (segment, &**word, *seen)).collect();
        let sleep: Vec<_> =
            words.iter().map(|(_, word, seen)| (*word, *seen)).chain([(&TOLD, told)]).collect();
        futex::wait_any(&sleep, now() + tick);
    }
}

/// A word and the value to sleep on, with what keeps it mapped.
type Sleep = (Arc<Attached>, Shared, u32);

/// The address of a word in a mapping that is kept beside it.
struct Shared(*const AtomicU32);

impl std::ops::Deref for Shared {
    type Target = AtomicU32;
    fn deref(&self) -> &AtomicU32 {
        // SAFETY: the attachment that keeps the word mapped stands beside it.
        unsafe { &*self.0 }
    }
}

/// Wakes whose word has changed, and at a tick all; what to sleep on and for how long, or `None` when nobody waits
/// any more and the thread is to end.
fn wake_changed(patrolled: &mut u64) -> Option<(Vec<Sleep>, u64)> {
    let mut reactor = REACTOR.lock();
    let tick = now() >= *patrolled + TICK;
    let crowded = reactor.entries.len() > MOST_WORDS;
    let (woken, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut reactor.entries)
        .into_iter()
        .partition(|entry| tick || entry.word().load(Ordering::Acquire) != entry.seen);
    reactor.entries = rest;
    let sleep = reactor.entries.iter().take(MOST_WORDS);
    let sleep = sleep.map(|e| (Arc::clone(&e.segment), Shared(e.word), e.seen)).collect();
    let ended = reactor.entries.is_empty() && woken.is_empty();
    if ended {
        reactor.process = 0;
    }
    drop(reactor);
    if tick {
        *patrolled = now();
        woken.iter().for_each(|entry| entry.segment.patrol());
    }
    for entry in woken {
        entry.waker.wake();
    }
    (!ended).then_some((sleep, if crowded { CROWDED_TICK } else { TICK }))
}
