//! Memory that a process shares with its children.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;

/// Words that this process, and those that it forks from now on, see and change alike; zeroes at first.
pub struct Shared {
    base: *mut u8,
    len: usize,
}

impl Shared {
    /// So many bytes, a multiple of the size of a page.
    pub fn new(len: usize) -> Self {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        Self { base: base.cast(), len }
    }

    /// A page of them.
    pub fn page() -> Self {
        Self::new(4096)
    }

    /// Where it lies.
    pub fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Deref for Shared {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping lives as long as `self`, has this length, and consists of words that are valid whatever is
        // in them; only atomics are used on them.
        unsafe { std::slice::from_raw_parts(self.base.cast(), self.len / size_of::<AtomicU64>()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}
