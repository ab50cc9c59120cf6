//! The one mapping of a segment.

use std::fs::File;

use memmap2::{MmapOptions, MmapRaw};

use super::io_error;
use crate::error::Result;

/// A shared mapping of a segment's file, as long as the segment may ever become.
///
/// The file may be shorter: what lies beyond its end is only address space and must not be touched, which is
/// why every offset is checked against the committed size before it is used.
#[derive(Debug)]
pub struct Map {
    raw: MmapRaw,
}

impl Map {
    /// Maps `len` bytes of `file`, readable and writable.
    pub fn new(file: &File, len: u64) -> Result<Self> {
        let len = usize::try_from(len).unwrap_or(usize::MAX / 2);
        let raw =
            MmapOptions::new().len(len).map_raw(file).map_err(|e| io_error("mapping the segment", &e))?;
        Ok(Self { raw })
    }

    /// The address of the first byte.
    pub fn base(&self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    /// The length of the mapping in bytes.
    pub fn len(&self) -> u64 {
        self.raw.len() as u64
    }
}
