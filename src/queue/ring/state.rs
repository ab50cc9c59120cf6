//! The state word of a cell.

use crate::wait::Label;

pub(super) const FREE: u64 = 0;
pub(super) const WRITING: u64 = 1;
pub(super) const FULL: u64 = 2;
pub(super) const READING: u64 = 3;
pub(super) const HELD: u64 = 4;

const STATE_BITS: u32 = 3;
const LABEL_BITS: u32 = 12;
const TICKET_SHIFT: u32 = STATE_BITS + LABEL_BITS;

/// What somebody does with a ring: an end of a pipe puts into one and gets from the other.
#[derive(Clone, Copy)]
pub enum Side {
    /// Puts.
    Put,
    /// Gets.
    Get,
    /// Both.
    Both,
}

/// The state word of a cell: state, owner, and the low 49 bits of the ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    #[inline]
    pub(super) fn new(ticket: u64, label: Label, state: u64) -> Self {
        Self(ticket << TICKET_SHIFT | u64::from(label) << STATE_BITS | state)
    }
    #[inline]
    pub(super) fn state(self) -> u64 {
        self.0 & ((1 << STATE_BITS) - 1)
    }
    #[inline]
    pub(super) fn label(self) -> Label {
        (self.0 >> STATE_BITS) as Label & ((1 << LABEL_BITS) - 1)
    }
    #[inline]
    pub(super) fn is_held_by(self, label: Label, side: Side) -> bool {
        let held = match side {
            Side::Put => self.state() == WRITING,
            Side::Get => matches!(self.state(), READING | HELD),
            Side::Both => matches!(self.state(), WRITING | READING | HELD),
        };
        held && self.label() == label
    }
    /// How far the cell's ticket is ahead of `ticket`; tickets wrap, so only the difference counts.
    #[inline]
    pub(super) fn ahead_of(self, ticket: u64) -> i64 {
        (self.0 & !((1 << TICKET_SHIFT) - 1)).wrapping_sub(ticket << TICKET_SHIFT) as i64 >> TICKET_SHIFT
    }
    /// The cell's full ticket, given one that is near it.
    #[inline]
    pub(super) fn ticket(self, near: u64) -> u64 {
        near.wrapping_add_signed(self.ahead_of(near))
    }
}
