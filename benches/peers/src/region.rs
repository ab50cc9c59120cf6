//! Memory that a forked child shares with its parent, and futexes in it.

use std::marker::PhantomData;
use std::sync::atomic::AtomicU32;

use anyhow::{Result, bail};

/// A `T` of zero bytes in memory shared with children.
pub struct Region<T> {
    at: *mut u8,
    len: usize,
    what: PhantomData<T>,
}

// SAFETY: the memory is reached through atomics or by one worker at a time.
unsafe impl<T> Send for Region<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Region<T> {}

impl<T> Region<T> {
    pub fn new() -> Result<Self> {
        Self::with_len(size_of::<T>())
    }

    /// With `len` bytes, at least a `T`.
    pub fn with_len(len: usize) -> Result<Self> {
        let len = len.max(size_of::<T>());
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            bail!("mmap of {len} bytes: {}", std::io::Error::last_os_error());
        }
        Ok(Self { at: at.cast(), len, what: PhantomData })
    }

    pub fn as_ptr(&self) -> *mut T {
        self.at.cast()
    }

    /// For a `T` made of atomics and plain numbers.
    pub fn get(&self) -> &T {
        // SAFETY: the mapping lives as long as `self`, is zeroed, and is as large as a `T`.
        unsafe { &*self.as_ptr() }
    }
}

impl<T> Drop for Region<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// Sleeps while `word` is `value`.
pub fn futex_wait(word: &AtomicU32, value: u32) {
    let no_timeout = std::ptr::null::<libc::timespec>();
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, no_timeout) };
}

/// Wakes one sleeper.
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
