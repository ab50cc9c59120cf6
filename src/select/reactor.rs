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

/// A word, the value to sleep on, and what keeps the word mapped. (Its object may be gone, and then the wake is in vain.)
#[derive(Clone)]
struct Watched {
    segment: Arc<Attached>,
    word: *const AtomicU32,
    seen: u32,
}

// SAFETY: the word lies in the mapping that `segment` keeps, and is atomic.
unsafe impl Send for Watched {}

impl Watched {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.word }
    }
}

struct Entry {
    watched: Watched,
    waker: Waker,
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
    let watched = Watched { segment: Arc::clone(segment), word, seen };
    let entry = Entry { watched, waker: waker.clone() };
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
        let Some((watched, tick)) = wake_changed(&mut patrolled) else { return };
        let sleep: Vec<_> = watched.iter().map(|w| (w.word(), w.seen)).chain([(&TOLD, told)]).collect();
        futex::wait_any(&sleep, now() + tick);
    }
}

/// Wakes whose word has changed, and at a tick all; what to sleep on and for how long, or `None` when nobody waits
/// any more and the thread is to end.
fn wake_changed(patrolled: &mut u64) -> Option<(Vec<Watched>, u64)> {
    let mut reactor = REACTOR.lock();
    let tick = now() >= *patrolled + TICK;
    let crowded = reactor.entries.len() > MOST_WORDS;
    let (woken, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut reactor.entries)
        .into_iter()
        .partition(|entry| tick || entry.watched.word().load(Ordering::Acquire) != entry.watched.seen);
    reactor.entries = rest;
    let sleep = reactor.entries.iter().take(MOST_WORDS).map(|entry| entry.watched.clone()).collect();
    let ended = reactor.entries.is_empty() && woken.is_empty();
    if ended {
        reactor.process = 0;
    }
    drop(reactor);
    if tick {
        *patrolled = now();
        woken.iter().for_each(|entry| entry.watched.segment.patrol());
    }
    for entry in woken {
        entry.waker.wake();
    }
    (!ended).then_some((sleep, if crowded { CROWDED_TICK } else { TICK }))
}
