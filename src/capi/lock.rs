//! Locks in C.

use std::ffi::{c_char, c_void};

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, SHC_OWNER_DIED, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::{Result, fail};
use crate::latch::{Acquired, LockWord};
use crate::segment::Segment;
use crate::sync::Lock;
use crate::sys::clock::Deadline;

/// A mutual exclusion lock, not recursive. A process owns it: any of its threads may release it, and no other
/// process. It stays with the parent when that forks. Close it with shc_lock_close; with its last handle a process gives
/// up a lock that it holds, as its death would.
pub struct shc_lock {
    tagged: Tagged<Lock>,
}
handle!(shc_lock, Lock, b"shc_lock");

/// Acquires a lock word for C.
pub(super) fn acquire(
    handle: &crate::segment::handle::Handle,
    word: &LockWord,
    deadline: Deadline,
) -> Result<shc_status> {
    Ok(status(word.lock(&**handle.segment(), deadline)?))
}

/// What C is told of an acquired lock.
pub(super) fn status(acquired: Acquired) -> shc_status {
    match acquired {
        Acquired::Clean => SHC_OK,
        Acquired::OwnerDied => SHC_OWNER_DIED,
    }
}

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_lock,
    verb: impl FnOnce(&Segment, &str) -> Result<Lock>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_lock::give(verb(segment, text(name, "the lock's name")?)?))
    })
}

/// Creates a lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_lock,
) -> shc_status {
    unsafe { make(segment, name, out, Lock::create) }
}

/// Opens a lock. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_lock,
) -> shc_status {
    unsafe { make(segment, name, out, Lock::open) }
}

/// Opens a lock, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_lock,
) -> shc_status {
    unsafe { make(segment, name, out, Lock::open_or_create) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_close(lock: *mut shc_lock) -> shc_status {
    unsafe { Handle::close(lock) }
}

/// Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too, and what it protects may be half changed);
/// SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED, SHC_ERR_POISONED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_acquire(lock: *const shc_lock, timeout_ns: i64) -> shc_status {
    guard(|| {
        let lock = unsafe { shc_lock::borrow(lock)? };
        lock.acquire(deadline(timeout_ns)?).map(status)
    })
}

/// Acquires the lock, and if its last owner died calls `repair` with `userdata` before anybody else can have it. When
/// that returns true the lock is held, SHC_OK; when it returns false what the lock protects is beyond repair, and the
/// lock is not held: SHC_ERR_POISONED, as for all others, until somebody clears that. Else as shc_lock_acquire. `repair`
/// has to return: it must not unwind or jump out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_acquire_or_repair(
    lock: *const shc_lock,
    timeout_ns: i64,
    repair: Option<unsafe extern "C" fn(*mut c_void) -> bool>,
    userdata: *mut c_void,
) -> shc_status {
    guard(|| {
        let lock = unsafe { shc_lock::borrow(lock)? };
        let Some(repair) = repair else { fail!(InvalidArgument, "the repair is NULL") };
        let held = lock.lock_or_repair(deadline(timeout_ns)?, || unsafe { repair(userdata) })?;
        std::mem::forget(held); // shc_lock_release gives it back
        Ok(SHC_OK)
    })
}

/// Releases the lock: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_release(lock: *const shc_lock) -> shc_status {
    guard(|| unsafe { shc_lock::borrow(lock)? }.release().map(|()| SHC_OK))
}

/// Releases the lock so that nobody can acquire it any more: what it protects is beyond repair. All get
/// SHC_ERR_POISONED, until somebody clears that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_poison(lock: *const shc_lock) -> shc_status {
    guard(|| unsafe { shc_lock::borrow(lock)? }.release_poisoned().map(|()| SHC_OK))
}

/// Whether what the lock protects was declared beyond repair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_is_poisoned(lock: *const shc_lock, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_lock::borrow(lock)? }.is_poisoned()))
}

/// Lets the lock be acquired again, when what it protects was made anew; whether it was poisoned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_clear_poison(lock: *const shc_lock, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_lock::borrow(lock)? }.clear_poison()))
}

/// The label of the participant that holds the lock, 0 if nobody does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_lock_holder(lock: *const shc_lock, out: *mut u32) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_lock::borrow(lock)? }.holder()))
}
