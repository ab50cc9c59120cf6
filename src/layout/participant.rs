//! A participant's slot and the list of what it has open.

use crate::atomic::AtomicU64;

use super::describe;

/// The distance between slots.
pub const SLOT_SIZE: u64 = size_of::<Slot>() as u64;
/// Entries of the open-list that need no page.
pub const INLINE_ENTRIES: usize = 96;
/// Entries of a page of the open-list.
pub const PAGE_ENTRIES: usize = 511;

/// Nobody sits here.
pub const SEAT_FREE: u32 = 0;
/// Somebody sits here and has the lease, or has died.
pub const SEAT_LIVE: u32 = 1;
/// Its owner is gone and holds nothing in any object; those at the other ends of its pipes are still to be told.
pub const SEAT_LEFT: u32 = 2;
/// Everybody was told; its blocks and removed objects are still to be freed.
pub const SEAT_SWEPT: u32 = 3;
/// Nothing is left of its owner; free as soon as no living participant's announcement names it.
pub const SEAT_DONE: u32 = 4;

/// The state word of a slot: a state, and a generation that grows whenever the seat is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatState {
    /// One of `SEAT_FREE`, `SEAT_LIVE`, `SEAT_LEFT`, `SEAT_SWEPT`, `SEAT_DONE`.
    pub state: u32,
    /// How often the seat was taken.
    pub generation: u32,
}

impl SeatState {
    /// From the word in memory.
    pub fn unpack(word: u64) -> Self {
        Self { state: word as u32, generation: (word >> 32) as u32 }
    }

    /// To the word in memory.
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.state)
    }

    /// The same generation in another state.
    pub fn to(self, state: u32) -> Self {
        Self { state, ..self }
    }
}

/// One participant of a segment.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// See [`SeatState`].
    pub state: AtomicU64,
    /// Whom this participant is clearing up after: label, bit 31 while it visits what that one had open, and
    /// generation from bit 32; 0 nobody.
    pub announce: AtomicU64,
    /// For people: the process id in its own namespace.
    pub pid: AtomicU64,
    /// For people: when the process started, in clock ticks since boot.
    pub start_time: AtomicU64,
    /// For people: the command's first 16 bytes.
    pub command: [AtomicU64; 2],
    /// For people: the block of the object that it waits for, 0 none.
    pub waits_for: AtomicU64,
    /// The first page of the open-list, 0 none.
    pub list: AtomicU64,
    /// Room for what later versions note.
    pub reserved: [AtomicU64; 8],
    /// Bit e: this participant may own blocks in extent e. Set before the first claim there.
    pub touched: [AtomicU64; 16],
    /// The open-list: block and role of each object that this participant has open, 0 for none.
    pub entries: [AtomicU64; INLINE_ENTRIES],
}

/// More of an open-list, in a block of the arena.
#[repr(C)]
#[derive(Debug)]
pub struct ListPage {
    /// The next page, 0 none.
    pub next: AtomicU64,
    /// As in the slot.
    pub entries: [AtomicU64; PAGE_ENTRIES],
}

describe! { TABLE:
    Slot = 1024 {
        state @ 0, announce @ 8, pid @ 16, start_time @ 24, command @ 32, waits_for @ 48, list @ 56,
        reserved @ 64, touched @ 128, entries @ 256,
    }
    ListPage = 4096 { next @ 0, entries @ 8 }
}
