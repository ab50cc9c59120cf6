//! Pipes in C.

use std::ffi::{c_char, c_void};
use std::ops::Deref;

use super::item::{copy_out, shc_item, shc_slot, too_small};
use super::segment::shc_segment;
use super::{
    Handle, Out, SHC_OK, Tagged, bytes, bytes_mut, check_len, deadline, guard, handle, options, shc_status,
    text,
};
use crate::error::{Result, fail};
use crate::pipe::{End, Pipe, PipeOptions, Received};
use crate::queue::ring::copy_to;
use crate::sys::fork::ForkLock;

/// One end of a pipe. Any thread may use it, and so may a forked child, which holds the end as well. Close it
/// with shc_pipe_close.
pub struct shc_pipe {
    tagged: Tagged<Lender>,
}
handle!(shc_pipe, Lender, b"shc_pipe");

/// A pipe, and the messages joined of parts that C reads in place.
pub struct Lender {
    pipe: Pipe,
    lent: ForkLock<Vec<Vec<u8>>>,
}

impl Deref for Lender {
    type Target = Pipe;
    fn deref(&self) -> &Pipe {
        &self.pipe
    }
}

impl Lender {
    fn give(pipe: Pipe) -> *mut shc_pipe {
        shc_pipe::give(Self { pipe, lent: ForkLock::default() })
    }

    fn lend(&self, bytes: Vec<u8>) -> shc_item {
        let item = shc_item::own(&bytes);
        self.lent.lock().push(bytes);
        item
    }

    fn take_back(&self, item: &shc_item) -> Result<Vec<u8>> {
        let mut lent = self.lent.lock();
        let Some(at) = lent.iter().position(|bytes| bytes.as_ptr().cast() == item.data) else {
            fail!(NotHeld, "the message was given back already");
        };
        Ok(lent.swap_remove(at))
    }
}

/// The first end; of a simplex pipe, the one that receives.
pub const SHC_END_A: u32 = 0;
/// The second end; of a simplex pipe, the one that sends.
pub const SHC_END_B: u32 = 1;

/// End B sends and end A receives, and not the other way round.
pub const SHC_PIPE_SIMPLEX: u32 = 1;

/// How to create a pipe. What is 0 has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_pipe_options {
    /// sizeof(shc_pipe_options).
    pub struct_size: usize,
    /// How many messages may be under way in a direction. Default 256.
    pub capacity: u64,
    /// How many bytes of a message are kept in its cell; larger ones spill into the segment's arena. Default 104.
    pub inline_bytes: u64,
    /// SHC_PIPE_SIMPLEX, or 0 for a duplex pipe.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

impl shc_pipe_options {
    unsafe fn read(given: *const Self) -> Result<PipeOptions> {
        let default =
            Self { struct_size: size_of::<Self>(), capacity: 0, inline_bytes: 0, flags: 0, reserved: 0 };
        let o = unsafe { options(given, default)? };
        if o.flags & !SHC_PIPE_SIMPLEX != 0 || o.reserved != 0 {
            fail!(InvalidArgument, "unknown flags {:#x} in the pipe's options", o.flags);
        }
        let mut out = PipeOptions::new().duplex(o.flags & SHC_PIPE_SIMPLEX == 0);
        if o.capacity != 0 {
            out = out.capacity(o.capacity);
        }
        if o.inline_bytes != 0 {
            out = out.inline(o.inline_bytes);
        }
        Ok(out)
    }
}

fn end(number: u32) -> Result<End> {
    match number {
        SHC_END_A => Ok(End::A),
        SHC_END_B => Ok(End::B),
        _ => fail!(InvalidArgument, "an end of a pipe is SHC_END_A or SHC_END_B; got {number}"),
    }
}

/// Creates a pipe and opens both of its ends. `options` may be NULL. The caller closes both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_create(
    segment: *const shc_segment,
    name: *const c_char,
    options: *const shc_pipe_options,
    out_a: *mut *mut shc_pipe,
    out_b: *mut *mut shc_pipe,
) -> shc_status {
    guard(|| unsafe {
        let (out_a, out_b) = (Out::new(out_a)?, Out::new(out_b)?);
        let segment = shc_segment::borrow(segment)?;
        let name = text(name, "the pipe's name")?;
        let (a, b) = Pipe::create(segment, name, &shc_pipe_options::read(options)?)?;
        out_a.set(Lender::give(a))?;
        out_b.set(Lender::give(b))
    })
}

/// Opens one end of a pipe: SHC_END_A or SHC_END_B. SHC_CLOSED when the other side has already seen the
/// end-of-file of this end. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_open(
    segment: *const shc_segment,
    name: *const c_char,
    which: u32,
    out: *mut *mut shc_pipe,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        out.set(Lender::give(Pipe::open(segment, text(name, "the pipe's name")?, end(which)?)?))
    })
}

/// Opens one end of a pipe, which must have been created with equal options, or creates it. `options` may be
/// NULL. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    which: u32,
    options: *const shc_pipe_options,
    out: *mut *mut shc_pipe,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        let name = text(name, "the pipe's name")?;
        let options = shc_pipe_options::read(options)?;
        out.set(Lender::give(Pipe::open_or_create(segment, name, end(which)?, &options)?))
    })
}

/// Closes a handle; NULL is fine. When no process holds the end any more the other side is told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_close(pipe: *mut shc_pipe) -> shc_status {
    unsafe { Handle::close(pipe) }
}

/// Sends a message of `len` bytes: SHC_OK; SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED; SHC_CLOSED when
/// nobody holds the other end any more; or an error. Unless SHC_OK nothing was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_send(
    pipe: *const shc_pipe,
    data: *const c_void,
    len: usize,
    timeout_ns: i64,
) -> shc_status {
    guard(|| unsafe {
        shc_pipe::borrow(pipe)?.send_until(bytes(data, len)?, deadline(timeout_ns)?)?;
        Ok(SHC_OK)
    })
}

/// Receives the next message into a buffer; its length goes to `len`. SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED; SHC_CLOSED at the end-of-file; SHC_ERR_BUFFER_TOO_SMALL, and the message is still
/// there; its length goes to `len` then too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_recv(
    pipe: *const shc_pipe,
    buffer: *mut c_void,
    size: usize,
    timeout_ns: i64,
    len: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let len = Out::new(len)?;
        let pipe = shc_pipe::borrow(pipe)?;
        let buffer = bytes_mut(buffer, size)?;
        let deadline = deadline(timeout_ns)?;
        if let Some(taken) = pipe.recv_soon(size, deadline, |message| copy_to(message, buffer))? {
            return len.set(taken);
        }
        match pipe.receive(false, deadline)? {
            Received::Claimed(ring, claim) => copy_out(&ring, &claim, buffer, len.0).map(|()| SHC_OK),
            Received::Joined(message) => {
                let needed = message.len();
                len.set(needed)?;
                let Some(place) = buffer.get_mut(..needed) else {
                    pipe.keep(message);
                    return Err(too_small(needed, size));
                };
                place.copy_from_slice(&message);
                Ok(SHC_OK)
            }
        }
    })
}

/// Calls `take` with the bytes of the next message, where they lie, for as long as that call lasts; it must neither wait
/// nor leave by other ways than returning: true if the message is received, false if it is to stay. Which of them goes to
/// `received`. Outcomes as of shc_pipe_recv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_recv_with(
    pipe: *const shc_pipe,
    timeout_ns: i64,
    take: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> bool>,
    userdata: *mut c_void,
    received: *mut bool,
) -> shc_status {
    guard(|| unsafe {
        let received = Out::new(received)?;
        let pipe = shc_pipe::borrow(pipe)?;
        let Some(take) = take else { fail!(InvalidArgument, "the function that takes messages is NULL") };
        received.set(match pipe.receive(false, deadline(timeout_ns)?)? {
            Received::Claimed(ring, claim) => {
                let taken = take(userdata, claim.data.cast_const().cast(), claim.len);
                if taken {
                    ring.release(&claim, false);
                } else {
                    ring.untake(&claim);
                }
                taken
            }
            Received::Joined(message) => {
                let taken = take(userdata, message.as_ptr().cast(), message.len());
                if !taken {
                    pipe.keep(message);
                }
                taken
            }
        })
    })
}

/// Takes the next message in place; it must be given back with shc_pipe_release or shc_pipe_put_back.
/// Outcomes as of shc_pipe_recv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_recv_in_place(
    pipe: *const shc_pipe,
    timeout_ns: i64,
    out: *mut shc_item,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let pipe = shc_pipe::borrow(pipe)?;
        out.set(match pipe.receive(true, deadline(timeout_ns)?)? {
            Received::Claimed(_, claim) => shc_item::over(&claim),
            Received::Joined(bytes) => pipe.lend(bytes),
        })
    })
}

/// Gives a message back: it is done with. SHC_ERR_NOT_HELD if it was given back already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_release(pipe: *const shc_pipe, item: *const shc_item) -> shc_status {
    guard(|| unsafe {
        let pipe = shc_pipe::borrow(pipe)?;
        if let Some(item) = item.as_ref()
            && item.claim[1] == shc_item::OWN
        {
            return pipe.take_back(item).map(|_| SHC_OK);
        }
        let ring = pipe.incoming()?;
        let (claim, held) = shc_item::read(item, &ring)?;
        ring.release(&claim, held);
        Ok(SHC_OK)
    })
}

/// Gives a message back unread: it can be received again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_put_back(pipe: *const shc_pipe, item: *const shc_item) -> shc_status {
    guard(|| unsafe {
        let pipe = shc_pipe::borrow(pipe)?;
        if let Some(item) = item.as_ref()
            && item.claim[1] == shc_item::OWN
        {
            pipe.keep(pipe.take_back(item)?);
            return Ok(SHC_OK);
        }
        let ring = pipe.incoming()?;
        let (claim, _) = shc_item::read(item, &ring)?;
        ring.put_back(&claim);
        Ok(SHC_OK)
    })
}

/// A place for a message of up to `len` bytes, to be written and then given to shc_pipe_commit or
/// shc_pipe_abort. Outcomes as of shc_pipe_send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_reserve(
    pipe: *const shc_pipe,
    len: usize,
    timeout_ns: i64,
    out: *mut shc_slot,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        check_len(len)?;
        let (_, claim) = shc_pipe::borrow(pipe)?.reserve_claim(len, deadline(timeout_ns)?)?;
        out.set(shc_slot::over(&claim))
    })
}

/// Sends the first `len` bytes of a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_commit(
    pipe: *const shc_pipe,
    slot: *const shc_slot,
    len: usize,
) -> shc_status {
    guard(|| unsafe {
        let ring = shc_pipe::borrow(pipe)?.outgoing()?;
        super::item::commit(&ring, slot, len).map(|()| SHC_OK)
    })
}

/// Gives a place back: nothing was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_abort(pipe: *const shc_pipe, slot: *const shc_slot) -> shc_status {
    guard(|| unsafe {
        let ring = shc_pipe::borrow(pipe)?.outgoing()?;
        ring.abort(&shc_slot::read(slot, &ring)?);
        Ok(SHC_OK)
    })
}

/// Waits until a message can be received, or the end-of-file; whether one of them came in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_poll(pipe: *const shc_pipe, timeout_ns: i64, out: *mut bool) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        out.set(unsafe { shc_pipe::borrow(pipe)? }.poll(deadline(timeout_ns)?)?)
    })
}

/// Whether this end can send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_can_send(pipe: *const shc_pipe, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_pipe::borrow(pipe)? }.can_send()))
}

/// Whether this end can receive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_can_recv(pipe: *const shc_pipe, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_pipe::borrow(pipe)? }.can_recv()))
}

/// Whether messages go both ways.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_pipe_is_duplex(pipe: *const shc_pipe, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_pipe::borrow(pipe)? }.is_duplex()))
}
