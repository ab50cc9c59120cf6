//! The arena's parts and the sizes of its blocks.

use crate::atomic::AtomicU64;

use super::{describe, round_up};

/// A part of the arena: blocks of one size. It exists once `offset` is not 0, which is stored last.
#[repr(C)]
#[derive(Debug)]
pub struct Extent {
    /// The class of its blocks in the low 16 bits, its length in bytes above them.
    pub shape: AtomicU64,
    /// Where it starts.
    pub offset: AtomicU64,
}

describe! { TABLE:
    Extent = 16 { shape @ 0, offset @ 8 }
}

/// Where a block is: its extent and its index there. 0 in memory is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// The index of the extent.
    pub extent: u32,
    /// The index of the block in the extent.
    pub index: u32,
}

impl BlockRef {
    /// To the word in memory: 43 bits.
    pub fn pack(self) -> u64 {
        u64::from(self.extent + 1) << 32 | u64::from(self.index)
    }

    /// From the word in memory; whether such a block exists is for the arena to check.
    pub fn unpack(word: u64) -> Option<Self> {
        let extent = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
        Some(Self { extent, index: word as u32 })
    }
}

/// Blocks are multiples of this, and aligned to it.
const UNIT: u64 = 128;

/// The size of the blocks of a class: 128 to 1024 in steps of 128, then eight steps per doubling, so that a
/// block is never more than an eighth larger than asked for (from 1 KiB on).
pub const fn class_size(class: usize) -> u64 {
    if class < 8 {
        return (class as u64 + 1) * UNIT;
    }
    let doubling = class as u64 / 8 - 1;
    let eighth = class as u64 % 8 + 1;
    ((8 + eighth) * UNIT) << doubling
}

/// The smallest class whose blocks hold `bytes`.
pub const fn class_of(bytes: u64) -> usize {
    let units = bytes.div_ceil(UNIT);
    if units <= 8 {
        return if units == 0 { 0 } else { units as usize - 1 };
    }
    // units lies in (8 << d, 16 << d].
    let doubling = (units - 1).ilog2() - 3;
    let eighths = units.div_ceil(1 << doubling);
    8 + doubling as usize * 8 + (eighths - 9) as usize
}

/// How many blocks of `size` bytes, each with a word, fit into an extent of `len` bytes.
pub const fn class_count(len: u64, size: u64) -> u32 {
    let mut count = len / (size + 8);
    while count > 0 && round_up(count * 8, UNIT) + count * size > len {
        count -= 1;
    }
    if count > u32::MAX as u64 { u32::MAX } else { count as u32 }
}

/// How far into an extent of `count` blocks the first block is.
pub const fn words_size(count: u32) -> u64 {
    round_up(count as u64 * 8, UNIT)
}

/// The bytes that an extent for `count` blocks of `size` needs.
pub const fn extent_size(count: u32, size: u64) -> u64 {
    words_size(count) + count as u64 * size
}

#[cfg(test)]
mod tests {
    use super::super::ARENA_CLASSES;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_grow_and_cover_a_tebibyte() {
        for class in 1..ARENA_CLASSES {
            assert!(class_size(class) > class_size(class - 1));
            assert_eq!(class_of(class_size(class)), class);
            assert_eq!(class_of(class_size(class - 1) + 1), class);
        }
        assert!(class_of(1 << 40) < ARENA_CLASSES);
    }

    proptest! {
        #[test]
        fn a_class_fits_closely(bytes in 1u64..1 << 40) {
            let size = class_size(class_of(bytes));
            prop_assert!(size >= bytes && size.is_multiple_of(UNIT));
            prop_assert!(size <= bytes + bytes / 8 + UNIT);
        }

        #[test]
        fn an_extent_holds_what_it_counts(len in 0u64..1 << 32, class in 0usize..160) {
            let size = class_size(class);
            let count = class_count(len, size);
            prop_assert!(count == 0 || extent_size(count, size) <= len);
            prop_assert!(extent_size(count + 1, size) > len);
        }

        #[test]
        fn references_survive_packing(extent in 0u32..1024, index: u32) {
            let r = BlockRef { extent, index };
            prop_assert_eq!(BlockRef::unpack(r.pack()), Some(r));
            prop_assert!(r.pack() >> 44 == 0);
        }
    }
}
