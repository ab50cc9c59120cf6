//! What lies in a segment's memory: the contract between languages and versions.
//!
//! ```text
//!   0            Header        who made it, how large it may become, where the rest is
//!   HEADER_SIZE  Slot × n      one per participant: seat, lease, what it has open
//!   …            Extent × 1024 the arena's parts, in the order in which they were added
//!   arena start  extents       each: one word per block, then the blocks, all of one size
//! ```
//!
//! Everything is a fixed-width little-or-big-endian integer of the machine (the header says which), at an
//! offset from the segment's first byte; there are no addresses, no `usize`, no enums. Sizes and offsets are
//! asserted here at compile time and written down in `docs/layout.md`, which a test compares with [`TABLE`].

mod arena;
mod header;
mod kind;
mod object;
mod participant;

pub use arena::{BlockRef, Extent, class_count, class_of, class_size, extent_size, words_size};
pub use header::{
    ARENA_CLASSES, BYTE_ORDER, EPHEMERAL, EXTENTS, HEADER_SIZE, Header, LAYOUT_VERSION, LEVELS,
    LOCK_PROTOCOL, MAGIC, MAX_PARTICIPANTS, WORD_BYTES,
};
pub use kind::Kind;
pub use object::{LIVE, NAME_MAX, OBJECT_HEADER, ObjectHeader, REMOVED, Spec, TYPE_NAME_MAX};
pub use participant::{
    INLINE_ENTRIES, ListPage, PAGE_ENTRIES, SEAT_DONE, SEAT_FREE, SEAT_LEFT, SEAT_LIVE, SEAT_SWEPT,
    SLOT_SIZE, SeatState, Slot,
};

/// One row of the layout's description: struct, field (empty: the struct itself), offset, size.
pub type Row = (&'static str, &'static str, usize, usize);

/// Asserts sizes and offsets at compile time and lists them.
macro_rules! describe {
    ($table:ident: $($ty:ident = $size:literal { $($field:ident @ $at:literal),* $(,)? })*) => {
        $(const _: () = {
            assert!(size_of::<$ty>() == $size);
            $(assert!(std::mem::offset_of!($ty, $field) == $at);)*
        };)*
        /// The layout of the structs of this module.
        pub const $table: &[$crate::layout::Row] = &[
            $((stringify!($ty), "", 0, $size), $((stringify!($ty), stringify!($field), $at, {
                const fn size<T>(_: *const T) -> usize { size_of::<T>() }
                let place = std::mem::MaybeUninit::<$ty>::uninit();
                // SAFETY: only the address of a field is computed, nothing is read.
                size(unsafe { &raw const (*place.as_ptr()).$field })
            }),)*)*
        ];
    };
}
pub(crate) use describe;

/// The layout of everything that a segment itself consists of.
pub const TABLES: &[&[Row]] = &[header::TABLE, participant::TABLE, arena::TABLE, object::TABLE];

/// The offset of the first participant's slot.
pub const SLOTS: u64 = HEADER_SIZE;

/// The offset of the table of extents in a segment for `participants`.
pub const fn extents_offset(participants: u32) -> u64 {
    SLOTS + participants as u64 * SLOT_SIZE
}

/// Where the arena starts in a segment for `participants`: the first page behind the fixed parts.
pub const fn arena_offset(participants: u32) -> u64 {
    round_up(extents_offset(participants) + (EXTENTS * size_of::<Extent>()) as u64, 4096)
}

/// FNV-1a, 64 bits: no seed, the same in every process.
pub fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `n` rounded up to a multiple of `to`, a power of two.
pub const fn round_up(n: u64, to: u64) -> u64 {
    (n + to - 1) & !(to - 1)
}
