//! Conditions in C.

use std::ffi::{c_char, c_void};

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::{Result, fail};
use crate::segment::Segment;
use crate::sync::Condition;

/// A condition variable with its lock, which is reentrant. Only who holds the lock waits and notifies. A notification
/// that is spent on a process which dies passes on. Close it with shc_condition_close.
pub struct shc_condition {
    tagged: Tagged<Condition>,
}
handle!(shc_condition, Condition, b"shc_cond");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_condition,
    verb: impl FnOnce(&Segment, &str) -> Result<Condition>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_condition::give(verb(segment, text(name, "the condition's name")?)?))
    })
}

/// Creates a condition. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_condition,
) -> shc_status {
    unsafe { make(segment, name, out, Condition::create) }
}

/// Opens a condition. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_condition,
) -> shc_status {
    unsafe { make(segment, name, out, Condition::open) }
}

/// Opens a condition, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_condition,
) -> shc_status {
    unsafe { make(segment, name, out, Condition::open_or_create) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_close(condition: *mut shc_condition) -> shc_status {
    unsafe { Handle::close(condition) }
}

/// Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_acquire(
    condition: *const shc_condition,
    timeout_ns: i64,
) -> shc_status {
    guard(|| {
        let condition = unsafe { shc_condition::borrow(condition)? };
        condition.acquire(deadline(timeout_ns)?).map(super::lock::status)
    })
}

/// Releases the lock once: SHC_OK, SHC_ERR_NOT_HELD; SHC_ERR_NOT_OWNER when another thread or process holds it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_release(condition: *const shc_condition) -> shc_status {
    guard(|| unsafe { shc_condition::borrow(condition)? }.release().map(|()| SHC_OK))
}

/// Gives the lock back, waits for a notification, and takes the lock again: SHC_OK; SHC_OWNER_DIED, notified or not, when
/// whoever held the lock meanwhile died.
/// SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED: not notified, but the lock is held again.
/// SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER without the lock; SHC_ERR_LIMIT_REACHED when too many wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_wait(condition: *const shc_condition, timeout_ns: i64) -> shc_status {
    guard(|| {
        let condition = unsafe { shc_condition::borrow(condition)? };
        condition.wait_until(deadline(timeout_ns)?).map(super::lock::status)
    })
}

/// Waits, as shc_condition_wait, until `ready` returns true, which is asked with `userdata` and with the lock held, or
/// time is up; what it returned last goes to `out`. SHC_OWNER_DIED, SHC_INTERRUPTED: `out` is not written, the lock is
/// held. `ready` has to return: it must not unwind or jump out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_wait_for(
    condition: *const shc_condition,
    timeout_ns: i64,
    ready: Option<unsafe extern "C" fn(*mut c_void) -> bool>,
    userdata: *mut c_void,
    out: *mut bool,
) -> shc_status {
    guard(|| {
        let condition = unsafe { shc_condition::borrow(condition)? };
        let out = Out::new(out)?;
        let Some(ready) = ready else { fail!(InvalidArgument, "the predicate is NULL") };
        out.set(condition.wait_for(deadline(timeout_ns)?, || unsafe { ready(userdata) })?)
    })
}

/// Wakes up to `count` of those who wait, the longest waiting first; SIZE_MAX wakes all. SHC_ERR_NOT_HELD,
/// SHC_ERR_NOT_OWNER without the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_notify(condition: *const shc_condition, count: usize) -> shc_status {
    guard(|| {
        let condition = unsafe { shc_condition::borrow(condition)? };
        condition.notify(count).map(|()| SHC_OK)
    })
}

/// How many wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_condition_waiters(
    condition: *const shc_condition,
    out: *mut usize,
) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_condition::borrow(condition)? }.waiters()))
}
