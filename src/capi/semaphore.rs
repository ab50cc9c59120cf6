//! Semaphores in C.

use std::ffi::c_char;

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, deadline, guard, handle, shc_status, text};
use crate::error::Result;
use crate::segment::Segment;
use crate::sync::Semaphore;

/// A counting semaphore. Any thread may use it, and so may a forked child. A process that is killed does not
/// give back what it had acquired. Close it with shc_semaphore_close.
pub struct shc_semaphore {
    tag: u64,
    inner: Semaphore,
}
handle!(shc_semaphore, Semaphore, b"shc_sema");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_semaphore,
    verb: impl FnOnce(&Segment, &str) -> Result<Semaphore>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_semaphore::give(verb(segment, text(name, "the semaphore's name")?)?))
    })
}

/// Creates a semaphore with a first value of at most 2147483647. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_create(
    segment: *const shc_segment,
    name: *const c_char,
    value: u32,
    out: *mut *mut shc_semaphore,
) -> shc_status {
    unsafe { make(segment, name, out, |segment, name| Semaphore::create(segment, name, value)) }
}

/// Opens a semaphore. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_semaphore,
) -> shc_status {
    unsafe { make(segment, name, out, Semaphore::open) }
}

/// Opens a semaphore, or creates it with a first value. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    value: u32,
    out: *mut *mut shc_semaphore,
) -> shc_status {
    unsafe { make(segment, name, out, |segment, name| Semaphore::open_or_create(segment, name, value)) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_close(semaphore: *mut shc_semaphore) -> shc_status {
    unsafe { Handle::close(semaphore) }
}

/// Acquires a permit: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_acquire(
    semaphore: *const shc_semaphore,
    timeout_ns: i64,
) -> shc_status {
    guard(|| {
        let semaphore = unsafe { shc_semaphore::borrow(semaphore)? };
        semaphore.acquire_until(deadline(timeout_ns)?).map(|()| SHC_OK)
    })
}

/// Adds `permits`; SHC_ERR_OVERFLOW, with nothing added, beyond 2147483647. Async-signal-safe unless it
/// fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_release(semaphore: *const shc_semaphore, permits: u32) -> shc_status {
    guard(|| unsafe { shc_semaphore::borrow(semaphore)? }.release(permits).map(|()| SHC_OK))
}

/// The value at this moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_value(semaphore: *const shc_semaphore, out: *mut u32) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_semaphore::borrow(semaphore)? }.value()))
}
