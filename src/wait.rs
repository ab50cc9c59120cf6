//! The one way to wait.
//!
//! A [`WaitWord`] is a futex word beside the state that somebody waits for: a sequence number, and a flag
//! that is set before anybody sleeps. Who changes the state calls [`notify`](WaitWord::notify); who needs a
//! change calls [`wait`](WaitWord::wait) with a closure that tries again.
//!
//! ```text
//!   waiter:   set FLAG ── fence ── try ── sleep while the word is as seen ──┐
//!                ▲───────────────────── woken, tick, changed ───────────────┘
//!   notifier: change the state ── fence ── FLAG? ── bump the sequence, wake n; fewer there: clear FLAG, wake all
//! ```
//!
//! The two fences order "change, then look for sleepers" against "announce, then look at the state": one of
//! the two sees the other. The flag is a hint that errs to its safe side: a waiter who dies leaves it set,
//! which costs the next notifier one system call. A wake that was spent on a waiter who then died is healed
//! by the tick: no sleep lasts longer than one, and after each the state is looked at again.
//!
//! At each tick a waiter does its part for the segment. One that knows whom it waits for (the holder of a
//! lock, the writer of a cell) asks the kernel about exactly that participant, after 1 ms, then up to every
//! 20 ms. Of the others, one is the segment's watch: it looks after everybody every 100 ms, and the rest
//! every 2 s (the watch may be a stopped process).

use crate::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst, fence};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Sleep};
use crate::sys::process::many_processors;

/// The number of a participant's seat in a segment, from 1; it stands in every word that the participant
/// owns. 0 is nobody.
pub type Label = u32;

/// The participants of a segment, as far as waiting needs them.
pub trait Peers {
    /// The caller's own label; an error when this process has none.
    fn me(&self) -> Result<Label>;
    /// Asks the kernel about `suspect`, and clears up after it if it is dead.
    fn check(&self, suspect: Label);
    /// Calls `f` if there is no participant `label`, and sees to it that there is none meanwhile. Only damaged
    /// memory names one.
    fn if_nobody(&self, label: Label, f: &mut dyn FnMut());
    /// Looks after all participants.
    fn patrol(&self);
    /// Becomes the segment's watch, if it has none.
    fn start_watch(&self) -> bool;
    /// Ceases to be the watch.
    fn end_watch(&self);
}

const MS: u64 = 1_000_000;
const FIRST_TICK: u64 = MS;
const SUSPECT_TICK: u64 = 20 * MS;
const WATCH_TICK: u64 = 100 * MS;
const IDLE_TICK: u64 = 2_000 * MS;
/// About as long as a round trip through a sleeping process would take.
const SPINS: u32 = 200;

/// Tries `ready` for a short while before a sleep is worth its price.
///
/// Only where another processor can make it come true meanwhile.
#[inline]
pub fn spin<R>(mut ready: impl FnMut() -> Result<Option<R>>) -> Result<Option<R>> {
    if many_processors() {
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if let Some(r) = ready()? {
                return Ok(Some(r));
            }
        }
    }
    Ok(None)
}

/// Sleeps on a word tick by tick, doing the sleeper's part for the segment after each.
///
/// `sleep_on` announces the sleep and returns the word's value to sleep on, or `None` when there is no
/// reason to sleep any more; `suspect` says whom the caller waits for, if it is somebody.
pub struct Sleeper<'a, P: Peers + ?Sized> {
    peers: &'a P,
    deadline: Deadline,
    tick: u64,
    watch: bool,
}

impl<'a, P: Peers + ?Sized> Sleeper<'a, P> {
    /// A sleeper that gives up at `deadline`.
    pub fn new(peers: &'a P, deadline: Deadline) -> Self {
        Self { peers, deadline, tick: FIRST_TICK, watch: false }
    }

    /// Sleeps once while `word` holds `seen`. `Ok` means: look again.
    pub fn sleep(&mut self, word: &AtomicU32, seen: u32, suspect: Option<Label>) -> Result<()> {
        match self.deadline {
            Deadline::Now => return Err(ErrorKind::WouldBlock.into()),
            deadline if deadline.passed() => return Err(ErrorKind::TimedOut.into()),
            _ => {}
        }
        if suspect.is_some() {
            self.end_watch(); // asking about one, it would not look after the others
        }
        let tick = match suspect {
            Some(_) => self.tick,
            None if self.watch || self.peers.start_watch() => {
                self.watch = true;
                WATCH_TICK
            }
            None => IDLE_TICK,
        };
        match futex::wait(word.raw(), seen, self.deadline.earlier(tick)) {
            Sleep::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Sleep::Woken => {}
            Sleep::TimedOut => match suspect {
                Some(label) => {
                    self.tick = (self.tick * 2).min(SUSPECT_TICK);
                    self.peers.check(label);
                }
                None => self.peers.patrol(),
            },
        }
        Ok(())
    }
}

impl<P: Peers + ?Sized> Sleeper<'_, P> {
    fn end_watch(&mut self) {
        if std::mem::take(&mut self.watch) {
            self.peers.end_watch();
        }
    }
}

impl<P: Peers + ?Sized> Drop for Sleeper<'_, P> {
    fn drop(&mut self) {
        self.end_watch();
    }
}

/// A word that participants sleep on; see the module.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct WaitWord(AtomicU32);

const FLAG: u32 = 1;
const ONE: u32 = 2;

impl WaitWord {
    /// Waits until `ready` returns something. `suspect` names the participant who stands in the way, if any.
    ///
    /// # Errors
    /// `WouldBlock`, `TimedOut`, `Interrupted`, and whatever `ready` fails with.
    pub fn wait<R>(
        &self,
        peers: &(impl Peers + ?Sized),
        deadline: Deadline,
        suspect: impl Fn() -> Option<Label>,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<R> {
        if deadline == Deadline::Now {
            return ready()?.ok_or(ErrorKind::WouldBlock.into());
        }
        if let Some(r) = spin(&mut ready)? {
            return Ok(r);
        }
        self.sleep_until(peers, deadline, suspect, ready)
    }

    /// [`wait`](Self::wait) without the spinning, for a `ready` that is worth a system call itself.
    pub fn sleep_until<R>(
        &self,
        peers: &(impl Peers + ?Sized),
        deadline: Deadline,
        suspect: impl Fn() -> Option<Label>,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<R> {
        if deadline == Deadline::Now {
            return ready()?.ok_or(ErrorKind::WouldBlock.into());
        }
        let mut sleeper = Sleeper::new(peers, deadline);
        loop {
            let (_, seen) = self.announce();
            fence(SeqCst); // pairs with the fence in `notify`
            if let Some(r) = ready()? {
                return Ok(r);
            }
            if let Err(e) = sleeper.sleep(&self.0, seen, suspect()) {
                // A wake may have come together with the end of the wait, and it was for this waiter.
                return if e.kind() == ErrorKind::TimedOut { ready()?.ok_or(e) } else { Err(e) };
            }
        }
    }

    /// Announces a sleep; the word and the value to sleep on. The caller fences, and looks, before he sleeps.
    pub fn announce(&self) -> (&std::sync::atomic::AtomicU32, u32) {
        (self.0.raw(), self.0.fetch_or(FLAG, Relaxed) | FLAG)
    }

    /// Wakes up to `n` of those who wait; call it after the change that they wait for.
    #[inline]
    pub fn notify(&self, n: u32) {
        fence(SeqCst); // pairs with the fence in `wait`
        if self.0.load(Relaxed) & FLAG != 0 {
            self.wake(n);
        }
    }

    #[cold]
    fn wake(&self, n: u32) {
        let now = self.0.fetch_add(ONE, Relaxed).wrapping_add(ONE);
        // Nobody else sleeps, or did a moment ago: whoever has fallen asleep since, under a flag that was set
        // before, is woken to announce himself anew; whoever falls asleep from now on finds another word.
        if futex::wake(self.0.raw(), n) < n && self.0.cas(now, now & !FLAG).is_ok() {
            futex::wake(self.0.raw(), u32::MAX);
        }
    }
}
