//! Queues in C.

use std::ffi::{c_char, c_void};

use super::item::{copy_out, shc_buffer, shc_item, shc_slot};
use super::segment::shc_segment;
use super::{
    Handle, Out, SHC_OK, Tagged, bytes, bytes_mut, check_len, deadline, guard, handle, options, shc_status,
    text,
};
use crate::error::{Result, fail};
use crate::queue::ring::copy_to;
use crate::queue::{Queue, QueueOptions, Sink};
use crate::segment::Segment;

/// A bounded first-in, first-out queue of byte strings, for any number of putters and getters. Any thread may
/// use it, and so may a forked child. Close it with shc_queue_close.
pub struct shc_queue {
    tagged: Tagged<Queue>,
}
handle!(shc_queue, Queue, b"shc_quue");

/// How to create a queue. What is 0 has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_queue_options {
    /// sizeof(shc_queue_options).
    pub struct_size: usize,
    /// How many items it holds. Default 1024.
    pub capacity: u64,
    /// The largest item in bytes. Default: as large as the segment admits.
    pub max_item: u64,
    /// The most bytes of items in it. Default: no limit but the segment's.
    pub max_bytes: u64,
    /// How many bytes of an item are kept in its cell; larger ones spill into the segment's arena. Default 104,
    /// or max_item up to 4096.
    pub inline_bytes: u64,
    /// SHC_QUEUE_JOINABLE, or 0.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// What was taken and is not done is counted, for shc_queue_task_done and shc_queue_join.
pub const SHC_QUEUE_JOINABLE: u32 = 1;

impl shc_queue_options {
    unsafe fn read(given: *const Self) -> Result<QueueOptions> {
        let default = Self {
            struct_size: size_of::<Self>(),
            capacity: 0,
            max_item: 0,
            max_bytes: 0,
            inline_bytes: 0,
            flags: 0,
            reserved: 0,
        };
        let o = unsafe { options(given, default)? };
        if o.flags & !SHC_QUEUE_JOINABLE != 0 || o.reserved != 0 {
            fail!(InvalidArgument, "unknown flags {:#x} in the queue's options", o.flags);
        }
        let mut out = QueueOptions::new(if o.capacity == 0 { 1024 } else { o.capacity });
        out = out.joinable(o.flags & SHC_QUEUE_JOINABLE != 0);
        if o.max_item != 0 {
            out = out.max_item(o.max_item);
        }
        if o.max_bytes != 0 {
            out = out.max_bytes(o.max_bytes);
        }
        if o.inline_bytes != 0 {
            out = out.inline(o.inline_bytes);
        }
        Ok(out)
    }
}

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_queue,
    verb: impl FnOnce(&Segment, &str) -> Result<Queue>,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(shc_queue::give(verb(segment, text(name, "the queue's name")?)?))
    })
}

/// Creates a queue. `options` may be NULL. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_create(
    segment: *const shc_segment,
    name: *const c_char,
    options: *const shc_queue_options,
    out: *mut *mut shc_queue,
) -> shc_status {
    let verb =
        |segment: &_, name: &_| Queue::create(segment, name, &unsafe { shc_queue_options::read(options)? });
    unsafe { make(segment, name, out, verb) }
}

/// Opens a queue. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_open(
    segment: *const shc_segment,
    name: *const c_char,
    out: *mut *mut shc_queue,
) -> shc_status {
    unsafe { make(segment, name, out, Queue::open) }
}

/// Opens a queue, which must have been created with equal options, or creates it. `options` may be NULL. The
/// caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    options: *const shc_queue_options,
    out: *mut *mut shc_queue,
) -> shc_status {
    let verb = |segment: &_, name: &_| {
        Queue::open_or_create(segment, name, &unsafe { shc_queue_options::read(options)? })
    };
    unsafe { make(segment, name, out, verb) }
}

/// Closes a handle; NULL is fine. The queue itself goes on; see shc_queue_shutdown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_close(queue: *mut shc_queue) -> shc_status {
    unsafe { Handle::close(queue) }
}

/// Puts an item of `len` bytes: SHC_OK; SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED, SHC_CLOSED, or an
/// error, and then nothing was put.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_put(
    queue: *const shc_queue,
    data: *const c_void,
    len: usize,
    timeout_ns: i64,
) -> shc_status {
    guard(|| unsafe {
        let queue = shc_queue::borrow(queue)?;
        queue.put_until(bytes(data, len)?, deadline(timeout_ns)?)?;
        Ok(SHC_OK)
    })
}

/// Puts `count` items in order; how many were put goes to `done`. Getters are woken once for all of them.
/// Anything but SHC_OK means that nothing was put.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_put_many(
    queue: *const shc_queue,
    items: *const shc_buffer,
    count: usize,
    timeout_ns: i64,
    done: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let done = Out::new(done)?;
        let queue = shc_queue::borrow(queue)?;
        check_len(count.saturating_mul(size_of::<shc_buffer>()))?;
        if items.is_null() && count != 0 {
            fail!(InvalidArgument, "a list of {count} items is NULL");
        }
        let list: Vec<&[u8]> = (0..count)
            .map(|i| {
                let item = items.add(i).read_unaligned();
                bytes(item.data, item.len)
            })
            .collect::<Result<_>>()?;
        done.set(queue.put_list(list.len(), |i| list[i], deadline(timeout_ns)?)?)
    })
}

/// Gets the oldest item into a buffer; its length goes to `len`. SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED; SHC_CLOSED when the queue is shut down and nothing is left; SHC_ERR_BUFFER_TOO_SMALL, and
/// the item is still there; its length goes to `len` then too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_get(
    queue: *const shc_queue,
    buffer: *mut c_void,
    size: usize,
    timeout_ns: i64,
    len: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let len = Out::new(len)?;
        let queue = shc_queue::borrow(queue)?;
        let buffer = bytes_mut(buffer, size)?;
        let deadline = deadline(timeout_ns)?;
        if let Some(taken) = queue.get_soon(size, deadline, |item| copy_to(item, buffer))? {
            return len.set(taken);
        }
        let claim = queue.take_claim(false, deadline)?;
        copy_out(&queue.ring(), &claim, buffer, len.0).map(|()| SHC_OK)
    })
}

/// Gets up to `max` items that are there, waiting for the first, one behind the other into a buffer; their
/// lengths go to `lens`, which has room for `max`, and their number to `count`. It ends before an item for
/// which the buffer has no room; less than `max` does not mean that nothing is left. Up to 64 are given back
/// together when all are copied: if this process dies before, they are delivered again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_get_many(
    queue: *const shc_queue,
    buffer: *mut c_void,
    size: usize,
    lens: *mut usize,
    max: usize,
    timeout_ns: i64,
    count: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let count = Out::new(count)?;
        let queue = shc_queue::borrow(queue)?;
        let buffer = bytes_mut(buffer, size)?;
        if lens.is_null() && max != 0 {
            fail!(InvalidArgument, "a list of {max} lengths is NULL");
        }
        count.set(queue.get_run(max, deadline(timeout_ns)?, &mut Packed { buffer, lens })?)
    })
}

/// A buffer for items one behind the other, and a list of at least as many lengths as are got.
struct Packed<'a> {
    buffer: &'a mut [u8],
    lens: *mut usize,
}

impl Sink for Packed<'_> {
    fn room(&self) -> usize {
        self.buffer.len()
    }
    fn take(&mut self, item: &[u8]) -> bool {
        let taken = copy_to(item, self.buffer);
        self.buffer = &mut std::mem::take(&mut self.buffer)[taken..];
        // SAFETY: the caller of shc_queue_get_many vouches for the list.
        unsafe {
            self.lens.write_unaligned(taken);
            self.lens = self.lens.add(1);
        }
        true
    }
}

/// Calls `take` with the bytes of up to `max` items that are there, oldest first, waiting for the first; how many were
/// got goes to `count`. The bytes lie where they were put, for as long as the call of `take` lasts, which must neither
/// wait nor leave by other ways than returning: true if the item is got, false if it and those behind it are to stay.
/// A death is as for shc_queue_get_many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_get_with(
    queue: *const shc_queue,
    max: usize,
    timeout_ns: i64,
    take: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> bool>,
    userdata: *mut c_void,
    count: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let count = Out::new(count)?;
        let queue = shc_queue::borrow(queue)?;
        let Some(take) = take else { fail!(InvalidArgument, "the function that takes items is NULL") };
        let take = |item: &[u8]| take(userdata, item.as_ptr().cast(), item.len());
        count.set(queue.get_run(max, deadline(timeout_ns)?, &mut Callback(take))?)
    })
}

/// A caller's function that takes items where they lie.
struct Callback<F>(F);

impl<F: FnMut(&[u8]) -> bool> Sink for Callback<F> {
    fn room(&self) -> usize {
        usize::MAX
    }
    fn take(&mut self, item: &[u8]) -> bool {
        (self.0)(item)
    }
    fn takes_all(&self) -> bool {
        false
    }
}

/// Takes the oldest item in place; it must be given back with shc_queue_release or shc_queue_put_back. It costs
/// one cell of the queue until then. Outcomes as of shc_queue_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_recv(
    queue: *const shc_queue,
    timeout_ns: i64,
    out: *mut shc_item,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let queue = shc_queue::borrow(queue)?;
        out.set(shc_item::over(&queue.take_claim(true, deadline(timeout_ns)?)?))
    })
}

/// Gives an item back: it is done with. SHC_ERR_NOT_HELD if it was given back already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_release(queue: *const shc_queue, item: *const shc_item) -> shc_status {
    guard(|| unsafe {
        let ring = shc_queue::borrow(queue)?.ring();
        let (claim, held) = shc_item::read(item, &ring)?;
        ring.release(&claim, held);
        Ok(SHC_OK)
    })
}

/// Gives an item back undone: somebody else gets it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_put_back(queue: *const shc_queue, item: *const shc_item) -> shc_status {
    guard(|| unsafe {
        let ring = shc_queue::borrow(queue)?.ring();
        let (claim, _) = shc_item::read(item, &ring)?;
        ring.put_back(&claim);
        Ok(SHC_OK)
    })
}

/// A place for an item of up to `len` bytes, to be written and then given to shc_queue_commit or
/// shc_queue_abort. Outcomes as of shc_queue_put.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_reserve(
    queue: *const shc_queue,
    len: usize,
    timeout_ns: i64,
    out: *mut shc_slot,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        check_len(len)?;
        let queue = shc_queue::borrow(queue)?;
        out.set(shc_slot::over(&queue.reserve_claim(len, deadline(timeout_ns)?)?))
    })
}

/// Makes the first `len` bytes of a place an item that can be got.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_commit(
    queue: *const shc_queue,
    slot: *const shc_slot,
    len: usize,
) -> shc_status {
    guard(|| unsafe {
        let ring = shc_queue::borrow(queue)?.ring();
        super::item::commit(&ring, slot, len).map(|()| SHC_OK)
    })
}

/// Gives a place back: nothing was put.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_abort(queue: *const shc_queue, slot: *const shc_slot) -> shc_status {
    guard(|| unsafe {
        let ring = shc_queue::borrow(queue)?.ring();
        ring.abort(&shc_slot::read(slot, &ring)?);
        Ok(SHC_OK)
    })
}

/// How many items can be got at this moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_qsize(queue: *const shc_queue, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.qsize()))
}

/// Whether nothing can be got at this moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_empty(queue: *const shc_queue, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.is_empty()))
}

/// Whether a put would have to wait at this moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_full(queue: *const shc_queue, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.is_full()))
}

/// How many items the queue holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_capacity(queue: *const shc_queue, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.capacity()))
}

/// The largest item in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_max_item(queue: *const shc_queue, out: *mut u64) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.max_item()))
}

/// The most bytes that may be in the queue; UINT64_MAX when only items are counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_max_bytes(queue: *const shc_queue, out: *mut u64) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.max_bytes()))
}

/// Says that an item which this process got is done, once for each get. (One that was taken in place is done when it
/// is released.) SHC_ERR_NOT_HELD when this process has got none that is not done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_task_done(queue: *const shc_queue) -> shc_status {
    guard(|| unsafe { shc_queue::borrow(queue)? }.task_done().map(|()| SHC_OK))
}

/// Waits until every item that was put is done: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED. What a process
/// had got that is killed counts as done; what it had taken in place is delivered again, and does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_join(queue: *const shc_queue, timeout_ns: i64) -> shc_status {
    guard(|| unsafe { shc_queue::borrow(queue)? }.join(deadline(timeout_ns)?).map(|()| SHC_OK))
}

/// Lets no more items in. Getters get what is left, then SHC_CLOSED; waiting putters get SHC_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_shutdown(queue: *const shc_queue) -> shc_status {
    guard(|| {
        unsafe { shc_queue::borrow(queue)? }.shutdown();
        Ok(SHC_OK)
    })
}

/// Whether the queue was shut down.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_queue_is_shutdown(queue: *const shc_queue, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_queue::borrow(queue)? }.is_shutdown()))
}
