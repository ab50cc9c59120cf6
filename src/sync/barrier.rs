//! A meeting point for a fixed number of parties.
//!
//! ```text
//!   round r:  arrive (a cell: r, p) … the last one: acting = p ─ its action ─ round = r + 1 (commits) ─ wake all
//!             broken_at = r (commits) ◀── abort, a timeout, a failed action, or a sweep that finds a dead one
//!                                         among the arrivals or acting
//!   reset:    failed(r) if anybody has arrived ─ round = r + 1 (commits) ─ wake all
//! ```
//!
//! Arrivals are cells that name round and participant, so they need not be cleared, and one who dies is
//! known. All changes but the two commits happen under a [lock word](crate::latch) that is held for
//! nanoseconds. `broken_at` names its round: a sweep that comes late breaks nothing.
//!
//! A waiter may be scheduled only after many rounds. If there was no reset since it arrived, its round was met; if there
//! was, `failed` tells for the last rounds, and who is later than that is told that his round broke.

use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::latch::LockWord;
use crate::layout::{Kind, Spec, describe};
use crate::segment::Segment;
use crate::segment::attach::{Attached, Shared};
use crate::segment::handle::{Part, Placed, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::{Label, Peers, WaitWord};

/// A barrier in memory; one word per party follows: the round above 12 bits of label.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct BarrierCell {
    door: LockWord,
    turn: WaitWord,
    parties: AtomicU32,
    /// Who runs the action of this round.
    acting: AtomicU32,
    /// From 1, so that a word of 0 is nobody's arrival.
    round: AtomicU64,
    broken_at: AtomicU64,
    /// Bit r mod 64: round r was reset while somebody waited.
    failed: AtomicU64,
    /// How many resets there were, at least.
    resets: AtomicU64,
    pad: [AtomicU64; 10],
}

describe! { TABLE:
    BarrierCell = 128 { door @ 0, turn @ 4, parties @ 8, acting @ 12, round @ 16, broken_at @ 24, failed @ 32,
        resets @ 40,
    }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for BarrierCell {}

const ARRIVALS: u64 = size_of::<BarrierCell>() as u64;
const LABEL_BITS: u32 = 12;
/// How many rounds `failed` tells of; the bit of the next one is cleared before that begins.
const TOLD_ROUNDS: u64 = 62;

/// A round, and how many resets there had been when somebody came to it.
#[derive(Clone, Copy)]
struct Round {
    number: u64,
    resets: u64,
}

fn arrival(round: u64, me: Label) -> u64 {
    round << LABEL_BITS | u64::from(me)
}

/// A meeting point: each of a fixed number of parties waits until all have come (`multiprocessing.Barrier`).
///
/// It breaks, for all who wait and all who come, when one of those who have come is killed, gives up or aborts
/// it, or when the action fails; until it is [reset](Self::reset).
#[derive(Clone)]
pub struct Barrier {
    cell: Placed<BarrierCell>,
}

impl Barrier {
    /// Creates a barrier for `parties`; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, parties: u32) -> Result<Self> {
        Self::get(segment, name, Verb::Create, Some(parties))
    }

    /// Opens a barrier.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get(segment, name, Verb::Open, None)
    }

    /// Opens a barrier for as many parties, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, parties: u32) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate, Some(parties))
    }

    fn get(segment: &Segment, name: &str, verb: Verb, parties: Option<u32>) -> Result<Self> {
        if parties.is_some_and(|n| n == 0 || n > 1 << 16) {
            fail!(InvalidArgument, "a barrier has 1 to 65536 parties; got {}", parties.unwrap_or_default());
        }
        let count = parties.unwrap_or(1);
        let spec = Spec { kind: Kind::Barrier as u32, count: count.into(), ..Spec::default() };
        let fits = |have: &Spec| {
            if parties.is_some() && have.count != spec.count {
                fail!(WrongSize, "it has {} parties, not {}", have.count, spec.count);
            }
            Ok(())
        };
        let init = |cell: &BarrierCell, _: &Part<'_>| {
            cell.parties.store(count, Relaxed);
            cell.round.store(1, Relaxed);
            Ok(())
        };
        let size = ARRIVALS + u64::from(count) * 8;
        let request = Request { name, verb, role: 1, size, spec: spec.clone() };
        let barrier = Self { cell: Placed::get(segment.attached(), &request, init, fits)? };
        barrier.arrivals()?;
        Ok(barrier)
    }

    fn seg(&self) -> &Attached {
        self.cell.handle().segment()
    }

    fn arrivals(&self) -> Result<&[AtomicU64]> {
        arrivals(&self.cell.handle().part(), &self.cell)
    }

    /// Who opens the door finds a consistent state: what a dead one left is broken by its sweep.
    fn with_door<R>(&self, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let _ = self.seg().hold(&self.cell.door, Deadline::Never)?;
        let result = change();
        self.cell.door.unlock(self.seg().me()?)?;
        result
    }

    /// Waits for the others; this party's number in order of arrival.
    ///
    /// # Errors
    /// `Broken`; `Interrupted` by a signal handler, and then this party has not arrived.
    pub fn wait(&self) -> Result<usize> {
        self.wait_with(Deadline::Never, || true)
    }

    /// [`wait`](Self::wait) for at most `timeout`; then the barrier is broken.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize> {
        self.wait_with(timeout.into(), || true)
    }

    /// Waits for the others until `deadline`; then the barrier is broken. The last party to arrive runs
    /// `action` before any goes on; false breaks the barrier.
    pub fn wait_with(&self, deadline: Deadline, action: impl FnOnce() -> bool) -> Result<usize> {
        let me = self.seg().me()?;
        let arrivals = self.arrivals()?;
        let (round, number) = self.with_door(|| {
            let (number, resets) = (self.cell.round.load(Acquire), self.cell.resets.load(Relaxed));
            let round = Round { number, resets };
            self.check_broken(round.number)?;
            let free = arrivals.iter().position(|word| word.load(Relaxed) >> LABEL_BITS != round.number);
            let Some(number) = free else {
                // All have come and the last one runs its action.
                return Ok((round, arrivals.len()));
            };
            if number + 1 == arrivals.len() {
                self.cell.acting.store(me, Relaxed);
            }
            arrivals[number].store(arrival(round.number, me), Release);
            Ok((round, number))
        })?;
        if number == arrivals.len() {
            self.wait_for_round(round, deadline)?;
            return self.wait_with(deadline, action);
        }
        if number + 1 == arrivals.len() {
            // With nobody asleep here, nobody has looked yet whether those who came before still live.
            let others = arrivals.iter().map(|word| (word.load(Relaxed) & 0xfff) as Label);
            others.filter(|label| *label != me).for_each(|label| self.seg().check(label));
            self.check_broken(round.number)?;
            self.finish(round.number, action)?;
            return Ok(number);
        }
        match self.wait_for_round(round, deadline) {
            Ok(()) => Ok(number),
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                self.withdraw(round, &arrivals[number], number, e)
            }
            Err(e) if e.is_timeout() => {
                self.break_round(round.number);
                // The last party may have come at this very moment.
                self.outcome(round)?.map(|()| number).ok_or(ErrorKind::Broken.into())
            }
            Err(e) => Err(e),
        }
    }

    fn check_broken(&self, round: u64) -> Result<()> {
        if self.cell.broken_at.load(Acquire) == round { Err(ErrorKind::Broken.into()) } else { Ok(()) }
    }

    /// Runs the action of the last party, and lets all go.
    fn finish(&self, round: u64, action: impl FnOnce() -> bool) -> Result<()> {
        /// Breaks the round unless it was finished, also when the action panics.
        struct Unfinished<'a>(&'a Barrier, u64);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                self.0.break_round(self.1);
            }
        }
        let unfinished = Unfinished(self, round);
        if !action() {
            return Err(ErrorKind::Broken.into());
        }
        std::mem::forget(unfinished);
        self.with_door(|| {
            self.check_broken(round)?;
            self.next_round(round);
            Ok(())
        })
    }

    /// Begins the next round, holding the door.
    fn next_round(&self, round: u64) {
        self.cell.acting.store(0, Relaxed);
        self.cell.failed.fetch_and(!(1 << ((round + 1) % 64)), Release);
        self.cell.round.store(round + 1, Release); // commits: pairs with the load in `outcome`
        self.cell.turn.notify(u32::MAX);
    }

    /// Breaks a round, if it is still the present one.
    fn break_round(&self, round: u64) {
        break_round(&self.cell, round);
    }

    /// How a round has ended; `None` if it has not.
    fn outcome(&self, round: Round) -> Result<Option<()>> {
        loop {
            let now = self.cell.round.load(Acquire);
            if now == round.number {
                return self.check_broken(now).map(|()| None);
            }
            let resets = self.cell.resets.load(Acquire);
            let failed = self.cell.failed.load(Acquire) & 1 << (round.number % 64) != 0;
            if self.cell.round.load(Acquire) != now {
                continue; // what was read may be of later rounds
            }
            let told = now.wrapping_sub(round.number) <= TOLD_ROUNDS;
            let met = resets == round.resets || told && !failed;
            return if met { Ok(Some(())) } else { Err(ErrorKind::Broken.into()) };
        }
    }

    fn wait_for_round(&self, round: Round, deadline: Deadline) -> Result<()> {
        let me = self.seg().me()?;
        // The death of any who has arrived would break it.
        let arrived = || {
            let words = self.arrivals().ok()?.iter().map(|word| word.load(Relaxed));
            let labels =
                words.filter(|word| word >> LABEL_BITS == round.number).map(|word| (word & 0xfff) as Label);
            labels.filter(|label| *label != me).min()
        };
        self.cell.turn.wait(self.seg(), deadline, arrived, || self.outcome(round))
    }

    /// Takes an arrival back, unless the round has ended meanwhile.
    fn withdraw(&self, round: Round, word: &AtomicU64, number: usize, e: Error) -> Result<usize> {
        self.with_door(|| match self.outcome(round)? {
            Some(()) => Ok(number),
            // All have come: the last one is about to let them go.
            None if self.cell.acting.load(Relaxed) != 0 => Ok(number),
            None => {
                word.store(0, Release);
                Err(e)
            }
        })
    }

    /// Breaks the barrier for all who wait and all who come, until it is reset.
    pub fn abort(&self) -> Result<()> {
        self.with_door(|| {
            self.break_round(self.cell.round.load(Acquire));
            Ok(())
        })
    }

    /// Begins a new round, whole. Those who wait get `Broken`.
    pub fn reset(&self) -> Result<()> {
        self.with_door(|| {
            let round = self.cell.round.load(Acquire);
            // Released: who reads them of a later round than he looks for sees that round, too.
            self.cell.resets.fetch_add(1, Release);
            self.cell.failed.fetch_or(1 << (round % 64), Release);
            self.next_round(round);
            Ok(())
        })
    }

    /// How many parties it takes.
    pub fn parties(&self) -> usize {
        self.cell.parties.load(Relaxed) as usize
    }

    /// How many wait; 0 when it is broken.
    pub fn n_waiting(&self) -> usize {
        let round = self.cell.round.load(Acquire);
        if self.cell.broken_at.load(Acquire) == round {
            return 0;
        }
        let arrived = |word: &&AtomicU64| word.load(Relaxed) >> LABEL_BITS == round;
        self.arrivals().map_or(0, |words| words.iter().filter(arrived).count())
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.check_broken(self.cell.round.load(Acquire)).is_err()
    }

    /// The barrier's name.
    pub fn name(&self) -> String {
        self.cell.handle().name()
    }
}

fn arrivals<'a>(part: &Part<'a>, cell: &BarrierCell) -> Result<&'a [AtomicU64]> {
    part.words(ARRIVALS, cell.parties.load(Relaxed).into())
}

fn break_round(cell: &BarrierCell, round: u64) {
    cell.broken_at.fetch_max(round, Release);
    cell.turn.notify(u32::MAX);
}

/// Breaks the round in which `dead` has arrived.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    let Ok(cell) = part.at::<BarrierCell>(0) else { return };
    let round = cell.round.load(Acquire);
    let words = arrivals(part, cell).unwrap_or_default();
    if words.iter().any(|word| word.load(Acquire) == arrival(round, dead)) {
        break_round(cell, round);
    }
    // One who died before it had arrived runs no action.
    let _ = cell.acting.cas(dead, 0);
    cell.door.recover(dead);
}
