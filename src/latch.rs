//! The lock word: how one participant at a time holds something, and how its death is noticed.
//!
//! ```text
//!            take: CAS                    give back: swap 0, wake if WAITERS
//!    0 ─────────────────────▶ p ──────────────────────────────────────────▶ 0
//!    │                        │ a waiter: CAS
//!    │                        ▼
//!    │                  p | WAITERS          p dies ── sweep: CAS ──▶ DIED | WAITERS
//!    │                                                                   │ take: CAS
//!    └───────────────────────────────────────── give back: swap 0 ◀── p | DIED (| WAITERS)
//! ```
//!
//! The word names its holder from the instruction at which it is held. A death
//! - before the CAS leaves nothing; while holding leaves a word that names the dead, which the sweep turns
//!   into DIED: free, but whoever takes it next is told. The mark stays until a holder gives the word back in
//!   good order;
//! - between giving back and waking leaves sleepers beside a free word, and they look again at their tick;
//! - of a waiter leaves WAITERS set in vain: one wasted system call.
//!
//! A holder that finds what the word protects beyond repair gives it back POISONED: nobody takes it any more,
//! until somebody clears that.
//!
//! Who was woken takes the word with WAITERS set, because there may be others. The waiter that set WAITERS
//! asks the kernel about the holder every 1 to 20 ms, so that a killed holder costs milliseconds.
//!
//! The three-state futex mutex is Ulrich Drepper's ("Futexes Are Tricky", mutex3).

use crate::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::wait::{Label, Peers, Sleeper, spin};

const WAITERS: u32 = 1 << 31;
const DIED: u32 = 1 << 30;
const POISONED: u32 = 1 << 29;
const HOLDER: u32 = 0xffff;

/// How a lock was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Acquired {
    /// The previous holder gave it back in good order.
    Clean,
    /// The previous holder died while holding it: what it protects may be half changed.
    OwnerDied,
}

/// A lock word in shared memory; see the module.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct LockWord(AtomicU32);

impl LockWord {
    /// Takes the word for `peers.me()`, waiting until `deadline`.
    #[inline]
    pub fn lock(&self, peers: &(impl Peers + ?Sized), deadline: Deadline) -> Result<Acquired> {
        self.lock_as(peers.me()?, peers, deadline)
    }

    /// Takes the word for `me`, who is `peers.me()`.
    #[inline]
    pub fn lock_as(&self, me: Label, peers: &(impl Peers + ?Sized), deadline: Deadline) -> Result<Acquired> {
        if self.0.cas(0, me).is_ok() {
            return Ok(Acquired::Clean);
        }
        self.lock_slow(peers, me, deadline)
    }

    /// Takes the word if it is free, adding `extra` bits to what is stored.
    #[inline]
    fn try_take(&self, me: Label, extra: u32) -> Result<Option<Acquired>> {
        let seen = self.0.load(Relaxed);
        if seen & POISONED != 0 {
            return Err(ErrorKind::Poisoned.into());
        }
        if seen & HOLDER != 0 || self.0.cas(seen, seen | me | extra).is_err() {
            return Ok(None);
        }
        Ok(Some(if seen & DIED == 0 { Acquired::Clean } else { Acquired::OwnerDied }))
    }

    #[cold]
    fn lock_slow(&self, peers: &(impl Peers + ?Sized), me: Label, deadline: Deadline) -> Result<Acquired> {
        if deadline == Deadline::Now {
            return self.try_take(me, 0)?.ok_or(ErrorKind::WouldBlock.into());
        }
        if let Some(acquired) = spin(|| self.try_take(me, 0))? {
            return Ok(acquired);
        }
        let mut sleeper = Sleeper::new(peers, deadline);
        let mut watching = false;
        loop {
            if let Some(acquired) = self.try_take(me, WAITERS)? {
                return Ok(acquired);
            }
            let mut seen = self.0.load(Relaxed);
            if seen & HOLDER == 0 {
                continue;
            }
            if seen & WAITERS == 0 {
                if self.0.cas(seen, seen | WAITERS).is_err() {
                    continue;
                }
                seen |= WAITERS;
                watching = true;
            }
            // A holder in this very process needs no kernel to tell that it lives.
            let suspect = Some(seen & HOLDER).filter(|holder| watching && *holder != me);
            if let Err(e) = sleeper.sleep(&self.0, seen, suspect) {
                if e.kind() != ErrorKind::TimedOut {
                    return Err(e);
                }
                return self.try_take(me, WAITERS)?.ok_or(e);
            }
            let holder = seen & HOLDER;
            if holder != me {
                peers.if_nobody(holder, &mut || {
                    self.recover(holder);
                });
            }
        }
    }

    /// Gives the word back, and with it the mark of an earlier owner's death.
    ///
    /// # Errors
    /// `NotHeld` when nobody holds it, `NotOwner` when another process does.
    #[inline]
    pub fn unlock(&self, me: Label) -> Result<()> {
        self.check_holder(me)?;
        // Only the holder takes its own label away while it lives, so the swap gives back what is ours.
        if self.0.swap(0, Release) & WAITERS != 0 {
            self.wake_one();
        }
        Ok(())
    }

    #[inline]
    fn check_holder(&self, me: Label) -> Result<()> {
        match self.0.load(Relaxed) & HOLDER {
            0 => Err(ErrorKind::NotHeld.into()),
            holder if holder != me => Err(ErrorKind::NotOwner.into()),
            _ => Ok(()),
        }
    }

    #[cold]
    fn wake_one(&self) {
        futex::wake(self.0.raw(), 1);
    }

    /// Who holds the word, 0 if nobody.
    pub fn holder(&self) -> Label {
        self.0.load(Acquire) & HOLDER
    }

    /// Announces a sleep on a word that is held; the word and the value to sleep on.
    pub fn announce(&self) -> (&std::sync::atomic::AtomicU32, u32) {
        let mut seen = self.0.load(Relaxed);
        while seen & HOLDER != 0 && seen & WAITERS == 0 {
            match self.0.cas(seen, seen | WAITERS) {
                Ok(_) => seen |= WAITERS,
                Err(now) => seen = now,
            }
        }
        (self.0.raw(), seen)
    }

    /// Wakes somebody who sleeps beside a free word.
    pub fn nudge(&self) {
        if self.holder() == 0 {
            self.wake_one();
        }
    }

    /// Gives the word back unused: a mark that was found on it stays.
    pub fn give_up(&self, me: Label, acquired: Acquired) -> Result<()> {
        if acquired == Acquired::Clean {
            return self.unlock(me);
        }
        self.recover(me);
        Ok(())
    }

    /// Gives the word back so that nobody can take it any more.
    ///
    /// # Errors
    /// As of [`unlock`](Self::unlock).
    pub fn poison(&self, me: Label) -> Result<()> {
        self.check_holder(me)?;
        if self.0.swap(POISONED, Release) & WAITERS != 0 {
            futex::wake(self.0.raw(), u32::MAX);
        }
        Ok(())
    }

    /// Lets the word be taken again; whether it was poisoned.
    pub fn clear_poison(&self) -> bool {
        self.0.cas(POISONED, 0).is_ok()
    }

    /// Whether the word is poisoned.
    pub fn is_poisoned(&self) -> bool {
        self.0.load(Acquire) & POISONED != 0
    }

    /// Whether a holder died and none has given the word back in good order since.
    pub fn state(&self) -> Acquired {
        if self.0.load(Acquire) & DIED == 0 { Acquired::Clean } else { Acquired::OwnerDied }
    }

    /// Turns a dead holder into "free, owner died". Idempotent; whether `dead` held it.
    pub fn recover(&self, dead: Label) -> bool {
        loop {
            let seen = self.0.load(Relaxed);
            if seen & HOLDER != dead {
                return false;
            }
            if self.0.cas(seen, seen & !HOLDER | DIED).is_ok() {
                futex::wake(self.0.raw(), 1);
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    /// Participant `me` among peers of whom `dead` is recovered when suspected.
    struct Trial<'a> {
        me: Label,
        dead: Label,
        word: &'a LockWord,
        patrolled: AtomicBool,
    }

    impl Peers for Trial<'_> {
        fn me(&self) -> Result<Label> {
            Ok(self.me)
        }
        fn check(&self, suspect: Label) {
            if suspect == self.dead {
                self.word.recover(suspect);
            }
        }
        fn if_nobody(&self, _: Label, _: &mut dyn FnMut()) {}
        fn patrol(&self) {
            self.patrolled.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        fn start_watch(&self) -> bool {
            true
        }
        fn end_watch(&self) {}
    }

    fn trial(word: &LockWord, me: Label, dead: Label) -> Trial<'_> {
        Trial { me, dead, word, patrolled: AtomicBool::new(false) }
    }

    #[test]
    fn a_dead_holder_is_reported_until_somebody_gives_the_word_back() {
        let word = LockWord::default();
        assert_eq!(word.lock(&trial(&word, 1, 0), Deadline::Now).unwrap(), Acquired::Clean);
        assert_eq!(word.lock(&trial(&word, 2, 1), Deadline::Never).unwrap(), Acquired::OwnerDied);
        assert!(word.recover(2));
        assert_eq!(word.lock(&trial(&word, 3, 0), Deadline::Now).unwrap(), Acquired::OwnerDied);
        word.unlock(3).unwrap();
        assert_eq!(word.lock(&trial(&word, 3, 0), Deadline::Now).unwrap(), Acquired::Clean);
    }

    #[test]
    fn only_the_holder_unlocks() {
        let word = LockWord::default();
        assert_eq!(word.unlock(1).unwrap_err().kind(), ErrorKind::NotHeld);
        let _ = word.lock(&trial(&word, 1, 0), Deadline::Now).unwrap();
        assert_eq!(word.unlock(2).unwrap_err().kind(), ErrorKind::NotOwner);
        let peers = trial(&word, 2, 0);
        assert_eq!(word.lock(&peers, Deadline::Now).unwrap_err().kind(), ErrorKind::WouldBlock);
        let soon = Deadline::after(Duration::from_millis(5));
        assert_eq!(word.lock(&peers, soon).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(!word.recover(2));
        word.unlock(1).unwrap();
    }

    #[test]
    fn it_excludes_and_loses_no_wake() {
        let word = LockWord::default();
        let count = std::cell::Cell::new(0u64);
        struct Shared<'a>(&'a LockWord, &'a std::cell::Cell<u64>);
        // SAFETY: the cell is only touched while the word is held.
        unsafe impl Sync for Shared<'_> {}
        let shared = Shared(&word, &count);
        let shared = &shared;
        std::thread::scope(|s| {
            for me in 1..=4 {
                s.spawn(move || {
                    for _ in 0..20_000 {
                        let _ = shared.0.lock(&trial(shared.0, me, 0), Deadline::Never).unwrap();
                        shared.1.set(shared.1.get() + 1);
                        shared.0.unlock(me).unwrap();
                    }
                });
            }
        });
        assert_eq!(count.get(), 80_000);
    }
}
