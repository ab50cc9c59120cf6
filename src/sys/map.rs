//! The memory of a segment: a mapping of its file, or memory that the caller already has.

use std::any::Any;
use std::fs::File;

#[cfg(not(loom))]
use memmap2::MmapOptions;
use memmap2::MmapRaw;

#[cfg(not(loom))]
use super::io_error;
use crate::error::Result;

/// Keeps memory that the caller gave mapped as long as it lives.
pub type Keeper = Box<dyn Any + Send + Sync>;

/// The memory of a segment, as long as the segment may ever become.
pub enum Map {
    /// A shared mapping of the segment's file. The file may be shorter: what lies beyond its end is only address
    /// space and must not be touched, which is why every offset is checked against the file's length.
    #[cfg_attr(loom, expect(dead_code, reason = "the memory of a model is given"))]
    Own(MmapRaw),
    /// Memory of the caller's, all of it there from the start.
    Given {
        /// Its first byte.
        base: *mut u8,
        /// Its length in bytes.
        len: u64,
        /// What keeps it there.
        _keeper: Keeper,
    },
}

// SAFETY: the pointer is only handed out, and the memory behind it is shared anyway.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// The memory of the model, whatever the file.
    #[cfg(loom)]
    pub fn of(_: &File, _: u64) -> Result<Self> {
        let (base, len) = super::model::memory();
        Ok(Self::Given { base, len, _keeper: Box::new(()) })
    }

    /// Maps `len` bytes of `file`, readable and writable.
    #[cfg(not(loom))]
    pub fn of(file: &File, len: u64) -> Result<Self> {
        let len = usize::try_from(len).unwrap_or(usize::MAX / 2);
        let raw =
            MmapOptions::new().len(len).map_raw(file).map_err(|e| io_error("mapping the segment", &e))?;
        Ok(Self::Own(raw))
    }

    /// The address of the first byte.
    pub fn base(&self) -> *mut u8 {
        match self {
            Self::Own(raw) => raw.as_mut_ptr(),
            Self::Given { base, .. } => *base,
        }
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Own(raw) => raw.len() as u64,
            Self::Given { len, .. } => *len,
        }
    }

    /// Whether the memory is the caller's.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given { .. })
    }
}
