//! Looking without taking.

use super::get::Found;
use super::state::{FREE, FULL};
use super::{Accept, Ring};
use crate::atomic::{Acquire, Relaxed};
use crate::error::Result;
use crate::sys::clock::Deadline;
use crate::wait::Label;

impl Ring<'_> {
    /// The items that can be taken, and the bytes of all that is not free.
    pub(super) fn count(&self) -> (u64, u64) {
        let (mut items, mut bytes) = (0, 0);
        for index in 0..self.shape.cells {
            let state = self.state(index).state();
            items += u64::from(state == FULL);
            if state != FREE {
                bytes += u64::from(self.cell(index).len.load(Relaxed));
            }
        }
        (items, bytes)
    }

    /// How many items can be taken.
    pub fn len(&self) -> u64 {
        self.count().0
    }

    /// Whether any item that can be taken has such marks.
    pub fn any_marked(&self, is: impl Fn(u16) -> bool) -> bool {
        (0..self.shape.cells)
            .any(|index| self.state(index).state() == FULL && is(self.cell(index).flags.load(Relaxed) >> 1))
    }

    /// Grows with every put that has returned.
    pub fn puts(&self) -> u64 {
        self.head().tail.load(Acquire)
    }

    /// Whether all cells are free.
    pub fn is_idle(&self) -> bool {
        (0..self.shape.cells).all(|index| self.state(index).state() == FREE)
    }

    /// Somebody who has a cell, if anybody does.
    pub fn holder(&self) -> Option<Label> {
        (0..self.shape.cells).map(|index| self.state(index).label()).find(|label| *label != 0)
    }

    /// Whether a put would have to wait.
    pub fn is_full(&self) -> bool {
        let n = self.shape.cells as i64;
        let mut t = self.head().tail.load(Acquire);
        loop {
            let seen = self.state(t);
            match seen.ahead_of(t) {
                0 if seen.state() == FREE => return !self.has_room(t),
                ahead if ahead >= n => t = t.wrapping_add((ahead - n) as u64 + 1),
                ahead if ahead >= 0 => t = t.wrapping_add(1),
                _ => return !self.steps_aside(t, seen) || !self.free_follows(t),
            }
        }
    }

    /// Sleeps until at most `items` can be taken.
    pub fn wait_drained(&self, items: u64, deadline: Deadline) -> Result<()> {
        let ready = || Ok((self.len() <= items).then_some(()));
        self.head().space.sleep_until(self.part.seg, deadline, || None, ready)
    }

    /// Sleeps until an item can be taken or `gone`; takes none.
    pub fn poll(
        &self,
        deadline: Deadline,
        epoch: &std::sync::atomic::AtomicU64,
        gone: impl Fn() -> bool,
        suspect: impl Fn() -> Option<Label>,
    ) -> Result<()> {
        let me = self.part.seg.me()?;
        let full =
            || Ok(matches!(self.claim_full(me, FULL, Accept::All, epoch)?, Found::Item(_)).then_some(()));
        if deadline != Deadline::Now && crate::wait::spin(full)?.is_some() {
            return Ok(());
        }
        let ready = || Ok(full()?.or_else(|| (self.is_closed() || gone()).then_some(())));
        self.head().items.sleep_until(self.part.seg, deadline, suspect, ready)
    }
}
