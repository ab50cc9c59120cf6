//! File locks as the kernel's word on who lives.
//!
//! A lease is a write lock of an open file description (`F_OFD_SETLK`) on one byte, pinned by a mapping of
//! that description instead of a descriptor: nothing that the process does to its descriptors can lose it,
//! `MADV_DONTFORK` keeps a child from prolonging it, and the kernel ends it with the process's memory.

use std::fs::File;
#[cfg(not(loom))]
use std::os::fd::AsRawFd;

#[cfg(not(loom))]
use super::{errno, os_error};
use crate::error::Result;

#[cfg(loom)]
pub use super::model::locks::{Lease, is_locked};

/// How a byte is locked.
#[derive(Clone, Copy)]
pub enum Mode {
    /// Together with others who share it.
    Shared,
    /// Alone.
    Exclusive,
}

#[cfg(not(loom))]
fn record(byte: u64, len: u64, kind: libc::c_int) -> libc::flock {
    // SAFETY: flock is plain data, for which zeroes are valid; l_pid must be 0 for OFD locks.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = byte as _;
    lock.l_len = len as _;
    lock
}

#[cfg(loom)]
fn set(file: &File, byte: u64, mode: Option<Mode>) -> Result<bool> {
    Ok(super::model::locks::set_lock(file, byte, mode))
}

#[cfg(not(loom))]
fn set(file: &File, byte: u64, mode: Option<Mode>) -> Result<bool> {
    let kind = match mode {
        Some(Mode::Shared) => libc::F_RDLCK,
        Some(Mode::Exclusive) => libc::F_WRLCK,
        None => libc::F_UNLCK,
    };
    let lock = record(byte, 1, kind);
    // SAFETY: the descriptor is open while `file` is borrowed and `lock` is a valid record.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
        return Ok(true);
    }
    match errno() {
        libc::EAGAIN | libc::EACCES => Ok(false),
        number => Err(os_error("file lock", number)),
    }
}

/// Locks `byte` for the open file description of `file`; false when another one is in the way.
pub fn try_lock(file: &File, byte: u64, mode: Mode) -> Result<bool> {
    set(file, byte, Some(mode))
}

/// Gives `byte` up.
pub fn unlock(file: &File, byte: u64) -> Result<()> {
    set(file, byte, None).map(drop)
}

/// Whether another open file description than that of `file` has `byte` locked.
#[cfg(not(loom))]
pub fn is_locked(file: &File, byte: u64) -> Result<bool> {
    is_any_locked(file, byte, 1)
}

#[cfg(loom)]
pub fn is_any_locked(file: &File, from: u64, count: u64) -> Result<bool> {
    Ok((from..from + count).any(|byte| is_locked(file, byte) != Ok(false)))
}

/// Whether another open file description than that of `file` has one of `count` bytes locked.
#[cfg(not(loom))]
pub fn is_any_locked(file: &File, from: u64, count: u64) -> Result<bool> {
    let mut lock = record(from, count, libc::F_WRLCK);
    // SAFETY: the descriptor is open while `file` is borrowed and `lock` is a valid record to write to.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } != 0 {
        return Err(os_error("file lock", errno()));
    }
    Ok(lock.l_type as libc::c_int != libc::F_UNLCK)
}

/// A lock that lasts until this process ends, executes another program or drops it.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct Lease {
    page: *mut libc::c_void,
}

// SAFETY: the page is never accessed, only unmapped, which any thread may do.
#[cfg(not(loom))]
unsafe impl Send for Lease {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Sync for Lease {}

#[cfg(not(loom))]
const PAGE: usize = 4096;

#[cfg(not(loom))]
impl Lease {
    /// Pins the locks of `file`, a description of its own, by a mapping, and closes the descriptor.
    /// `for_child` leaves the mapping to be inherited by the child that is about to be forked.
    pub fn pin(file: File, for_child: bool) -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice; PROT_NONE, so nothing is ever read.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_NONE, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if page == libc::MAP_FAILED {
            return Err(os_error("mapping a lease", errno()));
        }
        let lease = Self { page };
        if !for_child {
            lease.keep_from_children()?;
        }
        Ok(lease)
    }

    /// Makes sure that children forked from now on do not hold this lease too (async-signal-safe).
    pub fn keep_from_children(&self) -> Result<()> {
        // SAFETY: the page is this lease's own mapping.
        if unsafe { libc::madvise(self.page, PAGE, libc::MADV_DONTFORK) } != 0 {
            return Err(os_error("madvise(MADV_DONTFORK)", errno()));
        }
        Ok(())
    }

    /// Forgets a lease whose mapping this process does not have (that of the parent, in a child).
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

#[cfg(not(loom))]
impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: the page is this lease's own mapping, never accessed and unmapped once.
        unsafe { libc::munmap(self.page, PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shm;

    #[test]
    fn a_lease_outlives_its_descriptor_and_ends_with_its_mapping() {
        let file = shm::create_unnamed(0o600).unwrap();
        let probe = shm::reopen(&file).unwrap();
        assert!(try_lock(&file, 7, Mode::Exclusive).unwrap());
        let lease = Lease::pin(file, false).unwrap();
        assert!(is_locked(&probe, 7).unwrap());
        assert!(!is_locked(&probe, 8).unwrap());
        assert!(!try_lock(&probe, 7, Mode::Exclusive).unwrap());
        drop(lease);
        assert!(!is_locked(&probe, 7).unwrap());
    }
}
