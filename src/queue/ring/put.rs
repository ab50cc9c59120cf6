//! Putting: claim a cell, write, commit.

use super::state::{FREE, FULL, HELD, State, WRITING};
use super::{Claim, Ring, SPILLED, copy_short, run};
use crate::atomic::{Acquire, Relaxed, Release, SeqCst, prefetch};
use crate::error::{ErrorKind, Result, fail};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// How many cells ahead who goes straight asks for: it takes about as long to arrive.
pub(super) const AHEAD: u64 = 4;

impl Ring<'_> {
    /// Takes the next free cell; `None` when the ring is full.
    fn claim_free(&self, me: Label) -> Result<Option<u64>> {
        let n = self.shape.cells as i64;
        let head = self.head();
        let mut t = head.tail.load(Acquire);
        loop {
            let seen = self.state(t);
            match seen.ahead_of(t) {
                0 if seen.state() == FREE && seen.is_run() => self.split(t)?,
                0 if seen.state() == FREE => {
                    if !self.has_room(t) {
                        return Ok(None);
                    }
                    if self.cas(t, seen, State::new(t, me, WRITING)) {
                        Self::raise(&head.tail, t.wrapping_add(1));
                        return Ok(Some(t));
                    }
                }
                // A cell that is laps ahead tells that all tickets up to a lap below it were claimed.
                ahead if ahead >= n => t = t.wrapping_add((ahead - n) as u64 + 1),
                ahead if ahead >= 0 => t = run::past(t, seen),
                ahead if ahead == -n && self.steps_aside(t, seen) => {
                    if !self.free_follows(t) {
                        return Ok(None);
                    }
                    // Whether this or another putter moves it on, the next look tells.
                    self.cas(t, seen, seen.moved_to(t));
                }
                _ if self.is_behind(t, seen) => return Ok(None),
                _ => return Err(self.corrupted()),
            }
        }
    }

    /// Whether the ticket `capacity` below `t` was given back, where the ring has more cells than that.
    pub(super) fn has_room(&self, t: u64) -> bool {
        if self.shape.capacity == self.shape.cells {
            return true;
        }
        let before = t.wrapping_sub(self.shape.capacity);
        let seen = self.state(before);
        let ahead = seen.ahead_of(before);
        ahead > 0 || ahead == 0 && (seen.state() == HELD || seen.is_given_back())
    }

    /// Whether a putter that comes round to a cell moves it on to the next lap and passes over it: its item is held, or
    /// was given back and comes late anyway. (Where it is part of a message, its order counts.)
    pub(super) fn steps_aside(&self, ticket: u64, seen: State) -> bool {
        let is_late = || seen.is_given_back() && self.cell(ticket).flags.load(Relaxed) & !SPILLED == 0;
        seen.state() == HELD && !seen.is_run() || is_late()
    }

    /// Whether a putter that passes over the cell at `t` finds a free one within a lap.
    pub(super) fn free_follows(&self, t: u64) -> bool {
        for t in (1..self.shape.cells).map(|i| t.wrapping_add(i)) {
            let seen = self.state(t);
            match (seen.ahead_of(t), seen.state()) {
                (0, FREE) => return self.has_room(t),
                (0.., _) => {}
                _ if self.steps_aside(t, seen) => {}
                _ => return false,
            }
        }
        false
    }

    /// Puts an item where that takes no more than writing it into the next cell; false where something else is to be
    /// done, and nothing was. It is what [`reserve`](Self::reserve) and [`commit`](Self::commit) come to then; it wakes
    /// nobody either.
    #[inline(always)]
    pub fn put_straight(&self, me: Label, item: &[u8]) -> bool {
        let head = self.head();
        if item.len() >= self.shape.short || self.is_closed() {
            return false;
        }
        let ticket = head.tail.load(Acquire);
        let cell = self.cell(ticket);
        let free = State::new(ticket, 0, FREE);
        if cell.state.load(Acquire) != free.0
            || cell.state.cas(free.0, State::new(ticket, me, WRITING).0).is_err()
        {
            return false;
        }
        Self::raise(&head.tail, ticket.wrapping_add(1));
        prefetch(self.cell(ticket.wrapping_add(AHEAD)));
        if head.closed.load(SeqCst) != 0 {
            self.skip(ticket);
            return false;
        }
        crate::atomic::step();
        crate::atomic::payload(self.payload(ticket), true);
        // SAFETY: the payload has room for `short` bytes, and nobody else touches it while the cell is WRITING.
        unsafe { copy_short(item.as_ptr(), self.payload(ticket), item.len()) };
        cell.describe(ticket, item.len(), 0);
        cell.state.store(State::new(ticket, 0, FULL).0, Release); // pairs with the load in `state`
        true
    }

    /// Who keeps the next cell from being free, if it is another participant at work in it.
    fn blocks_put(&self, me: Label) -> Option<Label> {
        let t = self.head().tail.load(Acquire).wrapping_sub(self.shape.capacity);
        let seen = self.state(t);
        Some(seen.label()).filter(|label| *label != 0 && *label != me && seen.state() != HELD)
    }

    /// Claims a cell for an item of `len` bytes, waiting until `deadline`. The claim must be
    /// [committed](Self::commit) or [aborted](Self::abort).
    ///
    /// # Errors
    /// `TooLarge`, `Closed`, `WouldBlock`, `TimedOut`, `Interrupted`; `NoSpace` and `LimitReached` when the
    /// payload spills and the arena cannot hold it.
    #[inline]
    pub fn reserve(&self, len: usize, deadline: Deadline) -> Result<Claim> {
        let me = self.part.seg.me()?;
        if len as u64 > self.shape.inline().min(self.shape.max_item) || self.shape.max_bytes != u64::MAX {
            return self.reserve_large(me, len, deadline);
        }
        let ticket = self.wait_free(me, deadline)?;
        Ok(Claim::new(ticket, self.payload(ticket), len, 0))
    }

    fn reserve_large(&self, me: Label, len: usize, deadline: Deadline) -> Result<Claim> {
        if len as u64 > self.shape.max_item {
            fail!(TooLarge, "items of up to {} bytes; got {len}", self.shape.max_item);
        }
        if self.is_closed() {
            return Err(ErrorKind::Closed.into());
        }
        self.take_bytes(me, len as u64, deadline)?;
        let give_bytes_back = |e| {
            self.return_bytes(len as u64);
            e
        };
        if len as u64 <= self.shape.inline() {
            let ticket = self.wait_free(me, deadline).map_err(give_bytes_back)?;
            self.cell(ticket).len.store(len as u32, Relaxed);
            return Ok(Claim::new(ticket, self.payload(ticket), len, 0));
        }
        self.stay_near(len, deadline);
        let block = self.part.seg.allocate(len as u64, deadline).map_err(give_bytes_back)?;
        let ticket = match self.wait_free(me, deadline) {
            Ok(ticket) => ticket,
            Err(e) => {
                self.part.seg.free(&block);
                return Err(give_bytes_back(e));
            }
        };
        self.cell(ticket).len.store(len as u32, Relaxed);
        let data = self.part.seg.bytes(block.offset, len as u64)?;
        Ok(Claim::new(ticket, data, len, block.at.pack()))
    }

    #[inline]
    fn wait_free(&self, me: Label, deadline: Deadline) -> Result<u64> {
        let ready = || {
            if self.is_closed() {
                return Err(ErrorKind::Closed.into());
            }
            self.claim_free(me)
        };
        let ticket = match ready()? {
            Some(ticket) => ticket,
            None => self.wait_for_room(me, deadline, ready)?,
        };
        // Who closes stores `closed`, and who finds it closed fences and looks at the cells; we claimed, and look at
        // `closed`. Claim and both accesses of `closed` are SeqCst: one of the two sees the other.
        if self.head().closed.load(SeqCst) != 0 {
            self.skip(ticket);
            return Err(ErrorKind::Closed.into());
        }
        Ok(ticket)
    }

    /// Waits until `ready` says that there is room.
    pub(super) fn wait_for_room<R>(
        &self,
        me: Label,
        deadline: Deadline,
        ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<R> {
        self.part.seg.waits_for(self.part.block);
        let found = self.head().space.wait(self.part.seg, deadline, || self.blocks_put(me), ready);
        self.part.seg.waits_for(0);
        found
    }

    /// Gives a claimed cell back without an item: its ticket is skipped.
    fn skip(&self, ticket: u64) {
        let next = State::new(ticket.wrapping_add(self.shape.cells), 0, FREE);
        self.cell(ticket).state.store(next.0, Release);
        self.after_release(1);
    }

    /// Makes the first `len` bytes of a claim an item that getters can take. Wakes nobody; see
    /// [`wake_getters`](Self::wake_getters).
    #[inline]
    pub fn commit(&self, claim: &Claim, len: usize) {
        self.commit_marked(claim, len, 0);
    }

    /// [`commit`](Self::commit) with marks of the caller's, 15 bits.
    #[inline]
    pub fn commit_marked(&self, claim: &Claim, len: usize, marks: u16) {
        crate::atomic::payload(claim.data, true);
        let cell = self.cell(claim.ticket);
        cell.describe(claim.ticket, len, marks << 1 | if claim.block == 0 { 0 } else { SPILLED });
        if claim.block != 0 {
            self.reference(claim.ticket).store(claim.block, Relaxed);
            if let Ok(block) = self.part.seg.block(claim.block) {
                block.give(self.owner(claim.ticket));
            }
        }
        if len < claim.len && self.shape.max_bytes != u64::MAX {
            self.return_bytes((claim.len - len) as u64);
        }
        cell.state.store(State::new(claim.ticket, 0, FULL).0, Release); // pairs with the load in `state`
    }

    /// Wakes getters after `n` commits: once for a batch.
    #[inline]
    pub fn wake_getters(&self, n: u32) {
        self.head().items.notify(n);
    }

    /// Gives a claim up: nothing was put.
    pub fn abort(&self, claim: &Claim) {
        crate::atomic::payload(claim.data, true);
        if self.shape.max_bytes != u64::MAX {
            self.return_bytes(claim.len as u64);
        }
        if let Ok(block) = self.part.seg.block(claim.block) {
            self.part.seg.free(&block);
        }
        self.skip(claim.ticket);
    }

    fn take_bytes(&self, me: Label, len: u64, deadline: Deadline) -> Result<()> {
        if self.shape.max_bytes == u64::MAX {
            return Ok(());
        }
        let bytes = &self.head().bytes;
        let fits = |used: u64| used.saturating_add(len) <= self.shape.max_bytes;
        let ready = || {
            if self.is_closed() {
                return Err(ErrorKind::Closed.into());
            }
            let used = bytes.load(Relaxed);
            if !fits(used) {
                // The hint may be too high after a death: what counts is what lies in the cells.
                let counted = self.count().1;
                let _ = bytes.cas(used, counted);
                if !fits(counted) {
                    return Ok(None);
                }
            }
            let used = bytes.load(Relaxed);
            Ok((fits(used) && bytes.cas(used, used + len).is_ok()).then_some(()))
        };
        self.head().space.wait(self.part.seg, deadline, || self.blocks_put(me), ready)
    }

    pub(super) fn return_bytes(&self, len: u64) {
        let bytes = &self.head().bytes;
        let mut used = bytes.load(Relaxed);
        while let Err(now) = bytes.cas(used, used.saturating_sub(len)) {
            used = now;
        }
    }
}
