//! Runs: groups of cells that are claimed as one, for items that are put and got in batches.
//!
//! A group is eight cells whose tickets follow one another, from a multiple of eight on. The items of a run lie side by
//! side behind the ring's cells, so that all of them cost one claim and a few lines of memory.
//!
//! ```text
//!               put_run: CAS                store              take_run: CAS                store
//!   FREE RUN(t) ───────────▶ WRITING RUN(t, p) ──▶ FULL RUN(t) ───────────▶ READING RUN(t, c) ──▶ FREE RUN(t + n)
//!     │  ▲                     │ sweep               │   ▲                       │ sweep
//!     │  └ as from FREE(t), if └─▶ FREE RUN(t + n)   │   └───────────────────────┘
//!     │    the others are free                       │
//!     │ split: CAS                                   │ split: CAS
//!     ▼                                              ▼
//!   FREE(t + i) in each cell                       FULL PACKED(t + i) in each cell
//!                                                    │   ▲
//!                                               CAS ▼   │ sweep
//!                                                  READING PACKED(t + i, c) ──store──▶ READING or HELD(t + i, c)
//! ```
//!
//! - **The first cell's word** says whether the group is a run. While it does, the words of the other cells mean nothing
//!   and lag behind; when it does not, each cell's own word is the truth, as in [the ring](super).
//! - **A run is claimed** from FREE RUN(t), or from FREE(t) when the other cells were seen free, too. Nobody can claim one
//!   of those in between: putters go past a ticket only when it is claimed.
//! - **Who wants one item or place of a run splits it**: the words of the other cells first, then that of the first cell.
//!   Several may do so at once, and any of them may be killed or stopped. Words go forward only, so a CAS that comes late
//!   fails, or it changes what means nothing because the group has become a run again.
//! - **Items of a run that was split** stay where they lie. Who takes one moves it to its own cell. Their places are
//!   written again by the next run of the group, which needs all its cells to be free.
//! - Runs are made only where those who get take them as such (`batches`, a hint): splitting costs more than it saves.

use super::state::{FREE, FULL, PACKED, READING, RUN, State, WRITING};
use super::{Cell, Claim, Ring, RingHead, copy_short};
use crate::atomic::{Acquire, Relaxed, Release, SeqCst, payload, prefetch, step};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// How many cells make a group.
pub const GROUP: u64 = if cfg!(loom) { 2 } else { 8 };
/// The longest items that go by runs: the places for them are memory that single items do not use.
pub(super) const LONGEST: u64 = 16;

/// What came of putting a run.
pub enum RunPut {
    /// The items were put.
    Done,
    /// There is no room for any of them.
    Full,
    /// They have to be put one by one.
    Singly,
}

/// The first ticket of the group that `ticket` is in.
#[inline]
pub(super) fn first(ticket: u64) -> u64 {
    ticket & !(GROUP - 1)
}

/// The ticket after what `seen` tells of the cell at `ticket`: that of the next cell, or of the next group.
#[inline]
pub(super) fn past(ticket: u64, seen: State) -> u64 {
    if seen.is_run() { first(ticket).wrapping_add(GROUP) } else { ticket.wrapping_add(1) }
}

impl Ring<'_> {
    /// The length of the items that go by runs; 0 where none do.
    #[inline]
    pub fn run_item(&self) -> usize {
        self.shape.run
    }

    /// What a cell's own word says.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    pub(super) fn word(&self, ticket: u64) -> State {
        State(self.cell(ticket).state.load(Acquire)) // pairs with commit and release
    }

    /// What the cell at `ticket` is at: what its own word says, or that of the run which it is part of.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    pub(super) fn state(&self, ticket: u64) -> State {
        if self.shape.run == 0 { self.word(ticket) } else { self.state_in_group(ticket) }
    }

    #[cfg_attr(loom, track_caller)]
    fn state_in_group(&self, ticket: u64) -> State {
        let first = first(ticket);
        let mut group = self.word(first);
        if first == ticket {
            return group;
        }
        loop {
            if group.is_run() {
                return group.of_run(ticket.wrapping_sub(first));
            }
            let seen = self.word(ticket);
            // Unchanged: the cell's word was the truth when it was read.
            let now = self.word(first);
            if now == group {
                return seen;
            }
            group = now;
        }
    }

    /// Where the run's item of `ticket` lies.
    #[inline]
    fn packed(&self, ticket: u64) -> *mut u8 {
        let index = ticket & (self.shape.cells - 1);
        let packs = self.at + size_of::<RingHead>() as u64 + self.shape.cells * self.shape.cell_size;
        let at = packs + index / GROUP * self.shape.pack_size + index % GROUP * self.shape.run as u64;
        // SAFETY: `Shape` was checked to lie in the part, packs and all.
        unsafe { self.part.base.as_ptr().add(at as usize) }
    }

    /// Tells models that the items of a run are written or read.
    #[inline]
    fn touch(&self, ticket: u64, written: bool) {
        if cfg!(loom) {
            (0..GROUP).for_each(|i| payload(self.packed(ticket.wrapping_add(i)), written));
        }
    }

    /// Asks for the lines of the group that begins at `ticket`.
    #[inline]
    fn ask_for(&self, ticket: u64) {
        prefetch(self.cell(ticket));
        // SAFETY: as in `packed`, which is where it points.
        prefetch(unsafe { &*self.packed(ticket) });
    }

    /// Asks for what the next `groups` runs will be put into: all at once they take as long as one.
    pub fn ask_for_room(&self, groups: usize) {
        let tail = self.head().tail.load(Acquire);
        (0..groups as u64).for_each(|i| self.ask_for(tail.wrapping_add(i * GROUP)));
    }

    /// Asks for the next `groups` runs, if they are there.
    pub fn ask_for_runs(&self, groups: usize) {
        let head = self.head().head.load(Acquire);
        for ticket in (0..groups as u64).map(|i| head.wrapping_add(i * GROUP)) {
            if self.word(ticket) == State::full(ticket, 0, FULL | RUN) {
                self.ask_for(ticket);
            }
        }
    }

    /// Puts a group's items, each of [that length](Self::run_item), as a run. Wakes nobody.
    #[inline(always)]
    pub fn put_run<'b>(&self, me: Label, item: impl Fn(usize) -> &'b [u8]) -> RunPut {
        let head = self.head();
        let mut ticket = head.tail.load(Acquire);
        if head.batches.load(Relaxed) == 0 || first(ticket) != ticket || self.is_closed() {
            return RunPut::Singly;
        }
        loop {
            let seen = self.word(ticket);
            if seen == State::new(ticket, 0, FREE | RUN) || self.is_free_group(ticket, seen) {
                if self.cas(ticket, seen, State::new(ticket, me, WRITING | RUN)) {
                    break;
                }
            } else if seen.is_run() && seen.ahead_of(ticket) == 0 {
                ticket = past(ticket, seen);
            } else {
                return if self.is_behind(ticket, seen) { RunPut::Full } else { RunPut::Singly };
            }
        }
        let cell = self.cell(ticket);
        Self::raise(&head.tail, ticket.wrapping_add(GROUP));
        // As for single items: who closes sees the claim, or the end is seen here.
        if head.closed.load(SeqCst) != 0 {
            self.free_run(ticket);
            self.wake_putters(GROUP as u32);
            return RunPut::Singly;
        }
        step();
        self.touch(ticket, true);
        for i in 0..GROUP {
            let item = item(i as usize);
            debug_assert_eq!(item.len(), self.shape.run);
            // SAFETY: there is room for `run` bytes, which the item has, and nobody else touches the items of a run in
            // WRITING.
            unsafe { copy_short(item.as_ptr(), self.packed(ticket.wrapping_add(i)), self.shape.run) };
        }
        cell.deliveries.store(0, Relaxed);
        cell.state.store(State::full(ticket, 0, FULL | RUN).0, Release); // pairs with the load in `take_run`
        RunPut::Done
    }

    /// Whether the first cell of a group, which is as `seen`, and all its others are free, one by one.
    #[inline]
    fn is_free_group(&self, ticket: u64, seen: State) -> bool {
        seen == State::new(ticket, 0, FREE)
            && (1..GROUP).map(|i| ticket.wrapping_add(i)).all(|t| self.word(t) == State::new(t, 0, FREE))
    }

    /// Whether a cell is still in use for the lap before, and putters have to wait for it.
    pub(super) fn is_behind(&self, ticket: u64, seen: State) -> bool {
        seen.ahead_of(ticket) == -(self.shape.cells as i64)
            && matches!(seen.state(), WRITING | FULL | READING)
            && !self.steps_aside(ticket, seen)
    }

    /// Waits until there may be room for a run.
    pub fn await_room(&self, me: Label, deadline: Deadline) -> Result<()> {
        let ready = || {
            if self.is_closed() {
                return Err(ErrorKind::Closed.into());
            }
            let ticket = self.head().tail.load(Acquire);
            Ok((!self.is_behind(ticket, self.state(ticket))).then_some(()))
        };
        self.wait_for_room(me, deadline, ready)
    }

    /// Takes the items at the head, if they are a run.
    #[inline(always)]
    pub fn take_run(&self, me: Label, epoch: &std::sync::atomic::AtomicU64) -> Option<Claim> {
        let head = self.head();
        if self.shape.run == 0
            || head.reopened.load(Acquire) != epoch.load(std::sync::atomic::Ordering::Relaxed)
        {
            return None;
        }
        let ticket = head.head.load(Acquire);
        let seen = self.word(ticket);
        if first(ticket) != ticket
            || seen != State::full(ticket, seen.deliveries(), FULL | RUN)
            || !self.claim_run(ticket, seen, me)
        {
            return None;
        }
        Some(self.run_taken(ticket))
    }

    /// Takes a run that is FULL as `seen`, when all before it was taken; false where somebody was faster.
    #[inline]
    pub(super) fn claim_run(&self, ticket: u64, seen: State, me: Label) -> bool {
        if !self.cas(ticket, seen, State::new(ticket, me, READING | RUN)) {
            return false;
        }
        Self::raise(&self.head().head, ticket.wrapping_add(GROUP));
        self.cell(ticket).deliveries.store(seen.deliveries().saturating_add(1), Relaxed);
        true
    }

    /// Describes a run that was claimed.
    #[inline]
    pub(super) fn run_taken(&self, ticket: u64) -> Claim {
        self.touch(ticket, false);
        Claim { count: GROUP as u16, ..Claim::new(ticket, self.packed(ticket), self.shape.run, 0) }
    }

    /// Gives a run back; wakes nobody.
    #[inline]
    pub(super) fn free_run(&self, ticket: u64) {
        let next = State::new(ticket.wrapping_add(self.shape.cells), 0, FREE | RUN);
        self.cell(ticket).state.store(next.0, Release); // pairs with the load in `put_run`
    }

    /// Says whether those who get would rather have runs.
    #[inline]
    pub fn prefer_runs(&self, yes: bool) {
        let hint = &self.head().batches;
        if hint.load(Relaxed) != u32::from(yes) {
            hint.store(yes.into(), Relaxed);
        }
    }

    /// Makes single cells of the run that `ticket` is in; nothing where it is at work, or no run any more.
    pub(super) fn split(&self, ticket: u64) -> Result<()> {
        let first = first(ticket);
        let run = self.word(first);
        let to = match run.state() {
            _ if !run.is_run() || self.shape.run == 0 => {
                // Only the first cell's word can say that there is a run.
                return if self.word(ticket).is_run() { Err(self.corrupted()) } else { Ok(()) };
            }
            FREE => FREE,
            FULL => FULL | PACKED,
            _ => return Ok(()),
        };
        let ticket = run.ticket(first);
        let single = |i: u64| State::full(ticket.wrapping_add(i), run.deliveries(), to);
        for i in 1..GROUP {
            let cell = self.cell(first.wrapping_add(i));
            loop {
                let seen = State(cell.state.load(Acquire));
                let ahead = seen.ahead_of(ticket.wrapping_add(i));
                if !(ahead < 0 || ahead == 0 && seen.state() == FREE && to != FREE) {
                    break;
                }
                if self.word(first) != run {
                    return Ok(());
                }
                let _ = cell.state.cas(seen.0, single(i).0);
            }
        }
        let _ = self.cell(first).state.cas(run.0, single(0).0);
        if to != FREE {
            self.prefer_runs(false);
        }
        Ok(())
    }

    /// Takes the item of a run that was split, which is FULL PACKED as `seen`, as `taken`, and moves it to its own cell;
    /// false where somebody was faster.
    pub(super) fn unpack(&self, ticket: u64, seen: State, me: Label, taken: u64) -> Result<bool> {
        if self.shape.run == 0 {
            return Err(self.corrupted());
        }
        if !self.cas(ticket, seen, State::new(ticket, me, READING | PACKED)) {
            return Ok(false);
        }
        let (from, to) = (self.packed(ticket), self.payload(ticket));
        payload(from, false);
        payload(to, true);
        step();
        // SAFETY: the item has `run` bytes, for which a cell has room, and both places are the claimant's alone.
        unsafe { copy_short(from, to, self.shape.run) };
        let cell: &Cell = self.cell(ticket);
        cell.describe(ticket, self.shape.run, 0);
        cell.deliveries.store(seen.deliveries(), Relaxed);
        cell.state.store(State::new(ticket, me, taken).0, Release); // for who sweeps after us
        Ok(true)
    }
}
