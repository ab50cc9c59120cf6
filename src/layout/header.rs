//! The head of a segment.

use crate::atomic::{AtomicU32, AtomicU64};
use crate::latch::LockWord;

use super::describe;

/// The first eight bytes of every segment.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"SHARCELL");
/// Changes with every change of what lies in memory.
pub const LAYOUT_VERSION: u32 = 3;
/// Reads as another number on a machine of the other byte order.
pub const BYTE_ORDER: u32 = 0x0102_0304;
/// The width of the widest word that must be read and written at once.
pub const WORD_BYTES: u32 = 8;
/// Which protocol the lock words follow: "FTX1", label and flags in a futex word.
pub const LOCK_PROTOCOL: u32 = 0x4654_5831;
/// Flag: the last participant to leave unlinks the segment.
pub const EPHEMERAL: u32 = 1;
/// Labels have 12 bits in the words that name a holder.
pub const MAX_PARTICIPANTS: u32 = 4095;
/// How many parts the arena may have.
pub const EXTENTS: usize = 1024;
/// How many tables the directory may have, each eight times as large as the one before.
pub const LEVELS: usize = 8;
/// How many block sizes the arena knows; see `class_size`.
pub const ARENA_CLASSES: usize = 256;
/// The offset of what follows the header.
pub const HEADER_SIZE: u64 = size_of::<Header>() as u64;

/// The header: what never changes, then words of different writers on lines of their own.
#[repr(C, align(128))]
#[derive(Debug)]
#[allow(missing_docs, reason = "each field has a comment where its name does not say it")]
pub struct Header {
    pub magic: AtomicU64,
    pub layout_version: AtomicU32,
    pub byte_order: AtomicU32,
    pub word_bytes: AtomicU32,
    pub lock_protocol: AtomicU32,
    pub flags: AtomicU32,
    pub participants: AtomicU32,
    /// The size that the segment may grow to.
    pub limit: AtomicU64,
    pub boot_id: [AtomicU64; 2],
    /// Of flags, participants and limit.
    pub check: AtomicU64,
    pub reserved: [AtomicU64; 8],

    /// Not 0: unlinked; who attaches must look for the name again.
    pub gone: AtomicU32,
    /// Held while the arena grows.
    pub grow: LockWord,
    /// The bytes from the start that are backed by memory.
    pub committed: AtomicU64,
    pub pad_grow: [AtomicU64; 14],

    /// Held while the directory changes.
    pub directory: LockWord,
    pub pad_word: AtomicU32,
    /// Bumped after an object left its chain and before its memory is reused.
    pub unlinked: AtomicU64,
    /// The block that is being linked or unlinked under `directory`.
    pub pending: AtomicU64,
    /// The number of objects; a hint that decides when the next table is added.
    pub objects: AtomicU64,
    /// The next object's generation.
    pub generation: AtomicU64,
    /// The tables of chain heads.
    pub levels: [AtomicU64; LEVELS],
    pub pad_directory: [AtomicU64; 3],

    /// Where to look for a free block of each class: extent and index.
    pub hints: [AtomicU64; ARENA_CLASSES],
}

describe! { TABLE:
    Header = 2432 {
        magic @ 0, layout_version @ 8, byte_order @ 12, word_bytes @ 16, lock_protocol @ 20, flags @ 24,
        participants @ 28, limit @ 32, boot_id @ 40, check @ 56,
        gone @ 128, grow @ 132, committed @ 136,
        directory @ 256, unlinked @ 264, pending @ 272, objects @ 280, generation @ 288, levels @ 296,
        hints @ 384,
    }
}
