//! Waiting for any of several things, in C.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::event::shc_event;
use super::lock::shc_lock;
use super::pipe::shc_pipe;
use super::queue::shc_queue;
use super::semaphore::shc_semaphore;
use super::{Handle, Out, SHC_OK, Tagged, check_len, deadline, guard, handle, shc_status};
use crate::error::{Result, fail};
use crate::select::{Bell, Interest, wait_any};

/// That an item can be got from a shc_queue, or that it is shut down.
pub const SHC_QUEUE_READABLE: u32 = 1;
/// That an item can be put into a shc_queue, or that it is shut down.
pub const SHC_QUEUE_WRITABLE: u32 = 2;
/// That a message can be received at a shc_pipe, or the end-of-file.
pub const SHC_PIPE_READABLE: u32 = 3;
/// That a message can be sent at a shc_pipe.
pub const SHC_PIPE_WRITABLE: u32 = 4;
/// That a shc_event is set.
pub const SHC_EVENT_SET: u32 = 5;
/// That a permit of a shc_semaphore can be acquired.
pub const SHC_SEMAPHORE_FREE: u32 = 6;
/// That nobody holds a shc_lock.
pub const SHC_LOCK_FREE: u32 = 7;
/// That a descriptor can be read from, or has ended: a socket, a pipe, a pidfd.
pub const SHC_FD_READABLE: u32 = 8;
/// That a descriptor can be written to, or has ended.
pub const SHC_FD_WRITABLE: u32 = 9;

/// Something to wait for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_interest {
    /// SHC_QUEUE_READABLE and so on.
    pub what: u32,
    /// The descriptor, for SHC_FD_READABLE and SHC_FD_WRITABLE.
    pub fd: i32,
    /// The handle of the object, of the type that `what` names; else NULL.
    pub object: *const c_void,
}

unsafe fn read<'a>(list: *const shc_interest, count: usize) -> Result<Vec<Interest<'a>>> {
    check_len(count.saturating_mul(size_of::<shc_interest>()))?;
    if list.is_null() && count != 0 {
        fail!(InvalidArgument, "a list of {count} interests is NULL");
    }
    (0..count)
        .map(|i| unsafe {
            let given = list.add(i).read_unaligned();
            Ok(match given.what {
                SHC_QUEUE_READABLE => shc_queue::borrow(given.object.cast())?.readable(),
                SHC_QUEUE_WRITABLE => shc_queue::borrow(given.object.cast())?.writable(),
                SHC_PIPE_READABLE => shc_pipe::borrow(given.object.cast())?.readable()?,
                SHC_PIPE_WRITABLE => shc_pipe::borrow(given.object.cast())?.writable()?,
                SHC_EVENT_SET => shc_event::borrow(given.object.cast())?.when_set(),
                SHC_SEMAPHORE_FREE => shc_semaphore::borrow(given.object.cast())?.when_free(),
                SHC_LOCK_FREE => shc_lock::borrow(given.object.cast())?.when_free(),
                SHC_FD_READABLE | SHC_FD_WRITABLE if given.fd < 0 => {
                    fail!(InvalidArgument, "a descriptor is not negative; got {}", given.fd)
                }
                SHC_FD_READABLE => Interest::readable(BorrowedFd::borrow_raw(given.fd)),
                SHC_FD_WRITABLE => Interest::writable(BorrowedFd::borrow_raw(given.fd)),
                other => fail!(InvalidArgument, "unknown interest {other}"),
            })
        })
        .collect()
}

/// Waits until any of `count` interests is ready: SHC_OK, and for each, in `ready`, whether it is; nothing is taken.
/// SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED. At most 127 may be objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_wait_any(
    interests: *const shc_interest,
    count: usize,
    timeout_ns: i64,
    ready: *mut bool,
) -> shc_status {
    guard(|| unsafe {
        let list = read(interests, count)?;
        let ready = Out::new(ready)?;
        let found = wait_any(&list, deadline(timeout_ns)?)?;
        for i in 0..count {
            ready.0.add(i).write(found.contains(&i));
        }
        Ok(SHC_OK)
    })
}

/// A descriptor for loops of other people's (epoll, asyncio, libuv) that becomes readable when an object may have become
/// ready. While it is armed a thread of this library sleeps for it, one for all. Close it with shc_bell_close.
pub struct shc_bell {
    tagged: Tagged<Bell>,
}
handle!(shc_bell, Bell, b"shc_bell");

/// Creates a silent bell. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_bell_create(out: *mut *mut shc_bell) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        out.set(shc_bell::give(Bell::new()?))
    })
}

/// Closes a bell; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_bell_close(bell: *mut shc_bell) -> shc_status {
    unsafe { Handle::close(bell) }
}

/// The bell's descriptor, which is closed with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_bell_fd(bell: *const shc_bell, fd: *mut i32) -> shc_status {
    guard(|| Out::new(fd)?.set(unsafe { shc_bell::borrow(bell)? }.as_fd().as_raw_fd()))
}

/// Lets the bell ring, once, when any of `count` interests may have become ready; at once, if one is. It may ring in
/// vain. Descriptors among them do not count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_bell_arm(
    bell: *const shc_bell,
    interests: *const shc_interest,
    count: usize,
) -> shc_status {
    guard(|| unsafe {
        shc_bell::borrow(bell)?.arm(&read(interests, count)?)?;
        Ok(SHC_OK)
    })
}

/// Makes the bell's descriptor unreadable again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_bell_clear(bell: *const shc_bell) -> shc_status {
    guard(|| {
        unsafe { shc_bell::borrow(bell)? }.clear();
        Ok(SHC_OK)
    })
}
