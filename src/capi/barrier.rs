//! Barriers in C.

use std::ffi::{c_char, c_void};

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::{Result, fail};
use crate::segment::Segment;
use crate::sync::Barrier;

/// A meeting point: each of a fixed number of parties waits until all have come. It breaks when one who has come is
/// killed, gives up or aborts it, until it is reset. Close it with shc_barrier_close.
pub struct shc_barrier {
    tagged: Tagged<Barrier>,
}
handle!(shc_barrier, Barrier, b"shc_barr");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_barrier,
    verb: impl FnOnce(&Segment, &str) -> Result<Barrier>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_barrier::give(verb(segment, text(name, "the barrier's name")?)?))
    })
}

/// Creates a barrier for 1 to 65536 parties. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_create(
    segment: *const shc_segment,
    name: *const c_char,
    parties: u32,
    out: *mut *mut shc_barrier,
) -> shc_status {
    unsafe { make(segment, name, out, |segment, name| Barrier::create(segment, name, parties)) }
}

/// Opens a barrier. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_barrier,
) -> shc_status {
    unsafe { make(segment, name, out, Barrier::open) }
}

/// Opens a barrier for as many parties, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    parties: u32,
    out: *mut *mut shc_barrier,
) -> shc_status {
    unsafe { make(segment, name, out, |segment, name| Barrier::open_or_create(segment, name, parties)) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_close(barrier: *mut shc_barrier) -> shc_status {
    unsafe { Handle::close(barrier) }
}

/// Waits for the others; this party's number in order of arrival goes to `number`. SHC_BROKEN, also when the time
/// is up; SHC_INTERRUPTED, and then this party has not arrived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_wait(
    barrier: *const shc_barrier,
    timeout_ns: i64,
    number: *mut usize,
) -> shc_status {
    guard(|| {
        let barrier = unsafe { shc_barrier::borrow(barrier)? };
        let number = Out::new(number)?;
        number.set(barrier.wait_with(deadline(timeout_ns)?, || true)?)
    })
}

/// As shc_barrier_wait; the last party to arrive calls `action` with `userdata` before any goes on. If that returns
/// false the barrier is broken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_wait_with(
    barrier: *const shc_barrier,
    timeout_ns: i64,
    action: Option<unsafe extern "C" fn(*mut c_void) -> bool>,
    userdata: *mut c_void,
    number: *mut usize,
) -> shc_status {
    guard(|| {
        let barrier = unsafe { shc_barrier::borrow(barrier)? };
        let number = Out::new(number)?;
        let Some(action) = action else { fail!(InvalidArgument, "the action is NULL") };
        number.set(barrier.wait_with(deadline(timeout_ns)?, || unsafe { action(userdata) })?)
    })
}

/// Breaks the barrier for all who wait and all who come, until it is reset.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_abort(barrier: *const shc_barrier) -> shc_status {
    guard(|| {
        let barrier = unsafe { shc_barrier::borrow(barrier)? };
        barrier.abort().map(|()| SHC_OK)
    })
}

/// Begins a new round, whole. Those who wait get SHC_BROKEN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_reset(barrier: *const shc_barrier) -> shc_status {
    guard(|| {
        let barrier = unsafe { shc_barrier::borrow(barrier)? };
        barrier.reset().map(|()| SHC_OK)
    })
}

/// How many parties it takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_parties(barrier: *const shc_barrier, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_barrier::borrow(barrier)? }.parties()))
}

/// How many wait; 0 when it is broken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_n_waiting(barrier: *const shc_barrier, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_barrier::borrow(barrier)? }.n_waiting()))
}

/// Whether it is broken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_barrier_is_broken(barrier: *const shc_barrier, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_barrier::borrow(barrier)? }.is_broken()))
}
