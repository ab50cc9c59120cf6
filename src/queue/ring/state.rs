//! The state word of a cell.

use crate::wait::Label;

pub(super) const FREE: u64 = 0;
pub(super) const WRITING: u64 = 1;
pub(super) const FULL: u64 = 2;
pub(super) const READING: u64 = 3;
pub(super) const HELD: u64 = 4;

/// Beside FREE, WRITING, FULL or READING of a group's first cell: it is that of the whole group; see [`super::run`].
pub(super) const RUN: u64 = 8;
/// Beside FULL or READING: the item lies where its run put it; see [`super::run`].
pub(super) const PACKED: u64 = 16;

const BASE: u64 = 7;
const STATE_BITS: u32 = 5;
const LABEL_BITS: u32 = 12;
const LABELS: u64 = (1 << LABEL_BITS) - 1;
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

/// The state word of a cell: state, owner, and the low 47 bits of the ticket. Where nobody owns it, there stands in the
/// owner's place how often what is in it was delivered, if that is a run or was one, and 1 for an item that was given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    #[inline]
    pub(super) fn new(ticket: u64, label: Label, state: u64) -> Self {
        Self(ticket << TICKET_SHIFT | u64::from(label) << STATE_BITS | state)
    }
    /// FULL, at its `deliveries`-th delivery but one.
    #[inline]
    pub(super) fn full(ticket: u64, deliveries: u16, state: u64) -> Self {
        Self::new(ticket, Label::from(deliveries).min(LABELS as Label), state)
    }
    #[inline]
    pub(super) fn state(self) -> u64 {
        self.0 & BASE
    }
    #[inline]
    pub(super) fn is_run(self) -> bool {
        self.0 & RUN != 0
    }
    /// Whether neither the cell nor its item has to do with a run.
    #[inline]
    pub(super) fn is_single(self) -> bool {
        self.0 & (RUN | PACKED) == 0
    }
    #[inline]
    pub(super) fn is_packed(self) -> bool {
        self.0 & PACKED != 0
    }
    /// Who owns the cell; 0 for nobody.
    #[inline]
    pub(super) fn label(self) -> Label {
        if matches!(self.state(), FREE | FULL) { 0 } else { self.field() as Label }
    }
    /// Whether it is FULL of an item that was taken before, and given back.
    #[inline]
    pub(super) fn is_given_back(self) -> bool {
        self.is_single() && self.deliveries() > 0
    }
    /// How often a run or what is left of it was delivered.
    #[inline]
    pub(super) fn deliveries(self) -> u16 {
        if self.state() == FULL { self.field() as u16 } else { 0 }
    }
    #[inline]
    fn field(self) -> u64 {
        self.0 >> STATE_BITS & LABELS
    }
    /// The same at another ticket.
    pub(super) fn moved_to(self, ticket: u64) -> Self {
        Self(ticket << TICKET_SHIFT | self.0 & ((1 << TICKET_SHIFT) - 1))
    }
    /// What a run's word says of its `i`-th cell.
    #[inline]
    pub(super) fn of_run(self, i: u64) -> Self {
        Self(self.0.wrapping_add(i << TICKET_SHIFT))
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
