//! Reentrant locks in C.

use std::ffi::c_char;

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::Result;
use crate::segment::Segment;
use crate::sync::RLock;

/// A lock that the thread which holds it can take again; it is free when that thread has released it as often. If
/// the owner's process is killed, the next one to acquire it is told. Close it with shc_rlock_close.
pub struct shc_rlock {
    tagged: Tagged<RLock>,
}
handle!(shc_rlock, RLock, b"shc_rlck");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rlock,
    verb: impl FnOnce(&Segment, &str) -> Result<RLock>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_rlock::give(verb(segment, text(name, "the reentrant lock's name")?)?))
    })
}

/// Creates a reentrant lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rlock,
) -> shc_status {
    unsafe { make(segment, name, out, RLock::create) }
}

/// Opens a reentrant lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rlock,
) -> shc_status {
    unsafe { make(segment, name, out, RLock::open) }
}

/// Opens a reentrant lock, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_rlock,
) -> shc_status {
    unsafe { make(segment, name, out, RLock::open_or_create) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_close(rlock: *mut shc_rlock) -> shc_status {
    unsafe { Handle::close(rlock) }
}

/// Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_acquire(rlock: *const shc_rlock, timeout_ns: i64) -> shc_status {
    guard(|| {
        let rlock = unsafe { shc_rlock::borrow(rlock)? };
        rlock.acquire(deadline(timeout_ns)?).map(super::lock::status)
    })
}

/// Releases the lock once: SHC_OK, SHC_ERR_NOT_HELD; SHC_ERR_NOT_OWNER when another thread or process holds it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_release(rlock: *const shc_rlock) -> shc_status {
    guard(|| unsafe { shc_rlock::borrow(rlock)? }.release().map(|()| SHC_OK))
}

/// The label of the participant that holds the lock, 0 if nobody does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_rlock_holder(rlock: *const shc_rlock, out: *mut u32) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_rlock::borrow(rlock)? }.holder()))
}
