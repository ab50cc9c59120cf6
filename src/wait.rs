//! The one way to wait.
//!
//! A [`WaitWord`] is a futex word beside the state that somebody waits for: a sequence number, and a flag
//! that is set before anybody sleeps. Who changes the state calls [`notify`](WaitWord::notify); who needs a
//! change calls [`wait`](WaitWord::wait) with a closure that tries again.
//!
//! ```text
//!   waiter:   set FLAG ── heavy fence ── try ── sleep while the word is as seen ──┐
//!                ▲──────────────────── woken, tick, changed ──────────────────────┘
//!   notifier: change the state ── light fence ── FLAG? ── bump the sequence, wake n; fewer there: clear FLAG, wake all
//! ```
//!
//! The two fences order "change, then look for sleepers" against "announce, then look at the state": one of
//! the two sees the other. Notifying is on every fast path, so its fence is the light one, and who falls asleep has
//! the kernel fence all participants (membarrier). The flag is a hint that errs to its safe side: a waiter who dies
//! leaves it set, which costs the next notifier one system call. A wake that was spent on a waiter who then died is
//! healed by the tick: no sleep lasts longer than one, and after each the state is looked at again.
//!
//! Before it sleeps a waiter spins, for as long as that has paid in its thread: each spin that succeeds makes the next
//! ones longer, up to about what a sleep costs, each that does not halves them, and a short sleep doubles them, for it
//! could have been a spin. Who is woken from its own processor would spin in vain, and gives the processor away a few
//! times instead, unless a stranger takes it then for long. So who waits for slow ones soon sleeps at once. (The sequence
//! number holds the waker's processor.)
//!
//! At each tick a waiter does its part for the segment. One that knows whom it waits for (the holder of a
//! lock, the writer of a cell) asks the kernel about exactly that participant, after 1 ms, then up to every
//! 20 ms. Of the others, one is the segment's watch: it looks after everybody every 80 ms, and the rest
//! every 2 s (the watch may be a stopped process).

use std::cell::Cell;

use crate::atomic::{AtomicU32, Ordering::Relaxed, heavy_fence, light_fence};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::{Deadline, now};
use crate::sys::futex::{self, Sleep};
use crate::sys::process::{self, many_processors};

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
const WATCH_TICK: u64 = 80 * MS;
const IDLE_TICK: u64 = 2_000 * MS;
/// The tick of who cannot fence the others, so that they may fail to see him.
const UNSEEN_TICK: u64 = 20 * MS;
/// The longest spin, in pauses: longer than waking a process on another processor takes, so that two who both sleep
/// find out that they need not.
const MOST_PAUSES: u32 = 2048;
/// The shortest: enough to notice that spinning begins to pay.
const FEWEST_PAUSES: u32 = 16;
/// How often the processor is given away, where it is shared with those who are waited for.
const MOST_YIELDS: u32 = 4;
/// A sleep no longer than this would have been a spin.
const SHORT_SLEEP: u64 = 64_000;
/// How many waits go by without giving the processor away, when a stranger has taken it for longer than that: he keeps it
/// for milliseconds, where who is woken from a sleep gets it at once.
const SHUNNED: u32 = 1024;

/// What is there at the first look so often in a row was under way already, and more will come: it is no answer to what this
/// thread did. One from a processor close by is there at the first look now and then.
const STREAM_WAITS: u32 = 2;
/// The first pauses of who waits for a stream: some of it shall come together, and not each item be waited for.
const STREAM_STEP: u32 = 8;
/// How many waits go by before another habit is tried for once.
const DOUBTS: u32 = 32;

/// How a thread waits before it sleeps.
#[derive(Clone, Copy)]
struct Habit {
    /// How long a spin lasts, in pauses.
    pauses: u32,
    /// How often the processor is given away after that.
    yields: u32,
    /// How many waits are still taken to be for a stream.
    stream: u32,
    /// How many waits in a row ended after one pause.
    soon: u32,
    /// How many waits go by without a spin before one is tried.
    doubts: u32,
    /// How many waits go by before the processor is given away again.
    shunned: u32,
}

thread_local! {
    static HABIT: Cell<Habit> = Cell::new(if many_processors() { Habit::SPINS } else { Habit::YIELDS });
}

impl Habit {
    const SPINS: Self =
        Self { pauses: MOST_PAUSES, yields: 0, stream: 0, soon: 0, doubts: DOUBTS, shunned: 0 };
    const YIELDS: Self = Self { pauses: 0, yields: MOST_YIELDS, ..Self::SPINS };

    fn before(&mut self) {
        if self.pauses == 0 {
            self.doubts = self.doubts.checked_sub(1).unwrap_or(DOUBTS);
            if self.doubts == 0 {
                self.pauses = FEWEST_PAUSES;
            }
        }
    }

    /// Gives the processor away a few times, for as long as it comes back soon.
    fn give_way<R>(&mut self, ready: &mut impl FnMut() -> Result<Option<R>>) -> Result<Option<R>> {
        if self.shunned > 0 {
            self.shunned -= 1;
            return Ok(None);
        }
        for _ in 0..self.yields {
            let given = now();
            process::give_way();
            if now() - given > SHORT_SLEEP {
                self.shunned = SHUNNED;
            }
            let found = ready()?;
            if found.is_some() || self.shunned > 0 {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn spin<R>(&mut self, ready: &mut impl FnMut() -> Result<Option<R>>) -> Result<Option<R>> {
        let streaming = self.stream > 0;
        self.stream = self.stream.saturating_sub(1);
        let (mut paused, mut step) = (0, if streaming { STREAM_STEP } else { 1 });
        while paused < self.pauses {
            (0..step).for_each(|_| std::hint::spin_loop());
            paused += step;
            if let Some(r) = ready()? {
                self.pauses = (self.pauses + self.pauses / 8 + 1).min(MOST_PAUSES);
                self.soon = if paused == 1 { self.soon + 1 } else { 0 };
                if self.soon == STREAM_WAITS {
                    self.stream = DOUBTS;
                }
                return Ok(Some(r));
            }
            if paused >= FEWEST_PAUSES {
                step = (step * 2).min(16); // leave the line to who is to write it
            }
        }
        self.pauses /= 2;
        self.soon = 0;
        Ok(None)
    }
}

/// Tries `ready` for as long as has paid, before a sleep is worth its price; see the module.
#[inline(never)]
pub fn spin<R>(mut ready: impl FnMut() -> Result<Option<R>>) -> Result<Option<R>> {
    if cfg!(loom) {
        return Ok(None); // a model has no time
    }
    let mut habit = HABIT.get();
    habit.before();
    let mut found = habit.spin(&mut ready)?;
    if found.is_none() {
        found = habit.give_way(&mut ready)?;
    }
    HABIT.set(habit);
    Ok(found)
}

/// Learns from a sleep of `slept` nanoseconds that somebody ended who runs on this processor, or on another.
fn learn(slept: u64, same_processor: bool) {
    if slept > SHORT_SLEEP {
        return;
    }
    let Habit { pauses, shunned, .. } = HABIT.get();
    let pauses = pauses.max(FEWEST_PAUSES);
    HABIT.set(match same_processor {
        true => Habit { shunned, ..Habit::YIELDS },
        false => Habit { pauses: (pauses * 2).min(MOST_PAUSES), shunned, ..Habit::SPINS },
    });
}

/// Sleeps on a word tick by tick, doing the sleeper's part for the segment after each.
///
/// `sleep_on` announces the sleep and returns the word's value to sleep on, or `None` when there is no
/// reason to sleep any more; `suspect` says whom the caller waits for, if it is somebody.
pub struct Sleeper<'a, P: Peers + ?Sized> {
    peers: &'a P,
    deadline: Deadline,
    tick: u64,
    /// Whether it has looked after the dead.
    looked: bool,
    watch: bool,
    /// Whether the last announcement has reached everybody.
    seen: bool,
}

impl<'a, P: Peers + ?Sized> Sleeper<'a, P> {
    /// A sleeper that gives up at `deadline`.
    pub fn new(peers: &'a P, deadline: Deadline) -> Self {
        Self { peers, deadline, tick: FIRST_TICK, looked: false, watch: false, seen: true }
    }

    /// Sleeps once while `word` holds `seen`. `Ok` means: look again.
    pub fn sleep(&mut self, word: &AtomicU32, seen: u32, suspect: Option<Label>) -> Result<()> {
        match self.deadline {
            Deadline::Now => return Err(ErrorKind::WouldBlock.into()),
            deadline if deadline.passed() => {
                // Who waits in slices, and on a busy processor never gets to sleep in one, must look all the same.
                if !self.looked {
                    self.look(suspect);
                }
                return Err(ErrorKind::TimedOut.into());
            }
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
        let tick = if self.seen { tick } else { tick.min(UNSEEN_TICK) };
        match futex::wait(word.raw(), seen, self.deadline.earlier(tick)) {
            Sleep::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Sleep::Woken => {}
            Sleep::TimedOut => self.look(suspect),
        }
        Ok(())
    }

    /// Looks after whom the caller waits for, or after everybody.
    fn look(&mut self, suspect: Option<Label>) {
        self.looked = true;
        match suspect {
            Some(label) => {
                self.tick = (self.tick * 2).min(SUSPECT_TICK);
                self.peers.check(label);
            }
            None => self.peers.patrol(),
        }
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

/// The processor that this thread runs on, as in a wait word.
fn here() -> u32 {
    process::processor() << 1 & PROCESSOR
}

const FLAG: u32 = 1;
/// The processor of who woke last.
const PROCESSOR: u32 = 0x3ff << 1;
/// One step of the sequence number, in the bits that are left.
const ONE: u32 = 1 << 11;

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
            sleeper.seen = heavy_fence(); // pairs with the fence in `notify`
            if let Some(r) = ready()? {
                return Ok(r);
            }
            let asleep = now();
            let slept = sleeper.sleep(&self.0, seen, suspect());
            let woken = self.0.load(Relaxed);
            if (woken ^ seen) & !FLAG != 0 {
                learn(now() - asleep, woken & PROCESSOR == here());
            }
            if let Err(e) = slept {
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
        light_fence(); // pairs with the fence in `sleep_until`
        if self.0.load(Relaxed) & FLAG != 0 {
            self.wake(n);
        }
    }

    #[cold]
    fn wake(&self, n: u32) {
        let mut seen = self.0.load(Relaxed);
        let now = loop {
            let next = seen.wrapping_add(ONE) & !PROCESSOR | here();
            match self.0.cas(seen, next) {
                Ok(_) => break next,
                Err(other) => seen = other,
            }
        };
        // Nobody else sleeps, or did a moment ago: whoever has fallen asleep since, under a flag that was set
        // before, is woken to announce himself anew; whoever falls asleep from now on finds another word.
        if futex::wake(self.0.raw(), n) < n && self.0.cas(now, now & !FLAG).is_ok() {
            futex::wake(self.0.raw(), u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Whether somebody dead was found.
    struct Others(Cell<bool>);

    impl Peers for Others {
        fn me(&self) -> Result<Label> {
            Ok(1)
        }
        fn check(&self, suspect: Label) {
            self.0.set(suspect == 7);
        }
        fn if_nobody(&self, _: Label, _: &mut dyn FnMut()) {}
        fn patrol(&self) {
            self.0.set(true);
        }
        fn start_watch(&self) -> bool {
            false
        }
        fn end_watch(&self) {}
    }

    #[test]
    fn who_comes_too_late_to_sleep_looks_after_the_dead() {
        for suspect in [Some(7), None] {
            let others = Others(Cell::new(false));
            let ready = || Ok(others.0.get().then_some(()));
            let past = Deadline::At(now() - 1);
            WaitWord::default().sleep_until(&others, past, || suspect, ready).unwrap();
        }
    }
}
