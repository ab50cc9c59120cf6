//! What happens to a process's memory when it forks.
//!
//! - A [`LabelCell`] holds the label under which this process acts in one segment. It lies in a page that the
//!   kernel wipes in a child (`MADV_WIPEONFORK`), so a child that no handler has seated reads 0: not attached.
//! - [`on_fork`] runs functions before and after each `fork`.
//! - [`ForkLock`] is a lock that the forking thread can hold across `fork` and give back on both sides.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::{errno, os_error};
use crate::error::Result;

const PAGE: usize = 4096;
const CELLS: usize = PAGE / size_of::<AtomicU32>();

/// A process-local word that reads 0 in a child.
pub type LabelCell = &'static AtomicU32;

/// The label cells of this process that no segment uses; to be kept under a lock that `fork` respects.
pub struct Labels {
    free: Vec<LabelCell>,
}

impl Labels {
    /// None yet.
    pub const fn new() -> Self {
        Self { free: Vec::new() }
    }

    /// A cell that holds 0, until it is [given back](Self::give).
    #[cfg_attr(loom, allow(unreachable_code, reason = "a model has cells of its own"))]
    pub fn take(&mut self) -> Result<LabelCell> {
        #[cfg(loom)]
        return Ok(super::model::label());
        if self.free.is_empty() {
            self.free.extend(wiped_page()?);
        }
        Ok(self.free.pop().expect("a page was just added"))
    }

    /// Gives a cell back for another segment to use.
    pub fn give(&mut self, cell: LabelCell) {
        cell.store(0, Relaxed);
        self.free.push(cell);
    }
}

fn wiped_page() -> Result<impl Iterator<Item = LabelCell>> {
    // SAFETY: a new private mapping at an address of the kernel's choice.
    let page = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    if page == libc::MAP_FAILED {
        return Err(os_error("mapping memory", errno()));
    }
    // SAFETY: the page was mapped above and belongs to nobody else.
    if unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } != 0 {
        return Err(os_error("madvise(MADV_WIPEONFORK)", errno()));
    }
    let page = page as usize;
    // SAFETY: the page is zeroed, aligned, CELLS words long and never unmapped, hence 'static.
    Ok((0..CELLS).map(move |i| unsafe { &*((page + i * size_of::<AtomicU32>()) as *const AtomicU32) }))
}

/// Runs `prepare` in the forking thread before each fork, `parent` and `child` after it on the two sides.
/// `child` may only do what is async-signal-safe.
pub fn on_fork(prepare: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) -> Result<()> {
    // SAFETY: the functions are of the type that pthread_atfork wants and live as long as the library, which
    // cannot be unloaded once attached (see `stay_loaded`).
    match unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) } {
        0 => Ok(()),
        number => Err(os_error("pthread_atfork", number)),
    }
}

/// Keeps the shared library that holds this code in memory until the process ends.
pub fn stay_loaded() {
    // SAFETY: dladdr and dlopen take a valid address and a NUL-terminated name that dladdr filled in;
    // RTLD_NOLOAD only changes flags of what is loaded already. In a program that is linked statically
    // both may fail, and then there is nothing to keep.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let here = stay_loaded as fn() as *const libc::c_void;
        if libc::dladdr(here, &mut info) != 0 && !info.dli_fname.is_null() {
            libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

/// A process-local lock that may be taken before `fork` and given back after it in parent and child.
pub struct ForkLock<T> {
    /// 0 free, 1 held, 2 held and waited for.
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is only reached through a guard, of which the word admits one at a time.
unsafe impl<T: Send> Sync for ForkLock<T> {}

impl<T> ForkLock<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { word: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> ForkGuard<'_, T> {
        self.acquire();
        ForkGuard { lock: self }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<ForkGuard<'_, T>> {
        self.word.compare_exchange(0, 1, Acquire, Relaxed).is_ok().then(|| ForkGuard { lock: self })
    }

    /// Takes the lock without a guard, to be paired with [`release`](Self::release).
    pub fn acquire(&self) {
        #[cfg(loom)]
        return super::model::local::acquire(self.word.as_ptr() as usize);
        #[cfg(not(loom))]
        self.acquire_word();
    }

    #[cfg(not(loom))]
    fn acquire_word(&self) {
        if self.word.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            return;
        }
        while self.word.swap(2, Acquire) != 0 {
            // SAFETY: the word is a live u32; a private futex, since the lock is this process's own.
            unsafe {
                let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
                libc::syscall(libc::SYS_futex, self.word.as_ptr(), op, 2, std::ptr::null::<libc::timespec>())
            };
        }
    }

    /// Gives the lock back (async-signal-safe).
    ///
    /// # Safety
    /// The calling thread, or the one that it is the forked copy of, holds the lock through `acquire`.
    pub unsafe fn release(&self) {
        #[cfg(loom)]
        super::model::local::release(self.word.as_ptr() as usize);
        if self.word.swap(0, Release) == 2 {
            // SAFETY: FUTEX_WAKE only uses the address.
            unsafe {
                let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
                libc::syscall(libc::SYS_futex, self.word.as_ptr(), op, 1)
            };
        }
    }

    /// Frees the lock in a child, where whichever thread held it does not exist.
    ///
    /// # Safety
    /// Only in the child of a fork, before anybody in it uses the lock; the value must be whole.
    pub unsafe fn reset(&self) {
        self.word.store(0, Relaxed);
    }

    /// The value, for a thread that holds the lock through `acquire`.
    ///
    /// # Safety
    /// As for [`release`](Self::release), and no other reference to the value may be alive.
    #[allow(clippy::mut_from_ref, reason = "this is the inside of a lock")]
    pub unsafe fn held(&self) -> &mut T {
        // SAFETY: the caller holds the lock.
        unsafe { &mut *self.value.get() }
    }
}

impl<T: Default> Default for ForkLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Holds a [`ForkLock`].
pub struct ForkGuard<'a, T> {
    lock: &'a ForkLock<T>,
}

impl<T> Deref for ForkGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for ForkGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for ForkGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard holds the lock.
        unsafe { self.lock.release() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_zero_in_a_child() {
        let cell = Labels::new().take().unwrap();
        cell.store(7, Relaxed);
        // SAFETY: the child only reads a word and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: _exit is async-signal-safe.
            unsafe { libc::_exit(cell.load(Relaxed) as i32) };
        }
        let mut status = -1;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
        assert_eq!(cell.load(Relaxed), 7);
    }

    #[test]
    fn the_lock_excludes() {
        static LOCK: ForkLock<u64> = ForkLock::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..10_000).for_each(|_| *LOCK.lock() += 1));
            }
        });
        assert_eq!(*LOCK.lock(), 40_000);
    }
}
