//! Reader-writer locks in C.

use std::ffi::c_char;

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::Result;
use crate::segment::Segment;
use crate::sync::RwLock;

/// A lock that any number of readers hold together, or one writer alone. Not recursive. If a writer is killed, those who
/// acquire it next are told; readers that are killed are forgotten. Close it with shc_rwlock_close.
pub struct shc_rwlock {
    tagged: Tagged<RwLock>,
}
handle!(shc_rwlock, RwLock, b"shc_rwlk");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rwlock,
    verb: impl FnOnce(&Segment, &str) -> Result<RwLock>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_rwlock::give(verb(segment, text(name, "the reader-writer lock's name")?)?))
    })
}

/// Creates a reader-writer lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rwlock,
) -> shc_status {
    unsafe { make(segment, name, out, RwLock::create) }
}

/// Opens a reader-writer lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rwlock,
) -> shc_status {
    unsafe { make(segment, name, out, RwLock::open) }
}

/// Opens a reader-writer lock, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rwlock,
) -> shc_status {
    unsafe { make(segment, name, out, RwLock::open_or_create) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_close(rwlock: *mut shc_rwlock) -> shc_status {
    unsafe { Handle::close(rwlock) }
}

/// Acquires the lock for reading: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_acquire_read(rwlock: *const shc_rwlock, timeout_ns: i64) -> shc_status {
    guard(|| {
        let rwlock = unsafe { shc_rwlock::borrow(rwlock)? };
        rwlock.acquire_read(deadline(timeout_ns)?).map(super::lock::status)
    })
}

/// Acquires the lock for writing: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_acquire_write(rwlock: *const shc_rwlock, timeout_ns: i64) -> shc_status {
    guard(|| {
        let rwlock = unsafe { shc_rwlock::borrow(rwlock)? };
        rwlock.acquire_write(deadline(timeout_ns)?).map(super::lock::status)
    })
}

/// Releases the lock after reading: SHC_OK; SHC_ERR_NOT_HELD when no thread of this process reads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_release_read(rwlock: *const shc_rwlock) -> shc_status {
    guard(|| unsafe { shc_rwlock::borrow(rwlock)? }.release_read().map(|()| SHC_OK))
}

/// Releases the lock after writing: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rwlock_release_write(rwlock: *const shc_rwlock) -> shc_status {
    guard(|| unsafe { shc_rwlock::borrow(rwlock)? }.release_write().map(|()| SHC_OK))
}
