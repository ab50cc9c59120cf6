//! Getting: claim a cell, read, give it back.

use super::put::AHEAD;
use super::state::{FREE, FULL, HELD, READING, State, WRITING};
use super::{Accept, Claim, Ring, SPILLED, run};
use crate::atomic::{Acquire, Relaxed, Release, SeqCst, fence, prefetch};
use crate::error::{ErrorKind, Result};
use crate::queue::join::Join;
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// How many cells back a sleeping getter looks for one that is held; of older ones the segment's watch tells.
const KEPT: u64 = 256;

/// What a getter found.
pub(super) enum Found {
    /// This cell was claimed.
    Item(u64),
    /// The oldest item is not acceptable.
    Refused,
    /// Nothing to get; this participant may yet put or give something back.
    Nothing(Option<Label>),
}

impl Ring<'_> {
    /// Takes the oldest item as `taken` (READING, HELD, or FULL to only look), passing over cells that are
    /// being written.
    pub(super) fn claim_full(
        &self,
        me: Label,
        taken: u64,
        accept: Accept,
        epoch: &std::sync::atomic::AtomicU64,
    ) -> Result<Found> {
        use std::sync::atomic::Ordering::Relaxed as Local;
        let head = self.head();
        let reopened = head.reopened.load(Acquire);
        if reopened != epoch.load(Local) {
            if let Some(found) = self.claim_reopened(me, taken, accept)? {
                return Ok(found);
            }
            epoch.store(reopened, Local);
        }
        let n = self.shape.cells as i64;
        let mut t = head.head.load(Acquire);
        let mut passed = None;
        let mut awaited = None;
        loop {
            let seen = self.state(t);
            let ahead = seen.ahead_of(t);
            if ahead == 0 && seen.state() == FULL {
                // What was passed over may have been committed meanwhile, and is older.
                let older = passed.and_then(|first: u64| {
                    (0..t.wrapping_sub(first)).map(|i| first.wrapping_add(i)).find(|t| {
                        let seen = self.state(*t);
                        seen.ahead_of(*t) == 0 && seen.state() == FULL
                    })
                });
                if let Some(older) = older {
                    t = older;
                    passed = passed.filter(|first| *first != older);
                    continue;
                }
                if !self.is_acceptable(t, accept) {
                    return Ok(Found::Refused);
                }
                if taken == FULL {
                    return Ok(Found::Item(t));
                }
                if seen.is_run() {
                    let first = run::first(t);
                    match accept {
                        // Nobody can have come into the middle of one, but for damage.
                        _ if first != t => t = first,
                        Accept::Singles => return Ok(Found::Refused),
                        Accept::Runs if passed.is_none() => {
                            if self.claim_run(t, seen, me) {
                                return Ok(Found::Item(t));
                            }
                        }
                        _ => self.split(t)?,
                    }
                    continue;
                }
                if self.claim_one(t, seen, me, taken)? {
                    if passed.is_none() {
                        Self::raise(&head.head, t.wrapping_add(1));
                    }
                    return Ok(Found::Item(t));
                }
                continue;
            }
            if ahead < -n && seen.state() != HELD {
                return Err(self.corrupted());
            }
            if ahead < 0 || ahead == 0 && seen.state() == FREE {
                return Ok(Found::Nothing(awaited));
            }
            if ahead == 0 && seen.label() != me && awaited.is_none() {
                awaited = Some(seen.label());
            }
            if ahead == 0 && seen.state() == WRITING && passed.is_none() {
                passed = Some(t);
            }
            // A cell that is two laps ahead tells that all tickets up to two laps below it are done with.
            t = match ahead {
                _ if ahead >= 2 * n && passed.is_none() => t.wrapping_add((ahead - 2 * n) as u64 + 1),
                _ => run::past(t, seen),
            };
        }
    }

    /// Takes the oldest item of all cells, wherever `head` is.
    #[cold]
    fn claim_reopened(&self, me: Label, taken: u64, accept: Accept) -> Result<Option<Found>> {
        loop {
            let near = self.head().head.load(Acquire);
            let full = (0..self.shape.cells).filter_map(|index| {
                let seen = self.state(index);
                let ticket = seen.ticket(near);
                // In damaged memory a cell may bear the ticket of another one.
                (seen.state() == FULL && ticket & (self.shape.cells - 1) == index).then_some((ticket, seen))
            });
            let Some((ticket, seen)) = full.min_by_key(|(ticket, _)| ticket.wrapping_sub(near) as i64) else {
                return Ok(None);
            };
            if !self.is_acceptable(ticket, accept) {
                return Ok(Some(Found::Refused));
            }
            if taken == FULL || self.claim_one(ticket, seen, me, taken)? {
                return Ok(Some(Found::Item(ticket)));
            }
        }
    }

    /// Takes the item of a FULL cell, which is as `seen`; false where it has to be looked at again.
    #[inline]
    fn claim_one(&self, ticket: u64, seen: State, me: Label, taken: u64) -> Result<bool> {
        if !seen.is_single() {
            return self.claim_one_of_run(ticket, seen, me, taken);
        }
        Ok(self.cas(ticket, seen, State::new(ticket, me, taken)))
    }

    #[cold]
    fn claim_one_of_run(&self, ticket: u64, seen: State, me: Label, taken: u64) -> Result<bool> {
        if seen.is_run() {
            return self.split(ticket).map(|()| false);
        }
        self.unpack(ticket, seen, me, taken)
    }

    /// Whether a getter wants the item of a FULL cell. If it changes meanwhile, claiming it fails.
    fn is_acceptable(&self, ticket: u64, accept: Accept) -> bool {
        accept != Accept::Unmarked || self.cell(ticket).flags.load(Relaxed) & !SPILLED == 0
    }

    /// Takes the oldest item, waiting until `deadline`; `held` for as long as its work lasts. The claim must
    /// be [released](Self::release). `None` when the oldest item is not acceptable. `gone` says, when there is
    /// nothing, whether nothing will ever come.
    ///
    /// # Errors
    /// `Closed`, `WouldBlock`, `TimedOut`, `Interrupted`, `Corrupted`.
    #[inline]
    pub fn take(
        &self,
        held: bool,
        accept: Accept,
        deadline: Deadline,
        epoch: &std::sync::atomic::AtomicU64,
        gone: impl Fn() -> bool,
        suspect: impl Fn() -> Option<Label>,
    ) -> Result<Option<Claim>> {
        let me = self.part.seg.me()?;
        let taken = if held { HELD } else { READING };
        let blocker = std::cell::Cell::new(None);
        // The ticket that was claimed, or `None` for one that is not acceptable.
        let attempt = || match self.claim_full(me, taken, accept, epoch)? {
            Found::Item(ticket) => Ok(Some(Some(ticket))),
            Found::Refused => Ok(Some(None)),
            Found::Nothing(awaited) => {
                blocker.set(awaited);
                Ok(None)
            }
        };
        let ready = || {
            if let Some(ticket) = attempt()? {
                return Ok(Some(ticket));
            }
            if !self.is_closed() && !gone() {
                return Ok(None);
            }
            // Seen closed first; now nothing may be there, nor on its way, nor able to come back.
            match attempt()? {
                Some(ticket) => Ok(Some(ticket)),
                None if self.may_come(me) => Ok(None),
                None => Err(ErrorKind::Closed.into()),
            }
        };
        if let Some(ticket) = attempt()? {
            return ticket.map(|ticket| self.taken(ticket, accept)).transpose();
        }
        let ticket = match if deadline == Deadline::Now { None } else { crate::wait::spin(attempt)? } {
            Some(ticket) => ticket,
            None => {
                self.part.seg.waits_for(self.part.block);
                let suspect = || blocker.get().or_else(|| self.keeper(me)).or_else(&suspect);
                let ticket = self.head().items.sleep_until(self.part.seg, deadline, suspect, ready);
                self.part.seg.waits_for(0);
                ticket?
            }
        };
        ticket.map(|ticket| self.taken(ticket, accept)).transpose()
    }

    /// Takes the item at the head where that takes no more than claiming its cell; `None` where something else is to
    /// be done, and nothing was. It is what [`take`](Self::take) comes to then. Items longer than `room` are left where
    /// they are.
    #[inline(always)]
    pub fn take_straight(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
    ) -> Option<Claim> {
        let head = self.head();
        if head.reopened.load(Acquire) != epoch.load(std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        let ticket = head.head.load(Acquire);
        let cell = self.cell(ticket);
        let full = State::new(ticket, 0, FULL);
        if cell.state.load(Acquire) != full.0 {
            return None;
        }
        let len = cell.len.load(Relaxed) as usize;
        // If these change meanwhile, so does the state.
        if len >= self.shape.short || len > room || cell.flags.load(Relaxed) != 0 {
            return None;
        }
        if cell.state.cas(full.0, State::new(ticket, me, READING).0).is_err() {
            return None;
        }
        Self::raise(&head.head, ticket.wrapping_add(1));
        prefetch(self.cell(ticket.wrapping_add(AHEAD)));
        let deliveries = cell.deliveries.load(Relaxed).saturating_add(1);
        cell.deliveries.store(deliveries, Relaxed);
        let number = cell.number.load(Relaxed);
        Some(Claim { number, deliveries, ..Claim::new(ticket, self.payload(ticket), len, 0) })
    }

    /// Takes the item at the head, hands it to `read`, and gives its cell back, all by the straight way; `None` as for
    /// [`take_straight`](Self::take_straight).
    #[inline(always)]
    pub fn get_straight<R>(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let claim = self.take_straight(me, epoch, room)?;
        let result = read(claim.bytes());
        self.free_straight(claim.ticket);
        self.wake_putters(1);
        Some(result)
    }

    /// Gives back what was [taken straight](Self::take_straight); wakes nobody.
    #[inline(always)]
    pub fn free_straight(&self, ticket: u64) {
        crate::atomic::payload(self.payload(ticket), false);
        let next = State::new(ticket.wrapping_add(self.shape.cells), 0, FREE);
        self.cell(ticket).state.store(next.0, Release);
    }

    /// [`get_straight`](Self::get_straight), also of an item that comes while it spins for it.
    #[inline]
    pub fn get_soon<R>(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
        deadline: Deadline,
        mut read: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let found = self.get_straight(me, epoch, room, &mut read);
        if found.is_some() || deadline == Deadline::Now || !self.is_awaited() {
            return Ok(found);
        }
        let look = || match self.get_straight(me, epoch, room, &mut read) {
            // What has come is to be taken in another way: no need to go on spinning for it.
            None if !self.is_awaited() => Ok(Some(None)),
            found => Ok(found.map(Some)),
        };
        Ok(crate::wait::spin(look)?.flatten())
    }

    /// Whether an item at the head is all that is missing.
    fn is_awaited(&self) -> bool {
        let ticket = self.head().head.load(Acquire);
        let seen = self.state(ticket);
        self.shape.short > 0
            && seen.ahead_of(ticket) == 0
            && matches!(seen.state(), FREE | WRITING)
            && !self.is_closed()
    }

    /// Another participant who has taken an item lately, and whose death would bring it back.
    pub(super) fn keeper(&self, me: Label) -> Option<Label> {
        let head = self.head().head.load(Acquire);
        let taken = (1..=self.shape.cells.min(KEPT)).map(|i| self.state(head.wrapping_sub(i)));
        taken
            .filter(|seen| matches!(seen.state(), READING | HELD))
            .map(State::label)
            .find(|label| *label != me)
    }

    /// Whether any cell has an item, or may yet have one that this process can get.
    fn may_come(&self, me: Label) -> bool {
        fence(SeqCst); // pairs with a putter's claim, which is SeqCst
        (0..self.shape.cells).any(|index| {
            let seen = self.state(index);
            match seen.state() {
                FREE => false,
                // What this process has taken it will not wait for.
                READING | HELD => seen.label() != me,
                _ => true,
            }
        })
    }

    /// Describes a cell that was just claimed, and counts the delivery.
    fn taken(&self, ticket: u64, accept: Accept) -> Result<Claim> {
        if accept == Accept::Runs && self.word(ticket).is_run() {
            return Ok(self.run_taken(ticket));
        }
        let cell = self.cell(ticket);
        let deliveries = cell.deliveries.load(Relaxed).saturating_add(1);
        cell.deliveries.store(deliveries, Relaxed);
        let len = cell.len.load(Relaxed) as usize;
        let flags = cell.flags.load(Relaxed);
        let number = cell.number.load(Relaxed);
        let mut claim = Claim {
            ticket,
            data: self.payload(ticket),
            len,
            count: 1,
            number,
            deliveries,
            marks: flags >> 1,
            block: 0,
        };
        if flags & SPILLED != 0 {
            claim.block = self.reference(ticket).load(Relaxed);
            let block = self.part.seg.block(claim.block)?;
            if len as u64 > block.size {
                return Err(self.corrupted());
            }
            claim.data = self.part.seg.bytes(block.offset, len as u64)?;
            self.part.seg.adopt(&block)?;
        } else if len as u64 > self.shape.inline() {
            return Err(self.corrupted());
        }
        Ok(claim)
    }

    /// Gives a taken cell back: its item is done with, or, in a joinable queue, taken by this process.
    #[inline]
    pub fn release(&self, claim: &Claim, held: bool) {
        self.release_silently(claim, held);
        self.after_release(1);
    }

    /// [`release`](Self::release) that wakes nobody; see [`after_release`](Self::after_release).
    #[inline]
    pub fn release_silently(&self, claim: &Claim, held: bool) {
        // Counted before the cell is free, so that it is unfinished in one place or the other.
        if self.shape.joinable
            && !held
            && let (Ok(join), Ok(me)) = (Join::over(self.part, self.shape), self.me())
        {
            let _ = join.take(me);
        }
        self.free(claim, held);
    }

    /// Wakes those who wait for `n` cells that were given back: once for a batch.
    #[inline]
    pub fn after_release(&self, n: u32) {
        self.wake_putters(n);
        self.tell_who_joins();
    }

    fn tell_who_joins(&self) {
        if self.shape.joinable
            && let Ok(join) = Join::over(self.part, self.shape)
        {
            let _ = join.look_again();
        }
    }

    #[inline]
    pub(super) fn wake_putters(&self, n: u32) {
        let head = self.head();
        head.space.notify(n);
        if head.closed.load(Relaxed) != 0 {
            // Getters wait for the last one to be done before they are told that nothing comes any more.
            head.items.notify(u32::MAX);
        }
    }

    #[inline]
    fn free(&self, claim: &Claim, held: bool) {
        if claim.count > 1 {
            return self.free_run(claim.ticket);
        }
        crate::atomic::payload(claim.data, false);
        if self.shape.max_bytes != u64::MAX {
            self.return_bytes(claim.len as u64);
        }
        let cell = self.cell(claim.ticket);
        let n = self.shape.cells;
        if held {
            // Putters may have moved it on to later tickets.
            let mut seen = State(cell.state.load(Acquire));
            while let Err(now) =
                cell.state.cas(seen.0, State::new(seen.ticket(claim.ticket).wrapping_add(n), 0, FREE).0)
            {
                seen = State(now);
            }
        } else {
            cell.state.store(State::new(claim.ticket.wrapping_add(n), 0, FREE).0, Release);
        }
        if claim.block != 0
            && let Ok(block) = self.part.seg.block(claim.block)
        {
            self.part.seg.free(&block);
        }
    }

    /// [`put_back`](Self::put_back) of an item that was not looked at: this delivery does not count.
    pub fn untake(&self, claim: &Claim) {
        self.cell(claim.ticket).deliveries.store(claim.deliveries - 1, Relaxed);
        self.put_back(claim);
    }

    /// Makes a taken item one that others can take, as the death of its taker would.
    pub fn put_back(&self, claim: &Claim) {
        loop {
            let seen = self.state(claim.ticket);
            let ticket = seen.ticket(claim.ticket);
            if let Ok(block) = self.part.seg.block(claim.block) {
                block.give(self.owner(ticket));
            }
            if self.cas(ticket, seen, State::full(ticket, 1, FULL)) {
                return self.reopen();
            }
        }
    }

    /// Checks a claim that a C caller kept for us: the cell is this process's, in the state that the caller
    /// says, and so is its block. Whether it is HELD.
    ///
    /// # Errors
    /// `NotHeld` when it was given back already, or never taken.
    #[cfg(feature = "capi")]
    pub fn check(&self, claim: &Claim, writing: bool) -> Result<bool> {
        let me = self.part.seg.me()?;
        let seen = self.state(claim.ticket);
        let state = if writing { seen.state() == WRITING } else { matches!(seen.state(), READING | HELD) };
        let ahead = seen.ahead_of(claim.ticket);
        let cell = self.cell(claim.ticket);
        // The same item at the same delivery: a claim that was given back must not give back a later one.
        let same = writing
            || cell.number.load(Relaxed) == claim.number && cell.deliveries.load(Relaxed) == claim.deliveries;
        let mine = seen.label() == me && state && same && (ahead == 0 || ahead > 0 && seen.state() == HELD);
        let room = match claim.block {
            0 => self.shape.inline(),
            word => {
                let block = self
                    .part
                    .seg
                    .block(word)
                    .ok()
                    .filter(|b| b.is(crate::segment::arena::Owner::Participant(me)));
                block.map_or(0, |b| b.size)
            }
        };
        if !mine || claim.len as u64 > room {
            return Err(ErrorKind::NotHeld.into());
        }
        Ok(seen.state() == HELD)
    }
}
