//! Events in C.

use std::ffi::c_char;

use super::segment::shc_segment;
use super::{Handle, Out, SHC_OK, Tagged, deadline, guard, handle, shc_status, text};
use crate::error::Result;
use crate::segment::Segment;
use crate::sync::Event;

/// A flag that can be waited for. Any thread may use it, and so may a forked child. Close it with shc_event_close.
pub struct shc_event {
    tagged: Tagged<Event>,
}
handle!(shc_event, Event, b"shc_evnt");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_event,
    verb: impl FnOnce(&Segment, &str) -> Result<Event>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_event::give(verb(segment, text(name, "the event's name")?)?))
    })
}

/// Creates an event. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_event,
) -> shc_status {
    unsafe { make(segment, name, out, Event::create) }
}

/// Opens an event. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_event,
) -> shc_status {
    unsafe { make(segment, name, out, Event::open) }
}

/// Opens an event, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_event,
) -> shc_status {
    unsafe { make(segment, name, out, Event::open_or_create) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_close(event: *mut shc_event) -> shc_status {
    unsafe { Handle::close(event) }
}

/// Sets the flag and wakes all who wait. Async-signal-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_set(event: *const shc_event) -> shc_status {
    guard(|| {
        let event = unsafe { shc_event::borrow(event)? };
        event.set();
        Ok(SHC_OK)
    })
}

/// Clears the flag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_clear(event: *const shc_event) -> shc_status {
    guard(|| {
        let event = unsafe { shc_event::borrow(event)? };
        event.clear();
        Ok(SHC_OK)
    })
}

/// Whether the flag is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_is_set(event: *const shc_event, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_event::borrow(event)? }.is_set()))
}

/// Waits until the flag is set: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_event_wait(event: *const shc_event, timeout_ns: i64) -> shc_status {
    guard(|| {
        let event = unsafe { shc_event::borrow(event)? };
        event.wait_until(deadline(timeout_ns)?).map(|()| SHC_OK)
    })
}
