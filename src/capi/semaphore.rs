//! Semaphores in C.

use std::ffi::c_char;

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::{Result, fail};
use crate::segment::Segment;
use crate::sync::{Semaphore, SemaphoreOptions};

/// A counting semaphore. Any thread may use it, and so may a forked child. A process that is killed does not
/// give back what it had acquired. Close it with shc_semaphore_close.
pub struct shc_semaphore {
    tagged: Tagged<Semaphore>,
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

/// A release beyond the first value is an error.
pub const SHC_SEMAPHORE_BOUNDED: u32 = 1;
/// Permits are owned by processes: those of one that is killed come back, only who holds one can release it, and the
/// value never exceeds the first one, at most 65536.
pub const SHC_SEMAPHORE_UNDO: u32 = 2;

fn semaphore_options(value: u32, flags: u32) -> Result<SemaphoreOptions> {
    if flags & !(SHC_SEMAPHORE_BOUNDED | SHC_SEMAPHORE_UNDO) != 0 {
        fail!(InvalidArgument, "unknown flags {flags:#x} for a semaphore");
    }
    let mut out = SemaphoreOptions::new(value);
    if flags & SHC_SEMAPHORE_BOUNDED != 0 {
        out = out.bounded();
    }
    if flags & SHC_SEMAPHORE_UNDO != 0 {
        out = out.undo();
    }
    Ok(out)
}

/// Creates a semaphore with SHC_SEMAPHORE_BOUNDED, SHC_SEMAPHORE_UNDO, both or none. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_create_with(
    segment: *const shc_segment,
    name: *const c_char,
    value: u32,
    flags: u32,
    out: *mut *mut shc_semaphore,
) -> shc_status {
    let verb =
        |segment: &_, name: &_| Semaphore::create_with(segment, name, &semaphore_options(value, flags)?);
    unsafe { make(segment, name, out, verb) }
}

/// Opens a semaphore of the same flags, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_semaphore_open_or_create_with(
    segment: *const shc_segment,
    name: *const c_char,
    value: u32,
    flags: u32,
    out: *mut *mut shc_semaphore,
) -> shc_status {
    let verb = |segment: &_, name: &_| {
        Semaphore::open_or_create_with(segment, name, &semaphore_options(value, flags)?)
    };
    unsafe { make(segment, name, out, verb) }
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

/// Adds `permits`; SHC_ERR_OVERFLOW beyond its maximum, SHC_ERR_NOT_HELD of one with undo, and then
/// nothing was added. Async-signal-safe unless it
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
