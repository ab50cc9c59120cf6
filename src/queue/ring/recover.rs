//! Giving back what the dead, or this process, left in cells.

use super::state::{FREE, FULL, HELD, PACKED, READING, RUN, State, WRITING};
use super::{Ring, SPILLED, Side};
use crate::atomic::{Acquire, Relaxed, SeqCst, fence};
use crate::queue::join::Join;
use crate::segment::arena::Owner;
use crate::wait::Label;

impl Ring<'_> {
    pub(super) fn reopen(&self) {
        self.head().reopened.fetch_add(1, SeqCst); // after the cells, before the dead one's seat is free
        self.wake_all();
    }

    /// Gives back what this process still holds, when it closes its last handle.
    pub fn give_back(&self, me: Label, side: Side) {
        if (0..self.shape.cells).any(|index| self.word(index).is_held_by(me, side)) {
            self.recover_side(me, side);
        }
    }

    /// Gives back what `dead` held. Idempotent; several may do it at once.
    pub fn recover(&self, dead: Label) {
        self.recover_side(dead, Side::Both);
    }

    fn recover_side(&self, dead: Label, side: Side) {
        for index in 0..self.shape.cells {
            // A word that names an owner is the truth, and a run's is that of its first cell.
            let seen = self.word(index);
            if seen.is_held_by(dead, side) {
                self.recover_cell(index, seen, dead);
            }
        }
        self.reopen();
        if self.shape.joinable
            && let Ok(join) = Join::over(self.part, self.shape)
        {
            join.recover(dead);
        }
    }

    fn recover_cell(&self, index: u64, mut seen: State, dead: Label) {
        loop {
            let ticket = seen.ticket(self.head().tail.load(Acquire));
            let reference = self.reference(index).load(Relaxed);
            let spilled = self.cell(index).flags.load(Relaxed) & SPILLED != 0;
            fence(Acquire);
            // Unchanged: the reference is this claim's, for only the dead one wrote it.
            if self.word(index) != seen {
                return;
            }
            let block = self.part.seg.block(reference);
            let next = match seen.state() {
                WRITING => {
                    if let Ok(block) = block
                        && block.move_on(self.owner(ticket), Owner::Free)
                    {
                        self.part.seg.freed(&block);
                    }
                    State::new(ticket.wrapping_add(self.shape.cells), 0, FREE | seen.0 & RUN)
                }
                READING if seen.is_run() => {
                    State::full(ticket, self.cell(index).deliveries.load(Relaxed), FULL | RUN)
                }
                // Nobody has seen the item yet, but how often it was delivered as part of the run has been overwritten.
                READING if seen.is_packed() => State::full(ticket, 1, FULL | PACKED),
                READING | HELD => {
                    if let Ok(block) = block
                        && spilled
                    {
                        block.move_on(Owner::Participant(dead), self.owner(ticket));
                    }
                    State::full(ticket, 1, FULL)
                }
                _ => return,
            };
            if self.cas(index, seen, next) {
                return;
            }
            // A putter may have moved a HELD cell on; anything else means that somebody else was faster.
            seen = self.word(index);
            if seen.label() != dead || seen.state() != HELD {
                return;
            }
        }
    }

    /// Frees the blocks of all payloads, when nobody has the ring open any more.
    pub fn free_blocks(&self) {
        for index in 0..self.shape.cells {
            let seen = self.word(index);
            if seen.state() != FULL || self.cell(index).flags.load(Relaxed) & SPILLED == 0 {
                continue;
            }
            if let Ok(block) = self.part.seg.block(self.reference(index).load(Relaxed)) {
                // Its label may name an earlier ticket: the cell is what counts.
                if block.is_of_cell(self.part.offset + self.cell_at(index)) {
                    block.give(Owner::Free);
                    self.part.seg.freed(&block);
                }
            }
        }
    }
}
